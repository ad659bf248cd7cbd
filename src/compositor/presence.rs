//! Whether there is an app that draws, and what is shown where there is none. Pure: is told every time.
//!
//! A picture that stands still while the head turns makes people fall over, and one that is turned ever further from
//! where it was drawn is soon gone. So where the app stays away its last frame fades out and a calm scene fades in, which
//! is there wherever the head looks; and back, when the app has caught itself.

use crate::time::{Instant, Span};

/// What came of the app since the last vblank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A new frame.
    Frame,
    /// Nothing.
    None,
    /// Word that it is gone.
    Gone,
}

/// What is to be shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown {
    /// Nothing yet: the panel stays dark.
    Nothing,
    /// The app's newest frame, its light scaled by this: 1 whole, 0 black.
    App(f64),
    /// The calm scene, the same.
    Calm(f64),
}

/// An app that has brought nothing new for so many frames, in which the loop did come around, is taken for hung. At
/// 90 Hz it is a ninth of a second: no app that is merely slow takes as long, and nobody has lost their balance yet. It is
/// what SteamVR waits for too (Valve's `IVRCompositor_Overview`).
const HUNG_AFTER: u32 = 10;
/// One that has never shown anything may still be loading.
const LOADING: Span = Span::from_ms(1_000);
/// It is back once so many frames have come without such a gap: a slide show should not make the headset blink.
const BACK_AFTER: u32 = 3;
/// From whole to black, and from black to whole.
const FADE: Span = Span::from_ms(150);

/// Follows the app's coming and going.
#[derive(Clone, Debug)]
pub struct Presence {
    /// From 1, the app's frames whole, through 0, black, to -1, the calm scene whole.
    level: f64,
    here: bool,
    ever: bool,
    /// Times looked since the last frame of the app's.
    quiet: u32,
    /// Frames of the app's since it was away, without a gap.
    caught: u32,
    newest: Option<Instant>,
    last: Option<Instant>,
}

impl Default for Presence {
    fn default() -> Self {
        Self { level: 1.0, here: true, ever: false, quiet: 0, caught: 0, newest: None, last: None }
    }
}

impl Presence {
    /// Takes in what came of the app for a frame that is begun at `now`, with vblanks `period` apart.
    pub fn observe(&mut self, now: Instant, period: Span, news: News) -> Shown {
        let since = now - *self.newest.get_or_insert(now);
        self.quiet = self.quiet.saturating_add(1);
        let patience = if self.ever { period * i64::from(HUNG_AFTER) } else { LOADING };
        let hung = self.quiet > HUNG_AFTER && since > patience;
        if hung || news == News::Gone {
            (self.here, self.caught) = (false, 0);
        }
        if news == News::Frame {
            (self.quiet, self.newest, self.ever) = (0, Some(now), true);
            self.caught += u32::from(!self.here);
            self.here |= self.caught >= BACK_AFTER;
        }
        self.turn(now);
        match self.level {
            _ if self.here && !self.ever => Shown::Nothing,
            level if level > 0.0 => Shown::App(level),
            level => Shown::Calm(-level),
        }
    }

    fn turn(&mut self, now: Instant) {
        let passed = (now - self.last.replace(now).unwrap_or(now)).max(Span::ZERO);
        let step = passed.as_secs_f64() / FADE.as_secs_f64();
        self.level = match self.here {
            true => (self.level + step).min(1.0),
            // There is nothing of its own to fade out.
            false if !self.ever => (self.level.min(0.0) - step).max(-1.0),
            false => (self.level - step).max(-1.0),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PERIOD: Span = Span::from_ms(10);

    /// What is shown at each vblank from the first on.
    fn play(news: impl IntoIterator<Item = News>) -> Vec<Shown> {
        let mut presence = Presence::default();
        (1..)
            .zip(news)
            .map(|(n, news)| presence.observe(Instant::default() + PERIOD * n, PERIOD, news))
            .collect()
    }

    fn times(news: News, count: usize) -> impl Iterator<Item = News> {
        std::iter::repeat_n(news, count)
    }

    #[test]
    fn an_app_that_is_slow_is_shown_as_it_is() {
        let slow = (0..300).map(|n| if n % 9 == 0 { News::Frame } else { News::None });
        assert!(play(slow).iter().all(|&shown| shown == Shown::App(1.0)));
    }

    #[test]
    fn one_that_hangs_fades_to_the_calm_scene_and_back_once_it_has_caught_itself() {
        let shown = play(times(News::Frame, 5).chain(times(News::None, 60)).chain(times(News::Frame, 60)));
        let place = |wanted: Shown| shown.iter().position(|&shown| shown == wanted).unwrap();
        let whole = place(Shown::Calm(1.0));
        assert_eq!(shown[4 + HUNG_AFTER as usize], Shown::App(1.0), "{shown:?}");
        assert!((0..=1).contains(&(whole as i64 - (4 + 10 + 30))), "{whole}: {shown:?}");
        assert_eq!(shown[65 + 1], Shown::Calm(1.0), "not at its first frame");
        assert_eq!(shown.last(), Some(&Shown::App(1.0)));
    }

    #[test]
    fn one_that_says_it_is_gone_is_not_waited_for() {
        let shown = play(times(News::Frame, 5).chain(times(News::Gone, 40)));
        assert!(matches!(shown[5], Shown::App(level) if level < 1.0), "{shown:?}");
        assert_eq!(shown.last(), Some(&Shown::Calm(1.0)));
    }

    #[test]
    fn a_slide_show_does_not_make_the_headset_blink() {
        let slides = (0..400).map(|n| if n % 40 == 0 { News::Frame } else { News::None });
        assert!(play(slides)[60..].iter().all(|&shown| shown == Shown::Calm(1.0)));
    }

    #[test]
    fn one_that_never_shows_anything_is_given_a_second_to_load() {
        let shown = play(times(News::None, 200));
        assert!(shown[..100].iter().all(|&shown| shown == Shown::Nothing));
        assert!(!shown.iter().any(|shown| matches!(shown, Shown::App(_))));
        assert_eq!(shown.last(), Some(&Shown::Calm(1.0)));
    }

    fn news() -> impl Strategy<Value = News> {
        prop_oneof![6 => Just(News::Frame), 6 => Just(News::None), 1 => Just(News::Gone)]
    }

    fn level(shown: Shown) -> Option<f64> {
        match shown {
            Shown::Nothing => None,
            Shown::App(level) => Some(level),
            Shown::Calm(level) => Some(-level),
        }
    }

    proptest! {
        /// Stretches of the same news, at whatever pace the loop comes around.
        #[test]
        fn light_never_jumps_and_no_old_frame_stays(
            stretches in prop::collection::vec((news(), 1usize..30, 1i64..40), 1..20)
        ) {
            let mut presence = Presence::default();
            let (mut now, mut fresh) = (Instant::default(), Instant::default());
            let mut before: Option<f64> = None;
            for (news, count, pace_ms) in stretches {
                for _ in 0..count {
                    now += Span::from_ms(pace_ms);
                    fresh = if news == News::Frame { now } else { fresh };
                    let shown = presence.observe(now, PERIOD, news);
                    let step = pace_ms as f64 / 150.0 + 1e-9;
                    if let (Some(level), Some(before)) = (level(shown), before) {
                        prop_assert!((level - before).abs() <= step, "{before} to {level} in {pace_ms} ms");
                    }
                    before = level(shown);
                    let longest = Span::from_ms(40) * i64::from(HUNG_AFTER + 2) + PERIOD * 10 + FADE;
                    let app = matches!(shown, Shown::App(_));
                    prop_assert!(!app || now - fresh <= longest, "a frame of {:?} ago", now - fresh);
                }
            }
        }
    }
}
