//! A frame's moments, as a report keeps them.

use super::table::{Cell, Table};
use crate::pacing::Record;
use crate::time::Instant;

/// When the GPU began and had ended a frame's pass, on the one clock.
pub type GpuTimes = Option<[Instant; 2]>;

/// What a report says of one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// The how manieth of the run.
    pub frame: u64,
    /// Vblanks missed since the frame before.
    pub missed: u64,
    /// Why.
    pub cause: Option<String>,
    /// Whether it showed the app's earlier frame once more.
    pub rewarped: bool,
    /// The vblank it was meant for, by the kernel's count.
    pub target_sequence: u64,
    /// That at which it came on.
    pub flip_sequence: u64,
    /// When the vblank it was meant for was to be, on `CLOCK_MONOTONIC`.
    pub target_ns: i64,
    /// In the order of [`MOMENTS`]: microseconds after that vblank, less than 0 when before it.
    pub at_us: [Option<f64>; MOMENTS.len()],
}

/// A frame's moments, by their columns, in about the order in which they come.
pub const MOMENTS: [&str; 11] = [
    "app_began_us",
    "app_submit_us",
    "planned_wake_us",
    "wake_us",
    "latch_us",
    "gpu_began_us",
    "gpu_ended_us",
    "drawn_us",
    "submit_us",
    "flip_us",
    "photon_us",
];

const COUNTS: [&str; 7] =
    ["frame", "missed", "cause", "rewarped", "target_sequence", "flip_sequence", "target_ns"];

impl Moments {
    /// Those of the run's `number`th frame.
    pub fn of(number: u64, record: &Record, gpu: GpuTimes) -> Self {
        let frame = &record.frame;
        // A stamp of 0 was never taken.
        let after = |at: Instant| (at != Instant::default()).then(|| (at - frame.target.time).as_us_f64());
        let [gpu_began, gpu_ended] = gpu.unwrap_or_default();
        Self {
            frame: number,
            missed: record.missed,
            cause: record.cause.map(|cause| cause.name().to_string()),
            rewarped: frame.rewarped,
            target_sequence: frame.target.sequence,
            flip_sequence: frame.flip.sequence,
            target_ns: frame.target.time.as_ns(),
            at_us: [
                frame.app_began,
                frame.app_submit,
                frame.planned_wake,
                frame.wake,
                frame.latch,
                gpu_began,
                gpu_ended,
                frame.drawn,
                frame.submit,
                frame.flip.time,
                frame.photon,
            ]
            .map(after),
        }
    }

    /// One of [`MOMENTS`].
    pub fn at_us(&self, moment: &str) -> Option<f64> {
        let place = MOMENTS.iter().position(|known| *known == moment)?;
        self.at_us[place].filter(|at| at.is_finite())
    }

    /// As the rows of a table.
    pub fn table<'a>(frames: impl Iterator<Item = &'a Self>) -> Table {
        let columns: Vec<&str> = COUNTS.into_iter().chain(MOMENTS).collect();
        let mut table = Table::new(&columns);
        table.rows.extend(frames.map(|frame| {
            let mut row = vec![
                frame.frame.into(),
                frame.missed.into(),
                frame.cause.clone().map(Cell::Text).into(),
                u64::from(frame.rewarped).into(),
                frame.target_sequence.into(),
                frame.flip_sequence.into(),
                Cell::Integer(frame.target_ns),
            ];
            row.extend(frame.at_us.map(|at| at.map(Cell::thousandths).into()));
            row
        }));
        table
    }

    /// From the rows of a table. What a row lacks is 0 or unknown.
    pub fn from_table(table: &Table) -> Vec<Self> {
        let counts = COUNTS.map(|name| table.column(name));
        let moments = MOMENTS.map(|name| table.column(name));
        let read = |row: &Vec<Cell>| {
            let cell = |column: Option<usize>| column.and_then(|column| row.get(column));
            let [frame, missed, _, rewarped, target_sequence, flip_sequence, target_ns] =
                counts.map(|column| cell(column).and_then(Cell::integer).unwrap_or_default());
            let count = |integer: i64| integer.max(0) as u64;
            Self {
                frame: count(frame),
                missed: count(missed),
                cause: cell(counts[2]).and_then(Cell::text).map(str::to_string),
                rewarped: rewarped != 0,
                target_sequence: count(target_sequence),
                flip_sequence: count(flip_sequence),
                target_ns,
                at_us: moments.map(|column| cell(column).and_then(Cell::number)),
            }
        };
        table.rows.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::Vblank;
    use crate::pacing::{Cause, Frame};

    #[test]
    fn moments_are_told_from_the_vblank_they_were_for_and_survive_json() {
        let at = |us: i64| Instant::from_ns(5_000_000_000 + us * 1_000);
        let frame = Frame {
            target: Vblank { sequence: 90, time: at(0) },
            wake: at(-4_000),
            submit: at(100),
            flip: Vblank { sequence: 91, time: at(11_111) },
            ..Frame::default()
        };
        let record = Record { frame, missed: 1, cause: Some(Cause::GpuLate) };
        let moments = Moments::of(7, &record, Some([at(-3_000), at(50)]));
        assert_eq!(moments.at_us("wake_us"), Some(-4_000.0));
        assert_eq!(moments.at_us("gpu_ended_us"), Some(50.0));
        assert_eq!(moments.at_us("flip_us"), Some(11_111.0));
        assert_eq!(moments.at_us("latch_us"), None, "it was never taken");
        let json = serde_json::to_string(&Moments::table([moments.clone()].iter())).unwrap();
        assert_eq!(Moments::from_table(&serde_json::from_str(&json).unwrap()), [moments]);
    }
}
