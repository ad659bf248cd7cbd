//! Who could lend this user a card, and what this program is shut in.

use std::os::unix::net::UnixStream;

use nix::errno::Errno;

use super::super::facts::{LoginSession, SeatFacts};
use super::tree::Tree;

/// Where libseat looks for seatd (`SEATD_DEFAULTPATH`).
const SEATD: &str = "run/seatd.sock";

/// Knocks at seatd's socket, and reads what logind tells of this program's session.
pub fn look(tree: &Tree) -> SeatFacts {
    let seatd = UnixStream::connect(tree.path(SEATD)).map(drop);
    let seatd = seatd.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)));
    SeatFacts { seatd: Some(seatd).filter(|knocked| *knocked != Err(Errno::ENOENT)), session: session(tree) }
}

/// The session whose control group this process is in; sd_pid_get_session(3) and sd_session_get_seat(3) read the same
/// files.
fn session(tree: &Tree) -> Option<LoginSession> {
    let groups = tree.read("proc/self/cgroup")?;
    let id = groups.lines().find_map(|line| {
        let scope = line.rsplit(':').next()?.split('/').find(|part| part.starts_with("session-"))?;
        scope.strip_prefix("session-")?.strip_suffix(".scope")
    })?;
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let told = tree.read(format!("run/systemd/sessions/{id}"))?;
    let field = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    Some(LoginSession {
        id: id.to_string(),
        seat: field("SEAT").map(str::to_string),
        active: field("ACTIVE") == Some("1"),
    })
}

/// The sandbox or container that this program is in, by the files that they leave for those inside to see.
pub fn sandbox(tree: &Tree) -> Option<String> {
    let marks = [(".flatpak-info", "Flatpak"), ("run/.containerenv", "Podman"), (".dockerenv", "Docker")];
    let marked = marks.iter().find(|(mark, _)| tree.path(mark).exists()).map(|(_, name)| name.to_string());
    // Where systemd's container interface asks to be named (systemd.io/CONTAINER_INTERFACE).
    let named = || tree.read("run/host/container-manager").filter(|name| !name.is_empty());
    marked.or_else(named).map(|name| name.replace(char::is_control, "?"))
}

#[cfg(test)]
mod tests {
    use super::super::buses::tests::tree;
    use super::*;

    #[test]
    fn a_session_is_found_with_its_seat() {
        let at_seat = [
            ("proc/self/cgroup", "0::/user.slice/user-1000.slice/session-3.scope\n"),
            ("run/systemd/sessions/3", "# private\nUID=1000\nACTIVE=1\nSEAT=seat0\nTTY=tty3\n"),
        ];
        let session = |files: &[(&str, &str)]| look(&tree(files).1).session;
        let known = LoginSession { id: "3".into(), seat: Some("seat0".into()), active: true };
        assert_eq!(session(&at_seat), Some(known.clone()));
        let over_ssh = [at_seat[0], ("run/systemd/sessions/3", "UID=1000\nACTIVE=1\nREMOTE=1\n")];
        assert_eq!(session(&over_ssh), Some(LoginSession { seat: None, ..known }));
        assert_eq!(session(&[("proc/self/cgroup", "0::/system.slice/ssh.service\n")]), None);
        assert_eq!(session(&[("proc/self/cgroup", "0::/session-..%2f.scope\n")]), None);
        assert_eq!(session(&[]), None);
    }

    #[test]
    fn seatd_is_knocked_at() {
        let (folder, tree) = tree(&[("run/x", "")]);
        assert_eq!(look(&tree).seatd, None);
        let socket = folder.path().join(SEATD);
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(look(&tree).seatd, Some(Ok(())));
        drop(listener);
        assert_eq!(look(&tree).seatd, Some(Err(Errno::ECONNREFUSED)));
    }

    #[test]
    fn sandboxes_are_known_by_their_marks() {
        let named = |files: &[(&str, &str)]| sandbox(&tree(files).1);
        assert_eq!(named(&[(".flatpak-info", "[Application]\n")]).as_deref(), Some("Flatpak"));
        assert_eq!(named(&[("run/.containerenv", "")]).as_deref(), Some("Podman"));
        assert_eq!(
            named(&[("run/host/container-manager", "systemd-nspawn\n")]).as_deref(),
            Some("systemd-nspawn")
        );
        assert_eq!(named(&[("etc/hostname", "x")]), None);
    }
}
