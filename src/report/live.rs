//! What the last second was like, for those who look while it goes on.

use crate::pacing::Record;
use crate::time::{Instant, Span};

/// As many frames as the fastest headset shows in a second and some.
const RECENT: usize = 160;

/// A window over the newest frames. Allocates nothing.
#[derive(Clone, Debug)]
pub struct Live {
    recent: [Recent; RECENT],
    next: usize,
    missed: u64,
    rewarped: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    flip: Instant,
    missed: u64,
    rewarped: bool,
    margin: Span,
    latch_to_photon: Span,
}

/// What there is to say of the last second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Numbers {
    /// New frames on the panel, a second.
    pub frames_a_second: f64,
    /// Vblanks missed in the last second, and since the beginning.
    pub missed: [u64; 2],
    /// Frames that showed an earlier app frame, in the last second and since the beginning.
    pub rewarped: [u64; 2],
    /// The least that a frame was ready before its vblank.
    pub least_margin: Span,
    /// From pose to light, on average.
    pub latch_to_photon: Span,
}

impl Default for Live {
    fn default() -> Self {
        Self { recent: [Recent::default(); RECENT], next: 0, missed: 0, rewarped: 0 }
    }
}

impl Live {
    /// Takes in the next frame's record.
    pub fn add(&mut self, record: &Record) {
        let frame = &record.frame;
        self.recent[self.next % RECENT] = Recent {
            flip: frame.flip.time,
            missed: record.missed,
            rewarped: frame.rewarped,
            margin: frame.margin(),
            latch_to_photon: frame.photon - frame.latch,
        };
        self.next += 1;
        self.missed += record.missed;
        self.rewarped += u64::from(frame.rewarped);
    }

    /// The numbers of the second before the newest frame's flip.
    pub fn numbers(&self) -> Numbers {
        let filled = &self.recent[..self.next.min(RECENT)];
        let Some(newest) = filled.iter().map(|frame| frame.flip).max() else { return Numbers::default() };
        let second = filled.iter().filter(|frame| newest - frame.flip < Span::from_ms(1_000));
        let oldest = second.clone().map(|frame| frame.flip).min().unwrap_or(newest);
        let count = second.clone().count() as i64;
        let spanned = (newest - oldest).as_secs_f64();
        Numbers {
            frames_a_second: if count > 1 { (count - 1) as f64 / spanned } else { 0.0 },
            missed: [second.clone().map(|frame| frame.missed).sum(), self.missed],
            rewarped: [second.clone().filter(|frame| frame.rewarped).count() as u64, self.rewarped],
            least_margin: second.clone().map(|frame| frame.margin).min().unwrap_or_default(),
            latch_to_photon: second.fold(Span::ZERO, |sum, frame| sum + frame.latch_to_photon) / count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacing::Frame;

    #[test]
    fn the_numbers_are_those_of_the_last_second() {
        let mut live = Live::default();
        assert_eq!(live.numbers(), Numbers::default());
        for number in 0..1_000 {
            let mut frame = Frame { number, ..Frame::default() };
            frame.flip.time = Instant::from_ns(1) + Span::from_us(11_111) * number as i64;
            frame.target.time = frame.flip.time;
            frame.submit = frame.flip.time - Span::from_us(if number == 10 { 1 } else { 2_000 });
            (frame.latch, frame.photon) = (frame.submit, frame.flip.time + Span::from_us(8_000));
            live.add(&Record { frame, missed: u64::from(number == 10 || number == 990), cause: None });
        }
        let numbers = live.numbers();
        assert!((numbers.frames_a_second - 90.0).abs() < 0.01, "{numbers:?}");
        assert_eq!(numbers.missed, [1, 2]);
        assert_eq!(numbers.least_margin, Span::from_us(2_000), "the bad frame is long ago");
        assert_eq!(numbers.latch_to_photon, Span::from_us(10_000));
    }
}
