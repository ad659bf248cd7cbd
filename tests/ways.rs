//! Every way to a lease, of lessors that nobody here wrote and of our own: the same `demo --from auto` lights the headset
//! under each, is killed, and a second run lights it again.

#[path = "others/lessor.rs"]
#[allow(dead_code, reason = "others.rs uses the rest")]
mod lessor;
mod rig;
#[path = "others/xorg.rs"]
#[allow(dead_code, reason = "losses.rs uses the rest")]
mod xorg;

use std::path::Path;
use std::process::{Command, Stdio};

use leasehold::lease::RequestError;
use leasehold::lease::request::{Heard, Wanted, seat, wayland, x11};
use leasehold::time::{Instant, Span};
use lessor::{Kind, Lessor};
use nix::sys::signal::Signal;
use rig::desktop::headset_picture;
use rig::qemu;
use rig::wait::{PATIENCE, wait_until};
use rig::{CARD, Machine, Program, TINY, debian, example, leasehold, run_in, say};
use serde_json::Value;
use xorg::Xorg;

const HEADSET: &str = "Virtual-2";
const SIZE: &str = "480x270";

const HEAD: &str = "| lessor                       | way     | lit after   | killed, again | frames |";

#[test]
fn the_same_demo_lights_the_headset_under_every_lessor() {
    const TEST: &str = "the_same_demo_lights_the_headset_under_every_lessor";
    if rig::is_inside() {
        match is_uml() {
            true => under_wayland_and_none(),
            false => under_xorg(),
        }
        return rig::ran(TEST);
    }
    let tree = || debian().map(Some);
    let printed =
        [run_in(Ok(Machine::uml()), TEST, TINY, tree), run_in(qemu::machine(SIZE), TEST, TINY, tree)];
    let rows = printed.iter().flatten().flat_map(|text| text.lines()).filter(|line| line.starts_with("| "));
    say(HEAD);
    rows.for_each(say);
}

/// vkms is the card of the one rig and not of the other.
fn is_uml() -> bool {
    Path::new("/sys/kernel/config/vkms").exists()
}

fn under_wayland_and_none() {
    {
        let _sway = Lessor::start(Kind::Sway);
        row("sway, vkms", "wayland", &[("WAYLAND_DISPLAY", Kind::Sway.socket())], || {
            wait_for_offer(Kind::Sway.socket());
        });
    }
    {
        let _serve = Lessor::start(Kind::Serve);
        row("leasehold serve, vkms", "wayland", &[], || wait_for_offer(Kind::Serve.socket()));
    }
    row("bare DRM master, vkms", "seat", &[], || {});
}

fn under_xorg() {
    let xorg = Xorg::start();
    let environment = [("DISPLAY", xorg.display.as_str())];
    row("Xorg modesetting, virtio-gpu", "x11", &environment, || {});

    // The way by name, the display by its EDID; killed, and asked for again before the server has noticed.
    let lessee = || -> Command {
        let mut lessee = example("lessee");
        lessee.args(["--from", "x11", "--connector", "HVR:AA01"]).envs(environment);
        lessee
    };
    let mut first = Program::start(&mut lessee());
    assert_eq!(first.line()["name"], HEADSET);
    first.signal(Signal::SIGKILL);
    first.wait();
    let mut second = Program::start(lessee().args(["--frames", "3"]));
    assert_eq!(second.line()["from"], "x11");
    assert_eq!(second.line()["flips"], 3);
    assert!(second.wait().success());

    // What is not seen from a demo: choice by EDID, a headset that is taken, a lease returned, and a server that dies.
    let ask = |wanted: &str| x11::request(Some(&xorg.display), &wanted.parse().unwrap(), PATIENCE);
    let lease = ask("HVR:AA01").unwrap();
    assert_eq!(lease.connector_name, HEADSET);
    let taken = example("lessee").args(["--from", "auto"]).envs(environment).output().unwrap();
    let said = String::from_utf8_lossy(&taken.stderr);
    assert_eq!(taken.status.code(), Some(4), "{said}");
    assert!(said.contains("denied the lease on Virtual-2") && said.contains("leased already"), "{said}");
    assert!(said.contains("not from seat: /dev/dri/card0 belongs to another program"), "{said}");
    drop(lease);
    let mut lease = x11::request(Some(&xorg.display), &Wanted::Headset, PATIENCE).unwrap();
    assert_eq!(lease.keeper.heard(), Heard::Nothing);
    assert!(matches!(ask("DP-9"), Err(RequestError::NoSuchConnector { .. })));
    drop(xorg);
    wait_until("the end of the server is noticed", || lease.keeper.heard() != Heard::Nothing);
}

/// Runs the demo twice, the first time until it is killed; a row of the table. `ready` waits until the lessor can give
/// the headset out.
fn row(lessor: &str, source: &str, environment: &[(&str, &str)], ready: impl Fn()) {
    let demo = || -> Command {
        let mut demo = leasehold();
        demo.args(["demo", "--from", "auto", "--scene", "flat:80", "--json"]).env_remove("WAYLAND_DISPLAY");
        demo.env_remove("DISPLAY").envs(environment.iter().copied());
        demo
    };
    // A file to look through, which is not master and keeps nobody from being it.
    let (card, _) = seat::look(Path::new(CARD)).unwrap();
    card.enable_atomic().unwrap();

    ready();
    let started = Instant::now();
    let mut first = demo().stdout(Stdio::null()).spawn().expect("the demo starts");
    wait_until("the headset is lit", || headset_picture(&card).is_some());
    let light = Instant::now() - started;
    let shown = headset_picture(&card);
    wait_until("another picture is shown", || headset_picture(&card).is_some_and(|now| Some(now) != shown));
    first.kill().expect("it runs");
    first.wait().expect("it is a child");
    wait_until("the headset is dark", || headset_picture(&card).is_none());

    ready();
    let started = Instant::now();
    let mut second = demo().args(["--frames", "5"]).stdout(Stdio::piped()).spawn().expect("the demo starts");
    // So few frames may be over before anyone looks; its report says whether they were shown.
    wait_until("the headset is lit again", || {
        headset_picture(&card).is_some() || second.try_wait().expect("it is a child").is_some()
    });
    let again = Instant::now() - started;
    let output = second.wait_with_output().expect("it is a child");
    assert!(output.status.success(), "{:?}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).expect("its report is JSON");
    let display = &report["display"];
    assert_eq!((&display["source"], &display["connector"]), (&source.into(), &HEADSET.into()));
    let shown = report["frames"]["presented"].as_u64().expect("frames are counted");
    assert!(shown > 0, "{report}");
    let ms = |span: Span| span.as_us_f64() / 1e3;
    say(&format!(
        "| {lessor:<28} | {source:<7} | {:>8.0} ms | {:>9.0} ms | {shown:>6} |",
        ms(light),
        ms(again)
    ));
}

fn wait_for_offer(socket: &str) {
    wait_until("the headset is on offer", || {
        wayland::offers(Some(socket), Span::from_ms(5000)).is_ok_and(|(_, offers)| offers == [HEADSET])
    });
}
