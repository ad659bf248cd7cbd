//! Plays the live pacing code against virtual time, beside an oracle that knows every cost in advance and a rule that
//! keeps a fixed time in hand.

mod load;
mod model;

use super::pacer::Pacer;
use super::record::{Frame, Recorder, Totals};
use super::schedule::Timing;
use crate::kms::Vblank;
use crate::time::{Instant, Span};

pub use load::{Costs, Load, LoadError};
pub use model::Model;

/// Who decides when a frame is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The live code.
    Live,
    /// So long before the vblank that the same clock predicts, always.
    Fixed(Span),
    /// At the last moment that makes it, by what only it can know.
    Oracle,
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Its vblanks, and what was missed for which cause.
    pub totals: Totals,
    /// For each frame, how long before its vblank it was handed over.
    pub margins: Vec<Span>,
    /// For each frame, how old its pose was when its light left the panel.
    pub latch_to_photon: Vec<Span>,
    /// How far the measured period was off the true one, in parts in a million: the most there was after ten seconds.
    /// `None` for a shorter run and for the oracle, which measures none.
    pub period_error_ppm: Option<f64>,
    /// Vblanks a second, as measured.
    pub measured_hz: Option<f64>,
}

/// A display, a GPU and an app whose every delay is known.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// Vblanks a second, in truth.
    pub hz: f64,
    /// What frames cost.
    pub load: Load,
    /// How many frames are shown.
    pub frames: u64,
}

/// The kernel takes a commit for the next vblank if it comes this much before; nobody is told.
const KERNEL: Span = Span::from_us(200);
/// A commit takes this long.
const COMMIT: Span = Span::from_us(40);
/// So long after a flip the loop knows of it.
const FLIP_NEWS: Span = Span::from_us(60);
/// When the clock is to know the period.
const TEN_SECONDS: Span = Span::from_ms(10_000);
/// The GPU rests so long between two frames; the live code pauses as long for the kernel.
const PAUSE: Span = Span::from_us(500);

/// The vblanks of a display whose period is no whole number of nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Vblanks {
    period_ns: f64,
}

impl Vblanks {
    fn time(self, sequence: u64) -> Instant {
        Instant::from_ns((sequence as f64 * self.period_ns).round() as i64)
    }

    /// The first vblank from `sequence` on that shows what is handed over at `submit`.
    fn flip(self, sequence: u64, submit: Instant) -> Vblank {
        let about = ((submit + KERNEL).as_ns() as f64 / self.period_ns).floor().max(0.0) as u64;
        let made = |&sequence: &u64| self.time(sequence) - submit >= KERNEL;
        let sequence = (sequence.max(about)..).find(made).expect("time goes on");
        Vblank { sequence, time: self.time(sequence) }
    }

    /// The first vblank after that time.
    fn after(self, time: Instant) -> Instant {
        self.flip(0, time + Span::from_ns(1) - KERNEL).time
    }
}

/// An app that begins a frame at a vblank and the next at the first one after it has handed that over.
#[derive(Debug)]
struct App {
    done: Instant,
}

impl App {
    /// Whether a new frame of it lies there at `latch`; `costs` is what the next one takes.
    fn has_new(&mut self, latch: Instant, vblanks: Vblanks, costs: &Costs) -> bool {
        let fresh = self.done <= latch;
        if fresh {
            self.done = vblanks.after(self.done) + costs.app;
        }
        fresh
    }
}

impl Simulation {
    /// Plays the run with `rule` in charge. The same simulation gives the same outcome, always.
    pub fn play(&self, rule: Rule) -> Outcome {
        match rule {
            Rule::Live => self.play_loop(None),
            Rule::Fixed(in_hand) => self.play_loop(Some(in_hand)),
            Rule::Oracle => self.play_oracle(),
        }
    }

    /// The mode's numbers: its rate is a whole one, which the true rate need not be.
    fn timing(&self) -> Timing {
        let period = Span::from_secs_f64(1.0 / self.hz.round().max(1.0));
        Timing { period, blanking: Span::ZERO, to_photon: period * 4 / 5 }
    }

    fn vblanks(&self) -> Vblanks {
        Vblanks { period_ns: 1e9 / self.hz }
    }

    /// Goes the way of the live loop, with `now` where that one reads the clock.
    fn play_loop(&self, fixed: Option<Span>) -> Outcome {
        let (vblanks, mut load) = (self.vblanks(), self.load.clone());
        let mut pacer = Pacer::new(self.timing());
        let mut tally = Tally::new(self.frames);
        let mut app = App { done: Instant::default() };
        let mut now = Instant::default();
        let mut noise = Span::ZERO;
        for _ in 0..self.frames {
            let costs = load.next_frame();
            let plan = |pacer: &Pacer, now| {
                let mut frame = pacer.plan(now);
                if let Some(in_hand) = fixed.filter(|_| pacer.clock().newest().is_some()) {
                    frame.planned_wake = (frame.target.time - in_hand).max(now);
                    frame.plan.wake_by = frame.planned_wake;
                }
                frame
            };
            let mut settle = |pacer: &mut Pacer, now: &mut Instant, noise: Span| {
                let Some(pending) = pacer.pending() else { return };
                let last = pacer.clock().newest().map_or(0, |newest| newest.sequence);
                let flip = vblanks.flip(last + 1, pending.submit);
                *now = (*now).max(flip.time + FLIP_NEWS);
                let stamped = Vblank { time: flip.time + noise, ..flip };
                let frame = pacer.came_on(stamped).expect("it was under way");
                tally.add(&frame, flip);
                tally.check_period(pacer.clock().period_ns(), vblanks.period_ns, flip.time);
            };
            let mut frame = plan(&pacer, now);
            frame.wake = frame.planned_wake.max(now) + costs.wake_late;
            now = frame.wake;
            if pacer.pending().is_some_and(|pending| pending.target.time <= frame.planned_wake) {
                settle(&mut pacer, &mut now, noise);
                let planned = plan(&pacer, now);
                if planned.target.sequence > frame.target.sequence {
                    frame = Frame { wake: planned.planned_wake.max(now) + costs.wake_late, ..planned };
                }
                (frame.target, frame.plan) = (planned.target, planned.plan);
            }
            frame.latch = frame.wake;
            frame.rewarped = !app.has_new(frame.latch, vblanks, &costs);
            frame.drawn = frame.latch + costs.composite;
            frame.ready = frame.drawn;
            now = frame.ready;
            let lit = pacer.clock().newest().is_some();
            if pacer.pending().is_some() {
                settle(&mut pacer, &mut now, noise);
                let Frame { target, plan, .. } = plan(&pacer, now);
                (frame.target, frame.plan) = (target, plan);
            }
            frame.commit = now;
            frame.submit = now + COMMIT;
            now = frame.submit;
            pacer.hand_over(frame);
            noise = costs.timestamp_noise;
            if !lit {
                settle(&mut pacer, &mut now, noise);
            }
        }
        tally.outcome(pacer.clock().measured_hz())
    }

    /// Begins each frame so that it is handed over at the last moment that the kernel takes.
    fn play_oracle(&self) -> Outcome {
        let (vblanks, mut load) = (self.vblanks(), self.load.clone());
        let to_photon = self.timing().to_photon;
        let mut tally = Tally::new(self.frames);
        let mut app = App { done: Instant::default() };
        let mut last = Frame::default();
        for number in 0..self.frames {
            let costs = load.next_frame();
            let needed = costs.composite + COMMIT;
            let soonest = last.submit + PAUSE + costs.wake_late;
            let target = last.flip.sequence + 1;
            let flip = vblanks.flip(target, soonest + needed);
            let submit = flip.time - KERNEL;
            let latch = submit - needed;
            let target = Vblank { sequence: target, time: vblanks.time(target) };
            let mut frame = Frame { number, target, wake: latch, latch, submit, flip, ..Frame::default() };
            frame.photon = flip.time + to_photon;
            frame.rewarped = !app.has_new(latch, vblanks, &costs);
            tally.add(&frame, flip);
            last = frame;
        }
        tally.outcome(None)
    }
}

/// What is noted of each frame.
struct Tally {
    recorder: Recorder,
    margins: Vec<Span>,
    latch_to_photon: Vec<Span>,
    period_error_ppm: Option<f64>,
}

impl Tally {
    fn new(frames: u64) -> Self {
        let capacity = usize::try_from(frames).unwrap_or(0).min(1 << 24);
        Self {
            recorder: Recorder::new(1),
            margins: Vec::with_capacity(capacity),
            latch_to_photon: Vec::with_capacity(capacity),
            period_error_ppm: None,
        }
    }

    /// Adds a frame that in truth came on at `flip`.
    fn add(&mut self, frame: &Frame, flip: Vblank) {
        self.recorder.add(frame);
        self.margins.push(frame.margin());
        let light = frame.photon + (flip.time - frame.flip.time);
        self.latch_to_photon.push(light - frame.latch);
    }

    fn check_period(&mut self, measured_ns: f64, true_ns: f64, now: Instant) {
        if now - Instant::default() >= TEN_SECONDS {
            let off = ((measured_ns / true_ns - 1.0) * 1e6).abs();
            self.period_error_ppm = Some(self.period_error_ppm.map_or(off, |most| most.max(off)));
        }
    }

    fn outcome(self, measured_hz: Option<f64>) -> Outcome {
        Outcome {
            totals: self.recorder.totals(),
            margins: self.margins,
            latch_to_photon: self.latch_to_photon,
            period_error_ppm: self.period_error_ppm,
            measured_hz,
        }
    }
}

#[cfg(test)]
mod tests;
