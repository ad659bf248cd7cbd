//! The whole road in the rig: `serve` and `demo` in two processes, from lease to panel and back.

mod rig;

use std::path::{Path, PathBuf};
use std::process::Command;

use leasehold::kms::{Card, Connector, CrtcId};
use leasehold::thread::priority::{Urgency, make_realtime};
use leasehold::time::Span;
use nix::unistd::Pid;
use rig::wait::{keeps, wait_for};
use rig::{
    CARD, Program, TINY, VIVE, decode, headsets, inside, leasehold, pin, report, say, serve, write_picture,
};
use serde_json::Value;

fn demo() -> Command {
    let mut demo = leasehold();
    demo.arg("demo");
    demo
}

fn run_demo(arguments: &[&str]) -> Value {
    let output = demo().args(arguments).arg("--json").output().expect("the demo starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

#[test]
fn a_vive_is_lit_over_a_lease_and_shows_what_render_renders() {
    inside("a_vive_is_lit_over_a_lease_and_shows_what_render_renders", VIVE, || {
        let folder = PathBuf::from("/tmp");
        let path = |name: &str| folder.join(name).display().to_string();
        write_picture(Path::new(&path("left.png")), 0);
        write_picture(Path::new(&path("right.png")), 1);
        let headset = headsets().join("vive-LHR-C5C0BC88").display().to_string();
        let mut rendered = leasehold();
        rendered.args(["render", "--headset", &headset]).env("LEASEHOLD_VALIDATION", "1");
        rendered.args([
            "--left",
            &path("left.png"),
            "--right",
            &path("right.png"),
            "--out",
            &path("rendered.png"),
        ]);
        assert!(rendered.status().unwrap().success());
        let expected = decode(Path::new(&path("rendered.png")));
        let serve = serve(&[]);
        let scene = format!("images:{},{}", path("left.png"), path("right.png"));
        for way in ["host-memory", "copy"] {
            let report = run_demo(&[
                "--from",
                "wayland",
                "--headset",
                &headset,
                "--scene",
                &scene,
                "--scanout",
                way,
                "--seconds",
                "5",
                "--capture",
                &path("shown.png"),
            ]);
            say(&format!("{way}: {}", report["display"]));
            let objects = serve.event("granted");
            assert_eq!(objects["connector"], "Virtual-2");
            assert_eq!(report["display"]["mode"], "2160x1200");
            assert_eq!(report["display"]["scanout"], way);
            let measured = report["display"]["measured_hz"].as_f64().unwrap();
            assert!((measured - 89.527).abs() < 0.02, "{measured}");
            // Connector, CRTC, primary plane, and the overlay plane that only this CRTC can show.
            assert_eq!(report["lease"]["objects"].as_array().unwrap().len(), 4);
            assert_eq!(report["headset"]["mura"], true);
            assert_eq!(report["loop"]["allocations"], 0, "{}", report["loop"]);
            let shown = decode(Path::new(&path("shown.png")));
            assert_eq!(shown.len(), expected.len());
            let off = shown.iter().zip(&expected).filter(|(a, b)| a.abs_diff(**b) > 1).count();
            assert_eq!(off, 0, "{off} codes differ from render's by more than one");
        }
    });
}

#[test]
fn a_killed_demo_leaves_the_headset_dark_and_free_twenty_times() {
    inside("a_killed_demo_leaves_the_headset_dark_and_free_twenty_times", TINY, || {
        const KILLS: usize = 20;
        let serve = serve(&[]);
        let card = Card::open(Path::new(CARD)).unwrap();
        card.enable_atomic().unwrap();
        pin(serve.pid(), 0);
        pin(Pid::this(), 0);
        make_realtime(Urgency::Lessor);
        let fds = serve.open_fds();
        let worst_after_uevent = || {
            let mut dark = Vec::new();
            for _ in 0..KILLS {
                let mut demo =
                    Program::start(demo().args(["--from", "wayland", "--scene", "flat:80", "--json"]));
                let granted = serve.event("granted");
                let crtc = lit_crtc(&card);
                let (_, announced, off) = rig::kill_and_watch(&demo, &card, crtc);
                demo.wait();
                let ended = serve.event("ended");
                dark.push((off - announced).max(Span::ZERO));
                assert_eq!(
                    (&ended["reason"], &ended["lessee"]),
                    (&Value::from("crashed"), &granted["lessee"])
                );
                assert_eq!(serve.event("offered")["connector"], "Virtual-2");
            }
            report("dark after the uevent", &mut dark);
            dark[KILLS - 1]
        };
        let period = Span::from_ns(11_109_312);
        assert!(keeps(period * 3, worst_after_uevent), "one of {KILLS} took more than three vblanks");
        let report = run_demo(&["--from", "wayland", "--frames", "30"]);
        assert_eq!(report["display"]["connector"], "Virtual-2", "the headset is lit once more");
        serve.event("ended");
        serve.settles_at(fds);
    });
}

/// Waits until the demo has lit the headset's CRTC.
fn lit_crtc(card: &Card) -> CrtcId {
    wait_for("the headset is lit", || {
        let connectors =
            card.connectors().unwrap().into_iter().map(|id| Connector::read(card, id, false).unwrap());
        connectors.filter(|connector| connector.name == "Virtual-2").find_map(|found| found.crtc)
    })
}
