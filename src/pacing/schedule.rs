//! When to wake for a vblank: as late as the frame's measured cost allows, so that poses are fresh.

use crate::time::{Instant, Span};

/// Decides when to start on a frame.
///
/// Time is set aside for the costliest frame of the last [`WINDOW`] and a margin that jumps at a miss and shrinks
/// while all goes well.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// From the planned wake-up to the commit, of recent frames.
    costs: [Span; WINDOW],
    seen: usize,
    margin: Span,
}

const WINDOW: usize = 64;
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

    fn cost(&self) -> Span {
        self.costs[..self.seen.min(WINDOW)].iter().copied().max().unwrap_or(Span::ZERO)
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
    fn one_costly_frame_is_remembered_for_a_window() {
        let target = Instant::from_ns(1_000_000_000);
        let mut schedule = Schedule::default();
        schedule.observe(Span::from_ms(8), false);
        for _ in 1..WINDOW {
            schedule.observe(Span::from_ms(2), false);
        }
        assert!(target - schedule.wake(target) > Span::from_ms(8));
        schedule.observe(Span::from_ms(2), false);
        assert!(target - schedule.wake(target) < Span::from_ms(5));
    }
}
