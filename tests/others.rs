//! Other people's programs beside ours: their clients take leases from `leasehold serve`, and their lessor, sway, is
//! the yardstick for how fast it gives them.
//!
//! They run in the rig, in a Debian tree that `tests/others/tree` makes once.

#[path = "others/client.rs"]
mod client;
#[path = "others/lessor.rs"]
#[allow(dead_code, reason = "losses.rs uses the rest")]
mod lessor;
mod rig;

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use client::Client;
use leasehold::kms::{Card, Connector, Pipeline};
use leasehold::thread::priority::{Urgency, make_realtime};
use leasehold::time::{Instant, Span};
use lessor::{Kind, Lessor, SAID};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rig::desktop::headset_picture;
use rig::wait::wait_until;
use rig::{CARD, Program, VIVE, debian, example, inside_tree, leasehold, pin, say, serve, setting};
use serde_json::Value;

/// The lessors take turns so often, so that whatever else the machine does meets both.
fn turns() -> u64 {
    setting("LEASEHOLD_TURNS", 1)
}

/// What part of sway's time is the goal, and what no change may make worse than until it is reached.
const GOAL: f64 = 0.5;
const CEILING: f64 = 12.0;

fn compare(ours: Span, theirs: Span) {
    let part = ours.as_us_f64() / theirs.as_us_f64();
    if part > GOAL {
        say(&format!("SHORT OF THE GOAL: {part:.2} of sway's time, and {GOAL} is the goal"));
    }
    assert!(part <= CEILING, "{part:.2} of sway's");
}

#[test]
fn wayland_info_sees_the_headset() {
    inside_tree("wayland_info_sees_the_headset", VIVE, debian, || {
        let _serve = serve(&[]);
        let outcome = Command::new("wayland-info")
            .env("WAYLAND_DISPLAY", "leasehold-0")
            .output()
            .expect("it is in the tree");
        let text = String::from_utf8_lossy(&outcome.stdout);
        say(&text);
        assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
        assert!(text.contains("wp_drm_lease_device_v1"), "{text}");
        assert!(text.contains("Virtual-2"), "{text}");
    });
}

#[test]
fn monado_gets_a_lease() {
    inside_tree("monado_gets_a_lease", VIVE, debian, || {
        let serve = serve(&[]);
        let log = std::fs::File::create("/tmp/monado.log").unwrap();
        let mut monado = Command::new("monado-service")
            // A simulated tracker: all that is wanted of Monado is its way to the display.
            .env("SIMULATED_ENABLE", "1")
            .env("XRT_COMPOSITOR_FORCE_WAYLAND_DIRECT", "1")
            .env("WAYLAND_DISPLAY", "leasehold-0")
            .env("HOME", "/tmp")
            .env("XRT_NO_STDIN", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("it is in the tree");
        assert_eq!(serve.line()["event"], "withdrawn");
        let granted = serve.event("granted");
        assert_eq!(granted["pid"], monado.id(), "{granted}");
        assert_eq!(granted["connector"], "Virtual-2");
        // How it ends is its own affair: without a GPU that can show on a lease, after an error of Vulkan's.
        let _ = monado.kill();
        let _ = monado.wait();
        assert_eq!(serve.event("ended")["pid"], granted["pid"]);
        assert_eq!(serve.line()["event"], "offered");
        say(&std::fs::read_to_string("/tmp/monado.log").unwrap());
    });
}

#[test]
fn a_lease_is_granted_beside_sway() {
    inside_tree("a_lease_is_granted_beside_sway", VIVE, debian, || {
        const LEASES: usize = 30;
        let (mut ours, mut theirs, mut bare, mut echoes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..turns() {
            for (kind, times) in [(Kind::Serve, &mut ours), (Kind::Sway, &mut theirs)] {
                let _lessor = Lessor::start(kind);
                for _ in 0..LEASES {
                    // As programs do: connect, learn what there is, and ask at once.
                    times.push(Client::connect(kind.socket()).lease_and_return());
                }
            }
            bare.extend(bare_leases(LEASES));
            echoes.extend(self::echoes(LEASES));
        }
        let ioctl = median("CREATE_LEASE", &mut bare, None);
        // Below that, with the ioctl, no lessor comes: it has to be woken, to read, and to write.
        median("a byte to another process and back", &mut echoes, Some(ioctl));
        let ours = median("serve, from submit to fd", &mut ours, Some(ioctl));
        let theirs = median("sway, from submit to fd", &mut theirs, Some(ioctl));
        compare(ours, theirs);
    });
}

/// How long a byte takes to another process, which does nothing with it, and back: in real time, as `serve` is.
fn echoes(count: usize) -> Vec<Span> {
    let mut cat = Command::new("chrt")
        .args(["-f", "30", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("chrt is part of util-linux");
    let (mut there, mut back) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
    let mut echo = |_| {
        let sent = Instant::now();
        there.write_all(b"x").unwrap();
        let mut fds = [PollFd::new(back.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::NONE).unwrap();
        back.read_exact(&mut [0]).unwrap();
        Instant::now() - sent
    };
    echo(0); // it has to start first
    let times = (0..count).map(&mut echo).collect();
    drop(there);
    cat.wait().unwrap();
    times
}

/// How long the kernel takes for a lease such as the lessors give.
fn bare_leases(count: usize) -> Vec<Span> {
    let card = Card::open(Path::new(CARD)).unwrap();
    assert!(card.is_master());
    card.enable_atomic().unwrap();
    let connectors = card.connectors().unwrap();
    let headset = connectors
        .into_iter()
        .map(|id| Connector::read(&card, id, true).unwrap())
        .find(|connector| connector.name == "Virtual-2")
        .unwrap();
    let objects = Pipeline::find(&card, &headset, |_| false).unwrap().objects();
    let timed = |_| {
        let asked = Instant::now();
        let _lease = card.create_lease(&objects).unwrap();
        Instant::now() - asked
    };
    (0..count).map(timed).collect()
}

#[test]
fn a_killed_lessees_headset_is_offered_again_beside_sway() {
    let name = "a_killed_lessees_headset_is_offered_again_beside_sway";
    inside_tree(name, VIVE, debian, || {
        pin(Pid::this(), 0);
        make_realtime(Urgency::Lessor); // the watch is not to be late itself
        // The kernel starts to take down a small program's pictures a millisecond after the kill, and holds the locks
        // that every commit needs until it has: no lessor is faster there, so that is for comparison.
        kill_beside_sway(Killed::Small, 5);
        let [ours, theirs] = kill_beside_sway(Killed::Demo, 3);
        compare(ours, theirs);
    });
}

/// Who holds the lease when it is killed.
#[derive(Clone, Copy, Debug)]
enum Killed {
    /// Two pictures and a loop.
    Small,
    /// A VR program, with a Vulkan driver and all its memory.
    Demo,
}

impl Killed {
    /// Lights the headset, from the CPU of the lessors, so that the vblanks' timer ticks there, and moves to where its
    /// end holds up nothing else: a dying process keeps nobody's interrupts from a display controller, but for the rig's.
    fn start(self, kind: Kind) -> Program {
        let mut command = match self {
            Self::Small => example("lessee"),
            Self::Demo => leasehold(),
        };
        match self {
            Self::Small => command.args(["--socket", kind.socket()]),
            Self::Demo => command
                .args(["demo", "--from", "wayland", "--scene", "flat:80", "--seconds", "600", "--json"])
                .env("WAYLAND_DISPLAY", kind.socket()),
        };
        let lessee = Program::start(&mut command);
        let card = Card::open(Path::new(CARD)).unwrap();
        card.enable_atomic().unwrap(); // else it shows no primary planes
        wait_until("the headset is lit", || headset_picture(&card).is_some());
        pin(lessee.pid(), 1);
        std::thread::sleep(Duration::from_millis(60));
        lessee
    }
}

/// Has lessees killed under each lessor in turn; how long until the headset was on offer again, half the time, with ours
/// and with theirs.
fn kill_beside_sway(killed: Killed, kills: usize) -> [Span; 2] {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut noticed, mut blanked) = (Vec::new(), Vec::new());
    for _ in 0..turns() {
        for (kind, times) in [(Kind::Serve, &mut ours), (Kind::Sway, &mut theirs)] {
            let lessor = Lessor::start_on_first_cpu(kind);
            let mut client = Client::connect(kind.socket());
            let kills: Vec<(Instant, Span)> =
                (0..kills).map(|_| offered_after_kill(kind, killed, &mut client)).collect();
            drop(lessor);
            times.extend(kills.iter().map(|&(_, took)| took));
            for (ended, (killed, _)) in ends().iter().zip(kills) {
                noticed.push(Instant::from_ns(ended["at_ns"].as_i64().unwrap()) - killed);
                blanked.push(Span::from_secs_f64(ended["blanked_us"].as_f64().unwrap() / 1e6));
            }
        }
    }
    say(&format!("{killed:?} lessee killed:"));
    median("serve, from kill to noticing", &mut noticed, None);
    median("serve, from noticing to panel off", &mut blanked, None);
    let ours = median("serve, from kill to offer", &mut ours, None);
    let theirs = median("sway, from kill to offer", &mut theirs, None);
    [ours, theirs]
}

/// The ends of leases that the last lessor reported; sway reports none.
fn ends() -> Vec<Value> {
    let said = std::fs::read_to_string(SAID).unwrap();
    let reports = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    reports.filter(|report| report["event"] == "ended").collect()
}

/// Lets a lessee light the headset, kills it, and waits for the headset to be on offer again: when it was killed, and
/// how long the offer took.
fn offered_after_kill(kind: Kind, killed: Killed, client: &mut Client) -> (Instant, Span) {
    let mut lessee = killed.start(kind);
    match kind {
        Kind::Serve => client.wait_for_withdrawal(),
        Kind::Sway => assert!(!client.is_offered_to_newcomers()),
    }
    let killed_at = Instant::now();
    lessee.signal(Signal::SIGKILL);
    match kind {
        Kind::Serve => client.wait_for_offer(),
        Kind::Sway => while !client.is_offered_to_newcomers() {},
    }
    let took = Instant::now() - killed_at;
    lessee.wait();
    (killed_at, took)
}

/// Sorts, prints how they lie, and returns the middle. The lowest tenth says most where others use the machine too.
fn median(what: &str, times: &mut [Span], unit: Option<Span>) -> Span {
    times.sort();
    let at = |tenths: usize| times[(times.len() - 1) * tenths / 10];
    let us = |tenths: usize| at(tenths).as_us_f64();
    let multiple = unit.map_or(String::new(), |unit| {
        format!(", {:.1} times the bare call", at(5).as_us_f64() / unit.as_us_f64())
    });
    let (low, middle, worst, count) = (us(1), us(5), us(10), times.len());
    say(&format!("{what}: p10 {low:.0} us, p50 {middle:.0} us{multiple}, worst {worst:.0} us of {count}"));
    at(5)
}
