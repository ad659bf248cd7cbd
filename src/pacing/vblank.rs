//! The display's clock, from the kernel's vblank stamps.

use super::fit::Line;
use crate::kms::Vblank;
use crate::time::{Instant, Span};

/// Period and phase of a display's vblanks.
///
/// The first `START` vblanks are fitted by their middle values, which a few bad stamps among them do not move. From
/// then on a line is fitted through all of them by least squares, and it is the line that tells when a vblank is, not the
/// newest stamp: a driver that reads the clock late now and then moves nothing. A stamp far off the line is a stray and
/// left out; where the kernel lost count of whole periods the line is shifted by them; where strays do not end, something
/// has changed (a suspend, a mode set), and the clock starts anew. Each vblank costs the same, and nothing is allocated.
#[derive(Clone, Debug)]
pub struct VblankClock {
    nominal: Span,
    newest: Option<Vblank>,
    /// The first ones, until there are enough to trust a fit.
    start: [Vblank; START],
    seen: usize,
    fit: Option<Fit>,
}

#[derive(Clone, Copy, Debug)]
struct Fit {
    line: Line,
    /// By how much stamps are off the line, as a standard deviation.
    scatter_ns: f64,
    /// How many strays there were in a row.
    strays: u32,
}

/// When a vblank will be, and how sure that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prediction {
    /// Its count and its time.
    pub vblank: Vblank,
    /// One standard deviation of its time, without what the display itself may do.
    pub error: Span,
}

/// Fewer tell less than the mode does.
const START: usize = 16;
/// So many strays in a row are no accidents.
const STRAYS: u32 = 4;
/// What is off by more standard deviations than this is a stray.
const GATE: f64 = 6.0;
/// Nothing within this is one, however exact the stamps have been: the kernel gives flips in microseconds, and reads its
/// clock in an interrupt where the hardware has no stamps.
const LEAST_GATE_NS: f64 = 20_000.0;
/// So much of each new stamp goes into the scatter.
const SCATTER_SHARE: f64 = 1.0 / 64.0;
/// Until there is a fit, the mode's period may be off by one part in so many: 89.527 Hz are called 90.
const MODE_ERROR: i64 = 100;

impl VblankClock {
    /// A clock that has seen nothing yet; `nominal` is the mode's own period.
    pub fn new(nominal: Span) -> Self {
        Self { nominal, newest: None, start: [Vblank::default(); START], seen: 0, fit: None }
    }

    /// Takes in a vblank. The same one again is ignored; a count that went back starts anew.
    pub fn observe(&mut self, vblank: Vblank) {
        match self.newest {
            Some(newest) if newest.sequence == vblank.sequence => return,
            Some(newest) if newest.sequence > vblank.sequence => self.start_anew(),
            _ => {}
        }
        let taken = match &mut self.fit {
            Some(fit) => fit.take(vblank, self.nominal),
            None => true,
        };
        if !taken {
            self.start_anew();
        }
        self.newest = Some(vblank);
        if self.fit.is_none() {
            self.begin(vblank);
        }
    }

    /// The newest vblank seen.
    pub fn newest(&self) -> Option<Vblank> {
        self.newest
    }

    /// From one vblank to the next.
    pub fn period(&self) -> Span {
        Span::from_ns(self.period_ns().round() as i64)
    }

    /// From one vblank to the next, in nanoseconds and parts of them.
    pub fn period_ns(&self) -> f64 {
        self.fit.map_or(self.nominal.as_ns() as f64, |fit| fit.line.slope_ns())
    }

    /// When the vblank of that count was or will be; `None` before one was seen.
    pub fn at(&self, sequence: u64) -> Option<Prediction> {
        let newest = self.newest?;
        Some(match self.fit {
            Some(Fit { line, scatter_ns, .. }) => Prediction {
                vblank: Vblank { sequence, time: line.at(sequence) },
                error: Span::from_ns(line.error_ns(sequence, scatter_ns).ceil() as i64),
            },
            None => {
                let away = self.nominal * (sequence.wrapping_sub(newest.sequence) as i64);
                let error = Span::from_ns(away.as_ns().abs() / MODE_ERROR);
                Prediction { vblank: Vblank { sequence, time: newest.time + away }, error }
            }
        })
    }

    /// The first vblank that comes after `time` and has a higher count than the newest seen.
    pub fn next_after(&self, time: Instant) -> Option<Prediction> {
        let next = self.newest?.sequence + 1;
        let soonest = self.at(next)?;
        let late = (time - soonest.vblank.time).as_ns().max(0);
        let count = late / self.period().as_ns().max(1);
        // Rounding may have put it one off.
        (0..=2).filter_map(|more| self.at(next + count as u64 + more)).find(|found| found.vblank.time > time)
    }

    /// Vblanks a second, as measured; `None` before there are enough.
    pub fn measured_hz(&self) -> Option<f64> {
        if let Some(fit) = self.fit {
            return Some(1e9 / fit.line.slope_ns());
        }
        // The first one's stamp may be a mode set's, which is no vblank of its grid.
        let seen = &self.start[..self.seen];
        slope_ns(*seen.get(1)?, *seen.last()?).map(|slope_ns| 1e9 / slope_ns)
    }

    fn start_anew(&mut self) {
        *self = Self::new(self.nominal);
    }

    /// Takes in one of the first vblanks, and fits a line once there are enough.
    fn begin(&mut self, vblank: Vblank) {
        if let Some(last) = self.seen.checked_sub(1).map(|last| self.start[last]) {
            let counted = i64::try_from(vblank.sequence - last.sequence).unwrap_or(i64::MAX);
            let expected = self.nominal.as_ns().saturating_mul(counted);
            let off = (vblank.time - last.time).as_ns().saturating_sub(expected).saturating_abs();
            if off > (expected / 2).max(self.nominal.as_ns() / 2) {
                self.seen = 0;
            }
        }
        self.start[self.seen] = vblank;
        self.seen += 1;
        if self.seen == START {
            self.fit = Fit::through(&self.start, self.nominal);
            self.seen = 0;
        }
    }
}

impl Fit {
    /// The line that the most of these are near, found by middle values; `None` if it is none that a display could have.
    fn through(points: &[Vblank; START], nominal: Span) -> Option<Self> {
        let half = START / 2;
        let mut slopes = [0.0; START / 2];
        for (index, slope) in slopes.iter_mut().enumerate() {
            *slope = slope_ns(points[index], points[index + half])?;
        }
        let slope = middle(&mut slopes);
        if !could_be(slope, nominal) {
            return None;
        }
        let first = points[0];
        let off = |point: &Vblank| {
            (point.time - first.time).as_ns() as f64 - slope * (point.sequence - first.sequence) as f64
        };
        let height = middle(&mut points.each_ref().map(off));
        // For a normal spread the middle one of the deviations is two thirds of the standard deviation.
        let scatter_ns = 1.5 * middle(&mut points.each_ref().map(|point| (off(point) - height).abs()));
        let gate = (GATE * scatter_ns).max(LEAST_GATE_NS);
        let mut near = points.iter().filter(|point| (off(point) - height).abs() <= gate);
        let mut line = Line::new(*near.next()?, slope);
        near.for_each(|&point| line.add(point));
        Some(Self { line, scatter_ns, strays: 0 })
    }

    /// Takes in a vblank; whether the line still holds.
    fn take(&mut self, vblank: Vblank, nominal: Span) -> bool {
        let off_ns = (vblank.time - self.line.at(vblank.sequence)).as_ns() as f64;
        let doubt = GATE * self.line.error_ns(vblank.sequence, self.scatter_ns);
        let gate = (GATE * self.scatter_ns).max(LEAST_GATE_NS) + doubt;
        let period = self.line.slope_ns();
        let periods = (off_ns / period).round();
        let within = off_ns - periods * period;
        if gate < period / 4.0 && periods != 0.0 && within.abs() <= gate {
            // The kernel lost count of some, or counted some twice.
            self.line.shift(Span::from_ns((periods * period).round() as i64));
            return self.accept(vblank, within.abs(), nominal);
        }
        if off_ns.abs() <= gate {
            return self.accept(vblank, off_ns.abs(), nominal);
        }
        // Where stamps have become worse, strays widen the gate.
        self.widen(gate);
        self.strays += 1;
        self.strays <= STRAYS
    }

    fn accept(&mut self, vblank: Vblank, off_ns: f64, nominal: Span) -> bool {
        self.strays = 0;
        self.widen(off_ns);
        self.line.add(vblank);
        could_be(self.line.slope_ns(), nominal)
    }

    /// Lets the scatter follow a deviation; for a normal spread the mean of them is four fifths of it.
    fn widen(&mut self, off_ns: f64) {
        self.scatter_ns += (off_ns * 1.25 - self.scatter_ns) * SCATTER_SHARE;
    }
}

/// Whether a display whose mode says `nominal` could have that period: a link at another rate than its mode's is off by
/// less than this, and what is off by more comes from stamps that make no sense.
fn could_be(period_ns: f64, nominal: Span) -> bool {
    let share = period_ns / nominal.as_ns() as f64;
    (0.2..5.0).contains(&share)
}

fn slope_ns(from: Vblank, to: Vblank) -> Option<f64> {
    let counted = to.sequence.checked_sub(from.sequence).filter(|&counted| counted > 0)?;
    Some((to.time - from.time).as_ns() as f64 / counted as f64)
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    (values[half] + values[(values.len() - 1) / 2]) / 2.0
}

#[cfg(test)]
mod tests;
