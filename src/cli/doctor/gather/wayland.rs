//! The Wayland sockets: what the one that a request would go to offers, and who listens on each.

use std::ffi::OsStr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Uid, getegid, geteuid};

use super::super::facts::{Listener, Offers, Program, Socket, WaylandFacts};
use super::NO_ANSWER;
use super::programs;
use super::tree::Tree;
use crate::files;
use crate::lease::identity::Identity;
use crate::lease::policy::{Policy, user_named};
use crate::lease::request::wayland;

/// Asks for the offers, as a program that wants a lease would.
pub fn look() -> WaylandFacts {
    let answer = wayland::offers(None, NO_ANSWER);
    let sockets = paths().into_iter().map(|path| Socket { listener: listener(&path), path }).collect();
    WaylandFacts { answer: answer.map(|(socket, connectors)| Offers { socket, connectors }), sockets }
}

/// The sockets in this user's folder, and those that a request would try, whether they are there or not.
fn paths() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let tried =
        set("WAYLAND_DISPLAY").map_or(vec!["wayland-0".into(), "leasehold-0".into()], |name| vec![name]);
    let Some(folder) = set("XDG_RUNTIME_DIR") else {
        return tried.into_iter().filter(|path| path.is_absolute()).collect();
    };
    let is_socket = |path: &PathBuf| path.metadata().is_ok_and(|file| file.file_type().is_socket());
    let is_known = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("wayland-") || name.starts_with("leasehold-")
    };
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let there = entries.filter(|path| is_known(path) && is_socket(path));
    let mut paths: Vec<PathBuf> = there.chain(tried.iter().map(|path| folder.join(path))).collect();
    paths.sort();
    paths.dedup();
    paths
}

fn listener(path: &Path) -> Result<Listener, Errno> {
    let refused = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
    let identity = Identity::of(&UnixStream::connect(path).map_err(refused)?)?;
    let program = Program { uid: identity.uid, ..programs::program(&Tree::system(), identity.process.pid) };
    Ok(Listener {
        policy: policy(&program),
        program,
        me: Identity::new(std::process::id(), geteuid(), getegid()),
    })
}

/// What a running `leasehold serve` was told to allow, by the command line that it was started with.
fn policy(program: &Program) -> Option<Policy> {
    let folder = PathBuf::from(format!("/proc/{}", program.pid));
    let bytes = std::fs::read(folder.join("cmdline")).ok()?;
    let words: Vec<String> =
        bytes.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let started = Started::parse(&words)?;
    let allowed: Vec<Uid> = started.allow_uid.iter().map(|name| user_named(name)).collect::<Option<_>>()?;
    let policy = match started.policy {
        // A relative path counts from where it was started.
        Some(path) => files::read_policy(&folder.join("cwd").join(path)).ok()?,
        None if allowed.is_empty() => Policy::only_user(program.uid),
        None => Policy::default(),
    };
    Some(allowed.into_iter().fold(policy, Policy::allow_user))
}

/// The options of `serve` that say who may have a lease.
#[derive(Debug, Default, PartialEq, Eq)]
struct Started<'a> {
    allow_uid: Vec<&'a str>,
    policy: Option<&'a str>,
}

impl<'a> Started<'a> {
    /// Reads a command line; `None` where it is not one of `leasehold serve`.
    fn parse(words: &'a [String]) -> Option<Self> {
        let (program, rest) = words.split_first()?;
        let is_ours = Path::new(program).file_name() == Some(OsStr::new("leasehold"));
        let mut rest = rest.iter().map(String::as_str).skip_while(|word| word.starts_with('-'));
        if !is_ours || rest.next() != Some("serve") {
            return None;
        }
        let mut started = Self::default();
        while let Some(word) = rest.next() {
            let (option, value) =
                word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
            match option {
                "--allow-uid" => started.allow_uid.extend(value.or_else(|| rest.next())),
                "--policy" => started.policy = value.or_else(|| rest.next()),
                _ => {}
            }
        }
        Some(started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_command_line_of_serve_is_read() {
        let words = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        let line =
            words("/usr/bin/leasehold -v serve --allow-uid anna --policy=/etc/p.toml --json --allow-uid=7");
        let started = Started { allow_uid: vec!["anna", "7"], policy: Some("/etc/p.toml") };
        assert_eq!(Started::parse(&line), Some(started));
        assert_eq!(Started::parse(&words("leasehold serve")), Some(Started::default()));
        assert_eq!(Started::parse(&words("leasehold doctor")), None);
        assert_eq!(Started::parse(&words("sway serve")), None);
        assert_eq!(Started::parse(&[]), None);
    }
    proptest! {
        #[test]
        fn no_command_line_makes_it_panic(words in prop::collection::vec("--policy|--allow-uid=?|[^ ]*", 0..6)) {
            let line = ["leasehold", "serve"].map(str::to_string).into_iter().chain(words).collect::<Vec<_>>();
            prop_assert!(Started::parse(&line).is_some());
        }
    }
}
