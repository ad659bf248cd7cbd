//! How a lessor comes by its card: from the kernel, or from a seat manager (logind, seatd) that lends it to whichever
//! session is in front.
//!
//! With the feature `seat`, an ordinary user's lessor asks for the seat of its session first, and opens the card itself
//! where there is none. Root's opens the card itself, unless `LIBSEAT_BACKEND` names who manages the seat.

use std::os::fd::BorrowedFd;
use std::path::Path;

use nix::errno::Errno;

use super::lessor::Pause;
use super::request::{self, RequestError};
#[cfg(feature = "seat")]
use super::seat;
use super::service::Service;
use crate::error::{Class, Classified};
use crate::kms::{Card, KmsError};

/// Why there is no card, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It cannot be had, whoever gives it.
    #[error(transparent)]
    Card(#[from] RequestError),
    /// The seat manager went away, and its word on who has the card with it.
    #[error("the seat is gone: {}: see whether the session was ended or seatd stopped", .errno.desc())]
    Gone {
        /// How it was noticed.
        errno: Errno,
    },
}

impl Classified for SessionError {
    fn class(&self) -> Class {
        match self {
            Self::Card(error) => error.class(),
            Self::Gone { .. } => Class::DeviceLost,
        }
    }
}

/// What the card comes from. Dropped, it takes the card back.
#[derive(Debug, Default)]
pub struct Session {
    #[cfg(feature = "seat")]
    seat: Option<seat::Seat>,
}

impl Session {
    /// Makes this process the master of a card, through its seat or without one.
    ///
    /// # Errors
    /// When the card cannot be opened or has another master, or there is a seat that does not lend it: another session
    /// is in front, say.
    pub fn own(path: &Path) -> Result<(Card, Self), SessionError> {
        #[cfg(feature = "seat")]
        if seat::is_wanted()
            && let Some(mut seat) = seat::Seat::open()?
        {
            let card = seat.lend(path)?;
            // Clients are each shown the card through an fd of their own, which no seat lends twice.
            card.reopen().map_err(|error| RequestError::NotOpened {
                card: card.name().to_string(),
                errno: error.errno().unwrap_or(Errno::EIO),
            })?;
            return Ok((card, Self { seat: Some(seat) }));
        }
        Ok((request::seat::own(path)?, Self::default()))
    }

    /// What to poll for reading; calls for [`follow`](Self::follow). None without a seat.
    pub fn fd(&mut self) -> Option<BorrowedFd<'_>> {
        #[cfg(feature = "seat")]
        return self.seat.as_mut()?.fd();
        #[cfg(not(feature = "seat"))]
        None
    }

    /// Has the service pause, or end its leases, where another session has come to the front since this was last
    /// called, and resume where this one has. To be called before [`Service::dispatch`], and once before waiting for the
    /// first time.
    ///
    /// # Errors
    /// [`SessionError::Gone`] when the seat manager went away.
    pub fn follow(&mut self, service: &mut Service, pause: Pause) -> Result<(), SessionError> {
        #[cfg(feature = "seat")]
        if let Some(seat) = &mut self.seat {
            seat.read()?;
            while let Some(change) = seat.next_change() {
                match change {
                    seat::Change::Enabled => service.resume(),
                    seat::Change::Disabled => {
                        service.pause(pause);
                        seat.let_go()?;
                    }
                }
            }
        }
        #[cfg(not(feature = "seat"))]
        let _ = (service, pause);
        Ok(())
    }

    /// Whether a seat lends the card, and takes it back when this process ends.
    pub fn is_lent(&self) -> bool {
        #[cfg(feature = "seat")]
        return self.seat.is_some();
        #[cfg(not(feature = "seat"))]
        false
    }

    /// Ends the session: the next one may have the card.
    ///
    /// # Errors
    /// When no seat lends the card, and it is not ours (`EINVAL`, `EACCES`).
    pub fn give_back(self, card: &Card) -> Result<(), KmsError> {
        #[cfg(feature = "seat")]
        if self.seat.is_some() {
            // Whoever opened the card takes mastership back as the seat closes. The kernel lets nobody else do it
            // (drm_master_check_perm, drm_auth.c).
            return Ok(());
        }
        card.drop_master()
    }
}
