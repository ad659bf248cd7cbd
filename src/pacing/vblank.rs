//! The display's clock, from the kernel's vblank stamps.

use crate::kms::Vblank;
use crate::time::{Instant, Span};

/// Period and phase of a display's vblanks.
///
/// Predictions rest on the newest stamp and a period measured over the last [`WINDOW`] vblanks seen; before there are
/// enough of those, on the period that the mode's numbers say.
#[derive(Clone, Debug)]
pub struct VblankClock {
    nominal: Span,
    /// The first vblank seen since the count last jumped, for the rate of the whole run.
    first: Option<Vblank>,
    /// The newest ones, oldest overwritten.
    recent: [Vblank; WINDOW],
    seen: usize,
    on_grid: bool,
}

/// How many vblanks the period is measured over: long against the jitter of one stamp, short against drift.
const WINDOW: usize = 128;
/// Fewer tell less than the mode does.
const ENOUGH: usize = 16;

impl VblankClock {
    /// A clock that has seen nothing yet; `nominal` is the mode's own period.
    pub fn new(nominal: Span) -> Self {
        Self { nominal, first: None, recent: [Vblank::default(); WINDOW], seen: 0, on_grid: false }
    }

    /// Takes in a vblank. One that is not newer than the last is ignored; a count that went back, or a time that does
    /// not fit its count within half of it (a suspend, a mode set), starts anew.
    pub fn observe(&mut self, vblank: Vblank) {
        if let Some(last) = self.newest() {
            let elapsed = vblank.time - last.time;
            if vblank.sequence == last.sequence {
                return;
            }
            let counted = vblank.sequence.saturating_sub(last.sequence);
            let expected =
                self.nominal * i64::try_from(counted).unwrap_or(i64::MAX / self.nominal.as_ns().max(1));
            let off = (elapsed - expected).as_ns().abs();
            if counted == 0 || off > (expected.as_ns() / 2).max(self.nominal.as_ns() / 2) {
                *self = Self::new(self.nominal);
            }
        }
        if self.seen == 1 && !self.on_grid {
            // The first stamp after a mode set says when the CRTC was switched on, which is no vblank of its grid.
            self.on_grid = true;
            self.first = None;
            self.seen = 0;
        }
        self.first.get_or_insert(vblank);
        self.recent[self.seen % WINDOW] = vblank;
        self.seen += 1;
    }

    /// The newest vblank seen.
    pub fn newest(&self) -> Option<Vblank> {
        self.seen.checked_sub(1).map(|index| self.recent[index % WINDOW])
    }

    /// From one vblank to the next.
    pub fn period(&self) -> Span {
        if self.seen < ENOUGH {
            return self.nominal;
        }
        let oldest = self.recent[if self.seen > WINDOW { self.seen % WINDOW } else { 0 }];
        between(oldest, self.recent[(self.seen - 1) % WINDOW]).unwrap_or(self.nominal)
    }

    /// When the vblank of that count was or will be; `None` before one was seen.
    pub fn at(&self, sequence: u64) -> Option<Vblank> {
        let newest = self.newest()?;
        let count = sequence.wrapping_sub(newest.sequence) as i64;
        Some(Vblank { sequence, time: newest.time + self.period() * count })
    }

    /// The first vblank that comes after `time` and has a higher count than the newest seen.
    pub fn next_after(&self, time: Instant) -> Option<Vblank> {
        let newest = self.newest()?;
        let period = self.period();
        let count = ((time - newest.time).as_ns().div_euclid(period.as_ns()) + 1).max(1);
        Some(Vblank { sequence: newest.sequence + count as u64, time: newest.time + period * count })
    }

    /// Vblanks a second, from the first vblank of the run to the newest; `None` before there are two.
    pub fn measured_hz(&self) -> Option<f64> {
        let (first, newest) = (self.first?, self.newest()?);
        let elapsed = newest.time - first.time;
        let counted = newest.sequence - first.sequence;
        (counted > 0 && elapsed > Span::ZERO).then(|| counted as f64 / elapsed.as_secs_f64())
    }
}

fn between(from: Vblank, to: Vblank) -> Option<Span> {
    let counted = i64::try_from(to.sequence.checked_sub(from.sequence)?).ok()?;
    (counted > 0).then(|| (to.time - from.time) / counted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VIVE: Span = Span::from_ns(11_169_777);
    const NINETY: Span = Span::from_ns(11_111_111);

    fn vblank(sequence: u64, time: Instant) -> Vblank {
        Vblank { sequence, time }
    }

    fn run(clock: &mut VblankClock, from: u64, count: u64, period: Span) {
        for sequence in from..from + count {
            clock.observe(vblank(sequence, Instant::from_ns(period.as_ns() * sequence as i64)));
        }
    }

    #[test]
    fn finds_89_527_hz_where_the_mode_says_90() {
        let mut clock = VblankClock::new(NINETY);
        run(&mut clock, 1000, 200, VIVE);
        assert!((clock.measured_hz().unwrap() - 89.527_30).abs() < 1e-4);
        assert_eq!(clock.period(), VIVE);
        let next = clock.next_after(Instant::from_ns(VIVE.as_ns() * 1199 + 1)).unwrap();
        assert_eq!(next, vblank(1200, Instant::from_ns(VIVE.as_ns() * 1200)));
    }

    #[test]
    fn the_stamp_of_the_mode_set_itself_is_not_trusted() {
        let mut clock = VblankClock::new(VIVE);
        clock.observe(vblank(999, Instant::from_ns(VIVE.as_ns() * 999 - 5_000_000)));
        run(&mut clock, 1000, 50, VIVE);
        assert_eq!(clock.period(), VIVE);
        assert!((clock.measured_hz().unwrap() - 89.527_30).abs() < 1e-4);
    }

    #[test]
    fn starts_anew_when_the_count_or_the_time_jumps() {
        let mut clock = VblankClock::new(VIVE);
        run(&mut clock, 1000, 50, VIVE);
        run(&mut clock, 5, 2, VIVE);
        assert_eq!(clock.newest().unwrap().sequence, 6);
        let (resumed, later) = (clock.newest().unwrap(), Span::from_ms(60_000));
        clock.observe(vblank(7, resumed.time + later));
        clock.observe(vblank(8, resumed.time + later + VIVE));
        clock.observe(vblank(9, resumed.time + later + VIVE * 2));
        assert!((clock.measured_hz().unwrap() - 89.527_30).abs() < 1e-3);
    }

    proptest! {
        #[test]
        fn predictions_lie_ahead(
            stamps in prop::collection::vec((any::<u32>(), any::<u32>()), 1..300), ask in any::<u32>()
        ) {
            let mut clock = VblankClock::new(VIVE);
            for (sequence, time_us) in stamps {
                clock.observe(vblank(sequence.into(), Instant::from_ns(i64::from(time_us) * 1000)));
            }
            let ask = Instant::from_ns(i64::from(ask) * 1000);
            let next = clock.next_after(ask).unwrap();
            prop_assert!(next.time > ask && next.sequence > clock.newest().unwrap().sequence);
            prop_assert!(clock.period() > Span::ZERO);
        }
    }
}
