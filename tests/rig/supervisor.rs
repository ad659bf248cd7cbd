//! A stand-in for systemd: starts `leasehold serve`, hears what it has to say, and keeps its fds for the next one, all by
//! systemd's own protocol (sd_notify(3), sd_listen_fds(3)).

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::wait::PATIENCE;
use super::{Program, leasehold};

const SOCKET: &str = "/run/user0/notify";

/// Keeps fds between one lessor and the next.
pub struct Supervisor {
    socket: UnixDatagram,
    kept: Vec<(String, OwnedFd)>,
}

impl Supervisor {
    /// Keeps nothing yet.
    pub fn new() -> Self {
        let _ = std::fs::remove_file(SOCKET);
        Self { socket: UnixDatagram::bind(SOCKET).unwrap(), kept: Vec::new() }
    }

    /// How many fds it keeps.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Starts a lessor with all that the last one left, and returns once it says that it is ready.
    pub fn start(&mut self, arguments: &[&str]) -> Program {
        let names: Vec<&str> = self.kept.iter().map(|(name, _)| name.as_str()).collect();
        let moves: String = (3..)
            .zip(&self.kept)
            .map(|(number, (_, fd))| format!("exec {number}<&{}; ", fd.as_raw_fd()))
            .collect();
        // A high fd is left to the program in the end; the numbers it was told are what counts.
        let script = format!("{moves} LISTEN_PID=$$ exec \"$0\" \"$@\"");
        let mut command = Command::new("bash");
        command
            .args(["-c", &script])
            .arg(leasehold().get_program())
            .args(["serve", "--json"])
            .args(arguments);
        command.env("NOTIFY_SOCKET", SOCKET).env("LISTEN_FDS", names.len().to_string());
        command.env("LISTEN_FDNAMES", names.join(":"));
        self.let_inherit(FdFlag::empty());
        let program = Program::start(&mut command);
        self.let_inherit(FdFlag::FD_CLOEXEC);
        while self.hear() != "READY=1" {}
        program
    }

    /// Hears all that was said until `message`.
    pub fn hear_until(&mut self, message: &str) {
        while self.hear() != message {}
    }

    fn let_inherit(&self, flag: FdFlag) {
        for (_, fd) in &self.kept {
            fcntl(fd, FcntlArg::F_SETFD(flag)).unwrap();
        }
    }

    /// Does what the next message asks for; its first line.
    fn hear(&mut self) -> String {
        let mut bytes = [0; 512];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let text = &mut [IoSliceMut::new(&mut bytes)];
        self.socket.set_read_timeout(Some(PATIENCE.to_duration())).unwrap();
        let length = recvmsg(&self.socket, text, &mut control, RecvFlags::CMSG_CLOEXEC)
            .expect("it says something")
            .bytes;
        let fds = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
            _ => Vec::new(),
        });
        let fds: Vec<OwnedFd> = fds.collect();
        let message = String::from_utf8(bytes[..length].to_vec()).unwrap();
        let name = message.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or_default();
        match message.lines().next() {
            Some("FDSTORE=1") => self.kept.extend(fds.into_iter().map(|fd| (name.to_string(), fd))),
            Some("FDSTOREREMOVE=1") => self.kept.retain(|(known, _)| known != name),
            _ => {}
        }
        message.lines().next().unwrap_or_default().to_string()
    }
}
