//! The lessors that are compared, started and stopped alike.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::rig;

/// Who gives the headset out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `leasehold serve`.
    Serve,
    /// sway, a desktop that leases.
    Sway,
}

impl Kind {
    /// Its socket in `$XDG_RUNTIME_DIR`.
    pub fn socket(self) -> &'static str {
        match self {
            Self::Serve => "leasehold-0",
            Self::Sway => "wayland-1",
        }
    }
}

/// What the last lessor printed: a file, so that nobody has to read while others are timed.
pub const SAID: &str = "/tmp/lessor.out";

/// One at work, stopped with its drop.
pub struct Lessor(Child);

impl Lessor {
    /// Starts it.
    pub fn start(kind: Kind) -> Self {
        let mut command = match kind {
            Kind::Serve => rig::leasehold(),
            Kind::Sway => sway(),
        };
        if kind == Kind::Serve {
            command.args(["serve", "--json"]);
        }
        let said = File::create(SAID).expect("the rig's /tmp can be written");
        Self(command.stdout(said).stderr(Stdio::null()).spawn().expect("the lessor starts"))
    }

    /// Starts it, on the first CPU alone: the rig's kernel keeps a CPU busy while a process dies there, and the lessees
    /// that are to be killed get the second.
    pub fn start_on_first_cpu(kind: Kind) -> Self {
        let lessor = Self::start(kind);
        rig::pin(lessor.pid(), 0);
        lessor
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }
}

impl Lessor {
    /// Kills it.
    pub fn kill(mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Lessor {
    fn drop(&mut self) {
        // Asked, not killed: both take their sockets along, and the next lessor needs the card.
        let _ = kill(self.pid(), Signal::SIGTERM);
        for _ in 0..500 {
            if let Ok(Some(_)) = self.0.try_wait() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        rig::say("a lessor does not end when asked: it is killed");
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// sway without keyboard, terminal or GPU, none of which the rig has.
fn sway() -> Command {
    const CONFIG: &str = "/tmp/sway.config";
    std::fs::write(CONFIG, "exec true\n").expect("the rig's /tmp can be written");
    start_udev();
    let mut command = Command::new("sway");
    command.args(["-c", CONFIG]).env("HOME", "/tmp").env("LIBSEAT_BACKEND", "builtin");
    command.env("SEATD_VTBOUND", "0").env("WLR_RENDERER", "pixman").env("WLR_LIBINPUT_NO_DEVICES", "1");
    command
}

/// wlroots and Xorg hear of cards and leases through udev; a second daemon beside the first would do harm.
pub fn start_udev() {
    if std::path::Path::new("/run/udev/control").exists() {
        return;
    }
    let script = "/usr/lib/systemd/systemd-udevd --daemon && udevadm trigger && udevadm settle";
    let outcome = Command::new("sh").args(["-c", script]).output().expect("there is a shell");
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
}
