//! The report on one run of the vblank loop.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::distribution::Distribution;
use super::histogram::Histogram;
use super::moments::Moments;
use super::series::Series;
use super::summary::Summary;
use super::table::Table;
use crate::compositor::{Run, history};
use crate::pacing::Cause;
use crate::time::Instant;

/// What a run was set up with, which the loop itself does not know.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which program ran.
    pub verb: &'static str,
    /// When the process started.
    pub process_start: Instant,
    /// Bits of a panel code.
    pub bits: u32,
    /// How pictures get to the display.
    pub scanout: &'static str,
    /// Why not in a better way, a sentence each.
    pub scanout_refusals: Vec<String>,
    /// What the vblank thread and the GPU queue run with.
    pub priority: Priority,
    /// The headset's serial number.
    pub serial: String,
    /// The lens formula's name.
    pub lens: &'static str,
    /// Whether mura is corrected.
    pub mura: bool,
    /// The GPU.
    pub gpu: String,
}

/// How urgent the system takes our work to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Priority {
    /// `fifo`, `rr` (from rtkit) or `normal`.
    pub thread: String,
    /// `realtime`, `high`, `medium` or `unknown`.
    pub queue: String,
    /// What was refused, a sentence each.
    pub refusals: Vec<String>,
}

/// See `interface` in the documentation; the field names are a promise.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the documentation of the JSON; units stand in them")]
pub struct Report {
    pub schema: String,
    pub display: Display,
    pub gpu: String,
    pub frames: Frames,
    pub misses: BTreeMap<String, u64>,
    pub margin_us: Distribution,
    pub wake_late_us: Distribution,
    pub composite_us: Distribution,
    pub latch_to_photon_us: Distribution,
    pub first_light_us: Option<f64>,
    #[serde(rename = "loop")]
    pub vblank_loop: Loop,
    pub priority: Priority,
    pub headset: Headset,
    pub lease: Option<Lease>,
    #[serde(default)]
    pub gpu_us: Distribution,
    /// The spreads in buckets: from, to, count. A quantile of the spreads above is off by 0.4 % at most.
    #[serde(default)]
    pub histograms: BTreeMap<String, Vec<(f64, f64, u64)>>,
    #[serde(default)]
    pub over_time: OverTime,
    #[serde(default)]
    pub records: Records,
}

/// The run's course.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OverTime {
    /// When the first frame came on.
    pub begin_ns: i64,
    pub bucket_us: f64,
    #[serde(flatten)]
    pub buckets: Table,
}

/// Some frames whole: the newest, those around misses, the worst.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Records {
    /// Frames whose records could not be read in time, and are in no spread.
    pub lost: u64,
    #[serde(flatten)]
    pub frames: Table,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Display {
    pub source: String,
    pub connector: String,
    pub mode: String,
    pub nominal_hz: f64,
    pub measured_hz: Option<f64>,
    pub clock: String,
    pub bits: u32,
    pub scanout: String,
    pub scanout_refusals: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Frames {
    pub vblanks: u64,
    pub presented: u64,
    pub missed: u64,
    pub rewarped: u64,
    pub app_submitted: u64,
    pub app_late: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Loop {
    pub allocations: u64,
    pub syscalls_per_frame: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Headset {
    pub serial: String,
    pub lens: String,
    pub mura: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// The lessee's number is known to the lessor alone.
    pub id: Option<u32>,
    pub objects: Vec<u32>,
    pub events: Vec<Event>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// `suspended`, `resumed`, `relit`, `lost` or `reacquired`.
    pub event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    pub at_ns: i64,
}

impl From<&history::Event> for Event {
    fn from(event: &history::Event) -> Self {
        let (event_name, why) = (event.what.name().to_string(), event.what.why().map(str::to_string));
        Self { event: event_name, why, at_ns: event.at.as_ns() }
    }
}

impl Report {
    /// The report on `run`, whose records were read into `summary`.
    pub fn new(run: &Run, setup: &Setup, summary: &Summary) -> Self {
        let description = &run.description;
        let totals = run.history.recorder.totals();
        let Summary { margin, wake_late, composite, gpu, latch_to_photon, .. } = summary;
        let spreads = [margin, wake_late, composite, gpu, latch_to_photon];
        let [margin_us, wake_late_us, composite_us, gpu_us, latch_to_photon_us] =
            spreads.map(Histogram::distribution_us);
        Self {
            schema: format!("leasehold.{}/1", setup.verb),
            display: Display {
                source: description.source.to_string(),
                connector: description.connector.clone(),
                mode: format!("{}x{}", description.width_px, description.height_px),
                nominal_hz: description.nominal_hz,
                measured_hz: run.measured_hz,
                clock: description.clock.name().to_string(),
                bits: setup.bits,
                scanout: setup.scanout.to_string(),
                scanout_refusals: setup.scanout_refusals.clone(),
            },
            gpu: setup.gpu.clone(),
            frames: Frames {
                vblanks: totals.vblanks,
                presented: totals.presented,
                missed: totals.missed,
                rewarped: totals.rewarped,
                app_submitted: run.app.submitted,
                app_late: run.app.late,
            },
            misses: Cause::ALL
                .into_iter()
                .zip(totals.causes)
                .filter(|&(_, count)| count > 0)
                .map(|(cause, count)| (cause.name().to_string(), count))
                .collect(),
            margin_us,
            wake_late_us,
            composite_us,
            gpu_us,
            latch_to_photon_us,
            first_light_us: run.history.first_flip.map(|first| (first - setup.process_start).as_us_f64()),
            vblank_loop: Loop {
                allocations: run.allocations,
                syscalls_per_frame: run.system_calls_per_frame,
            },
            priority: setup.priority.clone(),
            headset: Headset { serial: setup.serial.clone(), lens: setup.lens.to_string(), mura: setup.mura },
            lease: (!description.leased_objects.is_empty()).then(|| Lease {
                id: None,
                objects: description.leased_objects.clone(),
                events: run.history.events.iter().map(Event::from).collect(),
            }),
            histograms: HISTOGRAMS
                .into_iter()
                .zip(spreads)
                .map(|(name, histogram)| (name.to_string(), buckets_us(histogram)))
                .collect(),
            over_time: OverTime::from(&summary.series),
            records: Records { lost: summary.lost, frames: Moments::table(summary.kept.frames()) },
        }
    }

    /// The same for a person, some lines long.
    pub fn summary(&self) -> String {
        let Self { display, frames, .. } = self;
        let measured = display.measured_hz.map_or("not measured".to_string(), |hz| format!("{hz:.3} Hz"));
        let share = 100.0 * frames.missed as f64 / frames.vblanks.max(1) as f64;
        let causes: Vec<String> =
            self.misses.iter().map(|(cause, count)| format!("{count} {}", cause.replace('_', " "))).collect();
        let causes = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) };
        format!(
            "display    {} {} from {}, mode says {:.3} Hz, measured {measured} by {}\n\
             scanout    {} bits by {}, drawn by {}\n\
             headset    {}, lens {}, mura {}\n\
             frames     {} of {} vblanks got a new frame, {} missed = {share:.2} %{causes}\n\
             app        {} frames, {} late, {} shown again with a newer pose\n\
             composite  {:.2} ms half the time, {:.2} ms at most; ready {:.2} ms before the vblank half the time\n\
             latency    {:.2} ms from pose to light half the time\n\
             loop       {} allocations, {:.1} system calls a frame, thread {}, queue {}",
            display.connector,
            display.mode,
            display.source,
            display.nominal_hz,
            display.clock,
            display.bits,
            display.scanout,
            self.gpu,
            self.headset.serial,
            self.headset.lens,
            if self.headset.mura { "corrected" } else { "not corrected" },
            frames.presented,
            frames.vblanks,
            frames.missed,
            frames.app_submitted,
            frames.app_late,
            frames.rewarped,
            self.composite_us.p50 / 1e3,
            self.composite_us.max / 1e3,
            self.margin_us.p50 / 1e3,
            self.latch_to_photon_us.p50 / 1e3,
            self.vblank_loop.allocations,
            self.vblank_loop.syscalls_per_frame,
            self.priority.thread,
            self.priority.queue,
        )
    }
}

/// The names of the spreads, as they stand in a report.
const HISTOGRAMS: [&str; 5] = ["margin_us", "wake_late_us", "composite_us", "gpu_us", "latch_to_photon_us"];

fn buckets_us(histogram: &Histogram) -> Vec<(f64, f64, u64)> {
    histogram.buckets().map(|bucket| (bucket.from.as_us_f64(), bucket.to.as_us_f64(), bucket.count)).collect()
}

impl From<&Series> for OverTime {
    fn from(series: &Series) -> Self {
        Self {
            begin_ns: series.begin().unwrap_or_default().as_ns(),
            bucket_us: series.span().as_us_f64(),
            buckets: series.table(),
        }
    }
}
