//! Between those who steer, on threads of their own, and the vblank loop, which waits for none of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::app::Sway;
use super::controls::{Controls, Event, Gaze};
use crate::compositor::overlay::Board;
use crate::compositor::{Pose, PoseSource};
use crate::thread::latest::Latest;
use crate::time::Instant;

/// What has been asked for with keys and mouse, for everyone to see.
#[derive(Debug)]
pub struct Steering {
    /// Held by those who steer while they take an event in; the loop reads `latest`.
    controls: Mutex<Controls>,
    latest: Latest<6>,
    sway: Sway,
    board: Board,
    stop: Arc<AtomicBool>,
}

impl Steering {
    /// Nobody steers yet. Flips the switches of `board`, and sets `stop` when the end is asked for.
    pub fn new(sway: Sway, board: Board, stop: Arc<AtomicBool>) -> Self {
        let controls = Controls::new(sway);
        let latest = Latest::new(to_words(&controls.gaze()));
        Self { controls: Mutex::new(controls), latest, sway, board, stop }
    }

    /// Takes in what was done at that time.
    pub fn take(&self, event: Event, at: Instant) {
        let mut controls = self.controls.lock().unwrap_or_else(PoisonError::into_inner);
        controls.take(event, at);
        let wishes = controls.wishes();
        self.latest.set(to_words(&controls.gaze()));
        self.board.split(wishes.mura_split);
        self.board.show(wishes.statistics);
        if wishes.quit {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl PoseSource for Steering {
    fn pose_at(&self, photon: Instant) -> Pose {
        from_words(self.sway, self.latest.get()).pose_at(photon)
    }
}

fn to_words(gaze: &Gaze) -> [u64; 6] {
    let angles = [gaze.yaw_deg, gaze.pitch_deg, gaze.yaw_deg_s, gaze.pitch_deg_s];
    let [yaw, pitch, yaw_s, pitch_s] = angles.map(f64::to_bits);
    [u64::from(gaze.steered), gaze.since.as_ns() as u64, yaw, pitch, yaw_s, pitch_s]
}

fn from_words(sway: Sway, [steered, since, angles @ ..]: [u64; 6]) -> Gaze {
    let [yaw_deg, pitch_deg, yaw_deg_s, pitch_deg_s] = angles.map(f64::from_bits);
    let since = Instant::from_ns(since as i64);
    Gaze { sway, steered: steered != 0, since, yaw_deg, pitch_deg, yaw_deg_s, pitch_deg_s }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn the_loop_sees_what_was_asked_for() {
        let (board, stop) = (Board::default(), Arc::new(AtomicBool::new(false)));
        let steering = Steering::new(Sway { degrees: 5.0 }, board.clone(), stop.clone());
        let at = Instant::from_ns(7_000_000_000);
        let swaying = steering.pose_at(at);
        let (left, statistics, escape) = (105, 24, 1);
        for code in [left, statistics] {
            steering.take(Event::Key { code, pressed: true }, at);
        }
        assert_eq!(steering.pose_at(at), swaying);
        let later = at + Span::from_ms(1000);
        assert_eq!(steering.pose_at(later), steering.controls.lock().unwrap().gaze().pose_at(later));
        assert_ne!(steering.pose_at(later), swaying);
        assert!(board.is_shown() && !stop.load(Ordering::Relaxed));
        steering.take(Event::Key { code: escape, pressed: true }, later);
        assert!(stop.load(Ordering::Relaxed));
    }
}
