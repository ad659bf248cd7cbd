//! A straight line through (count, time) points by least squares, in which older points count less.

use crate::kms::Vblank;
use crate::time::{Instant, Span};

/// When a count that goes up evenly reaches a value.
///
/// Holds sums instead of points: taking one in costs the same whatever came before, and nothing is allocated. The sums
/// are kept as seen from the newest point, so that they stay small and no precision is lost however long a run is.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    origin: Vblank,
    /// The steps that times are held against, in nanoseconds a count: only what they are off by is summed.
    step_ns: f64,
    /// Sums over the points: of their weights, and of weight times count, time off, count squared, count by time off.
    weight: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

/// After so many counts a point weighs 1/e. Long against the jitter of stamps, which it averages away; short against the
/// minutes in which a crystal warms up.
const MEMORY: f64 = 2048.0;

impl Line {
    /// A line through one point, rising by about `step_ns` a count.
    pub fn new(point: Vblank, step_ns: f64) -> Self {
        Self { origin: point, step_ns, weight: 1.0, x: 0.0, y: 0.0, xx: 0.0, xy: 0.0 }
    }

    /// Takes in a point whose count is above those of all others.
    pub fn add(&mut self, point: Vblank) {
        let dx = self.count_to(point.sequence);
        let dy = self.off_ns(point);
        let Self { weight, x, y, xx, xy, .. } = *self;
        let kept = (-dx / MEMORY).exp();
        self.x = kept * (x - dx * weight);
        self.y = kept * (y - dy * weight);
        self.xx = kept * (xx - 2.0 * dx * x + dx * dx * weight);
        self.xy = kept * (xy - dx * y - dy * x + dx * dy * weight);
        // The point itself is the new origin: it adds to no sum but this.
        self.weight = kept * weight + 1.0;
        self.origin = point;
    }

    /// Puts the whole line off by a span, past and future.
    pub fn shift(&mut self, by: Span) {
        self.origin.time += by;
    }

    /// Nanoseconds a count.
    pub fn slope_ns(&self) -> f64 {
        let spread = self.weight * self.xx - self.x * self.x;
        let tilt = self.weight * self.xy - self.x * self.y;
        self.step_ns + if spread > 0.0 { tilt / spread } else { 0.0 }
    }

    /// When the line reaches a count.
    pub fn at(&self, sequence: u64) -> Instant {
        let count = self.count_to(sequence);
        let slope_ns = self.slope_ns();
        let height = (self.y - (slope_ns - self.step_ns) * self.x) / self.weight;
        self.origin.time + Span::from_ns((height + slope_ns * count).round() as i64)
    }

    /// One standard deviation of [`at`](Self::at), where each point is off by about `scatter_ns`.
    pub fn error_ns(&self, sequence: u64, scatter_ns: f64) -> f64 {
        let middle = self.x / self.weight;
        let spread = self.xx - self.x * middle;
        let away = self.count_to(sequence) - middle;
        let lever = if spread > 0.0 { away * away / spread } else { 0.0 };
        scatter_ns * (1.0 / self.weight + lever).sqrt()
    }

    fn count_to(&self, sequence: u64) -> f64 {
        sequence.wrapping_sub(self.origin.sequence) as i64 as f64
    }

    fn off_ns(&self, point: Vblank) -> f64 {
        (point.time - self.origin.time).as_ns() as f64 - self.step_ns * self.count_to(point.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn points_on_a_line_give_that_line(
            step_ns in 1_000_000i64..50_000_000,
            about in 0.9f64..1.1,
            gaps in prop::collection::vec(1u64..50, 2..500),
        ) {
            let at = |count: u64| Vblank {
                sequence: (1 << 40) + count,
                time: Instant::from_ns(5_000_000_000 + step_ns * count as i64),
            };
            let mut line = Line::new(at(0), step_ns as f64 * about);
            let mut count = 0;
            for gap in gaps {
                count += gap;
                line.add(at(count));
            }
            prop_assert!((line.slope_ns() - step_ns as f64).abs() < 0.01, "{}", line.slope_ns());
            prop_assert!((line.at((1 << 40) + count + 10) - at(count + 10).time).as_ns().abs() <= 2);
            prop_assert!(line.error_ns(at(count).sequence, 100.0) <= 100.0);
        }
    }
}
