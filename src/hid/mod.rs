//! HID devices through the kernel's hidraw nodes: finding them, and asking for their reports.

pub mod headsets;
mod ioctl;

use std::fs::{File, read_dir, read_to_string};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::headset::hid::{FeatureReports, UsbId};
use crate::time::Span;

/// Where the kernel shows all nodes to everyone.
const CLASS: &str = "/sys/class/hidraw";

/// In milliseconds, how long the kernel may take from refusing to taking down the node of a device that has gone.
const UNTIL_TAKEN_DOWN: u8 = 100;

/// The bus of a `HID_ID` that is USB (`include/uapi/linux/input.h`).
const BUS_USB: u32 = 3;

/// A node and whose it is, as far as the kernel tells without its being opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The node, `/dev/hidraw0` say.
    pub path: PathBuf,
    /// The device's numbers.
    pub id: UsbId,
    /// The device's own serial number, empty where it has none: the same for all nodes of one device.
    pub serial: String,
}

/// All nodes of USB devices, in the order of their names.
pub fn nodes() -> Vec<Node> {
    nodes_in(Path::new(CLASS))
}

fn nodes_in(class: &Path) -> Vec<Node> {
    let entries = read_dir(class).into_iter().flatten().flatten();
    let mut nodes: Vec<Node> = entries
        .filter_map(|entry| {
            let about = read_to_string(entry.path().join("device/uevent")).ok()?;
            let field = |name: &str| about.lines().find_map(|line| line.strip_prefix(name));
            let id = parse_id(field("HID_ID=")?)?;
            let serial = field("HID_UNIQ=").unwrap_or_default().to_owned();
            Some(Node { path: Path::new("/dev").join(entry.file_name()), id, serial })
        })
        .collect();
    nodes.sort_by(|a, b| a.path.cmp(&b.path));
    nodes
}

/// Bus, vendor and product in hexadecimal, as `0003:000028DE:00002000`.
fn parse_id(text: &str) -> Option<UsbId> {
    let mut numbers = text.split(':').map(|number| u32::from_str_radix(number, 16));
    let (bus, vendor, product) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    let id = UsbId { vendor: vendor.try_into().ok()?, product: product.try_into().ok()? };
    (bus == BUS_USB).then_some(id)
}

/// An open hidraw node.
#[derive(Debug)]
pub struct Hidraw {
    file: File,
}

impl Hidraw {
    /// Opens a node. No other program is kept from it.
    ///
    /// # Errors
    /// When the node is not there, or this user has no rights on it.
    pub fn open(node: &Path) -> io::Result<Self> {
        Ok(Self { file: File::options().read(true).write(true).open(node)? })
    }

    /// The device's numbers.
    ///
    /// # Errors
    /// When the file is no hidraw node, or the device has gone.
    pub fn id(&self) -> io::Result<UsbId> {
        let [vendor, product] = ioctl::raw_info(self.file.as_fd())?;
        Ok(UsbId { vendor, product })
    }

    /// The next report that the device sends of its own accord, its number first; None when none came within
    /// `patience`.
    ///
    /// # Errors
    /// When the device has gone (`EIO`), or a signal came first (`EINTR`).
    pub fn next_input(&mut self, patience: Span) -> io::Result<Option<Vec<u8>>> {
        let timeout = PollTimeout::try_from(patience.to_duration()).unwrap_or(PollTimeout::MAX);
        if poll(&mut [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)], timeout)? == 0 {
            return Ok(None);
        }
        let mut report = [0; 4096]; // HID_MAX_BUFFER_SIZE was that once, and no headset comes near it
        let length = self.file.read(&mut report)?;
        Ok(Some(report[..length].to_vec()))
    }

    /// Tells a refusal of a device that has gone from others: it is refused with anything at all until the kernel has
    /// taken the node down, and then hangs up (`hidraw_poll`, hidraw.c).
    fn refused(&self, errno: Errno) -> io::Error {
        let mut node = [PollFd::new(self.file.as_fd(), PollFlags::empty())];
        let gone = poll(&mut node, UNTIL_TAKEN_DOWN).is_ok_and(|ready| ready > 0);
        if gone { Errno::ENODEV.into() } else { errno.into() }
    }
}

impl FeatureReports for Hidraw {
    fn get(&mut self, report: &mut [u8]) -> io::Result<usize> {
        ioctl::get_feature(self.file.as_fd(), report).map_err(|errno| self.refused(errno))
    }

    fn set(&mut self, report: &[u8]) -> io::Result<()> {
        ioctl::set_feature(self.file.as_fd(), report).map_err(|errno| self.refused(errno))
    }

    fn pause(&mut self, span: Span) {
        std::thread::sleep(span.to_duration());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_listed_with_whose_they_are() {
        let class = tempfile::tempdir().unwrap();
        for (name, about) in [
            ("hidraw3", "DRIVER=x\nHID_ID=0003:00000BB4:00002C87\nHID_NAME=y\nHID_UNIQ=LHR-1\n"),
            ("hidraw0", "HID_ID=0003:000028DE:00002000\nHID_UNIQ=\n"),
            ("hidraw1", "HID_ID=0005:00000BB4:00000309\n"),
            ("hidraw2", "HID_ID=nonsense\n"),
        ] {
            let device = class.path().join(name).join("device");
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(device.join("uevent"), about).unwrap();
        }
        let node = |path: &str, vendor, product, serial: &str| Node {
            path: path.into(),
            id: UsbId { vendor, product },
            serial: serial.to_owned(),
        };
        let expected =
            [node("/dev/hidraw0", 0x28de, 0x2000, ""), node("/dev/hidraw3", 0x0bb4, 0x2c87, "LHR-1")];
        assert_eq!(nodes_in(class.path()), expected);
        assert_eq!(nodes_in(Path::new("/nonexistent")), []);
    }

    #[test]
    fn what_is_no_hidraw_node_tells_no_numbers() {
        assert!(Hidraw::open(Path::new("/dev/null")).unwrap().id().is_err());
    }
}
