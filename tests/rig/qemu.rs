//! The other rig: a stock kernel under QEMU. It has virtual terminals and real hotplug, so X servers run and seats can be
//! switched. Its CPU is emulated and ten to thirty times slower, so nothing is timed there.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leasehold::time::{Instant, Span};
use serde_json::{Value, json};

use super::picture::Picture;
use super::wait::wait_until;
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
    Ok(Machine { run, arguments: vec!["-s".to_string(), size.to_string()], on_one_cpu: false })
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
    attended(test, || run_in(machine("2160x1200"), test, edid, || Ok(None)));
}

/// Does to the machine what the test in it asks for, for as long as `work` takes.
pub fn attended<T>(test: &str, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = SetWhenDropped(&over);
        scope.spawn(|| do_as_asked(&out_folder(test), &over));
        work()
    })
}

/// Plugs the headset in or out, from inside the rig. Once the kernel has seen it; what follows from that comes later.
pub fn plug(test: &str, plugged: bool) {
    let (size, wanted) = if plugged { ("2160 1200", "connected") } else { ("0 0", "disconnected") };
    let seen = || std::fs::read_to_string(STATUS).is_ok_and(|status| status.trim() == wanted);
    // QEMU takes it from a viewer that says how large its window is, and now and then misses that.
    for _ in 0..3 {
        plug_size(test, size);
        let asked = Instant::now();
        while Instant::now() - asked < Span::from_ms(10_000) {
            if seen() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        say(&format!("QEMU has to be told again that the headset is {wanted}"));
    }
    panic!("the kernel does not see that the headset is {wanted}");
}

/// What the kernel last saw on the headset's connector. Reading it asks no display.
const STATUS: &str = "/sys/class/drm/card0-Virtual-2/status";

/// Plugs a display of that size in; one of `0 0` is none.
pub fn plug_size(test: &str, size: &str) {
    ask(test, &format!("plug {size}"));
}

/// Has QEMU's monitor carry out a command (QMP), from inside the rig.
pub fn monitor(test: &str, command: &Value) {
    ask(test, &format!("monitor {command}"));
}

/// A picture of what the headset shows, taken by QEMU. Where the guest sees the host's files.
pub fn photograph(test: &str) -> Picture {
    let path = out_folder(test).join("photo.ppm");
    // The headset is the card's second output.
    let arguments = json!({"filename": path, "device": "gpu0", "head": 1});
    monitor(test, &json!({"execute": "screendump", "arguments": arguments}));
    Picture::parse_ppm(&std::fs::read(path).expect("QEMU has written it"))
}

/// Asks whoever attends to the machine for something, and waits until it is done.
fn ask(test: &str, what: &str) {
    let out = out_folder(test);
    // Where a guest with files of its own has it.
    let elsewhere = || Path::new("/run").join(out.strip_prefix("/").expect("cargo's paths are absolute"));
    let asked = asked(&if out.is_dir() { out.clone() } else { elsewhere() });
    // Under another name until it is whole: the one who reads it does not wait.
    let writing = asked.with_extension("new");
    std::fs::write(&writing, what).unwrap();
    std::fs::rename(writing, &asked).unwrap();
    wait_until(&format!("somebody outside does this: {what}"), || !asked.exists());
}

/// What is asked of the host is written in this file, until it is done.
fn asked(out: &Path) -> PathBuf {
    out.join("asked")
}

/// Only from outside can a display be plugged in, a key be pressed, or the panel be seen.
fn do_as_asked(out: &Path, over: &AtomicBool) {
    let asked = asked(out);
    // One of a run before this was broken off.
    let _ = std::fs::remove_file(&asked);
    let mut monitor = None;
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
        let Ok(what) = std::fs::read_to_string(&asked) else { continue };
        match what.split_once(' ').expect("a verb and what to do") {
            ("plug", size) => plug_now(out, size),
            ("monitor", command) => {
                monitor.get_or_insert_with(|| Monitor::connect(&out.join("qmp"))).execute(command);
            }
            (verb, _) => panic!("nobody knows how to {verb}"),
        }
        std::fs::remove_file(&asked).expect("the folder is ours");
    }
}

fn plug_now(out: &Path, size: &str) {
    let plugged = Command::new("python3")
        .arg(program().with_file_name("plug.py"))
        .arg(out.join("vnc"))
        .args(size.split(' '))
        .arg("once")
        .output()
        .expect("the rig itself needs python3");
    if !plugged.status.success() {
        say(&String::from_utf8_lossy(&plugged.stderr));
    }
}

/// QEMU's monitor, in its protocol for machines: a line of JSON each way.
struct Monitor(BufReader<UnixStream>);

impl Monitor {
    fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("QEMU listens");
        let mut monitor = Self(BufReader::new(stream));
        monitor.execute(r#"{"execute": "qmp_capabilities"}"#);
        monitor
    }

    /// Carries a command out, and waits for it. Greetings and news are passed over.
    fn execute(&mut self, command: &str) {
        writeln!(self.0.get_mut(), "{command}").expect("QEMU runs");
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).expect("QEMU runs") > 0, "QEMU has ended");
            let answer: Value = serde_json::from_str(&line).expect("it speaks JSON");
            assert!(answer.get("error").is_none(), "{command}: {answer}");
            if answer.get("return").is_some() {
                return;
            }
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
