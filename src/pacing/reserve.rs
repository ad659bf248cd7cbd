//! The time kept in hand for a frame: enough for nearly all, and no more than that.

use super::window::Window;
use crate::time::Span;

/// How long before its deadline a frame has to be begun.
///
/// What a frame needs is taken apart into what is usual now, which follows a load that changes, and by how much single
/// frames are above that, of which a high quantile is kept in hand. What no quantile tells of, a rare frame that needs
/// much more, is missed. From then on as much is in hand as the most that was needed lately, at once and for a while:
/// such frames come in company, and each puts off the end of that while. If one is missed `SOON` after it, the
/// next while is twice as long; if none is, half. So what comes again and again is met for good after a few misses, and what
/// happens once in minutes costs one frame and a while of older poses.
#[derive(Clone, Debug)]
pub struct Reserve {
    /// No frame that needs more is waited for: it is an accident, or all do.
    most: Span,
    usual: Span,
    /// By how much each frame needed more than was usual before it.
    above: Window<WINDOW>,
    /// The most that was needed lately.
    worst: Span,
    /// What is held since the last miss, and for how many frames more.
    held: Span,
    hold_left: u32,
    /// How long the next hold is, and for how many frames there has been none.
    hold: u32,
    calm: u32,
}

const WINDOW: usize = 512;
/// So much of each new frame goes into what is usual.
const USUAL_SHARE: i64 = 16;
/// Kept above a frame that was missed. Also what is added where the schedule was kept and the vblank missed all the same.
const STEP: Span = Span::from_us(300);
/// Frames, the first and the longest hold: three seconds and three minutes at 90 Hz.
const SHORTEST_HOLD: u32 = 256;
const LONGEST_HOLD: u32 = 16_384;
/// What comes more often than the longest hold is worth one without an end.
const SOON: u32 = LONGEST_HOLD;
/// After a hold, each frame takes one part in so many off what is left of it.
const RELEASE: i64 = 32;
/// Each frame takes one part in so many off the memory of the worst: it is half gone after an hour.
const FORGET: i64 = 524_288;
/// Before so many frames were seen there is more in hand, the most at first.
const UNSURE_FRAMES: i64 = 64;
const UNSURE: Span = Span::from_ms(2);

impl Reserve {
    /// For frames that are to need at most `most`.
    pub fn new(most: Span) -> Self {
        Self {
            most,
            usual: Span::ZERO,
            above: Window::new(),
            worst: Span::ZERO,
            held: Span::ZERO,
            hold_left: 0,
            hold: SHORTEST_HOLD,
            calm: u32::MAX,
        }
    }

    /// How long before its deadline the next frame is to be begun; `None` before any was seen.
    pub fn in_hand(&self) -> Option<Span> {
        (self.above.seen() > 0).then(|| self.for_nearly_all().max(self.held))
    }

    /// Takes in what a frame needed and whether it missed its vblank.
    pub fn observe(&mut self, needed: Span, missed: bool) {
        let Some(in_hand) = self.in_hand() else {
            self.usual = needed.min(self.most);
            self.above.push(Span::ZERO);
            return;
        };
        let costly = needed - self.usual > self.bulk();
        self.above.push(needed - self.usual);
        // Nothing is to be learned for other frames from one that takes longer than could be waited for.
        let bounded = needed.min(self.most);
        let accident = needed > self.most;
        self.usual = self.usual + (bounded - self.usual) / USUAL_SHARE;
        if !accident {
            self.worst = (self.worst - self.worst / FORGET).max(needed);
        }
        if missed && !accident {
            if needed > in_hand {
                // Either this is what is usual from now on or it passes as fast as it came.
                self.usual = bounded;
            }
            self.hold_on(in_hand);
        } else if costly && !accident && self.hold_left > 0 {
            self.hold_left = self.hold;
        } else {
            self.let_go();
        }
    }

    /// What all but a few in 10,000 frames need.
    ///
    /// Their tail is taken to fall off beyond 99 in 100 as it does before, two times as far again for two more powers of
    /// ten, as an exponential one does. Where it is a step up to a second kind of frame that it falls off, the tail says
    /// nothing about what comes beyond, and the spread of the first kind has to do.
    fn for_nearly_all(&self) -> Span {
        let [half, most, nearly_all] = [500, 900, 990].map(|per_mille| self.above.quantile(per_mille));
        let tail = (nearly_all - most).min((most - half) * 2);
        let unseen = (UNSURE_FRAMES - self.above.seen() as i64).max(0);
        (self.usual + nearly_all + tail * 2 + UNSURE * unseen / UNSURE_FRAMES).min(self.most)
    }

    /// What no frame of the common kind needs beyond what is usual, even where one in ten is of another.
    fn bulk(&self) -> Span {
        let [half, most] = [500, 900].map(|per_mille| self.above.quantile(per_mille));
        most + (most - half) * 4
    }

    fn hold_on(&mut self, in_hand: Span) {
        if self.hold_left == 0 {
            self.hold = match self.calm < SOON {
                true => (self.hold * 2).min(LONGEST_HOLD),
                false => (self.hold / 2).max(SHORTEST_HOLD),
            };
        }
        let wanted = self.worst + STEP;
        self.held = if wanted > in_hand { wanted } else { in_hand + STEP }.min(self.most);
        self.hold_left = self.hold;
        self.calm = 0;
    }

    fn let_go(&mut self) {
        match self.hold_left {
            0 => {
                self.calm = self.calm.saturating_add(1);
                self.held = self.held - (self.held - self.for_nearly_all()).max(Span::ZERO) / RELEASE;
            }
            left => self.hold_left = left - 1,
        }
    }
}
