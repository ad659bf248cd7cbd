//! The other rig: a stock kernel under QEMU. Its CPU is emulated and slow, but it has virtual terminals, so X servers run.

use std::process::Command;

use super::{Machine, from_environment};

/// The machine with a headset of that size in pixels, `480x270` say, or why there is none. It fetches its kernel, and
/// QEMU where it may, the first time. `LEASEHOLD_RIG_QEMU` names its `run` program.
pub fn machine(size: &str) -> Result<Machine, String> {
    let run = from_environment("LEASEHOLD_RIG_QEMU", "../shared/rig/qemu/run");
    let kernel = run.with_file_name("get-kernel");
    let outcome = Command::new(&kernel).output().map_err(|error| format!("{}: {error}", kernel.display()))?;
    if !outcome.status.success() {
        let complaint = String::from_utf8_lossy(&outcome.stderr);
        return Err(format!("{} failed: {}", kernel.display(), complaint.trim()));
    }
    Ok(Machine { run, arguments: vec!["-s".to_string(), size.to_string()] })
}
