//! The vblank clock, and the kernel's own count.

use std::ffi::c_int;

use leasehold::kms::{CrtcId, Vblank as Counted};
use leasehold::pacing::vblank::{Prediction as Predicted, VblankClock};
use leasehold::time::{Instant, Span};

use crate::borrowed;
use crate::fault::note;

/// Period and phase of a display's vblanks, as measured.
pub struct Clock(VblankClock);

/// A vblank as the kernel counts and stamps it.
#[repr(C)]
pub struct Vblank {
    /// How many vblanks the CRTC has had.
    pub sequence: u64,
    /// When the first pixel after it went out.
    pub time_ns: i64,
}

/// When a vblank was or will be, and how sure that is.
#[repr(C)]
pub struct Prediction {
    /// Its count.
    pub sequence: u64,
    /// Its time.
    pub time_ns: i64,
    /// One standard deviation of its time.
    pub error_ns: i64,
}

impl From<Predicted> for Prediction {
    fn from(Predicted { vblank, error }: Predicted) -> Self {
        Self { sequence: vblank.sequence, time_ns: vblank.time.as_ns(), error_ns: error.as_ns() }
    }
}

/// Reads the newest vblank of a CRTC that is on. Anyone may who has the card open; leases see their own CRTCs.
///
/// # Safety
/// `card_fd` is an open fd, and `vblank` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_vblank_read(card_fd: c_int, crtc: u32, vblank: *mut Vblank) -> bool {
    // SAFETY: the caller's, as this function says.
    let (card, vblank) = unsafe { (borrowed(card_fd), vblank.as_mut()) };
    let read = || -> Result<Counted, String> {
        let crtc = CrtcId::new(crtc).ok_or("could not read a vblank: 0 is no CRTC")?;
        card?.vblank(crtc).map_err(|error| error.to_string())
    };
    match (note(read()), vblank) {
        (Some(Counted { sequence, time }), Some(vblank)) => {
            *vblank = Vblank { sequence, time_ns: time.as_ns() };
            true
        }
        _ => false,
    }
}

/// Makes a clock that has seen nothing yet. `period_ns` is the mode's own, htotal * vtotal / pixel clock. NULL where that
/// is not above zero.
#[unsafe(no_mangle)]
pub extern "C" fn leasehold_clock_open(period_ns: i64) -> *mut Clock {
    let period = match period_ns > 0 {
        true => Ok(Span::from_ns(period_ns)),
        false => Err(format!("could not make a clock: a period of {period_ns} ns is none")),
    };
    note(period)
        .map_or(std::ptr::null_mut(), |period| Box::into_raw(Box::new(Clock(VblankClock::new(period)))))
}

/// Takes in a vblank: from leasehold_vblank_read, from a flip's event (its count widened to 64 bits), or from a
/// DRM_EVENT_CRTC_SEQUENCE. The same one again is ignored; a count that went back starts the clock anew.
///
/// # Safety
/// `clock` is of `leasehold_clock_open` and not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_clock_observe(clock: *mut Clock, sequence: u64, time_ns: i64) {
    // SAFETY: the caller's, as this function says.
    if let Some(Clock(clock)) = unsafe { clock.as_mut() } {
        clock.observe(Counted { sequence, time: Instant::from_ns(time_ns) });
    }
}

/// Tells when the vblank comes that is `ahead` after the newest seen; 0 is that one itself, and what is said of it is
/// evened out. False before one was seen.
///
/// # Safety
/// `clock` is of `leasehold_clock_open` and not closed; `prediction` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_clock_ahead(
    clock: *const Clock,
    ahead: u32,
    prediction: *mut Prediction,
) -> bool {
    let when = |clock: &VblankClock| clock.at(clock.newest()?.sequence.checked_add(ahead.into())?);
    // SAFETY: the caller's, as this function says.
    unsafe { predict(clock, prediction, when) }
}

/// Tells of the first vblank after a time that has a higher count than the newest seen. False before one was seen.
///
/// # Safety
/// `clock` is of `leasehold_clock_open` and not closed; `prediction` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_clock_next_after(
    clock: *const Clock,
    time_ns: i64,
    prediction: *mut Prediction,
) -> bool {
    // SAFETY: the caller's, as this function says.
    unsafe { predict(clock, prediction, |clock| clock.next_after(Instant::from_ns(time_ns))) }
}

/// From one vblank to the next in nanoseconds: as measured, or the mode's own until 16 were seen.
///
/// # Safety
/// `clock` is of `leasehold_clock_open` and not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_clock_period_ns(clock: *const Clock) -> f64 {
    // SAFETY: the caller's, as this function says.
    unsafe { clock.as_ref() }.map_or(0.0, |Clock(clock)| clock.period_ns())
}

/// Frees a clock; NULL is none.
///
/// # Safety
/// `clock` is of `leasehold_clock_open`, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_clock_close(clock: *mut Clock) {
    if !clock.is_null() {
        // SAFETY: it came from Box::into_raw, and the caller gives it up.
        drop(unsafe { Box::from_raw(clock) });
    }
}

/// # Safety
/// `clock` is NULL or a living clock; `prediction` is NULL or can be written to.
unsafe fn predict(
    clock: *const Clock,
    prediction: *mut Prediction,
    when: impl FnOnce(&VblankClock) -> Option<Predicted>,
) -> bool {
    // SAFETY: the caller's, as this function says.
    let (clock, prediction) = unsafe { (clock.as_ref(), prediction.as_mut()) };
    let predicted = clock.and_then(|Clock(clock)| when(clock));
    match (predicted, prediction) {
        (Some(predicted), Some(prediction)) => {
            *prediction = predicted.into();
            true
        }
        _ => false,
    }
}
