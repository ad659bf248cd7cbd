//! A headset on a card that is ours, by lease or as master.

use std::os::fd::AsFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::source::BestSource;
use super::{Clock, Description, Display, DisplayError, Found};
use crate::kms::buffer::{Framebuffer, ModeBlob};
use crate::kms::commit::{CommitFlags, commit, modeset};
use crate::kms::event::{Event, events};
use crate::kms::pipeline::Flip;
use crate::kms::property::Properties;
use crate::kms::{Card, KmsError, Mode, Pipeline, Vblank};
use crate::lease::Lease;
use crate::lease::liveness::{Liveness, Loss, Probe};
use crate::lease::watch::Watch;
use crate::thread::count_system_call;
use crate::time::{Instant, Span};

/// A lit, or yet unlit, headset.
pub struct LeasedDisplay {
    card: Arc<Card>,
    pipeline: Pipeline,
    mode: Mode,
    blob: ModeBlob,
    flip: Flip,
    pictures: Vec<Framebuffer>,
    description: Description,
    shown: Shown,
    source: BestSource,
    /// Whether the last flip was over when it was asked for.
    asked_late: bool,
    flips: u64,
    /// How often in a row the kernel has refused something that, when asked, it had nothing against.
    doubts: u8,
    probe: Arc<Probe>,
    /// Keeps the lease, and hears of its end.
    watch: Watch,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    /// Lit by a commit that has taken effect.
    Lit,
    /// A flip is under way.
    Flipping,
    Steady,
    /// Lit, but the planes may have been in other hands.
    Disturbed,
}

/// After so many it is believed.
const DOUBTS: u8 = 3;

/// A flip takes one vblank. Whoever has waited so long for it asks whether the lease still lives.
const FLIP_PATIENCE: Span = Span::from_ms(50);

impl LeasedDisplay {
    /// Prepares the headset of `lease` in `mode`, to show `pictures`. Nothing is lit before the first is shown.
    ///
    /// # Errors
    /// When the lease was revoked already, or no thread can be started to watch over it.
    pub fn new(lease: Lease, mode: Mode, pictures: Vec<Framebuffer>) -> Result<Self, DisplayError> {
        let Lease { card, pipeline, connector_name, source, keeper } = lease;
        let probe = Arc::new(Probe::new(card.clone(), &pipeline, &connector_name));
        let description = Description {
            source: source.name(),
            connector: connector_name,
            width_px: mode.width_px(),
            height_px: mode.height_px(),
            nominal_hz: mode.hz(),
            period: mode.period(),
            active_scanout: mode.active_scanout(),
            blanking: blanking(&card, &mode),
            clock: Clock::CrtcSequence,
            leased_objects: pipeline.objects().iter().map(|object| object.raw()).collect(),
        };
        Ok(Self {
            blob: ModeBlob::new(&card, &mode)?,
            flip: pipeline.flip(&card)?,
            source: BestSource::of(card.clone(), pipeline.crtc, mode.period()),
            card,
            pipeline,
            mode,
            asked_late: false,
            pictures,
            description,
            shown: Shown::Nothing,
            flips: 0,
            doubts: 0,
            watch: Watch::start(probe.clone(), keeper).map_err(DisplayError::Unwatched)?,
            probe,
        })
    }

    /// Turns the panel off.
    ///
    /// # Errors
    /// When the lease has ended or sleeps, or the kernel refuses the commit.
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

    fn light(&mut self, picture: usize) -> Result<(), KmsError> {
        let begun = Instant::now();
        let mut on = self.pipeline.on(&self.card, &self.mode, &self.blob, &self.pictures[picture])?;
        modeset(&self.card, &mut on)?;
        tracing::debug!("the mode was set in {:.0} us", (Instant::now() - begun).as_us_f64());
        self.shown = Shown::Lit;
        Ok(())
    }

    /// The vblank at which a picture came on.
    fn vblank(&mut self, flip: Option<(u32, Instant)>) -> Result<Vblank, DisplayError> {
        let vblank = self.source.vblank(flip).map_err(|error| self.lost(error))?;
        self.description.clock = self.source.clock();
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

    /// Puts a picture on planes that may have been in other hands. Sets no mode: the kernel refuses where one is needed.
    fn return_to(&mut self, picture: usize) -> Result<(), KmsError> {
        let mut request = self.pipeline.picture(&self.card, &self.mode, &self.pictures[picture])?;
        commit(&self.card, CommitFlags::FLIP, &mut request, self.flips)
    }

    /// Tells what becomes of the lease from other refusals.
    fn lost(&mut self, error: KmsError) -> DisplayError {
        match self.probe.ask() {
            Liveness::Lost(loss) => self.ended(loss),
            Liveness::Suspended => self.suspended(),
            // Suspended when it was refused and no longer: the next try will tell.
            Liveness::Live if self.doubts < DOUBTS && self.was_in_other_hands(&error) => {
                self.doubts += 1;
                self.suspended()
            }
            Liveness::Live => error.into(),
        }
    }

    /// Whether that is how the kernel refuses a display that another had, for a moment and unseen. An X server that
    /// comes back to its terminal first is master and then turns off what it does not use.
    fn was_in_other_hands(&self, error: &KmsError) -> bool {
        match error.errno() {
            Some(Errno::EACCES) => true,
            Some(Errno::EINVAL) => self.found().is_ok_and(|found| found != Found::AsItWas),
            _ => false,
        }
    }

    fn ended(&mut self, why: Loss) -> DisplayError {
        if why != Loss::Unplugged {
            // There is no turning it off any more.
            self.shown = Shown::Nothing;
        }
        let why = if why == Loss::LessorGone { self.watch.last_words() } else { why };
        DisplayError::LeaseLost { connector: self.description.connector.clone(), why }
    }

    fn suspended(&self) -> DisplayError {
        DisplayError::Suspended { connector: self.description.connector.clone() }
    }

    /// What others have left of the mode that was set.
    fn found(&self) -> Result<Found, KmsError> {
        let driven_by = Properties::of(&self.card, self.pipeline.connector)?.value("CRTC_ID");
        let off = match self.card.vblank(self.pipeline.crtc) {
            Err(error) if error.errno() != Some(Errno::EOPNOTSUPP) => true,
            _ => driven_by != Some(self.pipeline.crtc.raw().into()),
        };
        Ok(match self.card.mode_of(self.pipeline.crtc)? {
            Some(_) | None if off => Found::SwitchedOff,
            Some(mode) if mode.has_timing_of(&self.mode) => Found::AsItWas,
            Some(_) => Found::InAnotherMode,
            None => Found::SwitchedOff,
        })
    }
}

/// How long before a vblank's stamp a commit has to be carried out.
///
/// The kernel stamps a vblank with the time of its first pixel (`drm_crtc_vblank_helper_get_vblank_timestamp_internal`,
/// drm_vblank.c), and hardware takes a new picture once the last visible line has gone out, a blanking earlier. Drivers
/// without such hardware flip and stamp by one timer.
fn blanking(card: &Card, mode: &Mode) -> Span {
    const BY_A_TIMER: [&str; 2] = ["vkms", "virtio_gpu"];
    match card.driver() {
        Ok(driver) if BY_A_TIMER.contains(&driver.as_str()) => Span::ZERO,
        _ => mode.period() - mode.active_scanout(),
    }
}

impl Display for LeasedDisplay {
    fn description(&self) -> &Description {
        &self.description
    }

    fn show(&mut self, picture: usize) -> Result<(), DisplayError> {
        if let Some(loss) = self.watch.lost() {
            return Err(self.ended(loss));
        }
        self.flips += 1;
        let shown = match self.shown {
            Shown::Nothing => return self.light(picture).map_err(|error| self.lost(error)),
            Shown::Disturbed => self.return_to(picture),
            _ => self.flip.show(&self.card, &self.pictures[picture], self.flips),
        };
        shown.map_err(|error| self.lost(error))?;
        self.shown = Shown::Flipping;
        self.doubts = 0;
        Ok(())
    }

    fn resume(&mut self) -> Result<Option<Found>, DisplayError> {
        match (self.watch.lost(), self.probe.ask()) {
            (Some(loss), _) | (None, Liveness::Lost(loss)) => return Err(self.ended(loss)),
            (None, Liveness::Suspended) => return Ok(None),
            (None, Liveness::Live) => {}
        }
        if self.shown == Shown::Nothing {
            return Ok(Some(Found::AsItWas));
        }
        let found = self.found().map_err(|error| self.lost(error))?;
        self.shown = if found == Found::AsItWas { Shown::Disturbed } else { Shown::Nothing };
        Ok(Some(found))
    }

    fn wait_for_flip(&mut self, until: Instant) -> Result<Option<Vblank>, DisplayError> {
        match self.shown {
            Shown::Nothing | Shown::Steady | Shown::Disturbed => return Ok(None),
            Shown::Lit => {
                self.shown = Shown::Steady;
                return self.vblank(None).map(Some);
            }
            Shown::Flipping => {}
        }
        let asked = Instant::now();
        // Who comes late finds the event there, and need not wait for it.
        if self.asked_late
            && let Some(flip) = self.read_flip()?
        {
            self.shown = Shown::Steady;
            return self.vblank(Some(flip)).map(Some);
        }
        loop {
            let left = (until - Instant::now()).min(FLIP_PATIENCE);
            let timeout = TimeSpec::from_duration(left.to_duration());
            count_system_call();
            let ready = ppoll(&mut [PollFd::new(self.card.as_fd(), PollFlags::POLLIN)], Some(timeout), None);
            if let Ok(1..) = ready
                && let Some(flip) = self.read_flip()?
            {
                self.shown = Shown::Steady;
                self.asked_late = flip.1 <= asked;
                return self.vblank(Some(flip)).map(Some);
            }
            // A lease that is gone may send no more events.
            match self.probe.ask() {
                Liveness::Live if Instant::now() >= until => return Ok(None),
                Liveness::Live => {}
                Liveness::Suspended => return Err(self.suspended()),
                Liveness::Lost(loss) => return Err(self.ended(loss)),
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
