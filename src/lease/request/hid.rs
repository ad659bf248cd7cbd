//! What headsets that are plugged in say over HID of their own displays.

use std::fs::{File, read_dir, read_to_string};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::headset::edid::EdidId;
use crate::kms::get_feature_report;

/// The mainboards that tell, as a hidraw device's `HID_ID` names them (bus, vendor, product): the Vive's, the Vive Pro's.
const MAINBOARDS: [&str; 2] = ["0003:00000BB4:00002C87", "0003:00000BB4:00000309"];

const DEVICE_INFO: u8 = 4;
const REPORT_BYTES: usize = 64;

/// The EDID numbers of the headsets that are plugged in and tell them. A mainboard that cannot be asked is passed over:
/// this only ever helps to choose.
pub fn reported() -> Vec<EdidId> {
    let mut ids = Vec::new();
    for node in mainboards(Path::new("/sys/class/hidraw")) {
        match ask(&node) {
            Ok(Some(id)) => ids.push(id),
            Ok(None) => tracing::debug!("{} tells no EDID", node.display()),
            Err(error) => tracing::debug!("could not ask {} for its EDID: {error}", node.display()),
        }
    }
    ids
}

/// The nodes of all mainboards of headsets.
fn mainboards(class: &Path) -> Vec<PathBuf> {
    let mut nodes: Vec<PathBuf> = read_dir(class)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let about = read_to_string(entry.path().join("device/uevent")).unwrap_or_default();
            let id = about.lines().find_map(|line| line.strip_prefix("HID_ID="));
            id.is_some_and(|id| MAINBOARDS.contains(&id))
        })
        .map(|entry| Path::new("/dev").join(entry.file_name()))
        .collect();
    nodes.sort();
    nodes
}

/// The kernel waits for a device five seconds at most.
fn ask(node: &Path) -> std::io::Result<Option<EdidId>> {
    let device = File::options().read(true).write(true).open(node)?;
    let mut report = [0; REPORT_BYTES];
    report[0] = DEVICE_INFO;
    let length = get_feature_report(device.as_fd(), &mut report)?;
    Ok(EdidId::of_hid_report(&report[..length]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mainboards_are_asked() {
        let class = tempfile::tempdir().unwrap();
        for (name, id) in [
            ("hidraw3", "0003:00000BB4:00002C87"),
            ("hidraw0", "0003:000028DE:00002000"),
            ("hidraw1", "0003:00000BB4:00000309"),
        ] {
            let device = class.path().join(name).join("device");
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(device.join("uevent"), format!("DRIVER=x\nHID_ID={id}\nHID_NAME=y\n")).unwrap();
        }
        let nodes = mainboards(class.path());
        assert_eq!(nodes, [Path::new("/dev/hidraw1"), Path::new("/dev/hidraw3")]);
        assert_eq!(mainboards(Path::new("/nonexistent")), [] as [PathBuf; 0]);
    }
}
