//! Xorg with its modesetting driver, which leases over RandR.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::lessor::start_udev;
use super::rig::CARD;

/// A server at work, stopped with its drop.
pub struct Xorg {
    server: Child,
    /// Where it is: `:0`.
    pub display: String,
}

impl Xorg {
    /// Starts it, without keyboard, mouse or GPU, and waits until it lets clients in. It takes no notice of terminals.
    pub fn start() -> Self {
        Self::start_with(&["-novtswitch", "-sharevts"])
    }

    /// Starts it on a virtual terminal, whose switches it follows.
    pub fn start_on_terminal(number: u32) -> Self {
        Self::start_with(&[&format!("vt{number}"), "-keeptty"])
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.server.id() as i32)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }

    fn start_with(terminal: &[&str]) -> Self {
        const CONFIG: &str = "/tmp/xorg.conf";
        let config = format!(
            "Section \"ServerFlags\"\n Option \"AutoAddDevices\" \"false\"\n Option \"AutoAddGPU\" \"false\"\nEndSection\n\
             Section \"Device\"\n Identifier \"card\"\n Driver \"modesetting\"\n Option \"kmsdev\" \"{CARD}\"\n \
             Option \"AccelMethod\" \"none\"\nEndSection\n"
        );
        std::fs::write(CONFIG, config).expect("the rig's /tmp can be written");
        // It learns that a lease is over from the kernel's uevent, by way of udev.
        start_udev();
        let mut server = Command::new("Xorg")
            .args(["-config", CONFIG, "-logfile", "/tmp/Xorg.log", "-displayfd", "1"])
            .args(terminal)
            .arg("-noreset")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it is in the tree");
        let mut number = String::new();
        let stdout = server.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut number).expect("it prints its number when it is ready");
        let log = || std::fs::read_to_string("/tmp/Xorg.log").unwrap_or_default();
        assert!(!number.trim().is_empty(), "Xorg did not start:\n{}", log());
        Self { server, display: format!(":{}", number.trim()) }
    }
}

impl Drop for Xorg {
    fn drop(&mut self) {
        // It may have been killed, and its number be another's.
        if matches!(self.server.try_wait(), Ok(None)) {
            let _ = kill(self.pid(), Signal::SIGTERM);
        }
        let _ = self.server.wait();
    }
}
