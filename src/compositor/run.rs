//! A run of the loop: what ends it, and what it was like.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::frames::{AppTotals, FrameReader};
use super::history::History;
use super::vblank_loop::LoopPicture;
use crate::display::{Description, Display, DisplayError};
use crate::lease::liveness::Loss;
use crate::time::{Instant, Span};
use crate::vulkan::Image;

/// What ends a run.
#[derive(Clone, Debug)]
pub struct Limit {
    /// So many frames on the panel, the first included.
    pub frames: Option<u64>,
    /// So long after the first frame came on.
    pub time: Option<Span>,
    /// As soon as this is set.
    pub stop: Arc<AtomicBool>,
}

impl Limit {
    /// Whether it is reached at `now`, by a run with that history.
    pub fn is_reached(&self, history: &History, now: Instant) -> bool {
        let lit_for = history.first_flip.map(|first| now - first);
        self.stop.load(Ordering::Relaxed)
            || self.frames.is_some_and(|frames| history.frames >= frames)
            || self.time.zip(lit_for).is_some_and(|(time, lit_for)| lit_for >= time)
    }
}

/// A run that has ended, and what outlives it.
#[derive(Debug)]
pub struct Ended {
    /// What it was like.
    pub run: Run,
    /// The display, still lit.
    pub display: Box<dyn Display>,
    /// What was drawn on, one of which is on the display.
    pub pictures: Vec<LoopPicture>,
    /// Where the app's frames come from.
    pub frames: FrameReader,
}

/// What a run was like.
#[derive(Debug)]
pub struct Run {
    /// What it ran on.
    pub description: Description,
    /// What happened, in this run and in those that it carries on.
    pub history: History,
    /// Vblanks a second, by the display's own stamps.
    pub measured_hz: Option<f64>,
    /// What became of the app's frames.
    pub app: AppTotals,
    /// Allocations of the loop after its first second.
    pub allocations: u64,
    /// System calls of this library a frame, in the loop after its first second.
    pub system_calls_per_frame: f64,
    /// The picture on the panel when it ended.
    pub last_picture: Option<Arc<Image>>,
    /// What ended it early, if anything.
    pub error: Option<DisplayError>,
}

impl Run {
    /// What its lease was lost to, if that ended it.
    pub fn loss(&self) -> Option<Loss> {
        match self.error {
            Some(DisplayError::LeaseLost { why, .. }) => Some(why),
            _ => None,
        }
    }
}
