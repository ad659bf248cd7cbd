//! Gathers the [facts](super::facts), disturbing nobody: it opens and reads, and asks for no lease.

mod buses;
mod cards;
mod holders;
mod limits;
mod node;
mod programs;
mod seat;
mod tree;
mod vulkan;
mod wayland;

use nix::unistd::{User as Account, getegid, geteuid, getgrouplist, getgroups};

pub use self::tree::Tree;
use super::facts::{Facts, Offers, User};
use crate::files::edid_cache::EdidCache;
use crate::lease::request::x11;
use crate::time::Span;

/// How long a server is waited for.
const NO_ANSWER: Span = Span::from_ms(2000);

/// Looks at everything below `tree`, and at what answers only for itself: Wayland, Vulkan and the scheduler.
pub fn gather(tree: &Tree) -> Facts {
    let cards = cards::look(tree, EdidCache::of_user().as_ref());
    let wayland = wayland::look();
    let vulkan = vulkan::look();
    Facts {
        cards,
        gpus: buses::gpus(tree),
        nvidia_modeset: buses::nvidia_modeset(tree),
        usb_headsets: buses::usb_headsets(tree),
        wayland,
        x11: x11::offers(None, NO_ANSWER).map(|(socket, connectors)| Offers { socket, connectors }),
        vulkan,
        // After Vulkan, to see how much memory its driver takes.
        limits: limits::look(tree),
        user: user(),
        seat: seat::look(tree),
        sandbox: seat::sandbox(tree),
    }
}

fn user() -> User {
    let uid = geteuid();
    let account = Account::from_uid(uid).ok().flatten();
    let at_login = account.and_then(|account| {
        let name = std::ffi::CString::new(account.name).ok()?;
        getgrouplist(&name, account.gid).ok()
    });
    let mut groups = getgroups().unwrap_or_default();
    groups.push(getegid());
    User { uid, groups, groups_at_login: at_login.unwrap_or_default() }
}
