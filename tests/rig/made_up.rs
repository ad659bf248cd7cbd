//! Stand-ins for the data of real headsets, where that is not at hand: in folders of the same names, with panels of the same
//! size and rate, of the same makers and products, so that a kernel and `leasehold` know them for the same.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use leasehold::headset::Headset;
use leasehold::headset::simulated::files::files;

use super::layout::{HDMI, NOTHING, base, cta, detailed, text};
use super::{COSMOS, TINY, VIVE};

/// The folder with them, written the first time.
pub fn headsets() -> PathBuf {
    static WRITTEN: OnceLock<PathBuf> = OnceLock::new();
    WRITTEN.get_or_init(write).clone()
}

fn write() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("headsets");
    for (path, bytes) in [(VIVE, vive()), (TINY, tiny()), (COSMOS, cosmos())] {
        put(&folder.join(path), &bytes);
    }
    let data = folder.join(VIVE);
    for (name, bytes) in
        files(&Headset::simulated(1, 1080, 1200)).iter().filter(|(name, _)| name != "edid.bin")
    {
        put(&data.with_file_name(name), bytes);
    }
    folder
}

fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("it is in a folder"))
        .expect("the target folder can be written");
    std::fs::write(path, bytes).expect("the target folder can be written");
}

const MAKER: [u8; 3] = *b"HVR";

fn vive() -> Vec<u8> {
    let panel = detailed(297_000, [2160, 40, 20, 46], [1200, 20, 2, 242], false);
    let base = base(MAKER, 0xaa01, 0, [panel, text(0xfc, "HTC-VIVE"), NOTHING, NOTHING], 1);
    [base, cta(&[&HDMI], &[panel])].concat()
}

fn tiny() -> Vec<u8> {
    let panel = detailed(14_820, [480, 16, 32, 32], [270, 3, 5, 16], false);
    base(MAKER, 0xaa01, 1, [panel, text(0xfc, "TINY-HMD"), NOTHING, NOTHING], 0)
}

fn cosmos() -> Vec<u8> {
    let panel = detailed(517_450, [2880, 216, 16, 68], [1700, 13, 4, 91], false);
    base(MAKER, 0xaa03, 0, [panel, text(0xfc, "VIVE Cosmos"), NOTHING, NOTHING], 0)
}
