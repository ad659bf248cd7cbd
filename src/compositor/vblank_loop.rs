//! The loop: once a vblank, wake, latch the pose, composite, hand over, and see the frame come on.
//!
//! Where a composite takes longer than what is left after a flip, the next one is begun before that flip: a device
//! that is nearly too slow then still shows a new frame at every vblank.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::composite::{Compositor, Pass};
use super::eye_images::EyeImages;
use super::frames::{AppFrame, AppTotals, FrameReader, SLOTS};
use super::pose::Pose;
use super::scanout::Picture;
use crate::display::{Description, Display, DisplayError};
use crate::headset::Illumination;
use crate::pacing::{Frame, Recorder, Schedule, VblankClock};
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
#[derive(Debug)]
pub struct Limit {
    /// So many frames on the panel, the first included.
    pub frames: Option<u64>,
    /// So long after the first frame came on.
    pub time: Option<Span>,
    /// As soon as this is set.
    pub stop: Arc<AtomicBool>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Run {
    /// What it ran on.
    pub description: Description,
    /// What happened to its frames.
    pub recorder: Recorder,
    /// Vblanks a second, by the display's own stamps.
    pub measured_hz: Option<f64>,
    /// When the first frame came on.
    pub first_flip: Option<Instant>,
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
    /// The display, still lit.
    pub display: Box<dyn Display>,
}

/// The vblank loop, ready to run.
pub struct VblankLoop {
    display: Box<dyn Display>,
    pictures: Vec<LoopPicture>,
    frames: FrameReader,
    poses: Box<dyn PoseSource>,
    clock: VblankClock,
    schedule: Schedule,
    recorder: Recorder,
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

/// Twelve minutes at 90 Hz.
const KEPT_FRAMES: usize = 65_536;

impl VblankLoop {
    /// A loop over `pictures`, of which there are three at least: one is on the panel, one waits for its vblank, and
    /// the next is drawn.
    pub fn new(
        display: Box<dyn Display>,
        pictures: Vec<LoopPicture>,
        frames: FrameReader,
        poses: Box<dyn PoseSource>,
        illumination: Illumination,
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
            schedule: Schedule::new(description.period),
            recorder: Recorder::new(KEPT_FRAMES),
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

    /// Runs until `limit`; what happened, the display still lit.
    pub fn run(mut self, limit: &Limit) -> Run {
        let mut first_flip = None;
        let mut error = self.rehearse().err();
        while error.is_none() && !limit.stop.load(Ordering::Relaxed) {
            match self.frame() {
                Ok(flip) => {
                    let Some(flip) = flip else { continue };
                    let first = *first_flip.get_or_insert(flip);
                    self.warm_up(flip - first);
                    let ended = limit.frames.is_some_and(|frames| self.number >= frames)
                        || limit.time.is_some_and(|time| flip - first >= time);
                    if ended {
                        break;
                    }
                }
                Err(lost) => error = Some(lost),
            }
        }
        error = error.or_else(|| self.settle().err());
        self.into_run(first_flip, error)
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
        if self.number == 1 {
            // Lit: there is no vblank to aim at before the first.
            self.pending = Some(frame);
            return self.settle();
        }
        self.pending = Some(frame);
        Ok(flip)
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
        let shown = if frame.number == 0 { frame.latch } else { frame.target.time };
        pass.latch(app.pose, self.poses.pose_at(shown + self.to_photon), self.number);
        pass.run()?;
        frame.drawn = Instant::now();
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
        self.clock.observe(frame.flip);
        if frame.number > 0 {
            self.schedule.observe(frame.drawn - frame.planned_wake, frame.missed() > 0);
        }
        self.recorder.add(&frame);
        Ok(Some(frame.flip.time))
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

    fn into_run(self, first_flip: Option<Instant>, error: Option<DisplayError>) -> Run {
        let end = self.counters();
        let warm = self.warm.unwrap_or(end);
        let frames = (end.number - warm.number).max(1);
        let last = (self.number + self.pictures.len() as u64 - 1) % self.pictures.len() as u64;
        Run {
            description: self.display.description().clone(),
            measured_hz: self.clock.measured_hz(),
            first_flip,
            app: self.frames.totals(),
            allocations: end.allocations - warm.allocations,
            system_calls_per_frame: (end.system_calls - warm.system_calls) as f64 / frames as f64,
            last_picture: (self.number > 0).then(|| self.pictures[last as usize].target.clone()),
            error,
            recorder: self.recorder,
            display: self.display,
        }
    }
}

/// The kernel carries a commit out on a worker of normal priority (`drm_atomic_helper_commit`). Where a driver draws on
/// this CPU with real-time priority, the worker comes to its turn only if the loop pauses.
const FOR_THE_KERNEL: Span = Span::from_us(500);

/// Ninety vblanks: only a driver that sends no flip events gets there.
const FLIP_TIMEOUT: Span = Span::from_ms(1000);

impl std::fmt::Debug for VblankLoop {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VblankLoop").field("number", &self.number).finish_non_exhaustive()
    }
}
