//! When to wake for a vblank: as late as the frame's measured cost allows, so that poses are fresh.

use crate::time::{Instant, Span};

/// Decides when to start on a frame.
///
/// Time is set aside for what nearly all of the last [`WINDOW`] frames took, and a margin that jumps at a miss and shrinks
/// while all goes well.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// From the planned wake-up to the commit, of recent frames.
    costs: [Span; WINDOW],
    seen: usize,
    margin: Span,
}

const WINDOW: usize = 64;
/// So many of them are taken for accidents, which no schedule can make good: waking earlier for the sake of one would
/// age the poses of all the others.
const OUTLIERS: usize = 3;
/// The kernel takes a commit for the next vblank only if it comes this much before, at the least.
const LEAST_MARGIN: Span = Span::from_us(500);
const MOST_MARGIN: Span = Span::from_ms(4);
/// What a miss adds.
const STEP: Span = Span::from_us(500);
/// A frame that went well takes one part in so many off the margin.
const DECAY: i64 = 256;

impl Default for Schedule {
    fn default() -> Self {
        Self { costs: [Span::ZERO; WINDOW], seen: 0, margin: Span::from_ms(2) }
    }
}

impl Schedule {
    /// When to wake to have a frame ready for a vblank at `target`. That can be before the vblank ahead of it, where
    /// a frame takes that long. Before any frame was seen: at once.
    pub fn wake(&self, target: Instant) -> Instant {
        match self.seen {
            0 => Instant::from_ns(0),
            _ => target - self.cost() - self.margin,
        }
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
        let mut schedule = Schedule::default();
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
        let mut schedule = Schedule::default();
        for frame in 0..WINDOW {
            let accident = frame % 25 == 0;
            schedule.observe(Span::from_ms(if accident { 8 } else { 2 }), false);
        }
        assert!(target - schedule.wake(target) < Span::from_ms(5));
        schedule.observe(Span::from_ms(8), false);
        schedule.observe(Span::from_ms(8), false);
        assert!(target - schedule.wake(target) > Span::from_ms(8));
    }
}
