//! Made-up loads, each like something that happens to a compositor.
//!
//! None of them is easy. A schedule does not know what comes, and in none of them does a frame say what the next will
//! cost. But costly frames come in company, as they do where another program has the GPU for a while. Were they strewn
//! evenly, say one in 200, every schedule would have either to miss them or to keep the time for them in hand always.

use super::load::Costs;
use crate::random::SplitMix64;
use crate::time::Span;

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// 2.2 ms, always.
    Steady,
    /// 2.2 ms; in stretches of 3000 frames on average, a tenth of all, one frame in 20 needs 5 to 6 ms.
    Spikes,
    /// From 2 to 7 ms and back, once a minute.
    Ramp,
    /// 2.5 ms for 20,000 frames on average, then 5 ms for 10,000.
    Bimodal,
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Steady, Self::Spikes, Self::Ramp, Self::Bimodal];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Spikes => "spikes",
            Self::Ramp => "ramp",
            Self::Bimodal => "bimodal",
        }
    }
}

impl std::str::FromStr for Model {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|model| model.name() == text);
        found.ok_or_else(|| format!("'{text}' is no model: write steady, spikes, ramp or bimodal"))
    }
}

/// The frames of a model.
#[derive(Clone, Debug)]
pub struct Modelled {
    model: Model,
    random: SplitMix64,
    frame: u64,
    /// Whether it is in its costlier state, a stretch of spikes or the greater of two costs, and for how many frames more.
    busy: bool,
    left: u64,
}

/// What a composite takes varies by one part in so many, as a standard deviation.
const COMPOSITE_SPREAD: i64 = 100;
/// A thread is woken so late at the least, and by as much more on average, as an exponential spread.
const WAKE_LATE: Span = Span::from_us(12);
/// Once in so many frames the machine itself stands still for 1 to 2 ms, and nobody can know when.
const STALL_ONCE_IN: f64 = 100_000.0;
/// By how much a stamp is off, as a standard deviation.
const STAMP_SIGMA_NS: i32 = 20_000;
/// An app that needs half a period, give or take.
const APP: Span = Span::from_ms(6);
/// Frames of a stretch without spikes and of one with, and between two spikes within one; on average.
const SPIKY: [u64; 2] = [27_000, 3_000];
const BETWEEN_SPIKES: f64 = 20.0;
/// Frames of a stretch at the one cost and at the other, on average.
const DWELL: [u64; 2] = [20_000, 10_000];
/// Frames of a minute, at a Vive's rate.
const MINUTE: u64 = 5_372;

impl Modelled {
    pub(super) fn new(model: Model, seed: u64) -> Self {
        Self { model, random: SplitMix64::new(seed), frame: 0, busy: true, left: 0 }
    }

    pub(super) fn next_frame(&mut self) -> Costs {
        let usual = match self.model {
            Model::Steady => Span::from_us(2_200),
            Model::Spikes => self.spikes(),
            Model::Ramp => self.ramp(),
            Model::Bimodal => self.bimodal(),
        };
        self.frame += 1;
        let spread = self.random.bell((usual.as_ns() / COMPOSITE_SPREAD) as i32);
        let stall = match self.random.once_in(STALL_ONCE_IN) {
            true => Span::from_us(1_000 + (self.random.share() * 1_000.0) as i64),
            false => Span::ZERO,
        };
        let tail = -(1.0 - self.random.share()).ln();
        Costs {
            composite: usual + Span::from_ns(spread.into()),
            app: APP + Span::from_ns(self.random.bell(1_000_000).into()),
            wake_late: WAKE_LATE + Span::from_ns((WAKE_LATE.as_ns() as f64 * tail) as i64) + stall,
            timestamp_noise: Span::from_ns(self.random.bell(STAMP_SIGMA_NS).into()),
        }
    }

    fn spikes(&mut self) -> Span {
        self.take_turns(SPIKY);
        match self.busy && self.random.once_in(BETWEEN_SPIKES) {
            true => Span::from_us(5_000 + (self.random.share() * 1_000.0) as i64),
            false => Span::from_us(2_200),
        }
    }

    /// Changes the state after so many frames, half as many or half again; those in its calm and in its busy state.
    fn take_turns(&mut self, [calm, busy]: [u64; 2]) {
        if self.left == 0 {
            self.busy = !self.busy;
            let about = if self.busy { busy } else { calm };
            self.left = about / 2 + self.random.next() % about;
        }
        self.left -= 1;
    }

    fn ramp(&self) -> Span {
        let (half, place) = (MINUTE / 2, self.frame % MINUTE);
        let up = if place < half { place } else { MINUTE - place };
        Span::from_ms(2) + Span::from_ms(5) * up as i64 / half as i64
    }

    fn bimodal(&mut self) -> Span {
        self.take_turns(DWELL);
        Span::from_us(if self.busy { 5_000 } else { 2_500 })
    }
}
