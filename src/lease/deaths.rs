//! Notices that the process a lease was granted to is gone, even if a child of it keeps the connection open, and that it
//! is going, which the kernel tells nobody.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::lessor::RequestId;
use super::process::{Process, Window};
use crate::kms::KmsError;
use crate::time::{Instant, Span};

/// The processes that hold leases.
#[derive(Debug)]
pub struct Deaths {
    epoll: Epoll,
    watched: BTreeMap<RequestId, Watched>,
    next_look: Instant,
}

#[derive(Debug)]
struct Watched {
    pidfd: OwnedFd,
    window: Window,
}

/// How often to look whether a holder is dying. To clear a killed program's memory away takes longer than a frame, and
/// longer than that where it has much; to look takes some microseconds.
const LOOK_EVERY: Span = Span::from_ms(2);

impl Deaths {
    /// Watches nobody yet.
    ///
    /// # Errors
    /// When this process may open no further fd (`EMFILE`).
    pub fn new() -> Result<Self, KmsError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map_err(|errno| KmsError::call("watch for the deaths of", "lessees", errno))?;
        Ok(Self { epoll, watched: BTreeMap::new(), next_look: Instant::default() })
    }

    /// Watches the process that `request` was granted to. One that is dead already is noticed at once.
    pub fn watch(&mut self, request: RequestId, process: &Process) {
        // pidfd_open(2): readable once the process has ended. Its number may be another process's by now; then the one
        // that is meant is long dead, and its connection with it.
        let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return };
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        let Some(window) = process.window() else { return };
        let event = EpollEvent::new(EpollFlags::EPOLLIN, request.0);
        match self.epoll.add(&pidfd, event) {
            Ok(()) => drop(self.watched.insert(request, Watched { pidfd, window })),
            Err(errno) => tracing::warn!("could not watch process {}: {}", process.pid, errno.desc()),
        }
    }

    /// Watches no longer who holds this lease.
    pub fn forget(&mut self, request: RequestId) {
        if let Some(watched) = self.watched.remove(&request) {
            // Closing is not enough where a copy of the fd lives on in a child (epoll(7), question 6).
            let _ = self.epoll.delete(&watched.pidfd);
        }
    }

    /// When to [look](Self::look) next; `None` while nobody holds anything.
    pub fn next_look(&self) -> Option<Instant> {
        (!self.watched.is_empty()).then_some(self.next_look)
    }

    /// Looks at the holders, if it is time; the leases of those that are dying, each once.
    pub fn look(&mut self, now: Instant) -> Vec<RequestId> {
        if now < self.next_look {
            return Vec::new();
        }
        self.next_look = now + LOOK_EVERY;
        let dying = self.watched.iter().filter(|(_, watched)| watched.window.is_dying());
        let dying: Vec<RequestId> = dying.map(|(&request, _)| request).collect();
        for &request in &dying {
            self.forget(request);
        }
        dying
    }

    /// The leases whose holders have died, each once.
    pub fn take(&mut self) -> Vec<RequestId> {
        let mut events = [EpollEvent::empty(); 16];
        let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        let dead: Vec<RequestId> = events[..count].iter().map(|event| RequestId(event.data())).collect();
        for &request in &dead {
            self.forget(request);
        }
        dead
    }
}

impl AsFd for Deaths {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::Fate;
    use super::*;
    use std::process::Command;

    #[test]
    fn a_death_is_told_once_and_not_to_those_who_stopped_asking() {
        let mut deaths = Deaths::new().unwrap();
        let mut children: Vec<_> = (0..3).map(|_| Command::new("sleep").arg("60").spawn().unwrap()).collect();
        for (number, child) in (0..).zip(&children) {
            deaths.watch(RequestId(number), &Process::of(child.id()));
        }
        assert_eq!(deaths.take(), []);
        deaths.forget(RequestId(2));
        assert_eq!(deaths.look(Instant::from_ns(1)), []);
        for child in &mut children[1..] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(deaths.take(), [RequestId(1)]);
        assert_eq!(deaths.take(), []);
        let later = Instant::from_ns(1) + LOOK_EVERY;
        assert_eq!(deaths.next_look(), Some(later));
        children[0].kill().unwrap();
        while Process::of(children[0].id()).fate() == Fate::Alive {}
        assert_eq!(deaths.look(later - Span::from_ns(1)), [], "it is not time");
        assert_eq!(deaths.look(later), [RequestId(0)]);
        assert_eq!((deaths.take(), deaths.look(later + LOOK_EVERY)), (vec![], vec![]));
        children[0].wait().unwrap();
    }
}
