//! What happened to each frame, in records of fixed size.

use super::miss::Cause;
use super::ring::{Record, RecordWriter};
use super::schedule::Plan;
use crate::kms::Vblank;
use crate::time::{Instant, Span};

/// One frame's moments: wake, latch, submit, flip, photon, in that order, and what lies between.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame {
    /// Its number, from 0.
    pub number: u64,
    /// The vblank it was meant for.
    pub target: Vblank,
    /// The latest moments at which it could have come by what was known.
    pub plan: Plan,
    /// When the loop meant to wake for it.
    pub planned_wake: Instant,
    /// When the loop woke.
    pub wake: Instant,
    /// When its pose was read.
    pub latch: Instant,
    /// When the GPU had drawn it.
    pub drawn: Instant,
    /// When it lay where the display reads it, ready to be handed over.
    pub ready: Instant,
    /// When it began to be handed over; later than `ready` where the flip before it had to come first.
    pub commit: Instant,
    /// When it had been handed to the display.
    pub submit: Instant,
    /// The vblank at which it came on.
    pub flip: Vblank,
    /// When its light left the panel.
    pub photon: Instant,
    /// Whether it shows the app's earlier frame once more.
    pub rewarped: bool,
    /// When the app began the frame that it shows.
    pub app_began: Instant,
    /// When the app handed that over.
    pub app_submit: Instant,
    /// The GPU's counter when it began and had ended the pass; zeros where it has none.
    pub gpu_ticks: [u64; 2],
}

impl Frame {
    /// How many vblanks went by between the one it was meant for and the one it made.
    pub fn missed(&self) -> u64 {
        self.flip.sequence.saturating_sub(self.target.sequence)
    }

    /// How long it took from the planned wake-up to the end of the commit, without waiting for the flip before it.
    pub fn needed(&self) -> Span {
        self.ready - self.planned_wake + (self.submit - self.commit)
    }

    /// How long it took from drawn to handed over, without waiting for the flip before it.
    pub fn handing_over(&self) -> Span {
        self.ready - self.drawn + (self.submit - self.commit)
    }

    /// How long before its vblank it was handed over; negative when after.
    pub fn margin(&self) -> Span {
        self.target.time - self.submit
    }
}

/// Counts frames, keeps the newest records, and hands each on. Allocates when made, never after.
#[derive(Debug)]
pub struct Recorder {
    frames: Vec<Frame>,
    capacity: usize,
    totals: Totals,
    last_flip: Option<Vblank>,
    readers: Option<RecordWriter>,
}

/// Counts over a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Vblanks since the first frame came on, without those of pauses.
    pub vblanks: u64,
    /// Frames that came on, after the first.
    pub presented: u64,
    /// Vblanks at which no new frame came on.
    pub missed: u64,
    /// Frames that showed an earlier app frame again.
    pub rewarped: u64,
    /// Missed vblanks by cause, in the order of [`Cause::ALL`].
    pub causes: [u64; Cause::ALL.len()],
}

impl Recorder {
    /// Keeps the newest `capacity` frames.
    pub fn new(capacity: usize) -> Self {
        let mut frames = Vec::new();
        // Filled rather than reserved, so that no page is touched for the first time in the loop.
        frames.resize(capacity, Frame::default());
        Self { frames, capacity, totals: Totals::default(), last_flip: None, readers: None }
    }

    /// Hands a record of every frame from now on to the reader at the other end.
    pub fn hand_on(&mut self, writer: RecordWriter) {
        self.readers = Some(writer);
    }

    /// Takes in a frame that came on.
    pub fn add(&mut self, frame: &Frame) {
        if let Some(last) = self.last_flip.replace(frame.flip) {
            let vblanks = frame.flip.sequence.saturating_sub(last.sequence);
            let missed = vblanks.saturating_sub(1);
            if self.capacity > 0 {
                self.frames[self.totals.presented as usize % self.capacity] = *frame;
            }
            self.totals.presented += 1;
            self.totals.vblanks += vblanks;
            self.totals.missed += missed;
            let cause = (missed > 0).then(|| Cause::of(frame));
            if let Some(cause) = cause {
                self.totals.causes[cause as usize] += missed;
            }
            if let Some(readers) = &mut self.readers {
                readers.push(Record { frame: *frame, missed, cause });
            }
        }
        self.totals.rewarped += u64::from(frame.rewarped);
    }

    /// Takes in that a frame never came on, because the lease was gone: its vblank is missed.
    pub fn lose(&mut self) {
        if self.last_flip.is_some() {
            self.totals.vblanks += 1;
            self.totals.missed += 1;
            self.totals.causes[Cause::LeaseLost as usize] += 1;
        }
    }

    /// Lets the vblanks until the next frame go uncounted: nothing could be shown at them.
    pub fn pause(&mut self) {
        self.last_flip = None;
    }

    /// The counts so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The newest frames, in no order.
    pub fn frames(&self) -> &[Frame] {
        &self.frames[..self.capacity.min(self.totals.presented as usize)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vblanks_are_presented_or_missed() {
        let mut recorder = Recorder::new(4);
        let mut last = 100;
        for sequence in [100u64, 101, 102, 105, 106, 107, 108, 109] {
            let target = Vblank { sequence: last + 1, time: Instant::from_ns(1) };
            let flip = Vblank { sequence, time: Instant::from_ns(1) };
            recorder.add(&Frame { target, flip, submit: Instant::from_ns(2), ..Frame::default() });
            last = sequence;
        }
        let totals = recorder.totals();
        assert_eq!((totals.vblanks, totals.presented, totals.missed), (9, 7, 2));
        assert_eq!(totals.causes.iter().sum::<u64>(), totals.missed);
        assert_eq!(recorder.frames().len(), 4);
    }

    #[test]
    fn a_frame_that_was_under_way_when_the_lease_went_missed_its_vblank() {
        let mut recorder = Recorder::new(4);
        recorder.lose();
        assert_eq!(recorder.totals(), Totals::default(), "nothing was lit");
        for sequence in [100u64, 101] {
            recorder.add(&Frame { flip: Vblank { sequence, ..Vblank::default() }, ..Frame::default() });
        }
        recorder.lose();
        let totals = recorder.totals();
        assert_eq!((totals.vblanks, totals.presented, totals.missed), (2, 1, 1));
        assert_eq!(totals.causes[Cause::LeaseLost as usize], 1);
    }

    #[test]
    fn the_vblanks_of_a_pause_are_not_missed() {
        let mut recorder = Recorder::new(4);
        for sequence in [100u64, 101, 500, 501] {
            if sequence == 500 {
                recorder.pause();
            }
            let flip = Vblank { sequence, time: Instant::from_ns(1) };
            recorder.add(&Frame { flip, ..Frame::default() });
        }
        let totals = recorder.totals();
        assert_eq!((totals.vblanks, totals.presented, totals.missed), (2, 2, 0));
    }
}
