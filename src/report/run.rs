//! The report on one run of the vblank loop.

use std::collections::BTreeMap;

use serde::Serialize;

use super::distribution::Distribution;
use crate::compositor::{Run, history};
use crate::pacing::{Cause, Frame};
use crate::time::{Instant, Span};

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
#[derive(Clone, Debug, Serialize)]
pub struct Priority {
    /// `fifo` or `normal`.
    pub thread: &'static str,
    /// `realtime`, `high`, `medium` or `unknown`.
    pub queue: &'static str,
    /// What was refused, a sentence each.
    pub refusals: Vec<String>,
}

/// See `interface` in the documentation; the field names are a promise.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names are the documentation of the JSON; units stand in them")]
pub struct Report {
    pub schema: String,
    pub display: Display,
    pub gpu: String,
    pub frames: Frames,
    pub misses: BTreeMap<&'static str, u64>,
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
}

#[derive(Clone, Debug, Serialize)]
pub struct Display {
    pub source: &'static str,
    pub connector: String,
    pub mode: String,
    pub nominal_hz: f64,
    pub measured_hz: Option<f64>,
    pub clock: &'static str,
    pub bits: u32,
    pub scanout: &'static str,
    pub scanout_refusals: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Frames {
    pub vblanks: u64,
    pub presented: u64,
    pub missed: u64,
    pub rewarped: u64,
    pub app_submitted: u64,
    pub app_late: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Loop {
    pub allocations: u64,
    pub syscalls_per_frame: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Headset {
    pub serial: String,
    pub lens: &'static str,
    pub mura: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct Lease {
    /// The lessee's number is known to the lessor alone.
    pub id: Option<u32>,
    pub objects: Vec<u32>,
    pub events: Vec<Event>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// `suspended`, `resumed`, `relit`, `lost` or `reacquired`.
    pub event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    pub at_ns: i64,
}

impl From<&history::Event> for Event {
    fn from(event: &history::Event) -> Self {
        Self { event: event.what.name(), why: event.what.why(), at_ns: event.at.as_ns() }
    }
}

impl Report {
    /// The report on `run`.
    pub fn new(run: &Run, setup: &Setup) -> Self {
        let description = &run.description;
        let totals = run.history.recorder.totals();
        let spread =
            |of: fn(&Frame) -> Span| Distribution::of_us(run.history.recorder.frames().iter().map(of));
        Self {
            schema: format!("leasehold.{}/1", setup.verb),
            display: Display {
                source: description.source,
                connector: description.connector.clone(),
                mode: format!("{}x{}", description.width_px, description.height_px),
                nominal_hz: description.nominal_hz,
                measured_hz: run.measured_hz,
                clock: description.clock.name(),
                bits: setup.bits,
                scanout: setup.scanout,
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
                .map(|(cause, count)| (cause.name(), count))
                .collect(),
            margin_us: spread(Frame::margin),
            wake_late_us: spread(|frame| frame.wake - frame.planned_wake),
            composite_us: spread(|frame| frame.drawn - frame.latch),
            latch_to_photon_us: spread(|frame| frame.photon - frame.latch),
            first_light_us: run.history.first_flip.map(|first| (first - setup.process_start).as_us_f64()),
            vblank_loop: Loop {
                allocations: run.allocations,
                syscalls_per_frame: run.system_calls_per_frame,
            },
            priority: setup.priority.clone(),
            headset: Headset { serial: setup.serial.clone(), lens: setup.lens, mura: setup.mura },
            lease: (!description.leased_objects.is_empty()).then(|| Lease {
                id: None,
                objects: description.leased_objects.clone(),
                events: run.history.events.iter().map(Event::from).collect(),
            }),
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
