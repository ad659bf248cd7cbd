//! A newer Mesa than the system's, for what its drivers lack.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{is_inside, program, say};

/// A Mesa whose CPU driver draws on dma-bufs, which that of the system may be too old for.
pub struct Mesa(PathBuf);

impl Mesa {
    /// Makes it, outside the rig, or finds it again, inside. Says why where it cannot be had.
    pub fn new(test: &str) -> Option<Self> {
        if !is_inside() && !program().exists() {
            say(&format!("SKIPPED: {test}: no {} (set LEASEHOLD_RIG)", program().display()));
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mesa");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mesa");
        let output = Command::new(script).arg(&folder).output().expect("the script starts");
        if !output.status.success() {
            assert!(!is_inside(), "the newer Mesa was there outside the rig");
            say(&format!("SKIPPED: {test}: {}", String::from_utf8_lossy(&output.stderr)));
            return None;
        }
        Some(Self(folder))
    }

    /// Has a program draw with it.
    pub fn drives<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("VK_DRIVER_FILES", self.0.join("icd.json"))
            .env("GBM_BACKENDS_PATH", self.0.join("lib/gbm"))
            .env("LD_LIBRARY_PATH", self.0.join("lib"))
    }
}
