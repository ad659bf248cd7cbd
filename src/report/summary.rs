//! What is left of a run's records: bounded, however long it was.

use super::histogram::Histogram;
use super::kept::Kept;
use super::moments::{GpuTimes, Moments};
use super::series::Series;
use crate::pacing::Record;

/// Spreads over the whole run, its course, and some of its frames whole. 70 KB a spread.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How long before its vblank each frame was handed over.
    pub margin: Histogram,
    /// How much later than planned the loop woke.
    pub wake_late: Histogram,
    /// From the pose to a finished picture.
    pub composite: Histogram,
    /// What of that the GPU says it was busy for; empty where it cannot tell.
    pub gpu: Histogram,
    /// From the pose to light.
    pub latch_to_photon: Histogram,
    /// The run's course.
    pub series: Series,
    /// Some of its frames.
    pub kept: Kept,
    /// Frames taken in.
    pub frames: u64,
    /// Frames whose records did not make it here.
    pub lost: u64,
}

impl Summary {
    /// Takes in the next frame's record.
    pub fn add(&mut self, record: &Record, gpu: GpuTimes) {
        let frame = &record.frame;
        self.margin.add(frame.margin());
        self.wake_late.add(frame.wake - frame.planned_wake);
        self.composite.add(frame.drawn - frame.latch);
        self.latch_to_photon.add(frame.photon - frame.latch);
        if let Some([began, ended]) = gpu {
            self.gpu.add(ended - began);
        }
        self.series.add(record);
        self.kept.add(Moments::of(self.frames, record, gpu));
        self.frames += 1;
    }
}
