//! Between those who steer, on threads of their own, and the vblank loop, which waits for none of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::app::Sway;
use super::controls::{Controls, Event, View};
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
    stop: Arc<AtomicBool>,
}

impl Steering {
    /// Nobody steers yet. Sets `stop` when the end is asked for.
    pub fn new(sway: Sway, stop: Arc<AtomicBool>) -> Self {
        let controls = Controls::new(sway);
        let latest = Latest::new(to_words(&controls.view()));
        Self { controls: Mutex::new(controls), latest, sway, stop }
    }

    /// Takes in what was done at that time.
    pub fn take(&self, event: Event, at: Instant) {
        let mut controls = self.controls.lock().unwrap_or_else(PoisonError::into_inner);
        controls.take(event, at);
        self.latest.set(to_words(&controls.view()));
        if controls.view().quit {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// What is to be seen. Never waits.
    pub fn view(&self) -> View {
        from_words(self.sway, self.latest.get())
    }
}

const STEERED: u64 = 1;
const MURA_SPLIT: u64 = 2;
const STATISTICS: u64 = 4;
const QUIT: u64 = 8;

fn to_words(view: &View) -> [u64; 6] {
    let flag = |set: bool, flag: u64| if set { flag } else { 0 };
    let flags = flag(view.steered, STEERED)
        | flag(view.mura_split, MURA_SPLIT)
        | flag(view.statistics, STATISTICS)
        | flag(view.quit, QUIT);
    let [yaw, pitch, yaw_s, pitch_s] =
        [view.yaw_deg, view.pitch_deg, view.yaw_deg_s, view.pitch_deg_s].map(f64::to_bits);
    [flags, view.since.as_ns() as u64, yaw, pitch, yaw_s, pitch_s]
}

fn from_words(sway: Sway, [flags, since, angles @ ..]: [u64; 6]) -> View {
    let [yaw_deg, pitch_deg, yaw_deg_s, pitch_deg_s] = angles.map(f64::from_bits);
    View {
        sway,
        steered: flags & STEERED != 0,
        since: Instant::from_ns(since as i64),
        yaw_deg,
        pitch_deg,
        yaw_deg_s,
        pitch_deg_s,
        mura_split: flags & MURA_SPLIT != 0,
        statistics: flags & STATISTICS != 0,
        quit: flags & QUIT != 0,
    }
}

impl PoseSource for Steering {
    fn pose_at(&self, photon: Instant) -> Pose {
        self.view().pose_at(photon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn the_loop_sees_what_was_asked_for() {
        let stop = Arc::new(AtomicBool::new(false));
        let steering = Steering::new(Sway { degrees: 5.0 }, stop.clone());
        let at = Instant::from_ns(7_000_000_000);
        let swaying = steering.pose_at(at);
        let (left, mura, escape) = (105, 50, 1);
        for code in [left, mura] {
            steering.take(Event::Key { code, pressed: true }, at);
        }
        assert_eq!(steering.pose_at(at), swaying);
        let later = at + Span::from_ms(1000);
        assert_eq!(steering.pose_at(later), steering.controls.lock().unwrap().view().pose_at(later));
        assert_ne!(steering.pose_at(later), swaying);
        assert!(steering.view().mura_split && !stop.load(Ordering::Relaxed));
        steering.take(Event::Key { code: escape, pressed: true }, later);
        assert!(stop.load(Ordering::Relaxed));
    }
}
