//! A spread of measured values, by quantiles.

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// Count, extremes and quantiles. All zero when nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many values.
    pub count: usize,
    /// The least.
    pub min: f64,
    /// Half of all values are at most this.
    pub p50: f64,
    /// Nine in ten values are at most this.
    pub p90: f64,
    /// 99 in 100.
    pub p99: f64,
    /// 999 in 1000.
    pub p999: f64,
    /// The greatest.
    pub max: f64,
}

impl Distribution {
    /// Of spans, in microseconds.
    pub fn of_us(spans: impl Iterator<Item = Span>) -> Self {
        Self::of(spans.map(Span::as_us_f64).collect())
    }

    /// Of spans, in nanoseconds.
    pub fn of_ns(spans: impl Iterator<Item = Span>) -> Self {
        Self::of(spans.map(|span| span.as_ns() as f64).collect())
    }

    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        // The nearest rank: the least value that so many of all are at most.
        let quantile = |share: f64| match values.len() {
            0 => 0.0,
            count => values[((share * count as f64).ceil() as usize).clamp(1, count) - 1],
        };
        Self {
            count: values.len(),
            min: quantile(0.0),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: quantile(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let spread = Distribution::of_us((1..=1000).rev().map(Span::from_us));
        assert_eq!((spread.count, spread.min, spread.max), (1000, 1.0, 1000.0));
        assert_eq!((spread.p50, spread.p90, spread.p99, spread.p999), (500.0, 900.0, 990.0, 999.0));
        assert_eq!(Distribution::of_us(std::iter::empty()), Distribution::default());
        assert_eq!(Distribution::of_us(std::iter::once(Span::from_us(7))).p50, 7.0);
    }
}
