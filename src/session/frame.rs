//! A running session, and its frames.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::SessionError;
use super::canvas::Canvas;
use super::director::SharedViews;
use super::ending::Ending;
use super::eyes::Canvases;
use super::options::Options;
use super::view::View;
use crate::compositor::Pose;
use crate::compositor::frames::{DisplayState, FrameWriter};
use crate::compositor::layer::{Layer, LayerImage};
use crate::thread::sleep_until;
use crate::time::Instant;

/// A headset that shows what an application draws. The panel goes dark, and its lease is given back, when it is dropped.
#[derive(Debug)]
pub struct Session {
    pub(super) options: Options,
    pub(super) writer: FrameWriter,
    pub(super) views: SharedViews,
    pub(super) canvases: Canvases,
    pub(super) unfinished: Option<Unfinished>,
    pub(super) director: Option<JoinHandle<Result<Ending, SessionError>>>,
    /// Kept so that none is freed by the vblank loop.
    pub(super) _layers: Vec<Arc<LayerImage>>,
}

/// A frame that was submitted and is still being drawn.
#[derive(Debug)]
pub(super) struct Unfinished {
    pose: Pose,
    finished: OwnedFd,
}

/// How often whoever waits for an engine that draws looks whether anyone still wants to see it.
const LOOK_MS: u8 = 20;

impl Session {
    /// Waits until it is time to draw the next frame, which is as soon as the one before can be replaced. `None` once
    /// nothing is shown any more and nothing will be: [`end`](Self::end) says why.
    ///
    /// Where nothing is shown for now ([`Frame::state`]) it waits for a while only, so that the application can look after
    /// other things.
    pub fn wait(&mut self) -> Option<Frame<'_>> {
        self.finish();
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

    /// Says that no frame is to be waited for until the next one is submitted: the calm scene is shown at once. To be
    /// called when whoever draws has gone.
    pub fn leave(&self) {
        self.writer.leave();
    }

    /// Ends it, if it has not ended of itself, and tells what it was like.
    ///
    /// # Errors
    /// When it could not be shown at all, or not on the display that was taken again.
    pub fn end(mut self) -> Result<Ending, SessionError> {
        self.stop().expect("only dropping a session takes its director away")
    }

    /// Hands over the frame that was still being drawn when it was submitted, once it is done.
    fn finish(&mut self) {
        let Some(Unfinished { pose, finished }) = self.unfinished.take() else { return };
        while self.state() != DisplayState::Ended {
            let mut fds = [PollFd::new(finished.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(LOOK_MS)).is_ok_and(|ready| ready > 0) {
                self.writer.submit(pose, Instant::now());
                return;
            }
        }
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

/// A frame to be drawn. Dropped without [`submit`](Self::submit), it is not shown; dropped by a panic, it is taken to be
/// the last.
#[derive(Debug)]
pub struct Frame<'a> {
    session: &'a mut Session,
    state: DisplayState,
    photon: Instant,
    pose: Pose,
    views: Arc<[View; 2]>,
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.session.leave();
        }
    }
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

    /// Which pair of images it is to be drawn in, of those the session was begun with. Nobody reads them until it is
    /// submitted; then they are not to be touched until a later frame names them again.
    pub fn pair(&self) -> usize {
        self.session.writer.slot()
    }

    /// The pixels of one eye's image, 0 the left and 1 the right.
    ///
    /// # Panics
    /// When the session's images are none that the CPU draws ([`Eyes::pixels`](super::Eyes::pixels)).
    pub fn canvas(&mut self, eye: usize) -> Canvas<'_> {
        let pair = self.session.writer.slot();
        let pixels = self.session.canvases.get_mut(pair).expect("a session of Eyes::pixels has canvases");
        Canvas::new(&mut pixels[eye])
    }

    /// Paints both eyes' images: each pixel in the colour, sRGB-encoded, of the direction that it shows in the room. Submit
    /// it with [`pose`](Self::pose).
    ///
    /// # Panics
    /// As [`canvas`](Self::canvas).
    pub fn paint(&mut self, mut colour: impl FnMut([f64; 3]) -> [u8; 3]) {
        let (views, pose) = (self.views.clone(), self.pose);
        for (eye, view) in views.iter().enumerate() {
            self.canvas(eye).paint(view, pose, &mut colour);
        }
    }

    /// Hands it over, drawn from `pose`. It is shown from the next vblank on, as seen from where the head looks then.
    pub fn submit(self, pose: Pose) {
        self.session.writer.submit(pose, Instant::now());
    }

    /// The same with these layers over it, the first lowest. Those kept to the head are where the head is when it is shown.
    ///
    /// # Panics
    /// When there are more than [`Options::layers`].
    pub fn submit_under(self, layers: &[Layer], pose: Pose) {
        let most = self.session.options.layers;
        assert!(layers.len() <= most, "{} layers; the session was opened for {most}", layers.len());
        self.session.writer.submit_under(layers, pose, Instant::now());
    }

    /// The same for images that are still being drawn: they are once `finished` is readable, as a sync file
    /// (`SYNC_IOC_*`) or an eventfd is. Whatever that takes, the headset goes on with the frame before. It is
    /// [`Session::wait`] that waits for it and then hands the frame over, so call that soon.
    pub fn submit_when(self, finished: OwnedFd, pose: Pose) {
        self.session.unfinished = Some(Unfinished { pose, finished });
    }
}
