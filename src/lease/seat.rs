//! A seat, through libseat: it lends devices to the session in front.
//!
//! A card that is lent keeps its fd over a switch of sessions. The manager drops that fd's mastership as another session
//! comes to the front, and only then says so (`seat_disable_client`, seatd's seat.c; logind does the same where the seat
//! has virtual terminals, `session_device_pause_all`); it makes it master again before it says that this one is back.
//! Leases sleep meanwhile, for the kernel asks whether the lessor is master (`drm_is_current_master`, drm_auth.c).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;

use libseat::SeatEvent;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::geteuid;

use super::request::{RequestError, seat};
use super::session::SessionError;
use crate::kms::Card;

/// What has become of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is in front, and its devices work.
    Enabled,
    /// Another is. Wants [`let_go`](Seat::let_go) as an answer.
    Disabled,
}

/// The seat that this process's session is at.
#[derive(Debug)]
pub struct Seat {
    seat: libseat::Seat,
    changes: Changes,
}

/// What libseat's callbacks have told.
type Changes = Rc<RefCell<VecDeque<Change>>>;

/// How long a seat manager may take to say whether the session is in front. It runs on this machine.
const FIRST_WORD_MS: i32 = 2000;

/// Whether to ask for a seat. libseat would give root one in any case, by taking the virtual terminal from whoever has
/// it (its backend "builtin"), so root has to say that this is meant.
pub fn is_wanted() -> bool {
    !geteuid().is_root() || std::env::var_os("LIBSEAT_BACKEND").is_some()
}

impl Seat {
    /// Takes control of the seat. `None` where there is none, or another program controls it.
    pub fn open() -> Result<Option<Self>, SessionError> {
        let changes = Changes::default();
        let told = changes.clone();
        let tell = move |_: &mut libseat::SeatRef, event| {
            told.borrow_mut().push_back(match event {
                SeatEvent::Enable => Change::Enabled,
                SeatEvent::Disable => Change::Disabled,
            });
        };
        let seat = match libseat::Seat::open(tell) {
            Ok(seat) => seat,
            Err(error) => {
                tracing::info!("no seat ({}), so a switch of terminals goes unnoticed", errno(error).desc());
                return Ok(None);
            }
        };
        let mut seat = Self { seat, changes };
        if seat.changes.borrow().is_empty() {
            seat.dispatch(FIRST_WORD_MS)?;
        }
        match seat.next_change() {
            Some(Change::Enabled) => Ok(Some(seat)),
            Some(Change::Disabled) => Err(RequestError::Behind.into()),
            None => {
                // As libseat's backend "builtin" does for ordinary users, who have no rights on terminals.
                tracing::info!("the seat does not answer, so a switch of terminals goes unnoticed");
                Ok(None)
            }
        }
    }

    /// Borrows a card and with it mastership.
    pub fn lend(&mut self, path: &Path) -> Result<Card, SessionError> {
        let name = path.display().to_string();
        let not_lent = |errno| RequestError::NotLent { card: name.clone(), errno };
        // The crate takes no other.
        if path.to_str().is_none_or(|path| path.contains('\0')) {
            return Err(not_lent(Errno::EINVAL).into());
        }
        let lent = self.seat.open_device(&path).map_err(|error| not_lent(errno(error)))?;
        // libseat's own fd stays open until the process ends.
        let copy = lent.as_fd().try_clone_to_owned();
        let copy = copy.map_err(|error| not_lent(Errno::from_raw(error.raw_os_error().unwrap_or(0))))?;
        Ok(seat::master_of(Card::from_fd(copy, &name).map_err(RequestError::from)?, path)?)
    }

    /// What to poll for reading; calls for [`read`](Self::read).
    pub fn fd(&mut self) -> Option<BorrowedFd<'_>> {
        self.seat.get_fd().ok()
    }

    /// Reads what the seat manager has to say, without waiting.
    pub fn read(&mut self) -> Result<(), SessionError> {
        // libseat 0.7 takes the end of its connection for silence.
        let over = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        let mut fds: Vec<PollFd<'_>> =
            self.fd().into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let polled = poll(&mut fds, PollTimeout::ZERO);
        if polled.is_ok() && fds.iter().any(|fd| fd.revents().is_some_and(|now| now.intersects(over))) {
            return Err(SessionError::Gone { errno: Errno::EPIPE });
        }
        self.dispatch(0)
    }

    fn dispatch(&mut self, timeout_ms: i32) -> Result<(), SessionError> {
        match self.seat.dispatch(timeout_ms).map_err(errno) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(SessionError::Gone { errno }),
        }
    }

    /// The first change that was read and not asked for.
    pub fn next_change(&mut self) -> Option<Change> {
        self.changes.borrow_mut().pop_front()
    }

    /// Says that nothing of the seat's is in use any longer: the next session may have it.
    pub fn let_go(&mut self) -> Result<(), SessionError> {
        self.seat.disable().map_err(|error| SessionError::Gone { errno: errno(error) })
    }
}

/// libseat has an errno type of its own.
fn errno(error: impl Into<std::io::Error>) -> Errno {
    Errno::from_raw(error.into().raw_os_error().unwrap_or(0))
}
