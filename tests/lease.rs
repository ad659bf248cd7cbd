//! Leases on a real kernel: what one holds, what it leaves alone, and how it ends.

mod rig;

use std::path::Path;
use std::process::{Command, Stdio};

use leasehold::kms::commit::{CommitFlags, commit};
use leasehold::kms::property::Properties;
use leasehold::kms::{Card, Connector, CrtcId, Pipeline};
use leasehold::lease::request::{Wanted, wayland};
use leasehold::thread::priority::{Urgency, make_realtime};
use leasehold::time::{Instant, Span};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rig::desktop::Desktop;
use rig::wait::{PATIENCE, keeps};
use rig::{CARD, Program, VIVE, example, inside, leasehold, pin, plug_vkms, report, serve};
use serde_json::json;

const VIVE_PERIOD: Span = Span::from_ns(11_169_777);

/// Whether a CRTC scans out, as anyone may ask.
fn active(card: &Card, crtc: CrtcId) -> bool {
    Properties::of(card, crtc).unwrap().value("ACTIVE") == Some(1)
}

#[test]
fn a_lease_holds_one_headset_and_leaves_the_desktop_alone() {
    inside("a_lease_holds_one_headset_and_leaves_the_desktop_alone", VIVE, || {
        let desktop = Desktop::light();
        let before = desktop.state();
        let serve = serve(&[]);
        the_desktop_is_out_of_reach(&desktop);
        assert_eq!(serve.event("ended")["reason"], "released");
        serve.event("offered");

        let mut lessee = Program::start(example("lessee").args(["--frames", "30"]));
        let lease = lessee.line();
        assert_eq!(desktop.state(), before);
        let planes = lease["planes"].as_array().unwrap();
        assert_eq!(lease["objects"].as_array().unwrap().len(), 2 + planes.len(), "{lease}");
        assert!(!planes.contains(&json!(desktop.pipeline.primary.raw())), "{lease}");
        assert_ne!(lease["connector"], desktop.pipeline.connector.raw());
        assert_ne!(lease["crtc"], desktop.pipeline.crtc.raw());
        assert_eq!(lease["mode"], "2160x1200@89.527");
        assert_eq!(lessee.line()["flips"], 30);
        assert!(lessee.wait().success());
        serve.event("ended");
        assert_eq!(desktop.state(), before);
    });
}

fn the_desktop_is_out_of_reach(desktop: &Desktop) {
    let lease = wayland::request(Some("leasehold-0"), &Wanted::Headset, PATIENCE).unwrap();
    let Pipeline { connector, crtc, primary, .. } = desktop.pipeline;
    assert_eq!(lease.connector_name, "Virtual-2");
    assert_eq!(lease.card.connectors().unwrap(), [lease.pipeline.connector]);
    assert_eq!(lease.card.crtcs().unwrap(), [lease.pipeline.crtc]);
    assert!(!lease.card.planes().unwrap().contains(&primary));
    assert_eq!(Connector::read(&lease.card, connector, false).unwrap_err().errno(), Some(Errno::ENOENT));
    assert_eq!(Properties::of(&lease.card, crtc).unwrap_err().errno(), Some(Errno::ENOENT));
    let mut off = desktop.pipeline.off(&desktop.card).unwrap();
    let refused = commit(&lease.card, CommitFlags::MODESET, &mut off, 0).unwrap_err();
    assert_eq!(refused.errno(), Some(Errno::ENOENT));
}

#[test]
fn a_killed_lessee_leaves_a_dark_panel_that_can_be_leased_again() {
    inside("a_killed_lessee_leaves_a_dark_panel_that_can_be_leased_again", VIVE, || {
        const KILLS: usize = 20;
        let serve = serve(&[]);
        let card = Card::open(Path::new(CARD)).unwrap();
        card.enable_atomic().unwrap();
        assert!(!card.is_master());
        pin(serve.pid(), 0);
        pin(Pid::this(), 0);
        make_realtime(Urgency::Lessor); // the watch is not to be late itself
        let fds = serve.open_fds();
        let worst_after_uevent = || {
            let (mut after_uevent, mut after_kill) = (Vec::new(), Vec::new());
            let (mut noticed, mut blanked) = (Vec::new(), Vec::new());
            for _ in 0..KILLS {
                let mut lessee = Program::start(&mut example("lessee"));
                pin(lessee.pid(), 1);
                let crtc = CrtcId::new(lessee.line()["crtc"].as_u64().unwrap() as u32).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(60));
                assert!(active(&card, crtc));
                let (killed, announced, dark) = rig::kill_and_watch(&lessee, &card, crtc);
                lessee.wait();
                after_kill.push(dark - killed);
                after_uevent.push((dark - announced).max(Span::ZERO));
                let ended = serve.event("ended");
                assert_eq!(ended["reason"], "crashed", "{ended}");
                assert_eq!(ended["pid"], lessee.pid().as_raw());
                blanked.push(Span::from_secs_f64(ended["blanked_us"].as_f64().unwrap() / 1e6));
                noticed.push(Instant::from_ns(ended["at_ns"].as_i64().unwrap()) - killed);
                assert_eq!(serve.line()["event"], "offered");
                assert!(!active(&card, crtc));
            }
            serve.settles_at(fds);
            report("off after the uevent", &mut after_uevent);
            report("off after the kill", &mut after_kill);
            report("noticed after the kill, by serve", &mut noticed);
            report("noticed to off, by serve", &mut blanked);
            after_uevent[KILLS - 1]
        };
        assert!(keeps(VIVE_PERIOD * 3, worst_after_uevent), "one of {KILLS} took more than three vblanks");
    });
}

#[test]
fn unplugging_ends_the_lease_and_plugging_in_offers_it_again() {
    inside("unplugging_ends_the_lease_and_plugging_in_offers_it_again", VIVE, || {
        let plug = |state: &str| {
            std::fs::write("/sys/kernel/config/vkms/rig/connectors/conn2/status", state).unwrap();
        };
        let serve = serve(&[]);
        let mut lessee = Program::start(&mut example("lessee"));
        lessee.line();
        plug("2");
        let ended = serve.event("ended");
        assert_eq!(ended["reason"], "unplugged");
        assert_eq!(lessee.wait().code(), Some(5), "the lease was lost");
        assert!(serve.rest().is_empty(), "nothing is on offer");
        plug("1");
        assert_eq!(serve.line()["event"], "offered");
        plug("2");
        assert_eq!(serve.line()["reason"], "unplugged");
    });
}

#[test]
fn a_headset_that_is_unplugged_unheard_is_missed_all_the_same() {
    inside("a_headset_that_is_unplugged_unheard_is_missed_all_the_same", VIVE, || {
        let serve = serve(&[]);
        serve.signal(Signal::SIGSTOP);
        // More than its socket has room for; what comes then is lost.
        for _ in 0..5_000 {
            std::fs::write("/sys/class/drm/card0/uevent", "change").unwrap();
        }
        plug_vkms(false);
        serve.signal(Signal::SIGCONT);
        let withdrawn = serve.line();
        assert_eq!((&withdrawn["event"], &withdrawn["reason"]), (&json!("withdrawn"), &json!("unplugged")));
    });
}

#[test]
fn a_signal_ends_all_leases_and_gives_the_card_back() {
    inside("a_signal_ends_all_leases_and_gives_the_card_back", VIVE, || {
        let mut serve = serve(&["--socket", "headsets-1"]);
        let socket = Path::new("/run/user0/headsets-1");
        assert!(socket.exists());
        let mut lessee = Program::start(example("lessee").args(["--socket", "headsets-1"]));
        let crtc = CrtcId::new(lessee.line()["crtc"].as_u64().unwrap() as u32).unwrap();
        serve.signal(Signal::SIGTERM);
        let ended = serve.event("ended");
        assert_eq!(ended["reason"], "shutdown");
        assert_eq!(serve.wait().code(), Some(0));
        assert!(!socket.exists());
        assert_eq!(lessee.wait().code(), Some(5), "the lease was lost");
        let card = Card::open(Path::new(CARD)).unwrap();
        card.enable_atomic().unwrap();
        assert!(card.is_master(), "nobody else is");
        assert!(!active(&card, crtc));
    });
}

#[test]
fn bad_input_is_answered_in_one_clear_sentence() {
    inside("bad_input_is_answered_in_one_clear_sentence", VIVE, || {
        let refused = |command: &mut Command, code: i32, words: &str| {
            let outcome = command.stdin(Stdio::null()).output().unwrap();
            let text = String::from_utf8_lossy(&outcome.stderr);
            assert_eq!(outcome.status.code(), Some(code), "{text}");
            assert!(text.contains(words), "'{text}' does not say '{words}'");
        };
        refused(&mut example("lessee"), 1, "/run/user0/leasehold-0");
        refused(example("lessee").env_remove("XDG_RUNTIME_DIR"), 1, "XDG_RUNTIME_DIR");
        refused(leasehold().args(["serve", "--card", "/dev/dri/card9"]), 1, "/dev/dri/card9");
        refused(leasehold().args(["serve", "--card", "/dev/null"]), 1, "/dev/null");
        refused(leasehold().arg("serve").env_remove("XDG_RUNTIME_DIR"), 1, "XDG_RUNTIME_DIR is not set");
        refused(leasehold().arg("serve").env("XDG_RUNTIME_DIR", "/etc/passwd"), 1, "not a folder");
        refused(leasehold().args(["serve", "--allow-uid", "nobody-here"]), 1, "nobody-here");
        refused(
            leasehold().args(["serve", "--policy", "/run/none.toml"]),
            1,
            "could not read /run/none.toml",
        );
        std::fs::write("/run/bad.toml", "[[rule]]\noutcome = 'allow'\nusr = 1000\n").unwrap();
        refused(
            leasehold().args(["serve", "--policy", "/run/bad.toml"]),
            1,
            "/run/bad.toml: reading the policy: line 3: ",
        );
        std::fs::write("/run/bad.toml", b"\n[[rule]] # \xff\n").unwrap();
        refused(leasehold().args(["serve", "--policy", "/run/bad.toml"]), 1, "line 2 is not UTF-8");
        let first = serve(&[]);
        refused(leasehold().arg("serve"), 1, "belongs to another program (leasehold ");
        refused(example("lessee").args(["--connector", "DP-9"]), 3, "it has: Virtual-2");
        drop(first); // killed, so its socket is left lying about, in nobody's way
        let _second = serve(&["--allow-uid", "nobody"]);
        refused(&mut example("lessee"), 4, "denied the lease on Virtual-2");
    });
}
