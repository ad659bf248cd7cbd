//! From vblank to vblank: which one the next frame is for and when to wake for it. What the loop does in real time, and
//! `simulate` in virtual time.

use super::record::Frame;
use super::schedule::{Schedule, Timing};
use super::vblank::VblankClock;
use crate::kms::Vblank;
use crate::time::{Instant, Span};

/// A clock, a schedule, and the frame under way.
#[derive(Clone, Debug)]
pub struct Pacer {
    timing: Timing,
    clock: VblankClock,
    schedule: Schedule,
    number: u64,
    /// Handed over and not yet seen to come on.
    pending: Option<Frame>,
}

/// The kernel carries a commit out on a worker of normal priority (`drm_atomic_helper_commit`). Where a driver draws on
/// this CPU with real-time priority, the worker comes to its turn only if the loop pauses.
const PAUSE: Span = Span::from_us(500);

impl Pacer {
    /// One that has seen nothing yet.
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            clock: VblankClock::new(timing.period),
            schedule: Schedule::new(timing),
            number: 0,
            pending: None,
        }
    }

    /// The display's clock.
    pub fn clock(&self) -> &VblankClock {
        &self.clock
    }

    /// How many frames were handed over.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The frame that was handed over and has not come on yet.
    pub fn pending(&self) -> Option<&Frame> {
        self.pending.as_ref()
    }

    /// A frame, with the vblank that it is for and when to wake for it. Before the first vblank: at once, for none.
    pub fn plan(&self, now: Instant) -> Frame {
        let mut frame = Frame { number: self.number, ..Frame::default() };
        let Some(newest) = self.clock.newest() else { return frame };
        // The vblank after the last flip, even where that can no longer be made: then it is missed. A flip still
        // under way comes when it was meant to, or at the next vblank there is.
        let last = self.pending.map_or(newest.sequence, |pending| pending.target.sequence);
        let expected = self.clock.at(last + 1).expect("a vblank was seen");
        frame.target = expected.vblank;
        frame.plan = self.schedule.plan(expected);
        let soonest = self.pending.map_or(newest.time, |pending| pending.submit + PAUSE);
        frame.planned_wake = self.schedule.wake(&frame.plan).max(soonest).max(now);
        frame
    }

    /// Notes that a frame was handed over, with all of its stamps up to then.
    pub fn hand_over(&mut self, frame: Frame) {
        self.number += 1;
        self.pending = Some(frame);
    }

    /// Notes at which vblank the frame under way came on; its whole record.
    pub fn came_on(&mut self, flip: Vblank) -> Option<Frame> {
        let mut frame = self.pending.take()?;
        frame.flip = flip;
        frame.photon = self.schedule.photon(flip);
        if self.clock.newest().is_some() {
            self.schedule.observe(&frame);
        }
        self.clock.observe(flip);
        Some(frame)
    }

    /// Takes the frame under way for lost: it will not come on. Its record up to then.
    pub fn give_up(&mut self) -> Option<Frame> {
        self.pending.take()
    }

    /// Forgets what was known of vblanks: the display may count and time them anew. What frames cost stays known.
    pub fn forget_vblanks(&mut self) {
        self.clock = VblankClock::new(self.timing.period);
    }
}
