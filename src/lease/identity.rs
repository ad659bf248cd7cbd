//! Who is at the other end of a connection: its credentials as the kernel noted them when it connected, and what
//! `/proc` says of the process that has them.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::{Gid, Uid};

use super::process::{Fate, Process};

/// Who opened a connection. Whatever could not be learned for certain is unknown, and never a guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The process.
    pub process: Process,
    /// The user it ran as.
    pub uid: Uid,
    /// Its group.
    pub gid: Gid,
    /// Its other groups.
    pub groups: Option<Vec<Gid>>,
    /// The program it runs, with all symbolic links followed. Of another user's process, only root may ask.
    pub executable: Option<PathBuf>,
    /// The systemd unit it belongs to.
    pub unit: Unit,
}

/// What systemd manages a process as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Could not be found out.
    Unknown,
    /// Nothing.
    None,
    /// A unit of the system's.
    System(String),
    /// A unit of a user's own, who may have given it any name.
    OfUser(Uid, String),
}

impl Identity {
    /// Who opened the other end of `stream`.
    ///
    /// # Errors
    /// When the kernel does not give the credentials.
    pub fn of(stream: &UnixStream) -> nix::Result<Self> {
        let credentials = getsockopt(stream, sockopt::PeerCredentials)?;
        let pidfd = getsockopt(stream, sockopt::PeerPidfd);
        let (uid, gid) = (Uid::from_raw(credentials.uid()), Gid::from_raw(credentials.gid()));
        Ok(Self::read(credentials.pid().unsigned_abs(), uid, gid, &pidfd))
    }

    /// Who has these credentials, where the socket is not at hand. A process that ended since it connected may by now
    /// have a successor with its number: what is then read of program and unit is the successor's.
    pub fn new(pid: u32, uid: Uid, gid: Gid) -> Self {
        Self::read(pid, uid, gid, &Err(Errno::ENOPROTOOPT))
    }

    fn read(pid: u32, uid: Uid, gid: Gid, pidfd: &nix::Result<OwnedFd>) -> Self {
        let process = Process::of(pid);
        let mut identity = Self {
            process,
            uid,
            gid,
            groups: read(process, "status").and_then(|status| parse_groups(&status)),
            executable: executable(process),
            unit: read(process, "cgroup").map_or(Unit::Unknown, |cgroup| Unit::parse(&cgroup)),
        };
        if !outlived(pidfd, process) {
            // The number may have gone to another process before all of that was read.
            identity = Self { groups: None, executable: None, unit: Unit::Unknown, ..identity };
        }
        identity
    }
}

/// Whether the process that connected has lived until now, and with it its number.
///
/// The pidfd is of the very process that connected. Kernels before 6.5 have none (`ENOPROTOOPT`); there the start time
/// tells, which cannot see that the number changed hands before it was first read.
fn outlived(pidfd: &nix::Result<OwnedFd>, process: Process) -> bool {
    match pidfd {
        // A pidfd can be read once its process has ended (pidfd_open(2)).
        Ok(pidfd) => poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(0),
        Err(Errno::ENOPROTOOPT) => process.fate() == Fate::Alive,
        Err(_) => false,
    }
}

fn read(process: Process, file: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{}/{file}", process.pid)).ok()
}

fn executable(process: Process) -> Option<PathBuf> {
    let link = format!("/proc/{}/exe", process.pid);
    let path = std::fs::read_link(&link).ok()?;
    // In a mount namespace of its own, which any user can have, a process finds whatever it likes at any path. It has
    // to run the file that is there for everyone.
    let (runs, there) = (std::fs::metadata(&link).ok()?, std::fs::metadata(&path).ok()?);
    ((runs.dev(), runs.ino()) == (there.dev(), there.ino())).then_some(path)
}

/// The `Groups` line of `/proc/PID/status` (proc_pid_status(5)).
fn parse_groups(status: &str) -> Option<Vec<Gid>> {
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:"))?;
    groups.split_ascii_whitespace().map(|gid| gid.parse().ok().map(Gid::from_raw)).collect()
}

impl Unit {
    /// Its name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::System(name) | Self::OfUser(_, name) => Some(name),
            Self::Unknown | Self::None => None,
        }
    }

    /// Reads `/proc/PID/cgroup` (cgroups(7)).
    ///
    /// systemd puts a unit's processes in a group with its name, inside those of its slices. What is further inside is
    /// the unit's own affair and may bear any name; only the user managers, `user@UID.service`, have units in turn.
    fn parse(cgroup: &str) -> Self {
        // systemd's hierarchy has its name in cgroup v1, and is the one with number 0 in v2.
        let path_in = |hierarchy: &str| {
            cgroup.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(hierarchy)).map(str::to_owned)
        };
        let path = path_in("name=systemd:")
            .or_else(|| cgroup.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned));
        let Some(path) = path else { return Self::None };
        let mut groups = path.split('/').filter(|name| !name.is_empty() && !name.ends_with(".slice"));
        let mut unit = || groups.next().filter(|name| name.ends_with(".service") || name.ends_with(".scope"));
        let Some(system) = unit() else { return Self::None };
        let user = system.strip_prefix("user@").and_then(|rest| rest.strip_suffix(".service")?.parse().ok());
        match (user, unit()) {
            (Some(uid), Some(name)) => Self::OfUser(Uid::from_raw(uid), name.into()),
            _ => Self::System(system.into()),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "user {}, group {}, ", self.uid, self.gid)?;
        match &self.executable {
            Some(path) => write!(formatter, "executable {}, ", path.display())?,
            None => write!(formatter, "executable unknown, ")?,
        }
        match &self.unit {
            Unit::Unknown => write!(formatter, "unit unknown"),
            Unit::None => write!(formatter, "no unit"),
            Unit::System(name) => write!(formatter, "unit {name}"),
            Unit::OfUser(uid, name) => write!(formatter, "unit {name} of user {uid}'s own"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn knows_who_is_at_the_other_end() {
        let (stream, _other) = UnixStream::pair().unwrap();
        let who = Identity::of(&stream).unwrap();
        assert_eq!(who.process, Process::of(std::process::id()));
        assert_eq!((who.uid, who.gid), (Uid::effective(), Gid::effective()));
        assert_eq!(who.executable, std::env::current_exe().unwrap().canonicalize().ok());
        assert_ne!(who.unit, Unit::Unknown);
        let mut groups = who.groups.unwrap();
        let mut own = nix::unistd::getgroups().unwrap();
        groups.sort_by_key(|gid| gid.as_raw());
        own.sort_by_key(|gid| gid.as_raw());
        assert_eq!(groups, own);
    }

    #[test]
    fn says_nothing_of_a_process_that_has_gone() {
        let gone = Process::of(u32::MAX);
        assert!(!outlived(&Err(Errno::ENOPROTOOPT), gone));
        assert!(!outlived(&Err(Errno::EINVAL), Process::of(std::process::id())));
        assert!(outlived(&Err(Errno::ENOPROTOOPT), Process::of(std::process::id())));
        assert_eq!((executable(gone), read(gone, "status")), (None, None));
    }

    #[test]
    fn finds_the_groups() {
        let groups = |status| parse_groups(status).map(|all| all.iter().map(|gid| gid.as_raw()).collect());
        assert_eq!(groups("Name:\tsh\nGroups:\t4 44 1000 \nNStgid:\t1\n"), Some(vec![4, 44, 1000]));
        assert_eq!(groups("Groups:\t \n"), Some(vec![]));
        assert_eq!(groups("Name:\tsh\n"), None);
        assert_eq!(groups("Groups:\tvideo\n"), None);
    }

    #[test]
    fn finds_the_unit() {
        let system = |name: &str| Unit::System(name.into());
        let of_user = |name: &str| Unit::OfUser(Uid::from_raw(1000), name.into());
        for (cgroup, unit) in [
            ("0::/system.slice/monado.service\n", system("monado.service")),
            ("0::/system.slice/system-vr.slice/vr@1.service/inner\n", system("vr@1.service")),
            ("0::/user.slice/user-1000.slice/session-2.scope\n", system("session-2.scope")),
            ("0::/init.scope\n", system("init.scope")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-steam-7.scope\n",
                of_user("app-steam-7.scope"),
            ),
            ("0::/user.slice/user-1000.slice/user@1000.service\n", system("user@1000.service")),
            ("1:name=systemd:/system.slice/monado.service\n0::/\n", system("monado.service")),
            ("4:memory:/a\n1:name=systemd:/\n", Unit::None),
            ("0::/\n", Unit::None),
            ("0::/docker/4f5c\n", Unit::None),
            ("0::/../../monado.service\n", Unit::None),
            ("", Unit::None),
        ] {
            assert_eq!(Unit::parse(cgroup), unit, "{cgroup}");
        }
    }

    #[test]
    fn a_unit_cannot_pass_for_another_by_a_group_within() {
        let inner =
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/mine.service/monado.service\n";
        assert_eq!(Unit::parse(inner), Unit::OfUser(Uid::from_raw(1000), "mine.service".into()));
        let inner = "0::/system.slice/web.service/monado.service\n";
        assert_eq!(Unit::parse(inner), Unit::System("web.service".into()));
    }

    proptest! {
        #[test]
        fn no_text_of_the_kernels_makes_it_panic(text in ".*") {
            Unit::parse(&text);
            Unit::parse(&format!("0::{text}"));
            parse_groups(&format!("Groups:{text}"));
        }
    }
}
