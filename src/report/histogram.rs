//! Counts spans by size, over runs of any length in the same memory.

use super::distribution::Distribution;
use crate::time::Span;

/// How many buckets lie between one power of two and the next. A quantile is the middle of its bucket, so it is off by at
/// most half of 1/128, 0.4 %; spans below 128 ns are counted each, and the extremes are kept as they are.
const BUCKETS_AN_OCTAVE: usize = 1 << OCTAVE_BITS;
const OCTAVE_BITS: u32 = 7;
/// 2^40 ns are 18 minutes. What is longer is counted with what is so long.
const LONGEST_BITS: u32 = 40;
const BUCKETS: usize = BUCKETS_AN_OCTAVE * (LONGEST_BITS - OCTAVE_BITS + 1) as usize;

/// Buckets that grow with what they hold, on both sides of 0 (which `hdrhistogram` knows only one side of).
#[derive(Clone, Debug)]
pub struct Histogram {
    /// From 0 up.
    positive: Box<[u64]>,
    /// From -1 ns down.
    negative: Box<[u64]>,
    count: u64,
    least: Span,
    most: Span,
}

/// A bucket that is not empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The least span that it holds.
    pub from: Span,
    /// The least that is too long for it.
    pub to: Span,
    /// How many it holds.
    pub count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        let empty = || vec![0; BUCKETS].into_boxed_slice();
        Self {
            positive: empty(),
            negative: empty(),
            count: 0,
            least: Span::from_ns(i64::MAX),
            most: Span::from_ns(i64::MIN),
        }
    }
}

impl Histogram {
    /// Counts a span.
    pub fn add(&mut self, span: Span) {
        match span.as_ns() {
            negative if negative < 0 => self.negative[place((-1 - negative) as u64)] += 1,
            positive => self.positive[place(positive as u64)] += 1,
        }
        self.count += 1;
        self.least = self.least.min(span);
        self.most = self.most.max(span);
    }

    /// The buckets that hold anything, from the least on.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        let below = self.negative.iter().enumerate().rev().map(|(place, &count)| Bucket {
            from: Span::from_ns(-start(place + 1)),
            to: Span::from_ns(-start(place)),
            count,
        });
        let above = self.positive.iter().enumerate().map(|(place, &count)| Bucket {
            from: Span::from_ns(start(place)),
            to: Span::from_ns(start(place + 1)),
            count,
        });
        below.chain(above).filter(|bucket| bucket.count > 0)
    }

    /// Count, extremes and quantiles, in microseconds.
    pub fn distribution_us(&self) -> Distribution {
        if self.count == 0 {
            return Distribution::default();
        }
        let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|share| self.quantile(share).as_us_f64());
        let (min, max) = (self.least.as_us_f64(), self.most.as_us_f64());
        Distribution { count: self.count as usize, min, p50, p90, p99, p999, max }
    }

    /// By nearest rank: the least span that so great a share of all is at most.
    fn quantile(&self, share: f64) -> Span {
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut seen = 0;
        let found = self.buckets().find(|bucket| {
            seen += bucket.count;
            seen >= rank
        });
        // The last nanosecond that a bucket holds is the one before `to`.
        let middle = |bucket: Bucket| bucket.from + (bucket.to - bucket.from - Span::from_ns(1)) / 2;
        found.map_or(self.most, middle).clamp(self.least, self.most)
    }
}

/// Which bucket holds so many nanoseconds.
fn place(ns: u64) -> usize {
    let ns = ns.min((1 << LONGEST_BITS) - 1);
    let octave = (u64::BITS - ns.leading_zeros()).saturating_sub(OCTAVE_BITS + 1);
    // The leading bits of `ns` count on from one octave to the next.
    octave as usize * BUCKETS_AN_OCTAVE + (ns >> octave) as usize
}

/// The least number of nanoseconds in a bucket.
fn start(place: usize) -> i64 {
    let octave = (place / BUCKETS_AN_OCTAVE).saturating_sub(1);
    ((place - octave * BUCKETS_AN_OCTAVE) as i64) << octave
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for bucket in 0..BUCKETS {
            assert_eq!(place(start(bucket) as u64), bucket);
            assert_eq!(place(start(bucket + 1) as u64 - 1), bucket);
        }
        assert_eq!(start(BUCKETS), 1 << LONGEST_BITS);
    }

    #[test]
    fn an_empty_one_is_all_zero_and_one_value_is_itself() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.distribution_us(), Distribution::default());
        histogram.add(Span::from_ns(-7_654_321));
        let alone = histogram.distribution_us();
        assert_eq!((alone.count, alone.min, alone.p50, alone.max), (1, -7_654.321, -7_654.321, -7_654.321));
    }

    #[test]
    fn what_is_too_long_is_counted_all_the_same() {
        let mut histogram = Histogram::default();
        [i64::MIN, i64::MAX, 0].into_iter().for_each(|ns| histogram.add(Span::from_ns(ns)));
        assert_eq!(histogram.buckets().map(|bucket| bucket.count).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(histogram.distribution_us().p50, 0.0);
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_values_within_the_error(
            values in prop::collection::vec(-20_000_000i64..20_000_000, 1..2000),
        ) {
            let mut histogram = Histogram::default();
            values.iter().for_each(|&ns| histogram.add(Span::from_ns(ns)));
            let found = histogram.distribution_us();
            let exact = Distribution::of_us(values.into_iter().map(Span::from_ns));
            prop_assert_eq!((found.count, found.min, found.max), (exact.count, exact.min, exact.max));
            let pairs = [(found.p50, exact.p50), (found.p90, exact.p90), (found.p99, exact.p99), (found.p999, exact.p999)];
            for (found, exact) in pairs {
                prop_assert!((found - exact).abs() <= exact.abs() / 256.0 + 0.001, "{} for {}", found, exact);
            }
        }
    }
}
