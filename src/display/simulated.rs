//! A panel that is not there: takes pictures at the vblanks of a clock of its own.

use super::{Clock, Description, Display, DisplayError, Found};
use crate::kms::Vblank;
use crate::thread::sleep_until;
use crate::time::{Instant, Span};

/// A simulated display.
#[derive(Debug)]
pub struct SimulatedDisplay {
    description: Description,
    start: Instant,
    pending: Option<Vblank>,
}

impl SimulatedDisplay {
    /// A panel of this width and height, under that name as a source, whose vblanks begin at `start` and come `hz` times a second. The visible lines take
    /// nine tenths of a period, as a Vive's nearly do.
    pub fn new(source: &'static str, [width_px, height_px]: [u32; 2], hz: f64, start: Instant) -> Self {
        let period = Span::from_secs_f64(1.0 / hz);
        let description = Description {
            source,
            connector: source.to_string(),
            width_px,
            height_px,
            nominal_hz: hz,
            period,
            active_scanout: period * 9 / 10,
            blanking: Span::ZERO,
            clock: Clock::Timer,
            leased_objects: Vec::new(),
        };
        Self { description, start, pending: None }
    }

    fn vblank_after(&self, time: Instant) -> Vblank {
        let period = self.description.period;
        let count = ((time - self.start).as_ns() / period.as_ns() + 1).max(0);
        Vblank { sequence: count as u64, time: self.start + period * count }
    }
}

impl Display for SimulatedDisplay {
    fn description(&self) -> &Description {
        &self.description
    }

    fn show(&mut self, _picture: usize) -> Result<(), DisplayError> {
        self.pending = Some(self.vblank_after(Instant::now()));
        Ok(())
    }

    fn resume(&mut self) -> Result<Option<Found>, DisplayError> {
        Ok(Some(Found::AsItWas))
    }

    fn wait_for_flip(&mut self, until: Instant) -> Result<Option<Vblank>, DisplayError> {
        let Some(vblank) = self.pending.filter(|vblank| vblank.time <= until) else { return Ok(None) };
        if Instant::now() < vblank.time {
            sleep_until(vblank.time);
        }
        self.pending = None;
        Ok(Some(vblank))
    }
}
