//! How a run went over time, in a fixed number of buckets that grow with it.

use super::table::{Cell, Table};
use crate::pacing::Record;
use crate::time::{Instant, Span};

/// As many as a plot can show.
const BUCKETS: usize = 512;
/// What a bucket spans at first.
const SHORTEST: Span = Span::from_ms(100);

/// Buckets of time, each with what happened in it. Where there are too many, two become one.
#[derive(Clone, Debug)]
pub struct Series {
    begin: Option<Instant>,
    span: Span,
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    frames: u64,
    missed: u64,
    rewarped: u64,
    margin: Extremes,
    composite: Extremes,
    latch_to_photon: Extremes,
}

/// The least, the sum and the greatest of as many spans as there are frames.
#[derive(Clone, Copy, Debug)]
struct Extremes {
    least: Span,
    sum: Span,
    most: Span,
}

impl Default for Series {
    fn default() -> Self {
        Self { begin: None, span: SHORTEST, buckets: Vec::with_capacity(BUCKETS) }
    }
}

impl Series {
    /// The columns of [`table`](Self::table).
    pub const COLUMNS: [&str; 9] = [
        "from_us",
        "frames",
        "missed",
        "rewarped",
        "margin_min_us",
        "margin_mean_us",
        "margin_max_us",
        "composite_max_us",
        "latch_to_photon_mean_us",
    ];

    /// Takes in a frame. Frames come in order.
    pub fn add(&mut self, record: &Record) {
        let frame = &record.frame;
        let since = frame.flip.time - *self.begin.get_or_insert(frame.flip.time);
        let place = |span: Span| (since.as_ns() / span.as_ns()).max(0) as usize;
        while place(self.span) >= BUCKETS {
            self.halve();
        }
        let place = place(self.span);
        if self.buckets.len() <= place {
            self.buckets.resize(place + 1, Bucket::default());
        }
        self.buckets[place].merge(&Bucket {
            frames: 1,
            missed: record.missed,
            rewarped: frame.rewarped.into(),
            margin: Extremes::of(frame.margin()),
            composite: Extremes::of(frame.drawn - frame.latch),
            latch_to_photon: Extremes::of(frame.photon - frame.latch),
        });
    }

    fn halve(&mut self) {
        self.span = self.span * 2;
        for pair in 0..self.buckets.len().div_ceil(2) {
            let mut merged = self.buckets[2 * pair];
            if let Some(second) = self.buckets.get(2 * pair + 1) {
                merged.merge(second);
            }
            self.buckets[pair] = merged;
        }
        self.buckets.truncate(self.buckets.len().div_ceil(2));
    }

    /// When the first frame came on.
    pub fn begin(&self) -> Option<Instant> {
        self.begin
    }

    /// What each row of the table spans.
    pub fn span(&self) -> Span {
        self.span
    }

    /// A row for each stretch of time in which a frame came on, counted from the first frame's flip.
    pub fn table(&self) -> Table {
        let mut table = Table::new(&Self::COLUMNS);
        let rows = self.buckets.iter().enumerate().filter(|(_, bucket)| bucket.frames > 0);
        table.rows.extend(rows.map(|(place, bucket)| {
            let us = |span: Span| Cell::thousandths(span.as_us_f64());
            let mean = |extremes: Extremes| us(extremes.sum / bucket.frames as i64);
            vec![
                us(self.span * place as i64),
                bucket.frames.into(),
                bucket.missed.into(),
                bucket.rewarped.into(),
                us(bucket.margin.least),
                mean(bucket.margin),
                us(bucket.margin.most),
                us(bucket.composite.most),
                mean(bucket.latch_to_photon),
            ]
        }));
        table
    }
}

impl Bucket {
    fn merge(&mut self, other: &Self) {
        self.frames += other.frames;
        self.missed += other.missed;
        self.rewarped += other.rewarped;
        self.margin.merge(other.margin);
        self.composite.merge(other.composite);
        self.latch_to_photon.merge(other.latch_to_photon);
    }
}

impl Extremes {
    fn of(span: Span) -> Self {
        Self { least: span, sum: span, most: span }
    }

    fn merge(&mut self, other: Self) {
        self.least = self.least.min(other.least);
        self.sum = self.sum + other.sum;
        self.most = self.most.max(other.most);
    }
}

impl Default for Extremes {
    fn default() -> Self {
        Self { least: Span::from_ns(i64::MAX), sum: Span::ZERO, most: Span::from_ns(i64::MIN) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacing::Frame;

    fn record(at: Instant, margin: Span) -> Record {
        let mut frame = Frame::default();
        (frame.flip.time, frame.target.time, frame.submit) = (at, at, at - margin);
        Record { frame, missed: u64::from(margin < Span::ZERO), cause: None }
    }

    #[test]
    fn a_long_run_takes_no_more_rows_and_loses_no_frame() {
        let mut series = Series::default();
        let period = Span::from_us(11_111);
        let frames = 400_000;
        for number in 0..frames {
            let margin = Span::from_us(if number == 333_333 { -5 } else { 2_000 + number % 7 });
            series.add(&record(Instant::from_ns(1 << 40) + period * number, margin));
        }
        let table = series.table();
        assert!((BUCKETS / 2..=BUCKETS).contains(&table.rows.len()), "{} rows", table.rows.len());
        assert_eq!(series.span(), SHORTEST * 128);
        assert_eq!(table.numbers("frames").map(Option::unwrap).sum::<f64>(), frames as f64);
        let worst = table.rows.iter().find(|row| row[2] == Cell::Integer(1)).expect("the miss has its row");
        assert_eq!(worst[4], Cell::Number(-5.0));
        let from = worst[0].number().unwrap();
        let at = (period * 333_333).as_us_f64();
        assert!(from <= at && at < from + series.span().as_us_f64(), "{from} for {at}");
    }

    #[test]
    fn a_pause_has_no_rows() {
        let mut series = Series::default();
        for second in [0, 1, 20, 21] {
            series.add(&record(Instant::from_ns(second * 1_000_000_000), Span::from_us(second)));
        }
        assert_eq!(series.table().rows.len(), 4);
    }
}
