//! leasehold for programs written in C: a lessor on a card that the caller owns, and a display's vblank clock.
//!
//! The C names and the contract of each function are in `include/leasehold.h`, which is made of this. No pointer is kept
//! beyond the call it was given to. A panic ends the process, for none may unwind into C.

mod clock;
mod event;
mod fault;
mod lessor;

use std::ffi::c_int;
use std::os::fd::BorrowedFd;

use leasehold::kms::Card;

/// A card through a copy of the caller's fd, which stays the caller's.
///
/// # Safety
/// `card_fd` is an open fd or below zero.
unsafe fn borrowed(card_fd: c_int) -> Result<Card, String> {
    if card_fd < 0 {
        return Err(format!("could not borrow the card: {card_fd} is no fd"));
    }
    // SAFETY: it is open, as this function says.
    let fd = unsafe { BorrowedFd::borrow_raw(card_fd) };
    let copy = fd.try_clone_to_owned().map_err(|error| format!("could not borrow fd {card_fd}: {error}"))?;
    Ok(Card::shared(copy, format!("fd {card_fd}")))
}
