//! Keyboards, mice and touchpads through libinput, which knows their quirks and hears of those that are plugged in.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use input::event::keyboard::{KeyState, KeyboardEvent, KeyboardEventTrait};
use input::event::pointer::{PointerEvent, PointerEventTrait};
use input::{Libinput, LibinputInterface};
use nix::libc::{EIO, O_ACCMODE, O_RDWR, O_WRONLY};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Take;
use crate::demo::controls::Event;
use crate::time::{Instant, Span};

/// Where udev listens while it runs. Without it libinput takes no device, for nobody tells it what each one is.
const UDEV: &str = "/run/udev/control";

/// What seats are called that nobody has named.
const SEAT: &str = "seat0";

/// The devices of the seat.
pub struct Devices {
    libinput: Libinput,
}

impl Devices {
    /// Opens those there are, and from then on those that are plugged in. `None` where there is no udev or no rights.
    pub fn open() -> Option<Self> {
        if !Path::new(UDEV).exists() {
            tracing::debug!("no udev, so no libinput");
            return None;
        }
        let mut libinput = Libinput::new_with_udev(Opener);
        libinput.udev_assign_seat(SEAT).ok()?;
        libinput.dispatch().ok()?;
        let any = libinput.by_ref().any(|event| matches!(event, input::Event::Device(_)));
        any.then_some(Self { libinput })
    }

    /// Hands over what was done, having waited for it at most `timeout_ms`.
    pub fn wait(&mut self, timeout_ms: u16, take: Take<'_>) {
        let mut fds = [PollFd::new(self.libinput.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(timeout_ms));
        if ready.is_ok_and(|ready| ready > 0) && self.libinput.dispatch().is_ok() {
            for (event, at_us) in self.libinput.by_ref().filter_map(|event| translate(&event)) {
                take(event, Instant::default() + Span::from_us(at_us as i64));
            }
        }
    }
}

/// What was done, and when: in microseconds on the monotonic clock.
fn translate(event: &input::Event) -> Option<(Event, u64)> {
    match event {
        input::Event::Keyboard(KeyboardEvent::Key(key)) => {
            let pressed = key.key_state() == KeyState::Pressed;
            Some((Event::Key { code: key.key(), pressed }, key.time_usec()))
        }
        input::Event::Pointer(PointerEvent::Motion(motion)) => {
            Some((Event::Moved { right: motion.dx(), down: motion.dy() }, motion.time_usec()))
        }
        _ => None,
    }
}

/// Opens devices with the rights of this process.
struct Opener;

impl LibinputInterface for Opener {
    fn open_restricted(&mut self, path: &Path, flags: i32) -> Result<OwnedFd, i32> {
        let access = flags & O_ACCMODE;
        OpenOptions::new()
            .read(access != O_WRONLY)
            .write(access == O_WRONLY || access == O_RDWR)
            .custom_flags(flags)
            .open(path)
            .map(OwnedFd::from)
            .map_err(|error| error.raw_os_error().unwrap_or(EIO))
    }

    fn close_restricted(&mut self, fd: OwnedFd) {
        drop(fd);
    }
}
