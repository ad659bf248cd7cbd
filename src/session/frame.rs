//! A running session, and its frames.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use super::SessionError;
use super::director::SharedViews;
use super::ending::Ending;
use super::options::Options;
use super::view::View;

use crate::compositor::Pose;
use crate::compositor::frames::{DisplayState, FrameWriter};
use crate::thread::sleep_until;
use crate::time::Instant;

/// A headset that shows what an application draws. The panel goes dark, and its lease is given back, when it is dropped.
#[derive(Debug)]
pub struct Session {
    options: Options,
    writer: FrameWriter,
    views: SharedViews,
    director: Option<JoinHandle<Result<Ending, SessionError>>>,
}

impl Session {
    pub(super) fn new(
        options: Options,
        writer: FrameWriter,
        views: SharedViews,
        director: JoinHandle<Result<Ending, SessionError>>,
    ) -> Self {
        Self { options, writer, views, director: Some(director) }
    }

    /// Waits until it is time to draw the next frame, which is as soon as the one before can be replaced. `None` once
    /// nothing is shown any more and nothing will be: [`end`](Self::end) says why.
    ///
    /// Where nothing is shown for now ([`Frame::state`]) it waits for a while only, so that the application can look after
    /// other things.
    pub fn wait(&mut self) -> Option<Frame<'_>> {
        let begin = self.writer.next_frame(Instant::now())?;
        sleep_until(begin);
        let state = self.state();
        if state == DisplayState::Ended {
            return None;
        }
        let photon = self.writer.photon();
        let pose = self.options.poses.pose_at(photon);
        let views = self.views.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(Frame { session: self, state, photon, pose, views })
    }

    /// What becomes of frames now.
    pub fn state(&self) -> DisplayState {
        self.writer.state()
    }

    /// Ends it, if it has not ended of itself, and tells what it was like.
    ///
    /// # Errors
    /// When it could not be shown at all, or not on the display that was taken again.
    pub fn end(mut self) -> Result<Ending, SessionError> {
        self.stop().expect("only dropping a session takes its director away")
    }

    fn stop(&mut self) -> Option<Result<Ending, SessionError>> {
        self.options.limit.stop.store(true, Ordering::Relaxed);
        let failed = |_| {
            let source = std::io::Error::other("it panicked");
            Err(SessionError::Thread { name: "headset", source })
        };
        self.director.take().map(|director| director.join().unwrap_or_else(failed))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.stop() {
            tracing::error!("{error}");
        }
    }
}

/// A frame to be drawn. Dropped without [`submit`](Self::submit), it is not shown.
#[derive(Debug)]
pub struct Frame<'a> {
    session: &'a mut Session,
    state: DisplayState,
    photon: Instant,
    pose: Pose,
    views: Arc<[View; 2]>,
}

impl Frame<'_> {
    /// What becomes of it: where that is nothing, drawing it is a waste.
    pub fn state(&self) -> DisplayState {
        self.state
    }

    /// When its light leaves the panel, if it is submitted in time.
    pub fn photon(&self) -> Instant {
        self.photon
    }

    /// Where the head is expected to look then. It may be drawn from any other pose too, as long as
    /// [`submit`](Self::submit) says from which.
    pub fn pose(&self) -> Pose {
        self.pose
    }

    /// How the left and the right eye see.
    pub fn views(&self) -> &[View; 2] {
        &self.views
    }

    /// Hands it over, drawn from `pose`. It is shown from the next vblank on, as seen from where the head looks then.
    pub fn submit(self, pose: Pose) {
        self.session.writer.submit(pose, Instant::now());
    }
}
