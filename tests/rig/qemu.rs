//! The other rig: a stock kernel under QEMU. It has virtual terminals and real hotplug, so X servers run and seats can be
//! switched. Its CPU is emulated and ten to thirty times slower, so nothing is timed there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Machine, from_environment, is_inside, out_folder, ran, run_in, say};

/// The machine with a headset of that size in pixels, `480x270` say, or why there is none. It fetches its kernel, and
/// QEMU where it may, the first time. `LEASEHOLD_RIG_QEMU` names its `run` program.
pub fn machine(size: &str) -> Result<Machine, String> {
    let run = program();
    let kernel = run.with_file_name("get-kernel");
    let outcome = Command::new(&kernel).output().map_err(|error| format!("{}: {error}", kernel.display()))?;
    if !outcome.status.success() {
        let complaint = String::from_utf8_lossy(&outcome.stderr);
        return Err(format!("{} failed: {}", kernel.display(), complaint.trim()));
    }
    Ok(Machine { run, arguments: vec!["-s".to_string(), size.to_string()] })
}

fn program() -> PathBuf {
    from_environment("LEASEHOLD_RIG_QEMU", "../shared/rig/qemu/run")
}

/// As [`inside`](super::inside), in the slow rig; `programs` are what the test needs of the host's.
pub fn inside_qemu(test: &str, edid: &str, programs: &[&str], body: impl FnOnce()) {
    if is_inside() {
        body();
        return ran(test);
    }
    if let Some(missing) = programs.iter().find(|program| !is_installed(program)) {
        return say(&format!("SKIPPED: {test} because {missing} is not installed"));
    }
    plugged(test, || run_in(machine("2160x1200"), test, edid, || Ok(None)));
}

/// Plugs the headset as the test in the rig asks, for as long as `work` takes.
pub fn plugged<T>(test: &str, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = SetWhenDropped(&over);
        scope.spawn(|| plug_as_asked(&program(), &out_folder(test), &over));
        work()
    })
}

/// Plugs the headset in or out, from inside the rig. What follows from it comes later.
pub fn plug(test: &str, plugged: bool) {
    plug_size(test, if plugged { "2160 1200" } else { "0 0" });
}

/// Plugs a display of that size in; one of `0 0` is none.
pub fn plug_size(test: &str, size: &str) {
    let out = out_folder(test);
    // Where a guest with files of its own has it.
    let elsewhere = || Path::new("/run").join(out.strip_prefix("/").expect("cargo's paths are absolute"));
    let asked = asked(&if out.is_dir() { out.clone() } else { elsewhere() });
    // Under another name until it is whole: the one who reads it does not wait.
    let writing = asked.with_extension("new");
    std::fs::write(&writing, size).unwrap();
    std::fs::rename(writing, asked).unwrap();
}

/// What is asked of the host is written in this file.
fn asked(out: &Path) -> PathBuf {
    out.join("plug")
}

/// Only from outside can a display be plugged in: does so whenever the test inside asks.
fn plug_as_asked(run: &Path, out: &Path, over: &AtomicBool) {
    // One of a run before this was broken off.
    let _ = std::fs::remove_file(asked(out));
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
        let Ok(size) = std::fs::read_to_string(asked(out)) else { continue };
        std::fs::remove_file(asked(out)).expect("the folder is ours");
        let plugged = Command::new("python3")
            .arg(run.with_file_name("plug.py"))
            .arg(out.join("vnc"))
            .args(size.split(' '))
            .arg("once")
            .output()
            .expect("the rig itself needs python3");
        if !plugged.status.success() {
            say(&String::from_utf8_lossy(&plugged.stderr));
        }
    }
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn is_installed(program: &str) -> bool {
    let found = |folder: PathBuf| folder.join(program).exists();
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(found))
}
