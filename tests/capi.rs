//! The C interface: `examples/c/window_manager.c`, installed and built as its first comment says, leases a headset to a
//! program that knows nothing of it.

mod rig;

use std::path::{Path, PathBuf};
use std::process::Command;

use leasehold::kms::property::Properties;
use leasehold::kms::{Card, ConnectorId, CrtcId, PlaneId};
use nix::sys::signal::Signal;
use rig::desktop::screen_state;
use rig::wait::PATIENCE;
use rig::{CARD, Program, VIVE, example, inside, is_inside, kill_and_watch};
use serde_json::Value;

/// Where the interface is installed for the test; the same in the rig.
fn prefix() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi")
}

fn run(command: &mut Command) {
    let outcome = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{command:?}: {complaint}");
}

/// Installs header, library and pkg-config file, and compiles the example with what pkg-config says.
fn build() {
    let prefix = prefix();
    let folder = prefix.display();
    let root = env!("CARGO_MANIFEST_DIR");
    run(Command::new("make").current_dir(root).args(["-s", "install-capi", &format!("PREFIX={folder}")]));
    run(Command::new("sh").current_dir(root).arg("-c").arg(format!(
        "export PKG_CONFIG_PATH='{folder}/lib/pkgconfig' && \
         cc -std=gnu11 -Wall -Wextra -Werror -o '{folder}/window_manager' examples/c/window_manager.c \
         $(pkg-config --cflags --libs leasehold libdrm) -Wl,-rpath,'{folder}/lib'"
    )));
}

fn id(line: &Value, object: &str) -> u32 {
    u32::try_from(line[object].as_u64().unwrap_or_else(|| panic!("no {object} in {line}"))).unwrap()
}

fn state(card: &Card, monitor: &Value) -> String {
    let connector = ConnectorId::new(id(monitor, "connector")).unwrap();
    let crtc = CrtcId::new(id(monitor, "crtc")).unwrap();
    screen_state(card, connector, crtc, PlaneId::new(id(monitor, "plane")).unwrap())
}

#[test]
fn a_window_manager_in_c_leases_a_headset_and_cleans_up() {
    if !is_inside() {
        build();
    }
    inside("a_window_manager_in_c_leases_a_headset_and_cleans_up", VIVE, || {
        let mut manager =
            Program::start(Command::new(prefix().join("window_manager")).args([CARD, "wayland-0"]));
        let monitor = manager.line();
        assert_eq!(manager.line()["event"], "ready");
        assert_eq!(manager.event("offered")["connector"], "Virtual-2");
        let card = Card::open(Path::new(CARD)).unwrap();
        card.enable_atomic().unwrap();
        assert!(!card.is_master());
        let before = state(&card, &monitor);
        assert!(before.contains("active Some(1)"), "{before}");
        let fds = manager.open_fds();

        for _ in 0..3 {
            let mut doomed = Program::start(example("lessee").args(["--socket", "wayland-0"]));
            let lease = doomed.line();
            let objects = lease["objects"].as_array().unwrap();
            for object in ["connector", "crtc", "plane"] {
                assert!(!objects.contains(&monitor[object]), "{object} of {monitor}: {lease}");
            }
            assert_eq!(manager.event("granted")["pid"], doomed.pid().as_raw());
            let crtc = CrtcId::new(id(&lease, "crtc")).unwrap();
            kill_and_watch(&doomed, &card, crtc);
            doomed.wait();
            let ended = manager.event("ended");
            assert_eq!(ended["reason"], "crashed", "{ended}");
            assert!(ended["blanked_ns"].as_i64().unwrap() > 0, "{ended}");
            assert_eq!(manager.line()["event"], "offered");
            assert_eq!(Properties::of(&card, crtc).unwrap().value("ACTIVE"), Some(0));
            assert_eq!(state(&card, &monitor), before);
        }
        manager.settles_at(fds);
        manager.signal(Signal::SIGTERM);
        it_knew_when_a_vblank_would_come(&manager.line());
        assert!(manager.ends_within(PATIENCE).success());
    });
}

/// A machine that stands still makes a program see a later vblank than it waits for, and changes no stamp.
fn it_knew_when_a_vblank_would_come(told: &Value) {
    let number = |name: &str| told[name].as_f64().unwrap_or_else(|| panic!("no {name} in {told}"));
    let expected = number("predicted_ns") + number("later") * number("period_ns");
    let off = (number("came_ns") - expected).abs();
    assert!(off < number("period_ns") / 20.0, "off by {off} ns: {told}");
}
