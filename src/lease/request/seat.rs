//! The headset of a card that nobody else drives: this process becomes its master and takes the pipeline itself. With the
//! feature `seat` an ordinary user borrows the card from the seat of the session, so that a switch of terminals takes it
//! away and brings it back.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;

use super::error::most_telling;
use super::{Keeper, Lease, RequestError, Source, Wanted, headset_of};
use crate::kms::{Card, KmsError};

/// Opens `card` (else each in turn) and takes the connector that is wanted.
///
/// # Errors
/// When there is no card, or none to be had with what is wanted; of several the error is that of the one which came
/// nearest to a headset.
pub fn open(card: Option<&Path>, wanted: &Wanted) -> Result<Lease, RequestError> {
    if let Some(path) = card {
        return open_one(path, wanted);
    }
    let mut refusals = Vec::new();
    for path in cards()? {
        match open_one(&path, wanted) {
            Ok(lease) => return Ok(lease),
            Err(error) => refusals.push(error),
        }
    }
    Err(most_telling(refusals).unwrap_or(RequestError::NoCard))
}

/// The cards of this machine, in order; at least one.
///
/// # Errors
/// [`RequestError::NoCard`] when there is none.
pub fn cards() -> Result<Vec<PathBuf>, RequestError> {
    Card::paths().map_err(|error| match error {
        KmsError::NoCard => RequestError::NoCard,
        other => other.into(),
    })
}

/// Opens `card` and becomes its master, so that nobody else can set modes until it is closed.
///
/// # Errors
/// When the card cannot be opened, is no display card, has another master ([`RequestError::Held`]), or no atomic mode
/// setting.
pub fn own(card: &Path) -> Result<Card, RequestError> {
    master_of(open_card(card)?, card)
}

/// Becomes master of what was opened at `path`, unless it is already.
///
/// # Errors
/// [`RequestError::Held`] when another is master, or this user may not become it; also when the driver has no atomic
/// mode setting.
pub fn master_of(owned: Card, path: &Path) -> Result<Card, RequestError> {
    if !owned.is_master() && owned.become_master().is_err() {
        let holders = holders(path).map_or(String::new(), |names| format!(" ({names})"));
        return Err(RequestError::Held { card: path.display().to_string(), holders });
    }
    owned.enable_atomic()?;
    Ok(owned)
}

/// Takes over the fd of a card that somebody kept, if it still is its master and is the card at `path`.
pub fn own_again(fd: OwnedFd, path: &Path) -> Option<Card> {
    let kept = Card::from_fd(fd, path.display().to_string()).ok()?;
    let same = Card::open(path).and_then(|now| Ok(now.device_number()? == kept.device_number()?));
    let usable = same.unwrap_or(false)
        && (kept.is_master() || kept.become_master().is_ok())
        && kept.enable_atomic().is_ok();
    if !usable {
        tracing::warn!(
            "the card that was kept for this lessor is not {}, or not ours any more",
            path.display()
        );
    }
    usable.then_some(kept)
}

/// Opens `card` to look and not to touch: where that brings mastership, it is given back at once. Also tells whether it
/// did, which is to say that the card had no master.
///
/// # Errors
/// When the card cannot be opened, is no display card, or the kernel does not take mastership back.
pub fn look(card: &Path) -> Result<(Card, bool), RequestError> {
    let opened = open_card(card)?;
    let free = opened.is_master();
    if free {
        opened.drop_master()?;
    }
    Ok((opened, free))
}

fn open_card(path: &Path) -> Result<Card, RequestError> {
    let name = path.display().to_string();
    let card = Card::open(path).map_err(|error| RequestError::NotOpened {
        card: name.clone(),
        errno: error.errno().unwrap_or(Errno::EIO),
    })?;
    if card.driver().is_err() {
        return Err(RequestError::NotACard { card: name });
    }
    Ok(card)
}

fn open_one(path: &Path, wanted: &Wanted) -> Result<Lease, RequestError> {
    let (card, keeper) = borrow_or_own(path)?;
    let (pipeline, connector_name) = headset_of(&card, wanted)?;
    Ok(Lease { card: Arc::new(card), pipeline, connector_name, source: Source::Seat, keeper })
}

/// Has the seat of this session lend the card, where there is one; else opens it. As with the card of a
/// [lessor](crate::lease::session).
fn borrow_or_own(path: &Path) -> Result<(Card, Keeper), RequestError> {
    #[cfg(feature = "seat")]
    if crate::lease::seat::is_wanted()
        && let Some((card, lender)) = super::lender::Lender::borrow(path)?
    {
        return Ok((card, Keeper::Seat(lender)));
    }
    Ok((own(path)?, Keeper::Nothing))
}

/// The other programs that have `path` open, by name and process id; `None` where that is not for this user to see. One
/// of them is the master: the kernel tells which only to root, in debugfs.
pub fn holders(path: &Path) -> Option<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut names: Vec<String> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|&pid| pid != std::process::id() && has_open(pid, path))
        .filter_map(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            Some(format!("{} {pid}", name.trim_end()))
        })
        .collect();
    names.sort();
    (!names.is_empty()).then(|| names.join(", "))
}

fn has_open(pid: u32, path: &Path) -> bool {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    fds.map(|entry| std::fs::read_link(entry.path())).any(|link| link.is_ok_and(|link: PathBuf| link == path))
}
