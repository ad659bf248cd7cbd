//! Shows a session's frames for as long as they are wanted, whatever becomes of the display.

use std::sync::Arc;

use super::SessionError;
use super::ending::{Ending, Means};
use super::eyes::Slots;
use super::fitting::Fitting;
use super::options::Options;
use super::reacquire::Lost;
use super::sight::Sight;
use super::venue::{Stage, Venue};
use crate::compositor::frames::FrameReader;
use crate::compositor::{Ended, History, Limit, VblankLoop};
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
    pub lost: Option<Lost>,
    pub records: Option<RecordWriter>,
}

impl Director {
    /// Shows what the app draws, and goes on each time that the display was lost and taken anew.
    pub fn show_and_take_again(
        mut self,
        mut stage: Stage,
        mut frames: FrameReader,
    ) -> Result<Ending, SessionError> {
        let lost = self.lost.take();
        let mut history = History::default();
        if let Some(records) = self.records.take() {
            history.recorder.hand_on(records);
        }
        loop {
            let (ended, means) = self.show(stage, frames, history)?;
            let Ended { mut run, display, frames: reader } = ended;
            let Some(lost) =
                lost.as_ref().filter(|lost| run.loss().is_some_and(|loss| lost.may_come_back(loss)))
            else {
                return Ok(Ending::new(self.device, Some(display), run, means));
            };
            // The panel goes dark before the memory that it scans out is freed.
            drop(display);
            drop(run.last_picture.take());
            let over = || self.options.limit.is_reached(&run.history, Instant::now());
            let taken = lost.take_again(&over, |venue| {
                refit(
                    &self.options,
                    &self.device,
                    &mut self.fitting,
                    &mut self.slots,
                    &mut self.sight,
                    &venue,
                )?;
                venue.furnish(&self.options, &self.device, self.fitting.format)
            });
            let Some(taken) = taken else {
                return Ok(Ending::new(self.device, None, run, means));
            };
            (stage, frames, history) = (taken, reader, run.history);
        }
    }

    fn show(
        &self,
        stage: Stage,
        frames: FrameReader,
        history: History,
    ) -> Result<(Ended, Means), SessionError> {
        let headset = &self.fitting.headset;
        let mut means = Means {
            format: self.fitting.format,
            scanout: stage.scanout,
            scanout_refusals: stage.scanout_refusals.clone(),
            thread_priority: "normal",
            queue_priority: self.device.queue_priority(),
            refusals: Vec::new(),
            serial: headset.serial.clone(),
            lens: headset.eyes[0].lens.kind_name(),
            mura: self.fitting.compositor.corrects_mura(),
            gpu: self.device.name().to_string(),
        };
        let vblank_loop = self.fitting.play(&self.options, &self.slots.images, stage, frames, history)?;
        let outcome = run_loop(vblank_loop, self.options.limit.clone());
        // They hold on to the pictures, which are to go with the display.
        if let Some(viewer) = &self.options.viewer {
            viewer.look_at(None);
        }
        if let Some(board) = &self.options.board {
            board.take_down();
        }
        let (ended, granted) = outcome?;
        means.thread_priority = granted.scheduling;
        means.refusals = granted.refusals.into_iter().chain(self.device.queue_refusal()).collect();
        Ok((ended, means))
    }
}

/// Makes anew what does not suit the panel at `venue`.
fn refit(
    options: &Options,
    device: &Arc<Device>,
    fitting: &mut Fitting,
    slots: &mut Slots,
    sight: &mut Arc<Sight>,
    venue: &Venue,
) -> Result<(), SessionError> {
    if !fitting.suits(options, device, venue)? {
        *fitting = Fitting::new(options, device, venue)?;
        let next = Sight::new(fitting.views());
        slots.refit(device, &next.views)?;
        sight.follow_with(next.clone());
        *sight = next;
    }
    Ok(())
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
