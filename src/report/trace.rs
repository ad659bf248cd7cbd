//! A run in the format of Chrome's trace viewer, which Perfetto reads: each frame on the tracks of app, loop, GPU and
//! kernel, on one clock, with an arrow that follows it from one to the next.
//!
//! The format: "Trace Event Format", JSON Object Format. Times are microseconds of `CLOCK_MONOTONIC`, so that a trace of the
//! kernel's own (`trace_clock` set to `mono`) can be laid beside it.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::moments::GpuTimes;
use crate::compositor::history::Event;
use crate::kms::Vblank;
use crate::pacing::{Frame, Record};
use crate::time::{Instant, Span};
use crate::vulkan::timestamps::Counter;

/// How the GPU's own times get onto the one clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GpuClock {
    /// The driver tells what its counter reads on `CLOCK_MONOTONIC`.
    Calibrated {
        /// By how much that may be wrong.
        deviation: Span,
    },
    /// It counts, but does not tell that: a pass is as long as it says, and ends where the loop saw it end.
    Uncalibrated(Counter),
    /// It does not count.
    None,
}

/// A place where things happen one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Track {
    App = 1,
    Loop = 2,
    Gpu = 3,
    Commit = 4,
    Panel = 5,
    Vblank = 6,
    Lease = 7,
}

/// Processes of the trace: who does the work.
const CPU: u32 = 1;
const GPU: u32 = 2;
const KERNEL: u32 = 3;

impl Track {
    const ALL: [Self; 7] =
        [Self::App, Self::Loop, Self::Gpu, Self::Commit, Self::Panel, Self::Vblank, Self::Lease];

    fn process(self) -> u32 {
        match self {
            Self::App | Self::Loop => CPU,
            Self::Gpu => GPU,
            Self::Commit | Self::Panel | Self::Vblank | Self::Lease => KERNEL,
        }
    }

    fn name(self, gpu: GpuClock) -> String {
        match self {
            Self::App => "app: draws the eye images".to_string(),
            Self::Loop => "vblank loop: wake, latch, submit".to_string(),
            Self::Gpu => match gpu {
                GpuClock::Calibrated { deviation } => {
                    format!("composite pass, by the GPU's counter (within {} ns)", deviation.as_ns())
                }
                GpuClock::Uncalibrated(_) => {
                    "composite pass: length by the GPU's counter, end as the loop saw it".to_string()
                }
                GpuClock::None => "composite pass as the loop saw it: this GPU has no counter".to_string(),
            },
            Self::Commit => "commit waits for its vblank".to_string(),
            Self::Panel => "panel shows".to_string(),
            Self::Vblank => "vblanks".to_string(),
            Self::Lease => "lease".to_string(),
        }
    }
}

/// A trace that is being written, frame by frame.
pub struct Trace<'a> {
    file: &'a mut dyn Write,
    gpu: GpuClock,
    first: bool,
    frames: u64,
    /// The newest frame on the panel; how long it stays is known with the next.
    shown: Option<(u64, Frame)>,
    app_submit: Instant,
    /// When each track was busy until: nothing on it begins before.
    busy: [Instant; Track::ALL.len()],
}

impl<'a> Trace<'a> {
    /// Begins one in `file`.
    ///
    /// # Errors
    /// When `file` cannot be written to.
    pub fn begin(file: &'a mut dyn Write, gpu: GpuClock) -> io::Result<Self> {
        let long_ago = Instant::from_ns(i64::MIN);
        let (shown, app_submit, busy) = (None, long_ago, [long_ago; Track::ALL.len()]);
        let mut trace = Self { file, gpu, first: true, frames: 0, shown, app_submit, busy };
        write!(
            trace.file,
            r#"{{"displayTimeUnit":"ms","otherData":{{"schema":"leasehold.trace/1","clock":"CLOCK_MONOTONIC"}},"traceEvents":["#
        )?;
        for (process, name) in [(CPU, "leasehold, on the CPU"), (GPU, "GPU"), (KERNEL, "kernel and panel")] {
            let named = json!({"ph": "M", "pid": process, "tid": 0, "ts": 0, "name": "process_name", "args": {"name": name}});
            trace.event(&named)?;
            trace
                .event(&json!({"ph": "M", "pid": process, "tid": 0, "ts": 0, "name": "process_sort_index",
                        "args": {"sort_index": process}}))?;
        }
        for track in Track::ALL {
            let mut named = trace.on(track, "M", "thread_name", Instant::default());
            named["args"] = json!({"name": track.name(gpu)});
            trace.event(&named)?;
            let mut sorted = trace.on(track, "M", "thread_sort_index", Instant::default());
            sorted["args"] = json!({"sort_index": track as u32});
            trace.event(&sorted)?;
        }
        Ok(trace)
    }

    /// Adds a frame. Frames come in the order in which they were shown.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub fn add(&mut self, record: &Record, gpu: GpuTimes) -> io::Result<()> {
        let frame = &record.frame;
        let (number, name) = (self.frames, format!("frame {}", self.frames));
        self.frames += 1;
        let is_new = frame.app_submit > self.app_submit;
        if is_new {
            self.app_submit = frame.app_submit;
            let begin = self.slice(Track::App, &name, frame.app_began, frame.app_submit, json!({}))?;
            self.arrow(Track::App, "s", number, begin)?;
        }
        let arguments = json!({
            "frame": number,
            "for_sequence": frame.target.sequence,
            "woke_late_us": us(frame.wake - frame.planned_wake),
            "margin_us": us(frame.margin()),
            "rewarped": frame.rewarped,
        });
        let wake = self.slice(Track::Loop, &name, frame.wake, frame.submit, arguments)?;
        // Where the app's frame is not a new one, its way begins here.
        self.arrow(Track::Loop, if is_new { "t" } else { "s" }, number, wake)?;
        self.inside(Track::Loop, "latch and composite", frame.latch, frame.drawn)?;
        self.inside(Track::Loop, "make ready for scanout", frame.drawn, frame.ready)?;
        self.inside(Track::Loop, "wait for the flip before", frame.ready, frame.commit)?;
        self.inside(Track::Loop, "commit", frame.commit, frame.submit)?;
        let [began, ended] = gpu.unwrap_or_else(|| self.as_the_loop_saw_it(frame));
        let begin = self.slice(Track::Gpu, &name, began, ended, json!({}))?;
        self.arrow(Track::Gpu, "t", number, begin)?;
        self.slice(Track::Commit, &name, frame.submit, frame.flip.time, json!({}))?;
        self.vblanks(record)?;
        self.show(number, Some(frame))
    }

    /// Ends it, with what became of the lease.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub fn finish(mut self, events: &[Event]) -> io::Result<()> {
        self.show(self.frames, None)?;
        for event in events {
            let mut happened = self.on(Track::Lease, "i", event.what.name(), event.at);
            happened["s"] = json!("g");
            happened["args"] = json!({"why": event.what.why()});
            self.event(&happened)?;
        }
        writeln!(self.file, "\n]}}")
    }

    fn as_the_loop_saw_it(&self, frame: &Frame) -> [Instant; 2] {
        let [began, ended] = frame.gpu_ticks;
        match self.gpu {
            GpuClock::Uncalibrated(counter) => [frame.drawn - counter.between(began, ended), frame.drawn],
            GpuClock::Calibrated { .. } | GpuClock::None => [frame.latch, frame.drawn],
        }
    }

    /// The vblanks since the frame before: those that were missed, at their places between two that are known, and its own.
    fn vblanks(&mut self, record: &Record) -> io::Result<()> {
        let flip = record.frame.flip;
        let before = self
            .shown
            .map(|(_, frame)| frame.flip)
            .filter(|before| before.sequence + record.missed + 1 == flip.sequence && before.time < flip.time);
        if let Some(before) = before {
            let period = (flip.time - before.time) / (record.missed + 1) as i64;
            // A display that was away for long has more of them than anybody looks at.
            for count in 1..=record.missed.min(MOST_MISSED) {
                let at = before.time + period * count as i64;
                let sequence = before.sequence + count;
                let cause = record.cause.map_or("", |cause| cause.name());
                self.vblank(&format!("missed: {}", cause.replace('_', " ")), Vblank { sequence, time: at })?;
            }
        }
        self.vblank("vblank", flip)
    }

    fn vblank(&mut self, name: &str, vblank: Vblank) -> io::Result<()> {
        let mut happened = self.on(Track::Vblank, "i", name, vblank.time);
        happened["s"] = json!("t");
        happened["args"] = json!({"sequence": vblank.sequence});
        self.event(&happened)
    }

    /// Shows the frame before until the next came on, or to its light where there is none.
    fn show(&mut self, number: u64, next: Option<&Frame>) -> io::Result<()> {
        if let Some((shown, frame)) = self.shown.take() {
            let until = next.map_or(frame.photon, |next| next.flip.time);
            let name = format!("frame {shown}");
            let arguments = json!({
                "sequence": frame.flip.sequence,
                "latch_to_photon_us": us(frame.photon - frame.latch),
            });
            let begin = self.slice(Track::Panel, &name, frame.flip.time, until, arguments)?;
            self.arrow(Track::Panel, "f", shown, begin)?;
            let mut light = self.on(Track::Panel, "i", "photon", frame.photon.clamp(begin, until.max(begin)));
            light["s"] = json!("t");
            self.event(&light)?;
        }
        self.shown = next.map(|next| (number, *next));
        Ok(())
    }

    /// Something that took a while, after all that was on its track before; when it begins there.
    fn slice(
        &mut self,
        track: Track,
        name: &str,
        from: Instant,
        to: Instant,
        arguments: Value,
    ) -> io::Result<Instant> {
        let busy = &mut self.busy[track as usize - 1];
        let from = from.max(*busy);
        let to = to.max(from);
        *busy = to;
        let mut slice = self.on(track, "X", name, from);
        slice["dur"] = json!(us(to - from));
        slice["args"] = arguments;
        self.event(&slice)?;
        Ok(from)
    }

    /// A part of the slice that was added last.
    fn inside(&mut self, track: Track, name: &str, from: Instant, to: Instant) -> io::Result<()> {
        let mut slice = self.on(track, "X", name, from);
        slice["dur"] = json!(us((to - from).max(Span::ZERO)));
        self.event(&slice)
    }

    /// A step on a frame's way: it begins (`s`), goes on (`t`) or ends (`f`) in the slice that is there then.
    fn arrow(&mut self, track: Track, step: &str, frame: u64, at: Instant) -> io::Result<()> {
        let mut arrow = self.on(track, step, "frame", at);
        arrow["cat"] = json!("frame");
        arrow["id"] = json!(frame);
        if step == "f" {
            // Bound to the slice around it, not to the next one.
            arrow["bp"] = json!("e");
        }
        self.event(&arrow)
    }

    fn on(&self, track: Track, phase: &str, name: &str, at: Instant) -> Value {
        json!({"ph": phase, "pid": track.process(), "tid": track as u32, "ts": us(at - Instant::default()), "name": name})
    }

    fn event(&mut self, event: &Value) -> io::Result<()> {
        let separator = if std::mem::take(&mut self.first) { "" } else { "," };
        write!(self.file, "{separator}\n{event}")
    }
}

/// As many missed vblanks as are shown one by one.
const MOST_MISSED: u64 = 1_000;

fn us(span: Span) -> f64 {
    span.as_us_f64()
}
