//! What keys and the mouse do: one table for the mapping and for the help, and a state that they change. Pure: times and
//! events come in, a [`Gaze`] and [`Wishes`] go out.

use crate::compositor::Pose;
use crate::time::{Instant, Span};

use super::app::Sway;

/// What was done to a keyboard or a mouse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// A key went down or came up; autorepeat is no event.
    Key {
        /// The kernel's code for its place on the keyboard (`linux/input-event-codes.h`).
        code: u32,
        /// Whether it is down now.
        pressed: bool,
    },
    /// The mouse moved by so much, to the right and downwards.
    Moved {
        /// To the right, in the mouse's own units.
        right: f64,
        /// Downwards.
        down: f64,
    },
    /// Nobody is at the keys any more: those that are down will not be seen to come up.
    Away,
    /// The window was closed that there was nothing without.
    Closed,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Left,
    Right,
    Up,
    Down,
    Recentre,
    Mura,
    Statistics,
    Quit,
}

/// All there are, in the order of the help.
const ACTIONS: [(Action, &str); 8] = [
    (Action::Left, "look to the left"),
    (Action::Right, "look to the right"),
    (Action::Up, "look up"),
    (Action::Down, "look down"),
    (Action::Recentre, "look straight ahead again"),
    (Action::Mura, "mura correction off in the left half of each eye, and on again"),
    (Action::Statistics, "statistics in the headset, on and off"),
    (Action::Quit, "end"),
];

/// A key by its code in `linux/input-event-codes.h`, which names its place on a keyboard and not what is printed there.
const KEYS: [(u32, &str, Action); 13] = [
    (105, "Left", Action::Left),
    (30, "A", Action::Left),
    (106, "Right", Action::Right),
    (32, "D", Action::Right),
    (103, "Up", Action::Up),
    (17, "W", Action::Up),
    (108, "Down", Action::Down),
    (31, "S", Action::Down),
    (19, "R", Action::Recentre),
    (50, "M", Action::Mura),
    (24, "O", Action::Statistics),
    (1, "Escape", Action::Quit),
    (16, "Q", Action::Quit),
];

/// The table of keys, one line each, as the help shows it.
pub fn help() -> String {
    let mut text = String::from("Keys, by their place on a US keyboard:\n");
    for (action, what) in ACTIONS {
        let names = KEYS.iter().filter(|key| key.2 == action).map(|key| key.1);
        text += &format!("  {:<12}{what}\n", names.collect::<Vec<_>>().join(", "));
    }
    text + &format!("  {:<12}look around", "mouse")
}

/// How fast the head turns while a key is down, in degrees a second.
const TURN_DEG_S: f64 = 45.0;
/// How far it turns for one unit of the mouse's, in degrees.
const MOUSE_DEG: f64 = 0.1;
/// As far up and down as necks go.
const PITCH_LIMIT_DEG: f64 = 80.0;

/// What has been asked for so far.
#[derive(Clone, Debug)]
pub struct Controls {
    gaze: Gaze,
    wishes: Wishes,
    /// By place in [`KEYS`]: two keys of one action are let go of one by one.
    down: [bool; KEYS.len()],
}

/// Where the head looks, and how it turns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaze {
    /// The head's own motion, until somebody steers.
    pub sway: Sway,
    /// Whether somebody does.
    pub steered: bool,
    /// When the head looked as follows.
    pub since: Instant,
    /// To the left, in degrees.
    pub yaw_deg: f64,
    /// Upwards, in degrees.
    pub pitch_deg: f64,
    /// How fast it turns to the left, in degrees a second.
    pub yaw_deg_s: f64,
    /// How fast it turns upwards.
    pub pitch_deg_s: f64,
}

/// What else has been asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// No mura correction in the left half of each eye.
    pub mura_split: bool,
    /// Statistics in the headset.
    pub statistics: bool,
    /// The end.
    pub quit: bool,
}

impl Gaze {
    /// Nobody steers; the head moves on its own.
    fn new(sway: Sway) -> Self {
        let since = Instant::default();
        Self { sway, steered: false, since, yaw_deg: 0.0, pitch_deg: 0.0, yaw_deg_s: 0.0, pitch_deg_s: 0.0 }
    }

    /// Where the head looks at `time`, to the left and up in degrees.
    pub fn angles_at(&self, time: Instant) -> [f64; 2] {
        if !self.steered {
            return [self.sway.yaw_deg_at(time), 0.0];
        }
        let seconds = (time - self.since).max(Span::ZERO).as_secs_f64();
        let pitch_deg = self.pitch_deg + self.pitch_deg_s * seconds;
        [self.yaw_deg + self.yaw_deg_s * seconds, pitch_deg.clamp(-PITCH_LIMIT_DEG, PITCH_LIMIT_DEG)]
    }

    /// The head's pose at `time`.
    pub fn pose_at(&self, time: Instant) -> Pose {
        let [yaw_deg, pitch_deg] = self.angles_at(time);
        Pose::from_degrees(yaw_deg, pitch_deg, 0.0)
    }
}

impl Controls {
    /// Nothing has been asked for; the head moves on its own.
    pub fn new(sway: Sway) -> Self {
        Self { gaze: Gaze::new(sway), wishes: Wishes::default(), down: [false; KEYS.len()] }
    }

    /// Where the head looks from now on.
    pub fn gaze(&self) -> Gaze {
        self.gaze
    }

    /// What else is wanted now.
    pub fn wishes(&self) -> Wishes {
        self.wishes
    }

    /// Takes in what was done at that time.
    pub fn take(&mut self, event: Event, at: Instant) {
        match event {
            Event::Key { code, pressed } => {
                let Some(place) = KEYS.iter().position(|key| key.0 == code) else { return };
                if self.down[place] == pressed {
                    return;
                }
                self.down[place] = pressed;
                self.key(KEYS[place].2, pressed, at);
            }
            Event::Moved { right, down } => {
                self.steer(at);
                self.gaze.yaw_deg -= right * MOUSE_DEG;
                let pitch_deg = self.gaze.pitch_deg - down * MOUSE_DEG;
                self.gaze.pitch_deg = pitch_deg.clamp(-PITCH_LIMIT_DEG, PITCH_LIMIT_DEG);
            }
            Event::Closed => self.wishes.quit = true,
            Event::Away => {
                self.down = Default::default();
                self.turn(at);
            }
        }
    }

    fn key(&mut self, action: Action, pressed: bool, at: Instant) {
        match action {
            Action::Left | Action::Right | Action::Up | Action::Down => {
                self.steer(at);
                self.turn(at);
            }
            Action::Recentre if pressed => {
                self.steer(at);
                (self.gaze.yaw_deg, self.gaze.pitch_deg) = (0.0, 0.0);
            }
            Action::Mura if pressed => self.wishes.mura_split = !self.wishes.mura_split,
            Action::Statistics if pressed => self.wishes.statistics = !self.wishes.statistics,
            Action::Quit if pressed => self.wishes.quit = true,
            Action::Recentre | Action::Mura | Action::Statistics | Action::Quit => {}
        }
    }

    /// From `at` on the head is the user's, and looks where it last did.
    fn steer(&mut self, at: Instant) {
        let [yaw_deg, pitch_deg] = self.gaze.angles_at(at);
        self.gaze = Gaze { steered: true, since: at, yaw_deg, pitch_deg, ..self.gaze };
    }

    /// Has the head turn as the keys that are down say, from `at` on.
    fn turn(&mut self, at: Instant) {
        if self.gaze.steered {
            self.steer(at);
        }
        let down = |action| KEYS.iter().zip(self.down).any(|(key, down)| down && key.2 == action);
        let rate =
            |more, less| TURN_DEG_S * (f64::from(u8::from(down(more))) - f64::from(u8::from(down(less))));
        self.gaze.yaw_deg_s = rate(Action::Left, Action::Right);
        self.gaze.pitch_deg_s = rate(Action::Up, Action::Down);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STILL: Sway = Sway { degrees: 0.0 };
    const START: Instant = Instant::from_ns(7_000_000_000);

    fn key(name: &str, pressed: bool) -> Event {
        let code = KEYS.iter().find(|key| key.1 == name).expect("the table has it").0;
        Event::Key { code, pressed }
    }

    fn after_ms(ms: i64) -> Instant {
        START + Span::from_ms(ms)
    }

    #[test]
    fn the_head_turns_while_a_key_is_down_and_stays_there() {
        let mut controls = Controls::new(STILL);
        controls.take(key("Left", true), START);
        let [yaw, _] = controls.gaze().angles_at(after_ms(500));
        assert!((yaw - TURN_DEG_S / 2.0).abs() < 1e-9, "{yaw}");
        controls.take(key("Left", false), after_ms(1000));
        for ms in [1000, 5000] {
            assert_eq!(controls.gaze().angles_at(after_ms(ms)), [TURN_DEG_S, 0.0]);
        }
    }

    #[test]
    fn two_keys_for_one_way_turn_no_faster_and_opposite_ones_not_at_all() {
        let mut controls = Controls::new(STILL);
        controls.take(key("Left", true), START);
        controls.take(key("A", true), START);
        assert_eq!(controls.gaze().yaw_deg_s, TURN_DEG_S);
        controls.take(key("Left", false), START);
        assert_eq!(controls.gaze().yaw_deg_s, TURN_DEG_S, "the other is still down");
        controls.take(key("D", true), START);
        assert_eq!(controls.gaze().yaw_deg_s, 0.0);
    }

    #[test]
    fn a_swaying_head_is_taken_over_where_it_is() {
        let mut controls = Controls::new(Sway { degrees: 5.0 });
        let swaying = controls.gaze().angles_at(START);
        assert!(swaying[0].abs() > 0.1, "it looks to a side at that time: {swaying:?}");
        controls.take(key("Up", true), START);
        assert_eq!(controls.gaze().angles_at(START), swaying);
        controls.take(key("R", true), after_ms(10));
        assert_eq!(controls.gaze().angles_at(after_ms(10)), [0.0, 0.0]);
    }

    #[test]
    fn the_other_keys_leave_a_swaying_head_alone() {
        let mut controls = Controls::new(Sway { degrees: 5.0 });
        for name in ["M", "O"] {
            controls.take(key(name, true), START);
            controls.take(key(name, false), START);
        }
        controls.take(Event::Away, START);
        assert_eq!(controls.wishes(), Wishes { mura_split: true, statistics: true, quit: false });
        assert!(!controls.gaze().steered);
        controls.take(key("M", true), START);
        assert!(!controls.wishes().mura_split);
    }

    #[test]
    fn escape_and_q_end_it() {
        for name in ["Escape", "Q"] {
            let mut controls = Controls::new(STILL);
            controls.take(key(name, true), START);
            assert!(controls.wishes().quit);
        }
    }

    #[test]
    fn the_help_names_every_key_once() {
        let help = help();
        let words: Vec<&str> = help.split([' ', ',', '\n']).collect();
        for (code, name, action) in KEYS {
            assert_eq!(words.iter().filter(|&&word| word == name).count(), 1, "{name} in {help}");
            assert_eq!(KEYS.iter().filter(|key| key.0 == code).count(), 1, "{name} has a code of its own");
            assert!(ACTIONS.iter().any(|known| known.0 == action), "the help says what {name} does");
        }
    }

    proptest! {
        #[test]
        fn no_order_of_events_turns_the_head_over_or_leaves_it_turning(
            events in prop::collection::vec((0u32..128, any::<bool>(), -500.0..500.0, 0i64..1000), 0..100),
        ) {
            let mut controls = Controls::new(STILL);
            let mut at = START;
            for (code, pressed, motion, ms) in events {
                at += Span::from_ms(ms);
                controls.take(Event::Key { code, pressed }, at);
                controls.take(Event::Moved { right: motion, down: -motion }, at);
                let [yaw, pitch] = controls.gaze().angles_at(at + Span::from_ms(10_000));
                prop_assert!(yaw.is_finite() && pitch.abs() <= PITCH_LIMIT_DEG);
            }
            controls.take(Event::Away, at);
            let gaze = controls.gaze();
            prop_assert_eq!((gaze.yaw_deg_s, gaze.pitch_deg_s), (0.0, 0.0));
        }
    }
}
