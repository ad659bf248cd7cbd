//! Where the times of vblanks come from: three sources, the best that a driver has.

use std::sync::Arc;

use nix::errno::Errno;

use super::Clock;
use crate::kms::{Card, CrtcId, KmsError, Vblank};
use crate::time::{Instant, Span};

/// Tells at which vblank a picture came on.
pub trait VblankSource: std::fmt::Debug + Send {
    /// Which source it is.
    fn clock(&self) -> Clock;

    /// The vblank at which a picture came on: by a flip, of which the kernel's event told count and time, or by a mode
    /// set. `None` where this source cannot tell and a worse one has to.
    ///
    /// # Errors
    /// When the kernel is asked and does not tell: the CRTC is off (`EINVAL`), or not ours any more (`ENOENT`).
    fn vblank(&mut self, flip: Option<(u32, Instant)>) -> Result<Option<Vblank>, KmsError>;
}

/// The best there is of the three, which may turn out to be worse than it was thought.
#[derive(Debug)]
pub struct BestSource {
    source: Box<dyn VblankSource>,
    last: Vblank,
    period: Span,
}

impl BestSource {
    /// The best source of a CRTC whose mode says that period.
    pub fn of(card: Arc<Card>, crtc: CrtcId, period: Span) -> Self {
        Self { source: Box::new(CrtcSequence { card, crtc }), last: Vblank::default(), period }
    }

    /// Which source it is by now.
    pub fn clock(&self) -> Clock {
        self.source.clock()
    }

    /// The vblank at which a picture came on; see [`VblankSource::vblank`].
    ///
    /// # Errors
    /// When the kernel is asked and does not tell: the CRTC is off (`EINVAL`), or not ours any more (`ENOENT`).
    pub fn vblank(&mut self, flip: Option<(u32, Instant)>) -> Result<Vblank, KmsError> {
        loop {
            if let Some(vblank) = self.source.vblank(flip)? {
                self.last = vblank;
                return Ok(vblank);
            }
            self.source = match self.source.clock() {
                Clock::CrtcSequence => {
                    Box::new(FlipEvents { last: self.last, period: self.period, hasty: 0 })
                }
                Clock::FlipEvent | Clock::Timer => {
                    Box::new(Timer { origin: self.last, last: self.last, period: self.period })
                }
            };
        }
    }
}

/// The kernel's 64-bit count and nanoseconds.
#[derive(Debug)]
struct CrtcSequence {
    card: Arc<Card>,
    crtc: CrtcId,
}

impl VblankSource for CrtcSequence {
    fn clock(&self) -> Clock {
        Clock::CrtcSequence
    }

    fn vblank(&mut self, flip: Option<(u32, Instant)>) -> Result<Option<Vblank>, KmsError> {
        let newest = match self.card.vblank(self.crtc) {
            Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => return Ok(None),
            other => other?,
        };
        Ok(Some(match flip {
            // The newest vblank is the flip's own unless this thread was late to look.
            Some((sequence, time)) if newest.sequence as u32 != sequence => {
                Vblank { sequence: newest.widen(sequence), time }
            }
            _ => newest,
        }))
    }
}

/// The stamps of flip events. A driver without a count of vblanks gives them all the count 0
/// (`drm_crtc_send_vblank_event`, drm_vblank.c); then their times have to do.
#[derive(Debug)]
struct FlipEvents {
    last: Vblank,
    period: Span,
    /// How many flips in a row came sooner than any display could have them.
    hasty: u32,
}

/// So many hasty flips in a row come from a driver that waits for no vblank.
const HASTY: u32 = 3;

impl VblankSource for FlipEvents {
    fn clock(&self) -> Clock {
        Clock::FlipEvent
    }

    fn vblank(&mut self, flip: Option<(u32, Instant)>) -> Result<Option<Vblank>, KmsError> {
        let Vblank { sequence: last, time: before } = self.last;
        let first = last == 0 && before == Instant::default();
        let (sequence, time) = match flip {
            None => (last + 1, Instant::now()),
            Some((0, time)) if first => (1, time),
            Some((0, time)) => {
                let periods =
                    ((time - before).as_ns() + self.period.as_ns() / 2) / self.period.as_ns().max(1);
                self.hasty = if periods < 1 { self.hasty + 1 } else { 0 };
                (last + periods.max(1) as u64, time)
            }
            Some((counted, time)) => (self.last.widen(counted), time),
        };
        if self.hasty >= HASTY {
            return Ok(None);
        }
        self.last = Vblank { sequence, time };
        Ok(Some(self.last))
    }
}

/// The mode's period, counted from some flip: nothing says when the hardware has its vblanks, if it has any.
#[derive(Debug)]
struct Timer {
    origin: Vblank,
    last: Vblank,
    period: Span,
}

impl VblankSource for Timer {
    fn clock(&self) -> Clock {
        Clock::Timer
    }

    fn vblank(&mut self, flip: Option<(u32, Instant)>) -> Result<Option<Vblank>, KmsError> {
        let time = flip.map_or_else(Instant::now, |(_, time)| time);
        let period = self.period.as_ns().max(1);
        // The first tick that is not over, and that no other picture has.
        let ticks = ((time - self.origin.time).as_ns() + period - 1).div_euclid(period).max(0) as u64;
        let sequence = (self.origin.sequence + ticks).max(self.last.sequence + 1);
        let ticks = (sequence - self.origin.sequence) as i64;
        self.last = Vblank { sequence, time: self.origin.time + self.period * ticks };
        Ok(Some(self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Span = Span::from_ms(10);

    fn at(ms: i64) -> Instant {
        Instant::from_ns(ms * 1_000_000)
    }

    fn flips(source: &mut BestSource, flips: &[(u32, i64)]) -> Vec<(u64, i64)> {
        flips
            .iter()
            .map(|&(count, ms)| {
                let vblank = source.vblank(Some((count, at(ms)))).expect("no card is asked");
                (vblank.sequence, vblank.time.as_ns() / 1_000_000)
            })
            .collect()
    }

    fn without_a_count() -> BestSource {
        let source = FlipEvents { last: Vblank::default(), period: PERIOD, hasty: 0 };
        BestSource { source: Box::new(source), last: Vblank::default(), period: PERIOD }
    }

    #[test]
    fn flips_that_count_are_taken_at_their_word() {
        let mut source = without_a_count();
        let seen = flips(&mut source, &[(4_000_000, 1000), (4_000_001, 1010), (4_000_003, 1030)]);
        assert_eq!(seen, [(4_000_000, 1000), (4_000_001, 1010), (4_000_003, 1030)]);
        assert_eq!(source.clock(), Clock::FlipEvent);
    }

    #[test]
    fn flips_without_a_count_are_counted_by_their_times() {
        let mut source = without_a_count();
        let seen = flips(&mut source, &[(0, 1000), (0, 1010), (0, 1031), (0, 1034), (0, 1050)]);
        assert_eq!(seen, [(1, 1000), (2, 1010), (4, 1031), (5, 1034), (7, 1050)]);
        assert_eq!(source.clock(), Clock::FlipEvent);
    }

    #[test]
    fn a_driver_that_waits_for_no_vblank_is_timed_by_its_mode() {
        let mut source = without_a_count();
        let seen = flips(&mut source, &[(0, 1000), (0, 1001), (0, 1002), (0, 1003)]);
        assert_eq!(seen, [(1, 1000), (2, 1001), (3, 1002), (4, 1012)]);
        assert_eq!(source.clock(), Clock::Timer);
        assert_eq!(flips(&mut source, &[(0, 1013), (0, 1050), (0, 1052)]), [(5, 1022), (8, 1052), (9, 1062)]);
    }
}
