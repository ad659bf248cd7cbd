//! Watches over a lease in use: hears its lessor and the kernel on a thread of its own, so that whoever shows frames
//! does not have to.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::liveness::{Liveness, Loss, Probe};
use super::request::{Heard, Keeper};
use crate::kms::uevent::UeventSocket;
use crate::thread::priority::{Urgency, make_realtime};
use crate::thread::sleep_until;
use crate::time::{Instant, Span};

/// A watch over one lease. Dropping it gives the lease back to whoever its keeper speaks to.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// 0, or what was heard as its place in [`LOSSES`] and 1.
    lost: AtomicU8,
    /// Whether the lessor will not say any more than it has.
    silent: AtomicBool,
    stop: EventFd,
}

const LOSSES: [Loss; 4] = [Loss::Revoked, Loss::LessorGone, Loss::Unplugged, Loss::CardGone];
/// A lessor's last words come before the end of its connection, and that as soon as its process has ended.
const LAST_WORDS: Span = Span::from_ms(50);

impl Watch {
    /// Starts it.
    ///
    /// # Errors
    /// When this process can have no further fd or thread.
    pub fn start(probe: Arc<Probe>, keeper: Keeper) -> std::io::Result<Self> {
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let silent = AtomicBool::new(keeper.fd().is_none());
        let shared = Arc::new(Shared { lost: AtomicU8::new(0), silent, stop });
        // A process without network rights may hear nothing; its flips still tell it of everything but a cable.
        let uevents = UeventSocket::open().inspect_err(|error| tracing::debug!("{error}")).ok();
        let watcher = Watcher { probe, keeper, uevents, shared: shared.clone() };
        let thread = std::thread::Builder::new().name("lease".to_string()).spawn(|| watcher.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What the lease was lost to, as far as anyone has said. No system call.
    pub fn lost(&self) -> Option<Loss> {
        let place = usize::from(self.shared.lost.load(Ordering::Relaxed)).checked_sub(1)?;
        LOSSES.get(place).copied()
    }

    /// What the lease was really lost to, where the kernel says that its lessor is gone: a lessor may have revoked it
    /// and said so before it went. Waits a moment for its last words.
    pub fn last_words(&self) -> Loss {
        let until = Instant::now() + LAST_WORDS;
        while self.lost().is_none() && !self.shared.silent.load(Ordering::Acquire) && Instant::now() < until {
            sleep_until(Instant::now() + Span::from_ms(1));
        }
        self.lost().unwrap_or(Loss::LessorGone)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let stopped = self.shared.stop.write(1);
        if let (Ok(_), Some(thread)) = (stopped, self.thread.take()) {
            // A panic of its own was reported when it happened.
            let _ = thread.join();
        }
    }
}

struct Watcher {
    probe: Arc<Probe>,
    keeper: Keeper,
    uevents: Option<UeventSocket>,
    shared: Arc<Shared>,
}

impl Watcher {
    fn run(mut self) {
        // Whoever draws may take every CPU there is. Whoever shows frames tells the user what was refused; it is the same.
        let _ = make_realtime(Urgency::Vblank);
        while !self.wait() {
            self.hear_kernel();
            self.hear_lessor();
        }
    }

    /// Waits until someone may have said something; whether that was to stop.
    fn wait(&self) -> bool {
        let fds = [
            Some(self.shared.stop.as_fd()),
            self.uevents.as_ref().map(AsFd::as_fd),
            // A connection that has ended is readable for ever.
            self.keeper.fd().filter(|_| !self.is_silent()),
        ];
        let mut fds: Vec<PollFd<'_>> =
            fds.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => fds[0].any().unwrap_or(true),
            Err(Errno::EINTR) => false,
            Err(errno) => {
                tracing::error!("could not watch over the lease: {}", errno.desc());
                true
            }
        }
    }

    fn hear_kernel(&mut self) {
        let mut changed = false;
        while self.uevents.as_ref().is_some_and(|uevents| uevents.next().is_some()) {
            changed = true;
        }
        match changed.then(|| self.probe.look()) {
            // That is for the lessor to say, or for its silence.
            None | Some(Liveness::Lost(Loss::LessorGone)) => {}
            Some(Liveness::Lost(loss)) => self.lose(loss),
            Some(Liveness::Live | Liveness::Suspended) => {}
        }
    }

    fn hear_lessor(&mut self) {
        if self.is_silent() {
            return;
        }
        match (self.keeper.heard(), self.probe.ask()) {
            (Heard::Nothing, _) => return,
            (Heard::Finished, Liveness::Lost(loss @ (Loss::Unplugged | Loss::CardGone))) => self.lose(loss),
            // Its word, whatever the kernel says: from here on it may use the objects itself.
            (Heard::Finished, _) => self.lose(Loss::Revoked),
            (Heard::HungUp, Liveness::Lost(loss)) => self.lose(loss),
            // That is no word about the lease, which lives as long as anyone has the lessor's card open.
            (Heard::HungUp, _) => tracing::info!("the lessor hung up; the lease lives on"),
        }
        self.shared.silent.store(true, Ordering::Release);
    }

    fn is_silent(&self) -> bool {
        self.shared.silent.load(Ordering::Acquire)
    }

    /// The first loss is the one that is told.
    fn lose(&self, loss: Loss) {
        let place = LOSSES.iter().position(|&known| known == loss).map_or(1, |place| place + 1);
        let _ = self.shared.lost.compare_exchange(0, place as u8, Ordering::Relaxed, Ordering::Relaxed);
    }
}
