//! The supervisor that started this process: systemd, or whatever stands in for it and speaks as it does (sd_notify(3),
//! sd_listen_fds(3), sd_watchdog_enabled(3)). It hears how the process fares, and keeps fds for the one that comes after
//! a crash.
//!
//! A fd it keeps is a copy, so what the fd keeps alive stays alive: a card's keeps its master and with it all leases.
//! A lease's own fd is not for keeping, or the kernel would no longer tell when its holder dies.

mod environment;
#[cfg(test)]
mod tests;

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;

use self::environment::Environment;
use crate::error::{Class, Classified};
use crate::kms;
use crate::time::Span;

/// Why the supervisor could not be heard or told.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// It left a variable that makes no sense.
    #[error("{variable} is '{value}' and not {expected}: unset it, or correct whatever started this program")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What it should.
        expected: &'static str,
    },
    /// A name that it would not take for an fd.
    #[error("'{0}' cannot name a stored fd: that takes 1 to 255 printable ASCII characters without a colon")]
    Name(String),
    /// Its socket would not take a message.
    #[error("could not tell the supervisor '{message}': {}", .errno.desc())]
    Untold {
        /// The first line of the message.
        message: String,
        /// What the kernel said.
        errno: Errno,
    },
}

impl Classified for SupervisorError {
    fn class(&self) -> Class {
        match self {
            Self::Untold { errno: Errno::EAGAIN, .. } => Class::Retry,
            Self::Environment { .. } | Self::Untold { .. } => Class::Config,
            Self::Name(_) => Class::Bug,
        }
    }
}

/// Who started this process, as far as that one wants to know and has something to give. Where nobody does, there is
/// nobody to tell, and telling succeeds.
#[derive(Debug, Default)]
pub struct Supervisor {
    ear: Option<Ear>,
    watchdog: Option<Span>,
    stored: Vec<(String, OwnedFd)>,
}

/// The socket to write to, and where to.
#[derive(Debug)]
struct Ear {
    socket: OwnedFd,
    address: UnixAddr,
}

/// One reader serves all services of the machine: rather lose a message than stand still until it has time.
const PATIENCE: TimeVal = TimeVal::new(0, 100_000);

impl Supervisor {
    /// Reads the environment, once, and takes over the fds that were handed to this process. Those are close-on-exec
    /// from here on, which they were not before (sd_listen_fds(3), NOTES); a second supervisor gets none of them.
    ///
    /// # Errors
    /// When one of its variables makes no sense, or this process can have no socket to answer with.
    pub fn from_environment() -> Result<Self, SupervisorError> {
        let environment = Environment::read(std::env::var_os, std::process::id())?;
        let fds = environment.fds.iter().cloned();
        let stored = fds.filter_map(|(name, number)| Some((name, inherited(number)?))).collect();
        Ok(Self { stored, ..Self::told_by(environment)? })
    }

    /// All but the fds, whose numbers mean nothing but in the process they were handed to.
    fn told_by(environment: Environment) -> Result<Self, SupervisorError> {
        let ear = environment.notify.map(Ear::of).transpose();
        let ear = ear.map_err(|errno| untold("anything", errno))?;
        Ok(Self { ear, watchdog: environment.watchdog, stored: Vec::new() })
    }

    /// Says that all is set up: units that are ordered after this one may start.
    ///
    /// # Errors
    /// When the supervisor's socket does not take the message, or is full and stays so for a tenth of a second
    /// (`EAGAIN`).
    pub fn ready(&self) -> Result<(), SupervisorError> {
        self.tell("READY=1", None)
    }

    /// Says that the end is in order and no crash.
    ///
    /// # Errors
    /// When the supervisor's socket does not take the message, or is full and stays so for a tenth of a second
    /// (`EAGAIN`).
    pub fn stopping(&self) -> Result<(), SupervisorError> {
        self.tell("STOPPING=1", None)
    }

    /// Says that this process still does its work.
    ///
    /// # Errors
    /// When the supervisor's socket does not take the message, or is full and stays so for a tenth of a second
    /// (`EAGAIN`).
    pub fn alive(&self) -> Result<(), SupervisorError> {
        self.tell("WATCHDOG=1", None)
    }

    /// After what silence this process is ended; [`alive`](Self::alive) is best said twice as often
    /// (sd_watchdog_enabled(3)). `None` where nobody listens for it.
    pub fn watchdog_period(&self) -> Option<Span> {
        self.watchdog.filter(|_| self.ear.is_some())
    }

    /// Gives a copy of `fd` to keep: should this process end without [forgetting](Self::forget) it, the next one finds
    /// it among its [`stored`](Self::stored). Several fds may share a name.
    ///
    /// # Errors
    /// When the name is none for a stored fd, or the supervisor's socket does not take the message.
    pub fn store(&self, name: &str, fd: BorrowedFd<'_>) -> Result<(), SupervisorError> {
        // Without FDPOLL=0 an fd that hangs up is dropped, as a card's does with its card (sd_notify(3), FDPOLL).
        self.tell(&format!("FDSTORE=1\nFDNAME={}\nFDPOLL=0", checked(name)?), Some(fd))
    }

    /// Has all fds of that name dropped.
    ///
    /// # Errors
    /// When the name is none for a stored fd, or the supervisor's socket does not take the message.
    pub fn forget(&self, name: &str) -> Result<(), SupervisorError> {
        self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={}", checked(name)?), None)
    }

    /// The fds that were kept for this process, or opened for it, each with its name. All are handed out the first time.
    pub fn stored(&mut self) -> Vec<(String, OwnedFd)> {
        std::mem::take(&mut self.stored)
    }

    fn tell(&self, message: &str, fd: Option<BorrowedFd<'_>>) -> Result<(), SupervisorError> {
        let Some(ear) = &self.ear else { return Ok(()) };
        let first_line = message.lines().next().unwrap_or_default();
        ear.send(message, fd).map_err(|errno| untold(first_line, errno))
    }
}

impl Ear {
    fn of(address: UnixAddr) -> nix::Result<Self> {
        let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::SendTimeout, &PATIENCE)?;
        Ok(Self { socket, address })
    }

    fn send(&self, message: &str, fd: Option<BorrowedFd<'_>>) -> nix::Result<()> {
        let text = [IoSlice::new(message.as_bytes())];
        let fds = fd.map(|fd| [fd.as_raw_fd()]);
        let rights = fds.as_ref().map(|fds| ControlMessage::ScmRights(fds));
        loop {
            let flags = MsgFlags::MSG_NOSIGNAL;
            // To the address each time and not connected: a supervisor that restarts binds a new socket there.
            match sendmsg(self.socket.as_raw_fd(), &text, rights.as_slice(), flags, Some(&self.address)) {
                Err(Errno::EINTR) => {}
                other => return other.map(drop),
            }
        }
    }
}

fn untold(message: &str, errno: Errno) -> SupervisorError {
    SupervisorError::Untold { message: message.to_string(), errno }
}

fn inherited(number: i32) -> Option<OwnedFd> {
    kms::take_inherited(number)
        .inspect_err(|errno| tracing::warn!("fd {number} was promised and not handed over: {}", errno.desc()))
        .ok()
}

/// A name that reaches the supervisor as it is (sd_notify(3), FDNAME): a line end in it would begin another message.
fn checked(name: &str) -> Result<&str, SupervisorError> {
    let fits = (1..=255).contains(&name.len());
    let plain = name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b':');
    if fits && plain { Ok(name) } else { Err(SupervisorError::Name(name.to_string())) }
}
