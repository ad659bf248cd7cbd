//! Which frames of a long run are kept whole: the newest, those around misses, and the worst.

use std::collections::{BTreeMap, VecDeque};

use super::moments::Moments;

/// Ten seconds at 90 Hz.
const NEWEST: usize = 900;
/// Frames on either side of one that missed a vblank.
const AROUND: u64 = 2;
/// Frames kept for having been around a miss, at the most. The earliest stay: where so much goes wrong, what began it
/// tells more than what followed.
const AROUND_MISSES: usize = 640;
/// The worst of all.
const WORST: usize = 16;

/// A bounded choice of a run's frames.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    newest: VecDeque<Moments>,
    around_misses: Vec<Moments>,
    /// The worst last.
    worst: Vec<Moments>,
    /// Frames up to this number are kept as around a miss.
    after_a_miss: Option<u64>,
}

impl Kept {
    /// Takes in the next frame.
    pub fn add(&mut self, frame: Moments) {
        if frame.missed > 0 {
            self.keep_around(&frame);
            self.keep_if_worst(&frame);
        } else if self.after_a_miss.is_some_and(|last| frame.frame <= last) {
            self.keep_as_around(frame.clone());
        }
        if self.newest.len() == NEWEST {
            self.newest.pop_front();
        }
        self.newest.push_back(frame);
    }

    /// All that are kept, each once, in order.
    pub fn frames(&self) -> impl Iterator<Item = &Moments> {
        let all = self.around_misses.iter().chain(&self.worst).chain(&self.newest);
        all.map(|frame| (frame.frame, frame)).collect::<BTreeMap<_, _>>().into_values()
    }

    fn keep_around(&mut self, missed: &Moments) {
        let before: Vec<Moments> =
            self.newest.iter().filter(|frame| frame.frame + AROUND >= missed.frame).cloned().collect();
        before.into_iter().for_each(|frame| self.keep_as_around(frame));
        self.keep_as_around(missed.clone());
        self.after_a_miss = Some(missed.frame + AROUND);
    }

    fn keep_as_around(&mut self, frame: Moments) {
        let is_new = self.around_misses.last().is_none_or(|last| last.frame < frame.frame);
        if is_new && self.around_misses.len() < AROUND_MISSES {
            self.around_misses.push(frame);
        }
    }

    fn keep_if_worst(&mut self, frame: &Moments) {
        let place = self.worst.partition_point(|kept| badness(kept) < badness(frame));
        self.worst.insert(place, frame.clone());
        if self.worst.len() > WORST {
            self.worst.remove(0);
        }
    }
}

/// How bad a frame was: by vblanks missed, then by how late it was handed over.
pub fn badness(frame: &Moments) -> (u64, i64) {
    (frame.missed, frame.at_us("submit_us").unwrap_or_default() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(kept: &mut Kept, numbers: std::ops::Range<u64>, missed: impl Fn(u64) -> u64) {
        numbers.for_each(|frame| kept.add(Moments { frame, missed: missed(frame), ..Moments::default() }));
    }

    #[test]
    fn the_newest_and_those_around_misses_are_kept() {
        let mut kept = Kept::default();
        add(&mut kept, 0..5_000, |frame| u64::from(frame == 1_000 || frame == 1_001));
        let numbers: Vec<u64> = kept.frames().map(|frame| frame.frame).collect();
        assert_eq!(numbers[..6], [998, 999, 1_000, 1_001, 1_002, 1_003]);
        assert_eq!(numbers[6..], (4_100..5_000).collect::<Vec<_>>());
    }

    #[test]
    fn where_everything_is_missed_the_worst_is_still_among_them() {
        let mut kept = Kept::default();
        add(&mut kept, 0..100_000, |frame| if frame == 77_777 { 9 } else { 1 });
        let frames: Vec<&Moments> = kept.frames().collect();
        assert!(frames.len() <= NEWEST + AROUND_MISSES + WORST);
        assert!(frames.iter().any(|frame| frame.frame == 77_777));
        assert!(frames.is_sorted_by_key(|frame| frame.frame));
    }
}
