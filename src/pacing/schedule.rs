//! The moments of a frame as they are planned: as late as its measured cost allows, so that poses are fresh.

use super::record::Frame;
use super::reserve::Reserve;
use super::vblank::Prediction;
use super::window::Window;
use crate::kms::Vblank;
use crate::time::{Instant, Span};

/// What a display does at fixed times around each vblank, from its mode's numbers and the headset's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From one vblank to the next, by the mode's numbers.
    pub period: Span,
    /// How long before a vblank's stamp, which is that of its first pixel, the display takes a new picture for the last
    /// time: the mode's blanking where hardware does it, none where a timer of the driver's does.
    pub blanking: Span,
    /// From a vblank's stamp to the middle of the light of its picture.
    pub to_photon: Span,
}

/// The latest moments at which a frame for a vblank can come by what is known, and when its light is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To wake.
    pub wake_by: Instant,
    /// To have latched the pose.
    pub latch_by: Instant,
    /// To have the picture drawn.
    pub drawn_by: Instant,
    /// To have the commit with the kernel.
    pub commit_by: Instant,
    /// When its light leaves the panel: for a global flash the flash, for a rolling one the middle line.
    pub photon: Instant,
}

/// Decides when to start on a frame.
///
/// Frames are begun as late as their [`Reserve`] allows. Where they need most of a period they are drawn one ahead:
/// each is begun as soon as the one before has been handed over, and waits for that one's vblank. It then has nearly two
/// periods, at the price of a pose that is a period older.
#[derive(Clone, Debug)]
pub struct Schedule {
    timing: Timing,
    reserve: Reserve,
    /// What frames needed, from the planned wake-up to the end of the commit.
    needs: Window<WINDOW>,
    /// The most that waking late, latching, and handing over took lately.
    wake_error: Peak,
    latching: Peak,
    handing_over: Peak,
    one_ahead: bool,
}

/// About three seconds.
const WINDOW: usize = 256;
/// So many of them are taken for accidents, for which no schedule is changed from the ground up.
const ACCIDENTS: usize = 1;
/// The kernel carries a commit out on a worker that has to get its turn: it takes one for the next vblank only if it
/// comes this much before, at the least.
const FOR_THE_KERNEL: Span = Span::from_us(300);
/// Parts of a period. What needs more than the first is drawn one ahead; what needs less than the second no longer is.
/// They are apart so that a cost between them changes nothing.
const AHEAD_ABOVE: (i64, i64) = (3, 4);
const AHEAD_UNTIL: (i64, i64) = (1, 2);

impl Schedule {
    /// A schedule for a display that works like that.
    pub fn new(timing: Timing) -> Self {
        let (part, whole) = AHEAD_ABOVE;
        Self {
            timing,
            reserve: Reserve::new(timing.period * part / whole - FOR_THE_KERNEL),
            needs: Window::new(),
            wake_error: Peak::default(),
            latching: Peak::default(),
            handing_over: Peak::default(),
            one_ahead: false,
        }
    }

    /// The latest moments for a frame that is to come on at `target`. Before any frame was seen: long ago.
    pub fn plan(&self, target: Prediction) -> Plan {
        let Prediction { vblank: Vblank { time, .. }, error } = target;
        // Two standard deviations: one vblank in 40 comes earlier, and then there is still the kernel's time.
        let commit_by = time - self.timing.blanking - FOR_THE_KERNEL - error * 2;
        let in_hand = self.reserve.in_hand().unwrap_or(LONG_AGO);
        let wake_by = commit_by - in_hand;
        Plan {
            wake_by,
            latch_by: wake_by + self.wake_error.0 + self.latching.0,
            drawn_by: commit_by - self.handing_over.0,
            commit_by,
            photon: self.photon(target.vblank),
        }
    }

    /// When to wake for a frame with that plan: then, or a good deal earlier where frames are drawn one ahead.
    pub fn wake(&self, plan: &Plan) -> Instant {
        if self.one_ahead { plan.commit_by - self.timing.period * 2 } else { plan.wake_by }
    }

    /// When the light of a picture that comes on at that vblank leaves the panel.
    pub fn photon(&self, vblank: Vblank) -> Instant {
        vblank.time + self.timing.to_photon
    }

    /// Takes in a frame that came on.
    pub fn observe(&mut self, frame: &Frame) {
        self.wake_error.observe(frame.wake - frame.planned_wake);
        self.latching.observe(frame.latch - frame.wake);
        self.handing_over.observe(frame.handing_over());
        let needed = frame.needed();
        self.reserve.observe(needed, frame.missed() > 0);
        self.needs.push(needed);
        let (part, whole) = if self.one_ahead { AHEAD_UNTIL } else { AHEAD_ABOVE };
        let costly = self.needs.greatest_but(ACCIDENTS) + FOR_THE_KERNEL;
        self.one_ahead = costly > self.timing.period * part / whole;
    }
}

const LONG_AGO: Span = Span::from_ms(1000);

/// The greatest of the latest spans: jumps up at once, and comes down slowly.
#[derive(Clone, Copy, Debug, Default)]
struct Peak(Span);

impl Peak {
    fn observe(&mut self, span: Span) {
        self.0 = (self.0 - self.0 / WINDOW as i64).max(span);
    }
}

#[cfg(test)]
mod tests;
