//! Data of real headsets, which is not part of the project: `LEASEHOLD_HEADSETS` names the folder that has it.

use std::path::{Path, PathBuf};

use crate::say;

/// One of its folders, or None after saying that what asks for it is skipped.
pub fn real(folder: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/headsets");
    let root = std::env::var_os("LEASEHOLD_HEADSETS").unwrap_or_else(|| beside.into());
    let path = Path::new(&root).join(folder);
    if path.is_dir() {
        return Some(path);
    }
    say(&format!("SKIPPED: no headset data in {} (set LEASEHOLD_HEADSETS)", path.display()));
    None
}

/// A whole file.
pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
}
