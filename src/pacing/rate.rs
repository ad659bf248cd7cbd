//! Whether a display is refreshed as often as its mode says.
//!
//! Two measures that nothing but a wrong rate puts wrong together. The vblanks counted since the start tell a small
//! difference apart from a stamp that is off, but a driver that loses an interrupt may lose its count too. The middle one
//! of the latest intervals does not care about a lost count, but where a driver reads the clock late its stamps jitter.

use crate::kms::Vblank;
use crate::time::Span;

/// Holds vblanks against the rate that a mode's numbers say. Allocates nothing.
#[derive(Clone, Debug)]
pub struct RateCheck {
    nominal: Span,
    first: Option<Vblank>,
    last: Option<Vblank>,
    /// The newest intervals between vblanks, oldest overwritten.
    intervals: [Span; WINDOW],
    seen: usize,
}

const WINDOW: usize = 256;
/// One part in so many is no mismatch: crystals differ by a tenth of that.
const TOLERANCE: i64 = 1000;
/// Nor is this, however short the time: a stamp at either end may be off, and a timer that stands in for vblanks may have
/// been started anew, by up to a period each.
const SLOP_VBLANKS: i64 = 3;

impl RateCheck {
    /// For a mode whose vblanks are `nominal` apart.
    pub fn new(nominal: Span) -> Self {
        Self { nominal, first: None, last: None, intervals: [Span::ZERO; WINDOW], seen: 0 }
    }

    /// Takes in a vblank; how many there really are a second, once it is sure that it is not as many as the mode says.
    pub fn observe(&mut self, vblank: Vblank) -> Option<f64> {
        let last = self.last.replace(vblank)?;
        let counted = vblank.sequence.saturating_sub(last.sequence);
        let elapsed = vblank.time - last.time;
        if counted == 0 || elapsed <= Span::ZERO {
            // A mode set counts anew.
            *self = Self::new(self.nominal);
            return None;
        }
        // The stamp before was a mode set's, which is no vblank of its grid.
        let first = *self.first.get_or_insert(vblank);
        self.intervals[self.seen % WINDOW] = elapsed / i64::try_from(counted).unwrap_or(i64::MAX);
        self.seen += 1;
        let full = self.seen.is_multiple_of(WINDOW);
        (full && self.is_off(self.count_difference(first, vblank)) && self.is_off(self.middle_difference()))
            .then(|| 1.0 / self.middle().as_secs_f64())
    }

    fn is_off(&self, Difference { by, of }: Difference) -> bool {
        by.as_ns().saturating_abs() > of.as_ns() / TOLERANCE
    }

    /// The time that the vblanks since `first` took, against the time they should have; without the slop.
    fn count_difference(&self, first: Vblank, newest: Vblank) -> Difference {
        let counted = i64::try_from(newest.sequence - first.sequence).unwrap_or(i64::MAX);
        let expected = Span::from_ns(self.nominal.as_ns().saturating_mul(counted));
        let off = (newest.time - first.time).as_ns().saturating_sub(expected.as_ns()).saturating_abs();
        let beyond = (off - (self.nominal * SLOP_VBLANKS).as_ns()).max(0);
        Difference { by: Span::from_ns(beyond), of: expected }
    }

    fn middle_difference(&self) -> Difference {
        Difference { by: self.middle() - self.nominal, of: self.nominal }
    }

    /// The middle one of the intervals, half of which are longer.
    fn middle(&self) -> Span {
        let mut intervals = self.intervals;
        *intervals.select_nth_unstable(WINDOW / 2).1
    }
}

#[derive(Clone, Copy)]
struct Difference {
    by: Span,
    of: Span,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;
    use proptest::prelude::*;

    const NINETY: Span = Span::from_ns(11_111_111);

    /// When a display at `period` is found not to run at `NINETY`, in vblanks; its stamps are put off by `noise`.
    fn found_after(period: Span, vblanks: u64, noise: impl Fn(u64) -> Span) -> Option<(u64, f64)> {
        let mut check = RateCheck::new(NINETY);
        (0..vblanks).find_map(|sequence| {
            let time = Instant::from_ns(1_000_000_000) + period * sequence as i64 + noise(sequence);
            Some((sequence, check.observe(Vblank { sequence: 5_000 + sequence, time })?))
        })
    }

    #[test]
    fn a_link_at_another_rate_is_found_in_seconds() {
        for hz in [144.0, 120.0, 80.0, 75.0, 72.0, 60.0, 45.0, 30.0] {
            let period = Span::from_secs_f64(1.0 / hz);
            let (after, measured) = found_after(period, 1_000, |_| Span::ZERO).expect("it is wrong");
            assert!(after <= 300 && (measured - hz).abs() < 0.001, "{hz}: {measured} after {after}");
        }
    }

    #[test]
    fn two_parts_in_a_thousand_take_a_minute() {
        let (after, _) = found_after(NINETY + NINETY / 500, 20_000, |_| Span::ZERO).expect("it is wrong");
        assert!((2_000..5_000).contains(&after), "{after}");
    }

    #[test]
    fn half_a_part_in_a_thousand_is_the_crystal() {
        for off in [NINETY / 2_000, -(NINETY / 2_000)] {
            assert_eq!(found_after(NINETY + off, 100_000, |_| Span::ZERO), None);
        }
    }

    #[test]
    fn a_count_that_lost_vblanks_is_no_wrong_rate() {
        let mut check = RateCheck::new(NINETY);
        // Every tenth vblank goes uncounted, as where interrupts are lost.
        for sequence in 0..50_000u64 {
            let time = Instant::from_ns(0) + NINETY * (sequence as i64 + sequence as i64 / 10);
            assert_eq!(check.observe(Vblank { sequence, time }), None, "{sequence}");
        }
    }

    #[test]
    fn flips_that_miss_every_other_vblank_are_no_wrong_rate() {
        let mut check = RateCheck::new(NINETY);
        for flip in 0..10_000u64 {
            let time = Instant::from_ns(0) + NINETY * (flip as i64 * 2);
            assert_eq!(check.observe(Vblank { sequence: flip * 2, time }), None, "{flip}");
        }
    }

    proptest! {
        #[test]
        fn stamps_that_jitter_by_a_period_are_no_wrong_rate(
            noise in prop::collection::vec(0..NINETY.as_ns(), 64..2_000)
        ) {
            let stamp = |sequence: u64| Span::from_ns(noise[sequence as usize % noise.len()]);
            prop_assert_eq!(found_after(NINETY, 4_000, stamp), None);
        }

        #[test]
        fn any_vblanks_are_survived(stamps in prop::collection::vec((any::<u64>(), any::<i32>()), 1..600)) {
            let mut check = RateCheck::new(NINETY);
            for (sequence, time_us) in stamps {
                check.observe(Vblank { sequence, time: Instant::from_ns(i64::from(time_us) * 1000) });
            }
        }
    }
}
