//! Keyboards and mice where there is no window system: on a bare terminal.

mod evdev;
#[cfg(feature = "input")]
mod libinput;
mod terminal;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use super::controls::Event;
use super::steering::Steering;
use crate::thread::worker::Worker;
use crate::time::Instant;
use terminal::Terminal;

/// Why nothing can be steered with.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A device is not for this user.
    #[error(
        "no keys and no mouse: {device} cannot be opened ({source}): be root, or a member of the group 'input'"
    )]
    NotOpened {
        /// The device.
        device: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Nobody would read them.
    #[error("could not start the thread that reads keys and mouse: {0}")]
    Thread(std::io::Error),
}

/// Whoever reads the devices. Stops when dropped.
#[derive(Debug)]
pub struct Input {
    _reader: Worker,
}

impl Input {
    /// Reads keyboards and mice on a thread of its own from now on, and steers with them.
    ///
    /// # Errors
    /// When there are keyboards or mice and this user may read none of them, or no thread can be started.
    pub fn start(steering: Arc<Steering>) -> Result<Self, InputError> {
        let (told, ready) = channel();
        let reader = Worker::start("input", move |over| match Devices::open() {
            Ok(devices) => {
                drop(told);
                read(devices, &steering, over);
            }
            Err(error) => drop(told.send(error)),
        });
        let reader = reader.map_err(InputError::Thread)?;
        // An end without a word is a good one.
        ready.recv().map_or(Ok(Self { _reader: reader }), Err)
    }
}

/// How often the reader looks whether it is over.
const LOOKED_EVERY_MS: u16 = 100;

fn read(mut devices: Devices, steering: &Steering, over: &AtomicBool) {
    let terminal = Terminal::quiet();
    while !over.load(Ordering::Relaxed) {
        let mut in_front = None;
        devices.wait(LOOKED_EVERY_MS, &mut |event, at| {
            let meant = *in_front.get_or_insert_with(|| terminal.is_in_front());
            steering.take(if meant { event } else { Event::Away }, at);
        });
    }
}

/// Takes what was done, and when.
type Take<'a> = &'a mut dyn FnMut(Event, Instant);

/// Keyboards and mice, however they are read.
enum Devices {
    Kernel(evdev::Devices),
    #[cfg(feature = "input")]
    Libinput(libinput::Devices),
}

impl Devices {
    fn open() -> Result<Self, InputError> {
        #[cfg(feature = "input")]
        if let Some(devices) = libinput::Devices::open() {
            return Ok(Self::Libinput(devices));
        }
        evdev::Devices::open().map(Self::Kernel)
    }

    /// Hands over what was done, having waited for it at most `timeout_ms`.
    fn wait(&mut self, timeout_ms: u16, take: Take<'_>) {
        match self {
            Self::Kernel(devices) => devices.wait(timeout_ms, take),
            #[cfg(feature = "input")]
            Self::Libinput(devices) => devices.wait(timeout_ms, take),
        }
    }
}
