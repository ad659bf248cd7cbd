//! Keyboards and mice as the kernel has them: `/dev/input/event*`, whose records `linux/input.h` describes.
//!
//! Used where libinput is not built in, and where no udev runs, without which libinput takes no device.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::{self, O_CLOEXEC, O_NONBLOCK};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};

use super::{InputError, Take};
use crate::demo::controls::Event;
use crate::time::{Instant, Span};

const FOLDER: &str = "/dev/input";

/// Kinds of records, in `linux/input-event-codes.h`.
const EV_KEY: u16 = 1;
const EV_REL: u16 = 2;
const REL_X: u16 = 0;
const REL_Y: u16 = 1;

/// How often is looked for devices that were plugged in.
const LOOKED_EVERY: Span = Span::from_ms(1_000);

/// All keyboards and mice of the machine.
#[derive(Debug)]
pub struct Devices {
    open: BTreeMap<PathBuf, File>,
    looked: Instant,
}

impl Devices {
    /// Opens all there are; more may be plugged in later.
    pub fn open() -> Result<Self, InputError> {
        let mut devices = Self { open: BTreeMap::new(), looked: Instant::now() };
        match devices.look() {
            Some(refusal) if devices.open.is_empty() => Err(refusal),
            _ => Ok(devices),
        }
    }

    /// Opens those that are new; why one could not be.
    fn look(&mut self) -> Option<InputError> {
        self.looked = Instant::now();
        let mut refusal = None;
        let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| is_event_device(path)) {
            if self.open.contains_key(&path) {
                continue;
            }
            match OpenOptions::new().read(true).custom_flags(O_NONBLOCK | O_CLOEXEC).open(&path) {
                Ok(file) => drop(self.open.insert(path, file)),
                Err(source) => {
                    refusal = Some(InputError::NotOpened { device: path.display().to_string(), source });
                }
            }
        }
        refusal
    }

    /// Hands over what was done, and when, having waited for it at most `timeout_ms`.
    pub fn wait(&mut self, timeout_ms: u16, take: Take<'_>) {
        if Instant::now() - self.looked > LOOKED_EVERY {
            self.look();
        }
        let mut fds: Vec<PollFd<'_>> =
            self.open.values().map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)).collect();
        if poll(&mut fds, PollTimeout::from(timeout_ms)).is_ok_and(|ready| ready > 0) {
            let epoch = epoch();
            let mut take = |(since_epoch, event)| take(event, epoch + since_epoch);
            // One that was unplugged is readable, and reads as an error.
            self.open.retain(|_, file| read_all(file, &mut take));
        }
    }
}

fn is_event_device(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_prefix("event")).is_some_and(|number| number.parse::<u32>().is_ok())
}

/// 1970, on the clock of this process: what devices stamp their records with counts from there.
fn epoch() -> Instant {
    let since =
        clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |now| now.tv_sec() * 1_000_000_000 + now.tv_nsec());
    Instant::now() + Span::from_ns(-since)
}

/// Hands over all that a device has to tell; whether it is still there.
fn read_all(device: &mut File, take: &mut dyn FnMut((Span, Event))) -> bool {
    let mut bytes = [0; RECORD_BYTES * 64];
    loop {
        match device.read(&mut bytes) {
            Ok(0) => return false,
            Ok(length) => bytes[..length].chunks_exact(RECORD_BYTES).filter_map(parse).for_each(&mut *take),
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

const RECORD_BYTES: usize = size_of::<libc::input_event>();

/// What a record says, and how long after 1970, where it is of interest: seconds and microseconds, each as large as the
/// machine's words are, then kind, code and value.
fn parse(record: &[u8]) -> Option<(Span, Event)> {
    let (time, &[kind_low, kind_high, code_low, code_high, ref value @ ..]) =
        record.split_last_chunk::<8>()?;
    let kind = u16::from_ne_bytes([kind_low, kind_high]);
    let code = u16::from_ne_bytes([code_low, code_high]);
    let value = i32::from_ne_bytes(*value);
    let event = match (kind, code) {
        // 2 is autorepeat.
        (EV_KEY, _) if value < 2 => Event::Key { code: code.into(), pressed: value != 0 },
        (EV_REL, REL_X) => Event::Moved { right: value.into(), down: 0.0 },
        (EV_REL, REL_Y) => Event::Moved { right: 0.0, down: value.into() },
        _ => return None,
    };
    let (seconds, rest) = time.split_first_chunk()?;
    let [seconds, micros] = [*seconds, *rest.first_chunk()?].map(|word| usize::from_ne_bytes(word) as i64);
    Some((Span::from_ns(seconds.saturating_mul(1_000_000_000)) + Span::from_us(micros % 1_000_000), event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Stamped 7.000002 s.
    fn record(kind: u16, code: u16, value: i32) -> Vec<u8> {
        let mut bytes = [7usize, 2].map(usize::to_ne_bytes).concat();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(code.to_ne_bytes());
        bytes.extend(value.to_ne_bytes());
        bytes
    }

    #[test]
    fn keys_and_motion_are_told_and_nothing_else() {
        let parse = |record: &[u8]| super::parse(record).map(|(_, event)| event);
        assert_eq!(parse(&record(1, 105, 1)), Some(Event::Key { code: 105, pressed: true }));
        assert_eq!(parse(&record(1, 105, 0)), Some(Event::Key { code: 105, pressed: false }));
        assert_eq!(parse(&record(1, 105, 2)), None, "autorepeat");
        assert_eq!(parse(&record(2, 0, -3)), Some(Event::Moved { right: -3.0, down: 0.0 }));
        assert_eq!(parse(&record(2, 1, 4)), Some(Event::Moved { right: 0.0, down: 4.0 }));
        assert_eq!(parse(&record(0, 0, 0)), None, "the end of a report");
        assert_eq!(parse(&record(2, 8, 1)), None, "the wheel");
    }

    #[test]
    fn events_count_from_when_the_kernel_stamped_them() {
        let (at, _) = parse(&record(1, 105, 1)).unwrap();
        assert_eq!(at, Span::from_ns(7_000_002_000));
        assert!((epoch() - epoch()).as_ns().abs() < 1_000_000_000, "1970 stays where it is");
    }

    #[test]
    fn only_event_devices_are_opened() {
        let is = |name: &str| is_event_device(&Path::new(FOLDER).join(name));
        assert!(is("event0") && is("event31"));
        assert!(!is("mouse0") && !is("event") && !is("eventual") && !is("js0"));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..RECORD_BYTES * 3)) {
            for record in bytes.chunks(RECORD_BYTES) {
                parse(record);
            }
        }
    }
}
