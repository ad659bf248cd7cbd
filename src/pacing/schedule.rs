//! When to wake for a vblank: as late as the frame's measured cost allows, so that poses are fresh.

use crate::time::{Instant, Span};

/// Decides when to start on a frame.
///
/// Time is set aside for what nearly all of the last [`WINDOW`] frames took, and a margin that jumps at a miss and shrinks
/// while all goes well. Where that is most of a period, frames are drawn one ahead: each is begun as soon as the one
/// before has been handed over, and waits for that one's vblank. It then has nearly two periods, at the price of a pose
/// that is a period older.
#[derive(Clone, Debug)]
pub struct Schedule {
    period: Span,
    /// From the planned wake-up to the commit, of recent frames.
    costs: [Span; WINDOW],
    seen: usize,
    margin: Span,
    one_ahead: bool,
}

const WINDOW: usize = 256;
/// So many of them are taken for accidents, which no schedule can make good: waking earlier for the sake of one would
/// age the poses of all the others.
const OUTLIERS: usize = 1;
/// The kernel takes a commit for the next vblank only if it comes this much before, at the least.
const LEAST_MARGIN: Span = Span::from_us(500);
const MOST_MARGIN: Span = Span::from_ms(4);
/// What a miss adds.
const STEP: Span = Span::from_us(500);
/// A frame that went well takes one part in so many off the margin.
const DECAY: i64 = 256;
/// Parts of a period. What needs more than the first is drawn one ahead; what needs less than the second no longer is.
/// They are apart so that a cost between them changes nothing.
const AHEAD_ABOVE: (i64, i64) = (3, 4);
const AHEAD_UNTIL: (i64, i64) = (1, 2);

impl Schedule {
    /// A schedule for vblanks `period` apart.
    pub fn new(period: Span) -> Self {
        Self { period, costs: [Span::ZERO; WINDOW], seen: 0, margin: Span::from_ms(2), one_ahead: false }
    }

    /// When to wake to have a frame ready for a vblank at `target`. Before any frame was seen: at once.
    pub fn wake(&self, target: Instant) -> Instant {
        if self.seen == 0 {
            return Instant::from_ns(0);
        }
        let ahead = if self.one_ahead { self.period * 2 } else { self.cost() + self.margin };
        target - ahead
    }

    /// Takes in a frame: how long it took from its planned wake-up until it was ready to be handed over, and whether
    /// its vblank was missed.
    pub fn observe(&mut self, cost: Span, missed: bool) {
        self.costs[self.seen % WINDOW] = cost;
        self.seen += 1;
        self.margin = match missed {
            true => (self.margin + STEP).min(MOST_MARGIN),
            false => (self.margin - (self.margin - LEAST_MARGIN) / DECAY).max(LEAST_MARGIN),
        };
        let (part, whole) = if self.one_ahead { AHEAD_UNTIL } else { AHEAD_ABOVE };
        self.one_ahead = self.cost() + self.margin > self.period * part / whole;
    }

    /// What all but the [`OUTLIERS`] costliest of the recent frames took.
    fn cost(&self) -> Span {
        let mut costliest = [Span::ZERO; OUTLIERS + 1];
        for &cost in &self.costs[..self.seen.min(WINDOW)] {
            if cost > costliest[OUTLIERS] {
                costliest[OUTLIERS] = cost;
                costliest.sort_unstable_by(|a, b| b.cmp(a));
            }
        }
        let ranked = OUTLIERS.min(self.seen.saturating_sub(1));
        costliest[ranked]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakes_earlier_after_a_miss_and_later_when_all_is_well() {
        let target = Instant::from_ns(1_000_000_000);
        let mut schedule = Schedule::new(Span::from_ms(11));
        assert!(schedule.wake(target) < target - Span::from_ms(100), "nothing is known: at once");
        schedule.observe(Span::from_ms(3), false);
        let before = schedule.wake(target);
        schedule.observe(Span::from_ms(3), true);
        assert!(schedule.wake(target) <= before - STEP + Span::from_us(10));
        for _ in 0..2000 {
            schedule.observe(Span::from_ms(3), false);
        }
        let wake = schedule.wake(target);
        assert!(
            (target - wake - Span::from_ms(3) - LEAST_MARGIN).as_ns().abs() < 50_000,
            "{:?}",
            target - wake
        );
    }

    #[test]
    fn costly_frames_count_once_they_are_no_accident() {
        let target = Instant::from_ns(1_000_000_000);
        let mut schedule = Schedule::new(Span::from_ms(11));
        for frame in 0..WINDOW {
            let accident = frame % 250 == 100;
            schedule.observe(Span::from_ms(if accident { 7 } else { 2 }), false);
        }
        assert!(target - schedule.wake(target) < Span::from_ms(4));
        schedule.observe(Span::from_ms(7), false);
        assert!(target - schedule.wake(target) > Span::from_ms(7));
    }

    #[test]
    fn frames_that_need_most_of_a_period_are_drawn_one_ahead_and_not_by_turns() {
        let (target, period) = (Instant::from_ns(1_000_000_000), Span::from_ms(10));
        let mut schedule = Schedule::new(period);
        let mut ahead_after = |cost_ms, frames| {
            for _ in 0..frames {
                schedule.observe(Span::from_ms(cost_ms), false);
            }
            schedule.wake(target) == target - period * 2
        };
        assert!(!ahead_after(4, 2000));
        assert!(!ahead_after(6, 10), "more than half a period, which changes nothing");
        assert!(ahead_after(8, 10));
        assert!(ahead_after(6, 2000), "more than half a period, which changes nothing");
        assert!(!ahead_after(3, 2000));
    }
}
