//! The loop: once a vblank, wake, latch the pose, composite, hand over, and see the frame come on.
//!
//! Where a composite takes longer than what is left after a flip, the next one is begun before that flip: a device
//! that is nearly too slow then still shows a new frame at every vblank.

use std::sync::Arc;

use super::calm;
use super::composite::{Compositor, Pass};
use super::eye_images::EyeImages;
use super::frames::{AppFrame, DisplayState, FrameReader, SLOTS};
use super::history::{Event, History, What};
use super::latch::Latched;
use super::layer::{Layer, MAX_LAYERS};
use super::mirror::Mirror;
use super::overlay::Overlay;
use super::pose::{PoseSource, Seen};
use super::presence::{News, Presence, Shown};
use super::run::{Ended, Limit, Run};
use super::scanout::Picture;
use crate::display::{Clock, Description, Display, DisplayError};
use crate::headset::Illumination;
use crate::kms::buffer::Framebuffer;
use crate::kms::{Card, KmsError, Vblank};
use crate::pacing::{Frame, Pacer, RateCheck, Timing};
use crate::thread::{allocations::allocations, sleep_until, system_calls};
use crate::time::{Instant, Span};
use crate::vulkan::{Image, VulkanError};

/// One of the pictures that the display shows in turn, with a pass from each slot of eye images and from the calm scene.
#[derive(Debug)]
pub struct LoopPicture {
    passes: Vec<Pass>,
    calm: Pass,
    target: Arc<Image>,
    scanout: Option<Picture>,
}

impl LoopPicture {
    /// A picture that is drawn from any of the slots, or from `calm` where no app draws. Without `scanout` nothing but
    /// readback ever sees it.
    ///
    /// # Errors
    /// When the device has no memory left for its passes.
    pub fn new(
        compositor: &Compositor,
        slots: &[Arc<EyeImages>; SLOTS],
        calm: &Arc<EyeImages>,
        target: Arc<Image>,
        scanout: Option<Picture>,
    ) -> Result<Self, VulkanError> {
        let passes = slots.iter().map(|images| compositor.pass(images, &target)).collect::<Result<_, _>>()?;
        let calm = compositor.pass(calm, &target)?;
        Ok(Self { passes, calm, target, scanout })
    }

    /// What is drawn on.
    pub fn target(&self) -> &Arc<Image> {
        &self.target
    }

    /// What `card`, the one that it was made for or a lease of that, scans out; `None` where nothing but readback sees it.
    pub fn framebuffer(&self, card: &Arc<Card>) -> Option<Result<Framebuffer, KmsError>> {
        self.scanout.as_ref().map(|picture| picture.framebuffer(card))
    }
}

/// What a picture is drawn from, and how much of its light is let through.
#[derive(Clone, Copy, Debug)]
enum Source {
    App(AppFrame, f64),
    Calm(f64),
}

/// The vblank loop, ready to run.
pub struct VblankLoop {
    display: Box<dyn Display>,
    pictures: Vec<LoopPicture>,
    frames: FrameReader,
    poses: Arc<dyn PoseSource>,
    presence: Presence,
    pacer: Pacer,
    rate: RateCheck,
    history: History,
    /// Where the panel's lines light up one after the other: how long it is from the first to the middle one.
    rolls_for: Option<Span>,
    warm: Option<Warm>,
    mirror: Option<Arc<Mirror>>,
    overlay: Option<Arc<Overlay>>,
    /// What is laid over the picture that is drawn: the app's layers, and over them the overlay.
    laid: Vec<Layer>,
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
    ///
    /// # Panics
    /// When there are fewer than three pictures.
    pub fn new(
        display: Box<dyn Display>,
        pictures: Vec<LoopPicture>,
        frames: FrameReader,
        poses: Arc<dyn PoseSource>,
        illumination: Illumination,
        history: History,
    ) -> Self {
        assert!(pictures.len() >= 3, "a loop needs a picture to draw on while others are shown");
        let description = display.description();
        Self {
            pacer: Pacer::new(timing(description, illumination)),
            rate: RateCheck::new(description.period),
            history,
            presence: Presence::default(),
            rolls_for: match illumination {
                Illumination::Global => None,
                Illumination::Rolling => Some(description.active_scanout / 2),
            },
            warm: None,
            mirror: None,
            overlay: None,
            laid: Vec::with_capacity(MAX_LAYERS),
            display,
            pictures,
            frames,
            poses,
        }
    }

    /// With a mirror of these very pictures, and something over them, on a compositor for a layer at least.
    pub fn with(mut self, mirror: Option<Arc<Mirror>>, overlay: Option<Arc<Overlay>>) -> Self {
        (self.mirror, self.overlay) = (mirror, overlay);
        self
    }

    /// Runs until `limit`.
    pub fn run(mut self, limit: &Limit) -> Ended {
        let carries_on = !self.history.events.is_empty();
        self.history.recorder.pause();
        self.frames.tell(DisplayState::Showing);
        let mut first_flip = None;
        // Where an earlier run is carried on it counts now: somebody sits in the dark.
        let mut error = if carries_on { None } else { self.rehearse().err() };
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
            self.give_up();
            self.note(What::Lost(why));
        }
        self.into_ended(error)
    }

    /// Presents nothing while the lease is suspended, until it is live again or the limit is reached.
    ///
    /// The kernel tells no lessee of either, so it is asked now and then.
    fn sit_out(&mut self, limit: &Limit) -> Result<(), DisplayError> {
        self.give_up();
        self.history.recorder.pause();
        self.note(What::Suspended);
        while !limit.is_reached(&self.history, Instant::now()) {
            sleep_until(Instant::now() + NAP);
            let Some(found) = self.display.resume()? else { continue };
            // A driver without hardware to count vblanks starts anew; and else the schedule would take those slept through
            // for missed, and wake the loop earlier.
            self.pacer.forget_vblanks();
            self.rate = RateCheck::new(self.display.description().period);
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
        let mut frame = self.plan_and_sleep();
        let mut flip = self.settle_if_due(&mut frame)?;
        let Some(source) = self.source(&mut frame) else {
            // The app has not drawn anything yet.
            sleep_until(frame.wake + Span::from_ms(1));
            return Ok(flip);
        };
        let lit = self.pacer.clock().newest().is_some();
        let index = (self.pacer.number() % self.pictures.len() as u64) as usize;
        self.draw(&mut frame, index, source)?;
        if self.pacer.pending().is_some() {
            flip = self.settle()?;
            // The frame before may have come on late; that is its miss, and not this one's too.
            let Frame { target, plan, .. } = self.plan(frame.ready);
            (frame.target, frame.plan) = (target, plan);
        }
        frame.commit = Instant::now();
        self.display.show(index)?;
        frame.submit = Instant::now();
        self.pacer.hand_over(frame);
        self.history.frames += 1;
        self.run_errands(index)?;
        // There is no vblank to aim at before the first.
        if lit { Ok(flip) } else { self.settle() }
    }

    /// Plans the next frame and sleeps until it is to be begun.
    fn plan_and_sleep(&self) -> Frame {
        let now = Instant::now();
        let mut frame = self.plan(now);
        frame.wake = now;
        if frame.planned_wake > now {
            sleep_until(frame.planned_wake);
            frame.wake = Instant::now();
        }
        frame
    }

    /// Does what others have asked to have done on the loop's queue. Nothing is drawn now, and for the longest time.
    fn run_errands(&self, shown: usize) -> Result<(), VulkanError> {
        self.mirror.as_ref().map_or(Ok(()), |mirror| mirror.errand.run(shown))?;
        self.overlay.as_ref().map_or(Ok(()), |overlay| overlay.errand.run(shown))
    }

    /// Which vblank the next frame is for, and when to wake for it. The app is told of that vblank too.
    fn plan(&self, now: Instant) -> Frame {
        let frame = self.pacer.plan(now);
        if self.pacer.clock().newest().is_some() {
            let to_photon = frame.plan.photon - frame.target.time;
            self.frames.predict(frame.target, self.pacer.clock().period(), to_photon);
        }
        frame
    }

    /// What the next picture is drawn from; `None` where the panel is to stay dark.
    fn source(&mut self, frame: &mut Frame) -> Option<Source> {
        let app = self.frames.newest();
        let fresh = app.is_some_and(|app| app.fresh);
        let news = match self.frames.app_is_gone() {
            true => News::Gone,
            false if fresh => News::Frame,
            false => News::None,
        };
        frame.rewarped = !fresh;
        if let Some(app) = app {
            (frame.app_began, frame.app_submit) = (app.began, app.submitted);
        }
        let period = self.display.description().period;
        match (self.presence.observe(frame.wake, period, news), app) {
            (Shown::Nothing, _) | (Shown::App(_), None) => None,
            (Shown::App(fade), Some(app)) => Some(Source::App(app, fade)),
            (Shown::Calm(fade), _) => Some(Source::Calm(fade)),
        }
    }

    fn draw(&mut self, frame: &mut Frame, index: usize, source: Source) -> Result<(), DisplayError> {
        let picture = &mut self.pictures[index];
        let pass = match source {
            Source::App(app, _) => &mut picture.passes[app.slot],
            Source::Calm(_) => &mut picture.calm,
        };
        self.laid.clear();
        match source {
            Source::App(_, fade) => {
                pass.set_fade(fade);
                if let Some(layers) = self.frames.layers() {
                    self.laid.extend_from_slice(&layers);
                }
            }
            Source::Calm(fade) => pass.set_fade(fade),
        }
        if let Some(overlay) = &self.overlay {
            pass.set_split(overlay.is_split());
            let room = MAX_LAYERS - self.laid.len();
            self.laid.extend(overlay.layers().iter().take(room).cloned());
        }
        pass.set_layers(&self.laid)?;
        let lit = self.pacer.clock().newest().is_some();
        pass.run_with(|| {
            frame.latch = Instant::now();
            let photon = if lit { frame.plan.photon } else { frame.latch };
            let shown = match self.rolls_for {
                None => Seen::AtOnce(self.poses.pose_at(photon)),
                Some(half) => Seen::LineByLine(
                    [photon - half, photon, photon + half].map(|photon| self.poses.pose_at(photon)),
                ),
            };
            let rendered = match source {
                Source::App(app, _) => app.pose,
                Source::Calm(_) => calm::anchor(shown.middle()),
            };
            Latched { rendered, shown, number: frame.number }
        })?;
        frame.drawn = Instant::now();
        frame.gpu_ticks = pass.gpu_ticks().unwrap_or_default();
        if let Some(scanout) = &mut picture.scanout {
            scanout.finish()?;
        }
        frame.ready = Instant::now();
        Ok(())
    }

    /// Takes in the flip under way if `frame`, for which the loop woke, is for a later vblank than the next. The flip was
    /// not waited for, that would be one time more to wake; where it came on late, `frame` has another vblank to wait for.
    fn settle_if_due(&mut self, frame: &mut Frame) -> Result<Option<Instant>, DisplayError> {
        if self.pacer.pending().is_none_or(|pending| pending.target.time > frame.planned_wake) {
            return Ok(None);
        }
        let flip = self.settle()?;
        let planned = self.plan(frame.wake);
        match planned.target.sequence > frame.target.sequence {
            true => *frame = self.plan_and_sleep(),
            false => (frame.target, frame.plan) = (planned.target, planned.plan),
        }
        Ok(flip)
    }

    /// Waits for the flip under way, and records its frame; when it came on.
    fn settle(&mut self) -> Result<Option<Instant>, DisplayError> {
        if self.pacer.pending().is_none() {
            return Ok(None);
        }
        let flip = self.display.wait_for_flip(Instant::now() + FLIP_TIMEOUT)?;
        let flip = flip.ok_or_else(|| DisplayError::NoFlip {
            connector: self.display.description().connector.clone(),
            waited_ms: FLIP_TIMEOUT.as_ns() / 1_000_000,
        })?;
        if let Some(frame) = self.pacer.came_on(flip) {
            self.history.recorder.add(&frame);
        }
        self.check_rate(flip)?;
        Ok(Some(flip.time))
    }

    /// Takes a frame that was handed over and will not come on for missed: the lease sleeps or is gone.
    fn give_up(&mut self) {
        if self.pacer.give_up().is_some() {
            self.history.recorder.lose();
        }
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
            for pass in picture.passes.iter_mut().chain([&mut picture.calm]) {
                pass.rehearse()?;
            }
        }
        Ok(())
    }

    fn warm_up(&mut self, running: Span) {
        if self.warm.is_none() && (running >= Span::from_ms(1000) || self.pacer.number() >= 90) {
            self.warm = Some(self.counters());
        }
    }

    fn counters(&self) -> Warm {
        Warm { number: self.pacer.number(), allocations: allocations(), system_calls: system_calls() }
    }

    fn into_ended(self, error: Option<DisplayError>) -> Ended {
        let end = self.counters();
        let warm = self.warm.unwrap_or(end);
        let frames = (end.number - warm.number).max(1);
        let number = self.pacer.number();
        let last = (number + self.pictures.len() as u64 - 1) % self.pictures.len() as u64;
        let run = Run {
            description: self.display.description().clone(),
            measured_hz: self.pacer.clock().measured_hz(),
            app: self.frames.totals(),
            allocations: end.allocations - warm.allocations,
            system_calls_per_frame: (end.system_calls - warm.system_calls) as f64 / frames as f64,
            last_picture: (number > 0).then(|| self.pictures[last as usize].target.clone()),
            error,
            history: self.history,
        };
        Ended { run, display: self.display, pictures: self.pictures, frames: self.frames }
    }
}

/// What a display does around each vblank, with a panel that lights up like that.
fn timing(description: &Description, illumination: Illumination) -> Timing {
    Timing {
        period: description.period,
        blanking: description.blanking,
        to_photon: match illumination {
            // The whole panel flashes once its last line has come in.
            Illumination::Global => description.active_scanout,
            // Lines light as they come in: the middle one half way through.
            Illumination::Rolling => description.active_scanout / 2,
        },
    }
}

/// How often a suspended lease is asked after: seldom enough to cost nothing, often enough that nobody sees it.
const NAP: Span = Span::from_ms(20);

/// Hundreds of vblanks: only a driver that sends no flip events gets there, and no machine that stands still for a moment.
const FLIP_TIMEOUT: Span = Span::from_ms(5000);

impl std::fmt::Debug for VblankLoop {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VblankLoop").field("number", &self.pacer.number()).finish_non_exhaustive()
    }
}
