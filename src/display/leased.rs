//! A headset on a card that is ours, by lease or as master.

use std::os::fd::AsFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::{Clock, Description, Display, DisplayError};
use crate::error::{Class, Classified};
use crate::kms::buffer::{Framebuffer, ModeBlob};
use crate::kms::commit::modeset;
use crate::kms::event::{Event, events};
use crate::kms::pipeline::Flip;
use crate::kms::{Card, KmsError, Mode, Pipeline, Vblank};
use crate::thread::count_system_call;
use crate::time::Instant;

/// A lit, or yet unlit, headset.
pub struct LeasedDisplay {
    card: Arc<Card>,
    pipeline: Pipeline,
    mode: Mode,
    blob: ModeBlob,
    flip: Flip,
    pictures: Vec<Arc<Framebuffer>>,
    description: Description,
    shown: Shown,
    last: Vblank,
    flips: u64,
    /// Keeps the lease: a connection that the lessor watches, say.
    _keeper: Box<dyn Send>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    /// Lit by a commit that has taken effect.
    Lit,
    /// A flip is under way.
    Flipping,
    Steady,
}

impl LeasedDisplay {
    /// Prepares a headset on `pipeline` in `mode`. Nothing is lit before the first picture is shown.
    pub fn new(
        source: &'static str,
        card: Arc<Card>,
        pipeline: Pipeline,
        connector: String,
        mode: Mode,
        pictures: Vec<Arc<Framebuffer>>,
        keeper: Box<dyn Send>,
    ) -> Result<Self, DisplayError> {
        let description = Description {
            source,
            connector,
            width_px: mode.width_px(),
            height_px: mode.height_px(),
            nominal_hz: mode.hz(),
            period: mode.period(),
            active_scanout: mode.active_scanout(),
            clock: Clock::CrtcSequence,
            leased_objects: pipeline.objects().iter().map(|object| object.raw()).collect(),
        };
        Ok(Self {
            blob: ModeBlob::new(&card, &mode)?,
            flip: pipeline.flip(&card)?,
            card,
            pipeline,
            mode,
            pictures,
            description,
            shown: Shown::Nothing,
            last: Vblank::default(),
            flips: 0,
            _keeper: keeper,
        })
    }

    /// Turns the panel off.
    pub fn turn_off(&mut self) -> Result<(), DisplayError> {
        if self.shown == Shown::Flipping {
            // The kernel refuses a blocking commit while a flip of ours is under way, on some drivers.
            self.wait_for_flip(Instant::now() + self.description.period * 4)?;
        }
        if self.shown != Shown::Nothing {
            modeset(&self.card, &mut self.pipeline.off(&self.card)?)?;
            self.shown = Shown::Nothing;
        }
        Ok(())
    }

    fn light(&mut self, picture: usize) -> Result<(), DisplayError> {
        let mut on = self.pipeline.on(&self.card, &self.mode, &self.blob, &self.pictures[picture])?;
        modeset(&self.card, &mut on)?;
        self.shown = Shown::Lit;
        Ok(())
    }

    /// The vblank at which a picture came on, told by the kernel's count where it has one.
    fn vblank(&mut self, flip: Option<(u32, Instant)>) -> Result<Vblank, DisplayError> {
        let newest = match self.card.vblank(self.pipeline.crtc) {
            Ok(newest) => Some(newest),
            Err(KmsError::Call { errno: Errno::EOPNOTSUPP, .. }) => {
                self.description.clock = Clock::FlipEvent;
                None
            }
            Err(error) => return Err(self.lost(error)),
        };
        let vblank = match (newest, flip) {
            (Some(newest), None) => newest,
            // The newest vblank is the flip's own unless this thread was late to look.
            (Some(newest), Some((sequence, _))) if newest.sequence as u32 == sequence => newest,
            (Some(newest), Some((sequence, time))) => Vblank { sequence: newest.widen(sequence), time },
            (None, Some((sequence, time))) => Vblank { sequence: self.last.widen(sequence), time },
            (None, None) => Vblank { time: Instant::now(), ..self.last },
        };
        self.last = vblank;
        Ok(vblank)
    }

    /// Reads what events have come; the newest flip of ours among them.
    fn read_flip(&mut self) -> Result<Option<(u32, Instant)>, DisplayError> {
        let mut buffer = [0; 1024];
        let length = self.card.read_events(&mut buffer)?;
        let mut found = None;
        for event in events(&buffer[..length]) {
            if let Event::Flip { sequence, time, user_data } = event.map_err(KmsError::from)?
                && user_data == self.flips
            {
                found = Some((sequence, time));
            }
        }
        Ok(found)
    }

    /// Tells the end of a lease from other refusals.
    fn lost(&self, error: KmsError) -> DisplayError {
        if error.class() != Class::LeaseLost {
            return error.into();
        }
        let why = match self.card.leased_objects() {
            Ok(objects) if objects.is_empty() => "it was revoked".to_string(),
            Ok(_) => error.to_string(),
            Err(_) => "whoever gave it is gone or paused".to_string(),
        };
        DisplayError::LeaseLost { connector: self.description.connector.clone(), why }
    }
}

impl Display for LeasedDisplay {
    fn description(&self) -> &Description {
        &self.description
    }

    fn show(&mut self, picture: usize) -> Result<(), DisplayError> {
        if self.shown == Shown::Nothing {
            return self.light(picture);
        }
        self.flips += 1;
        self.flip.show(&self.card, &self.pictures[picture], self.flips).map_err(|error| self.lost(error))?;
        self.shown = Shown::Flipping;
        Ok(())
    }

    fn wait_for_flip(&mut self, until: Instant) -> Result<Option<Vblank>, DisplayError> {
        match self.shown {
            Shown::Nothing | Shown::Steady => return Ok(None),
            Shown::Lit => {
                self.shown = Shown::Steady;
                return self.vblank(None).map(Some);
            }
            Shown::Flipping => {}
        }
        loop {
            let left = until - Instant::now();
            let timeout = TimeSpec::from_duration(left.to_duration());
            count_system_call();
            let ready = ppoll(&mut [PollFd::new(self.card.as_fd(), PollFlags::POLLIN)], Some(timeout), None);
            if let Ok(1..) = ready
                && let Some(flip) = self.read_flip()?
            {
                self.shown = Shown::Steady;
                return self.vblank(Some(flip)).map(Some);
            }
            if Instant::now() >= until {
                // A lease that is gone sends no more events: ask.
                self.card.vblank(self.pipeline.crtc).map_err(|error| self.lost(error))?;
                return Ok(None);
            }
        }
    }
}

impl Drop for LeasedDisplay {
    fn drop(&mut self) {
        if let Err(error) = self.turn_off() {
            // Whoever gave the lease turns it off, and the kernel does when the card is closed.
            tracing::debug!(%error, "the panel was not turned off");
        }
    }
}

impl std::fmt::Debug for LeasedDisplay {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LeasedDisplay")
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
}
