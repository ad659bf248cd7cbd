//! The loop: once a vblank, wake, latch the pose, composite, hand over, and see the frame come on.
//!
//! Where a composite takes longer than what is left after a flip, the next one is begun before that flip: a device
//! that is nearly too slow then still shows a new frame at every vblank.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::composite::{Compositor, Pass};
use super::eye_images::EyeImages;
use super::frames::{AppFrame, AppTotals, DisplayState, FrameReader, SLOTS};
use super::history::{Event, History, What};
use super::pose::Pose;
use super::scanout::Picture;
use crate::display::{Clock, Description, Display, DisplayError};
use crate::headset::Illumination;
use crate::kms::Vblank;
use crate::lease::liveness::Loss;
use crate::pacing::{Frame, RateCheck, Schedule, VblankClock};
use crate::thread::{allocations::allocations, sleep_until, system_calls};
use crate::time::{Instant, Span};
use crate::vulkan::{Image, VulkanError};

/// Says where the head looks at a given time, as near as can be told when asked.
pub trait PoseSource: Send {
    /// The pose expected at `photon`. Called in the loop: must not block or allocate.
    fn pose_at(&mut self, photon: Instant) -> Pose;
}

/// One of the pictures that the display shows in turn, with a pass from each slot of eye images.
#[derive(Debug)]
pub struct LoopPicture {
    passes: Vec<Pass>,
    target: Arc<Image>,
    scanout: Option<Picture>,
}

impl LoopPicture {
    /// A picture that is drawn from any of the slots. Without `scanout` nothing but readback ever sees it.
    pub fn new(
        compositor: &Compositor,
        slots: &[Arc<EyeImages>; SLOTS],
        target: Arc<Image>,
        scanout: Option<Picture>,
    ) -> Result<Self, VulkanError> {
        let passes = slots.iter().map(|images| compositor.pass(images, &target)).collect::<Result<_, _>>()?;
        Ok(Self { passes, target, scanout })
    }
}

/// What ends a run.
#[derive(Clone, Debug)]
pub struct Limit {
    /// So many frames on the panel, the first included.
    pub frames: Option<u64>,
    /// So long after the first frame came on.
    pub time: Option<Span>,
    /// As soon as this is set.
    pub stop: Arc<AtomicBool>,
}

impl Limit {
    /// Whether it is reached at `now`, by a run with that history.
    pub fn is_reached(&self, history: &History, now: Instant) -> bool {
        let lit_for = history.first_flip.map(|first| now - first);
        self.stop.load(Ordering::Relaxed)
            || self.frames.is_some_and(|frames| history.frames >= frames)
            || self.time.zip(lit_for).is_some_and(|(time, lit_for)| lit_for >= time)
    }
}

/// A run that has ended, and what outlives it.
#[derive(Debug)]
pub struct Ended {
    /// What it was like.
    pub run: Run,
    /// The display, still lit.
    pub display: Box<dyn Display>,
    /// Where the app's frames come from.
    pub frames: FrameReader,
}

/// What a run was like.
#[derive(Debug)]
pub struct Run {
    /// What it ran on.
    pub description: Description,
    /// What happened, in this run and in those that it carries on.
    pub history: History,
    /// Vblanks a second, by the display's own stamps.
    pub measured_hz: Option<f64>,
    /// What became of the app's frames.
    pub app: AppTotals,
    /// Allocations of the loop after its first second.
    pub allocations: u64,
    /// System calls of this library a frame, in the loop after its first second.
    pub system_calls_per_frame: f64,
    /// The picture on the panel when it ended.
    pub last_picture: Option<Arc<Image>>,
    /// What ended it early, if anything.
    pub error: Option<DisplayError>,
}

impl Run {
    /// What its lease was lost to, if that ended it.
    pub fn loss(&self) -> Option<Loss> {
        match self.error {
            Some(DisplayError::LeaseLost { why, .. }) => Some(why),
            _ => None,
        }
    }
}

/// The vblank loop, ready to run.
pub struct VblankLoop {
    display: Box<dyn Display>,
    pictures: Vec<LoopPicture>,
    frames: FrameReader,
    poses: Box<dyn PoseSource>,
    clock: VblankClock,
    rate: RateCheck,
    schedule: Schedule,
    history: History,
    /// From the vblank at which a frame comes on to the middle of its light.
    to_photon: Span,
    number: u64,
    /// Handed over and not yet seen to come on.
    pending: Option<Frame>,
    warm: Option<Warm>,
}

/// Counters as they were when the loop had warmed up.
#[derive(Clone, Copy)]
struct Warm {
    number: u64,
    allocations: u64,
    system_calls: u64,
}

impl VblankLoop {
    /// A loop over `pictures`, of which there are three at least: one is on the panel, one waits for its vblank, and
    /// the next is drawn. `history` is a new one, or that of a run whose lease was lost.
    pub fn new(
        display: Box<dyn Display>,
        pictures: Vec<LoopPicture>,
        frames: FrameReader,
        poses: Box<dyn PoseSource>,
        illumination: Illumination,
        history: History,
    ) -> Self {
        assert!(pictures.len() >= 3, "a loop needs a picture to draw on while others are shown");
        let description = display.description();
        let to_photon = match illumination {
            // The whole panel flashes once its last line has come in.
            Illumination::Global => description.active_scanout,
            // Lines light as they come in: the middle one half way through.
            Illumination::Rolling => description.active_scanout / 2,
        };
        Self {
            clock: VblankClock::new(description.period),
            rate: RateCheck::new(description.period),
            schedule: Schedule::new(description.period),
            history,
            to_photon,
            number: 0,
            pending: None,
            warm: None,
            display,
            pictures,
            frames,
            poses,
        }
    }

    /// Runs until `limit`.
    pub fn run(mut self, limit: &Limit) -> Ended {
        let carries_on = !self.history.events.is_empty();
        self.history.recorder.pause();
        self.frames.tell(DisplayState::Showing);
        let mut first_flip = None;
        let mut error = self.rehearse().err();
        let mut now = Instant::now();
        while error.is_none() && !limit.is_reached(&self.history, now) {
            match self.frame() {
                Ok(None) => {}
                Ok(Some(flip)) => {
                    now = flip;
                    if first_flip.is_none() && carries_on {
                        self.note(What::Reacquired);
                    }
                    let first = *first_flip.get_or_insert(flip);
                    self.history.first_flip.get_or_insert(flip);
                    self.warm_up(flip - first);
                }
                Err(DisplayError::Suspended { .. }) => {
                    error = self.sit_out(limit).err();
                    now = Instant::now();
                }
                Err(lost) => error = Some(lost),
            }
        }
        // A frame that was handed over just before the lease fell asleep is nothing that ends a run.
        error = error
            .or_else(|| self.settle().err().filter(|error| !matches!(error, DisplayError::Suspended { .. })));
        if let Some(DisplayError::LeaseLost { why, .. }) = error {
            self.note(What::Lost(why));
        }
        self.into_ended(error)
    }

    /// Presents nothing while the lease is suspended, until it is live again or the limit is reached.
    ///
    /// The kernel tells no lessee of either, so it is asked now and then.
    fn sit_out(&mut self, limit: &Limit) -> Result<(), DisplayError> {
        self.pending = None;
        self.history.recorder.pause();
        self.note(What::Suspended);
        while !limit.is_reached(&self.history, Instant::now()) {
            sleep_until(Instant::now() + NAP);
            let Some(found) = self.display.resume()? else { continue };
            // What was known of vblanks may not hold any more: a driver without hardware to count them starts anew.
            let period = self.display.description().period;
            (self.clock, self.rate) = (VblankClock::new(period), RateCheck::new(period));
            self.note(What::Resumed(found));
            break;
        }
        Ok(())
    }

    /// Records what became of the lease, and tells the app and the user.
    fn note(&mut self, what: What) {
        self.history.events.push(Event { at: Instant::now(), what });
        self.frames.tell(match what {
            What::Suspended => DisplayState::Suspended,
            What::Lost(_) => DisplayState::Lost,
            What::Resumed(_) | What::Reacquired => DisplayState::Showing,
        });
        tracing::info!("{}: {what}", self.display.description().connector);
    }

    /// Draws and hands over the app's newest frame, and takes in the flip of the one before. When that one came on;
    /// `None` where there was none.
    fn frame(&mut self) -> Result<Option<Instant>, DisplayError> {
        let mut frame = self.plan();
        let mut flip = None;
        if self.pending.is_some_and(|pending| pending.target.time <= frame.planned_wake) {
            flip = self.settle()?;
            frame = self.plan();
        }
        sleep_until(frame.planned_wake);
        frame.wake = Instant::now();
        let Some(app) = self.frames.newest() else {
            // The app has not drawn anything yet.
            sleep_until(frame.wake + Span::from_ms(1));
            return Ok(flip);
        };
        frame.rewarped = !app.fresh;
        (frame.app_began, frame.app_submit) = (app.began, app.submitted);
        let lit = self.clock.newest().is_some();
        let index = (self.number % self.pictures.len() as u64) as usize;
        self.draw(&mut frame, index, app)?;
        if self.pending.is_some() {
            flip = self.settle()?;
            // The frame before may have come on late; that is its miss, and not this one's too.
            frame.target = self.plan().target;
        }
        self.display.show(index)?;
        frame.submit = Instant::now();
        self.number += 1;
        self.history.frames += 1;
        self.pending = Some(frame);
        // There is no vblank to aim at before the first.
        if lit { Ok(flip) } else { self.settle() }
    }

    /// Which vblank the next frame is for, and when to wake for it.
    fn plan(&self) -> Frame {
        let mut frame = Frame { number: self.number, ..Frame::default() };
        let Some(newest) = self.clock.newest() else { return frame };
        // The vblank after the last flip, even where that can no longer be made: then it is missed. A flip still
        // under way comes when it was meant to, or at the next vblank there is.
        let last = self.pending.map_or(newest.sequence, |pending| pending.target.sequence);
        frame.target = self.clock.at(last + 1).expect("a vblank was seen");
        self.frames.predict(frame.target, self.clock.period());
        let soonest = self.pending.map_or(newest.time, |pending| pending.submit + FOR_THE_KERNEL);
        frame.planned_wake = self.schedule.wake(frame.target.time).max(soonest).max(Instant::now());
        frame
    }

    fn draw(&mut self, frame: &mut Frame, index: usize, app: AppFrame) -> Result<(), DisplayError> {
        let picture = &mut self.pictures[index];
        let pass = &mut picture.passes[app.slot];
        frame.latch = Instant::now();
        let shown = self.clock.newest().map_or(frame.latch, |_| frame.target.time);
        pass.latch(app.pose, self.poses.pose_at(shown + self.to_photon), self.number);
        pass.run()?;
        frame.drawn = Instant::now();
        frame.gpu_ticks = pass.gpu_ticks().unwrap_or_default();
        if let Some(scanout) = &mut picture.scanout {
            scanout.finish()?;
        }
        Ok(())
    }

    /// Waits for the flip under way, and records its frame; when it came on.
    fn settle(&mut self) -> Result<Option<Instant>, DisplayError> {
        let Some(mut frame) = self.pending.take() else { return Ok(None) };
        let flip = self.display.wait_for_flip(Instant::now() + FLIP_TIMEOUT)?;
        frame.flip = flip.ok_or_else(|| DisplayError::NoFlip {
            connector: self.display.description().connector.clone(),
            waited_ms: FLIP_TIMEOUT.as_ns() / 1_000_000,
        })?;
        frame.photon = frame.flip.time + self.to_photon;
        if self.clock.newest().is_some() {
            self.schedule.observe(frame.drawn - frame.planned_wake, frame.missed() > 0);
        }
        self.clock.observe(frame.flip);
        self.history.recorder.add(&frame);
        self.check_rate(frame.flip)?;
        Ok(Some(frame.flip.time))
    }

    /// Holds the display to its mode's rate, where the kernel counts its vblanks.
    fn check_rate(&mut self, flip: Vblank) -> Result<(), DisplayError> {
        let description = self.display.description();
        let measured_hz = match description.clock {
            Clock::CrtcSequence => self.rate.observe(flip),
            // Their stamps come from the mode's own numbers, or from whenever the driver got to it.
            Clock::FlipEvent | Clock::Timer => None,
        };
        measured_hz.map_or(Ok(()), |measured_hz| {
            let (connector, nominal_hz) = (description.connector.clone(), description.nominal_hz);
            Err(DisplayError::WrongRate { connector, nominal_hz, measured_hz })
        })
    }

    /// Draws every pass once, so that no shader is compiled and no page touched for the first time when it counts.
    fn rehearse(&mut self) -> Result<(), DisplayError> {
        for picture in &mut self.pictures {
            for pass in &mut picture.passes {
                pass.latch(Pose::AHEAD, Pose::AHEAD, 0);
                pass.run()?;
            }
        }
        Ok(())
    }

    fn warm_up(&mut self, running: Span) {
        if self.warm.is_none() && (running >= Span::from_ms(1000) || self.number >= 90) {
            self.warm = Some(self.counters());
        }
    }

    fn counters(&self) -> Warm {
        Warm { number: self.number, allocations: allocations(), system_calls: system_calls() }
    }

    fn into_ended(self, error: Option<DisplayError>) -> Ended {
        let end = self.counters();
        let warm = self.warm.unwrap_or(end);
        let frames = (end.number - warm.number).max(1);
        let last = (self.number + self.pictures.len() as u64 - 1) % self.pictures.len() as u64;
        let run = Run {
            description: self.display.description().clone(),
            measured_hz: self.clock.measured_hz(),
            app: self.frames.totals(),
            allocations: end.allocations - warm.allocations,
            system_calls_per_frame: (end.system_calls - warm.system_calls) as f64 / frames as f64,
            last_picture: (self.number > 0).then(|| self.pictures[last as usize].target.clone()),
            error,
            history: self.history,
        };
        Ended { run, display: self.display, frames: self.frames }
    }
}

/// The kernel carries a commit out on a worker of normal priority (`drm_atomic_helper_commit`). Where a driver draws on
/// this CPU with real-time priority, the worker comes to its turn only if the loop pauses.
const FOR_THE_KERNEL: Span = Span::from_us(500);

/// How often a suspended lease is asked after: seldom enough to cost nothing, often enough that nobody sees it.
const NAP: Span = Span::from_ms(20);

/// Ninety vblanks: only a driver that sends no flip events gets there.
const FLIP_TIMEOUT: Span = Span::from_ms(1000);

impl std::fmt::Debug for VblankLoop {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VblankLoop").field("number", &self.number).finish_non_exhaustive()
    }
}
