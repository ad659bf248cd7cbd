//! The terminal that the demo was started from: what is typed at the demo is not meant for its shell.
//!
//! The kernel hands every key to the terminal too. Other programs mute the whole keyboard (`KDSKBMODE` with `K_OFF`), and
//! whoever kills them leaves it mute. Here the terminal only stops to echo, and what it has collected is thrown away at
//! the end: Ctrl+C still ends the demo, and Ctrl+Alt+F2 still switches terminals.

use std::fs::File;
use std::os::fd::AsFd;

use nix::sys::termios::{FlushArg, LocalFlags, SetArg, Termios, tcflush, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp, ttyname};

/// The terminal in front on this machine, by name.
const IN_FRONT: &str = "/sys/class/tty/tty0/active";

/// The terminal of this process, which does not echo while this lives.
#[derive(Debug)]
pub struct Terminal {
    quiet: Option<(File, Termios)>,
    /// `tty1`, where it is one of the machine's own.
    name: Option<String>,
}

impl Terminal {
    /// Takes note of the terminal, if there is one, and quiets it.
    pub fn quiet() -> Self {
        // Not /dev/tty: that does not tell its name.
        let own = std::io::stdin().as_fd().try_clone_to_owned().map(File::from).ok();
        let name = own.as_ref().and_then(|own| ttyname(own).ok());
        let name = name.and_then(|path| path.file_name()?.to_str().map(str::to_string));
        let is_virtual =
            |name: &String| name.strip_prefix("tty").is_some_and(|number| number.parse::<u32>().is_ok());
        Self { quiet: own.and_then(quiet), name: name.filter(is_virtual) }
    }

    /// Whether keys are meant for this process: not where another of the machine's terminals is in front.
    pub fn is_in_front(&self) -> bool {
        let Some(name) = &self.name else { return true };
        std::fs::read_to_string(IN_FRONT).map_or(true, |in_front| in_front.trim_end() == name)
    }
}

/// Has a terminal echo nothing, if this process may have a say in that: the kernel stops one in the background that tries.
fn quiet(terminal: File) -> Option<(File, Termios)> {
    if tcgetpgrp(&terminal).ok()? != getpgrp() {
        return None;
    }
    let before = tcgetattr(&terminal).ok()?;
    let mut quiet = before.clone();
    quiet.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON);
    tcsetattr(&terminal, SetArg::TCSANOW, &quiet).ok()?;
    Some((terminal, before))
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some((terminal, before)) = &self.quiet {
            // What cannot be put back now has nobody any more who minds.
            let _ = tcflush(terminal, FlushArg::TCIFLUSH);
            let _ = tcsetattr(terminal, SetArg::TCSANOW, before);
        }
    }
}
