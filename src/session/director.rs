//! Shows a session's frames for as long as they are wanted, whatever becomes of the display.

use std::sync::Arc;

use super::SessionError;
use super::ending::{Ending, Means};
use super::eyes::Slots;
use super::fitting::{Fitting, Scenery};
use super::options::Options;
use super::reacquire::Lost;
use super::sight::Sight;
use super::venue::Venue;
use crate::compositor::frames::FrameReader;
use crate::compositor::{Ended, History, Limit, Run, VblankLoop};
use crate::display::Display;
use crate::lease::liveness::{Liveness, Probe};
use crate::pacing::ring::RecordWriter;
use crate::thread::priority::{Granted, Urgency, make_realtime};
use crate::time::Instant;
use crate::vulkan::Device;

/// Everything that a session is shown with, but for the display.
#[derive(Debug)]
pub struct Director {
    pub options: Options,
    pub device: Arc<Device>,
    pub fitting: Fitting,
    pub slots: Slots,
    pub sight: Arc<Sight>,
    pub records: Option<RecordWriter>,
}

/// A display and what is shown on it.
#[derive(Debug)]
pub struct Stage {
    display: Box<dyn Display>,
    scenery: Scenery,
}

/// What is left of a stage once its display was lost, or the play is over.
struct Shown {
    run: Run,
    display: Box<dyn Display>,
    scenery: Scenery,
    frames: FrameReader,
    means: Means,
}

impl Director {
    /// Shows what the app draws, and goes on each time that the display was `lost` and taken anew.
    pub fn show_and_take_again(
        mut self,
        mut stage: Stage,
        mut frames: FrameReader,
        lost: Option<&Lost>,
    ) -> Result<Ending, SessionError> {
        let mut history = History::default();
        if let Some(records) = self.records.take() {
            history.recorder.hand_on(records);
        }
        loop {
            let Shown { mut run, display, scenery, frames: reader, means } =
                self.show(stage, frames, history)?;
            let Some(lost) = lost.filter(|lost| run.loss().is_some_and(|loss| lost.may_come_back(loss)))
            else {
                return Ok(Ending::new(
                    self.device,
                    Some(display),
                    (self.fitting, Some(scenery)),
                    run,
                    means,
                ));
            };
            // With it goes the lease.
            drop(display);
            drop(run.last_picture.take());
            let mut kept = Some(scenery);
            let limit = self.options.limit.clone();
            let over = || limit.is_reached(&run.history, Instant::now());
            let Some(taken) = lost.take_again(&over, |venue| self.stage(venue, kept.take())) else {
                return Ok(Ending::new(self.device, None, (self.fitting, kept), run, means));
            };
            (stage, frames, history) = (taken, reader, run.history);
        }
    }

    /// Sets the display at `venue` up. Where its lease ends before it was lit, waits for another as for any that is `lost`.
    pub fn first_stage(&mut self, venue: Venue, lost: Option<&Lost>) -> Result<Stage, SessionError> {
        let probe = venue.probe();
        let error = match self.stage(venue, None) {
            Ok(stage) => return Ok(stage),
            Err(error) => error,
        };
        let (Some(lost), Some(Liveness::Lost(loss))) = (lost, probe.as_ref().map(Probe::ask)) else {
            return Err(error);
        };
        // It keeps the lease.
        drop(probe);
        tracing::info!("lost before it was lit: {loss}");
        let limit = self.options.limit.clone();
        let over = || limit.is_reached(&History::default(), Instant::now());
        let taken = lost.may_come_back(loss).then(|| lost.take_again(&over, |venue| self.stage(venue, None)));
        taken.flatten().ok_or(error)
    }

    /// Sets the display at `venue` up, with the pictures that were `kept` from another if they suit it.
    pub fn stage(&mut self, venue: Venue, kept: Option<Scenery>) -> Result<Stage, SessionError> {
        let suits = self.fitting.suits(&self.options, &self.device, &venue)?;
        let scenery = match kept.filter(|kept| suits && kept.scanout.card == venue.card()) {
            Some(kept) => kept,
            None => {
                if !suits {
                    self.refit(&venue)?;
                }
                self.fitting.scenery(&self.options, &self.slots.images, &venue)?
            }
        };
        let display = venue.display(&self.options, &self.device, &scenery.pictures)?;
        Ok(Stage { display, scenery })
    }

    /// Makes anew what does not suit the panel at `venue`.
    fn refit(&mut self, venue: &Venue) -> Result<(), SessionError> {
        self.fitting = Fitting::new(&self.options, &self.device, venue)?;
        let next = Sight::new(self.fitting.views());
        self.slots.refit(&self.device, &next.views)?;
        self.sight.follow_with(next.clone());
        self.sight = next;
        Ok(())
    }

    fn show(&self, stage: Stage, frames: FrameReader, history: History) -> Result<Shown, SessionError> {
        let headset = &self.fitting.headset;
        let Stage { display, scenery: Scenery { pictures, scanout } } = stage;
        let mut means = Means {
            format: self.fitting.format,
            scanout: scanout.method,
            scanout_refusals: scanout.refusals.clone(),
            thread_priority: "normal",
            queue_priority: self.device.queue_priority(),
            refusals: Vec::new(),
            serial: headset.serial.clone(),
            lens: headset.eyes[0].lens.kind_name(),
            mura: self.fitting.compositor.corrects_mura(),
            gpu: self.device.name().to_string(),
        };
        let vblank_loop = self.fitting.play(&self.options, display, pictures, frames, history)?;
        let outcome = run_loop(vblank_loop, self.options.limit.clone());
        // Nobody is to look at what no display shows.
        if let Some(viewer) = &self.options.viewer {
            viewer.look_at(None);
        }
        let (Ended { run, display, pictures, frames }, granted) = outcome?;
        means.thread_priority = granted.scheduling;
        means.refusals = granted.refusals.into_iter().chain(self.device.queue_refusal()).collect();
        Ok(Shown { run, display, scenery: Scenery { pictures, scanout }, frames, means })
    }
}

/// Runs the loop on a thread of its own, with what priority the system grants.
fn run_loop(vblank_loop: VblankLoop, limit: Limit) -> Result<(Ended, Granted), SessionError> {
    let failed = |source| SessionError::Thread { name: "vblank", source };
    let thread = std::thread::Builder::new().name("vblank".to_string());
    let handle = thread
        .spawn(move || {
            let granted = make_realtime(Urgency::Vblank);
            for refusal in &granted.refusals {
                tracing::info!("{refusal}");
            }
            (vblank_loop.run(&limit), granted)
        })
        .map_err(failed)?;
    handle.join().map_err(|_| failed(std::io::Error::other("it panicked")))
}
