//! Work that others want done on the loop's queue: by the loop itself, when it has the most time.
//!
//! Vulkan lets one thread at a time use a queue, and most GPUs have but one for graphics. If others used it, the loop would
//! wait for them whenever they lost their CPU in the middle of it. So they ask, and the loop submits what they have
//! recorded, right after it has handed over a picture; it waits neither for the work nor for whoever asked.

use std::sync::{Mutex, MutexGuard, TryLockError};

use crate::vulkan::{Commands, VulkanError};

/// Recorded work, to be done as often as it is asked for.
#[derive(Debug)]
pub struct Errand {
    /// Both sides only ever try to take the lock, so neither wakes the other.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// One for each of the display's pictures, or one for all of them.
    recordings: Vec<Commands>,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Idle,
    Asked,
    /// The device has this one.
    Submitted(usize),
}

/// How far an errand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not been run since it was asked for, or the device is not done.
    UnderWay,
    /// Nobody has asked for it, or it has been done since and nobody has asked again.
    Done,
}

impl Errand {
    /// Work that is recorded once for each of the display's pictures, in their order, or once for all.
    pub fn new(recordings: Vec<Commands>) -> Self {
        Self { state: Mutex::new(State { recordings, progress: Progress::Idle }) }
    }

    /// Asks for it to be done, unless it is under way.
    pub fn ask(&self) {
        if let Some(mut state) = self.take()
            && state.progress == Progress::Idle
        {
            state.progress = Progress::Asked;
        }
    }

    /// Where it is. Once it is done nothing uses what it works on until it is asked for again.
    ///
    /// # Errors
    /// When the device is lost.
    pub fn outcome(&self) -> Result<Outcome, VulkanError> {
        let Some(mut state) = self.take() else { return Ok(Outcome::UnderWay) };
        if let Progress::Submitted(index) = state.progress
            && state.recordings[index].is_done()?
        {
            state.progress = Progress::Idle;
        }
        Ok(if state.progress == Progress::Idle { Outcome::Done } else { Outcome::UnderWay })
    }

    /// Submits it if it was asked for, with the picture that was just handed over. Never waits.
    pub(super) fn run(&self, picture: usize) -> Result<(), VulkanError> {
        let Some(mut state) = self.take() else { return Ok(()) };
        if state.progress == Progress::Asked && !state.recordings.is_empty() {
            let index = picture % state.recordings.len();
            state.recordings[index].submit()?;
            state.progress = Progress::Submitted(index);
        }
        Ok(())
    }

    fn take(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
