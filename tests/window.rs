//! The demo in a window, and what a desktop that hangs does to a headset: nothing. On an X server of its own, Xvfb.

mod desktop_server;
mod rig;

use std::path::{Path, PathBuf};
use std::time::Duration;

use desktop_server::{Desktop, desktop};
use nix::sys::signal::Signal;
use rig::wait::{PATIENCE, wait_until};
use rig::{Program, decode, leasehold, say};
use serde_json::Value;

/// Codes of keys, in `linux/input-event-codes.h`.
const LEFT: u8 = 105;
const ESCAPE: u8 = 1;

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A demo seen on that desktop.
fn demo(desktop: &Desktop, arguments: &[&str]) -> Program {
    let mut demo = leasehold();
    demo.args(["demo", "--scene", "grid"]).args(arguments);
    demo.env("DISPLAY", desktop.name()).env_remove("WAYLAND_DISPLAY").env("LEASEHOLD_VALIDATION", "1");
    Program::mute(&mut demo)
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_window_shows_the_panel_and_its_keys_steer() {
    let Some(desktop) = desktop("a_window_shows_the_panel_and_its_keys_steer") else { return };
    let folder = folder("window");
    let path = |name: &str| folder.join(name).display().to_string();
    let (picture, report) = (path("shown.png"), path("report.json"));
    let mut demo = demo(&desktop, &["--from", "window", "--capture", &picture, "--report", &report]);
    let window = desktop.window();
    wait_until("the panel is in the window", || window.picture().is_lit());
    let ahead = window.picture();
    window.focus();
    desktop.key(LEFT, true);
    wait_until("the picture turns", || window.picture().differs_from(&ahead) > 0.05);
    desktop.key(LEFT, false);
    let mut before = window.picture();
    wait_until("the picture comes to rest", || {
        std::thread::sleep(Duration::from_secs(2));
        let now = window.picture();
        now.differs_from(&std::mem::replace(&mut before, now.clone())) == 0.0
    });
    desktop.key(ESCAPE, true);
    assert!(demo.ends_within(PATIENCE).success());
    let report = read(Path::new(&report));
    assert_eq!(report["display"]["source"], "window");
    assert_eq!(report["loop"]["allocations"], 0);
    let codes = decode(Path::new(&picture));
    let off = before.differs_from_panel(&codes, [640, 360]);
    assert_eq!(off, 0.0, "the window shows what is on the panel");
}

#[test]
fn closing_the_window_ends_a_demo_that_is_seen_nowhere_else() {
    let Some(desktop) = desktop("closing_the_window_ends_a_demo_that_is_seen_nowhere_else") else { return };
    let mut demo = demo(&desktop, &["--from", "window"]);
    let window = desktop.window();
    wait_until("the panel is in the window", || window.picture().is_lit());
    window.close();
    assert!(demo.ends_within(PATIENCE).success());
}

#[test]
fn a_headset_goes_on_when_its_mirror_is_closed() {
    let Some(desktop) = desktop("a_headset_goes_on_when_its_mirror_is_closed") else { return };
    let mut demo = demo(&desktop, &["--from", "simulated", "--mirror"]);
    let window = desktop.window();
    wait_until("the panel is in the mirror", || window.picture().is_lit());
    window.close();
    wait_until("the window closes", || window.is_gone());
    std::thread::sleep(Duration::from_millis(500));
    demo.signal(Signal::SIGTERM);
    assert!(demo.ends_within(PATIENCE).success());
}

#[test]
fn a_desktop_that_hangs_holds_no_headset_up() {
    let Some(desktop) = desktop("a_desktop_that_hangs_holds_no_headset_up") else { return };
    let folder = folder("hangs");
    let run = |name: &str, mirror: bool| {
        let report = folder.join(name).display().to_string();
        let mut arguments = vec!["--from", "simulated", "--frames", "450", "--report", &report];
        arguments.extend(mirror.then_some("--mirror"));
        let mut demo = demo(&desktop, &arguments);
        if mirror {
            let window = desktop.window();
            wait_until("the panel is in the mirror", || window.picture().is_lit());
            desktop.signal(Signal::SIGSTOP);
        }
        // With the desktop asleep to the end: whoever waited for it would never get there.
        let status = demo.ends_within(PATIENCE);
        desktop.signal(Signal::SIGCONT);
        assert!(status.success());
        let report = read(Path::new(&report));
        assert!(report["frames"]["presented"].as_u64().unwrap() >= 440, "{}", report["frames"]);
        assert_eq!(report["loop"]["allocations"], 0);
        say(&format!(
            "mirror {mirror}: {} of {} vblanks missed, composite {}",
            report["frames"]["missed"], report["frames"]["vblanks"], report["composite_us"]
        ));
    };
    run("without.json", false);
    run("with.json", true);
}

#[test]
fn without_a_desktop_the_reason_is_given() {
    let mut demo = leasehold();
    demo.args(["demo", "--from", "window"]).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    let output = demo.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no window can be opened") && said.contains("DISPLAY"), "{said}");
    assert!(!said.contains(".rs:"), "no place in somebody's source: {said}");
}
