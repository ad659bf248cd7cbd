//! A seat manager that lends this process a card, for as long as this process wants it.
//!
//! What libseat knows of a seat is not to be moved between threads, so that a thread of its own speaks with the manager:
//! it lets go of the card whenever another session comes to the front. What becomes of the pictures meanwhile is seen
//! through the card's own fd, as with a lease whose lessor sleeps ([`crate::lease::liveness`]).

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{Heard, RequestError};
use crate::kms::Card;
use crate::lease::seat::{Change, Seat};
use crate::lease::session::SessionError;

/// Speaks with the seat manager. Dropped, it takes the card back.
#[derive(Debug)]
pub struct Lender {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stop: EventFd,
    /// Readable once the seat is gone.
    gone: EventFd,
    is_gone: AtomicBool,
}

/// What comes of asking for a card.
type Lent = Result<Option<Card>, RequestError>;

impl Lender {
    /// Borrows the card at `path`, and with it mastership; `None` where no seat can be had.
    pub fn borrow(path: &Path) -> Result<Option<(Card, Self)>, RequestError> {
        let name = path.display().to_string();
        let not_lent = |errno| RequestError::NotLent { card: name.clone(), errno };
        let event = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map_err(not_lent);
        let shared = Arc::new(Shared { stop: event()?, gone: event()?, is_gone: AtomicBool::new(false) });
        let (tell, told) = channel();
        let (path, watched) = (path.to_path_buf(), shared.clone());
        let thread = std::thread::Builder::new().name("seat".to_string());
        let thread = thread
            .spawn(move || watched.run(&path, &tell))
            .map_err(|error| not_lent(Errno::from_raw(error.raw_os_error().unwrap_or(0))))?;
        let lender = Self { shared, thread: Some(thread) };
        // A thread that panicked has told nothing.
        let card = told.recv().unwrap_or_else(|_| Err(not_lent(Errno::EPIPE)))?;
        Ok(card.map(|card| (card, lender)))
    }

    /// What has become of the seat.
    pub fn heard(&self) -> Heard {
        if self.shared.is_gone.load(Ordering::Acquire) { Heard::HungUp } else { Heard::Nothing }
    }

    /// Readable when [`heard`](Self::heard) has something to tell.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.shared.gone.as_fd()
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        let stopped = self.shared.stop.write(1);
        if let (Ok(_), Some(thread)) = (stopped, self.thread.take()) {
            // A panic of its own was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, path: &Path, tell: &Sender<Lent>) {
        let mut seat = match borrow(path) {
            Ok(Some((seat, card))) => {
                let _ = tell.send(Ok(Some(card)));
                seat
            }
            Ok(None) => return drop(tell.send(Ok(None))),
            Err(error) => return drop(tell.send(Err(error))),
        };
        while !self.is_stopped(&mut seat) {
            if let Err(error) = follow(&mut seat) {
                tracing::warn!("{error}");
                self.is_gone.store(true, Ordering::Release);
                let _ = self.gone.write(1);
                return;
            }
        }
    }

    /// Waits until the manager may have said something; whether it is time to stop.
    fn is_stopped(&self, seat: &mut Seat) -> bool {
        let stop = PollFd::new(self.stop.as_fd(), PollFlags::POLLIN);
        let mut fds: Vec<PollFd<'_>> =
            std::iter::once(stop).chain(seat.fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN))).collect();
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => fds[0].any().unwrap_or(true),
            Err(errno) => errno != Errno::EINTR,
        }
    }
}

fn borrow(path: &Path) -> Result<Option<(Seat, Card)>, RequestError> {
    let refused = |error| match error {
        SessionError::Card(error) => error,
        SessionError::Gone { errno } => RequestError::NotLent { card: path.display().to_string(), errno },
    };
    let Some(mut seat) = Seat::open().map_err(refused)? else { return Ok(None) };
    let card = seat.lend(path).map_err(refused)?;
    Ok(Some((seat, card)))
}

/// Lets go of the card where another session has come to the front; the manager has taken mastership away by then.
fn follow(seat: &mut Seat) -> Result<(), SessionError> {
    seat.read()?;
    while let Some(change) = seat.next_change() {
        if change == Change::Disabled {
            seat.let_go()?;
        }
    }
    Ok(())
}
