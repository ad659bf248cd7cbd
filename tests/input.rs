//! Keys and a mouse on a bare terminal: QEMU's monitor presses and moves them, and what each does is looked for in a
//! picture of the panel that QEMU takes.

mod rig;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use leasehold::time::Instant;
use rig::picture::Picture;
use rig::wait::PATIENCE;
use rig::{Machine, Program, TINY, leasehold, qemu, run_in, say};
use serde_json::{Value, json};

const TEST: &str = "keys_and_mouse_steer_the_demo_on_a_bare_terminal";
const SIZE: &str = "480x270";
const HEADSET: &str = "/tmp/headset";
const REPORT: &str = "/tmp/report.json";

#[test]
fn keys_and_mouse_steer_the_demo_on_a_bare_terminal() {
    if rig::is_inside() {
        steer();
        return rig::ran(TEST);
    }
    let machine: Result<Machine, String> = qemu::machine(SIZE);
    qemu::attended(TEST, || run_in(machine, TEST, TINY, || Ok(None)));
}

fn steer() {
    if cfg!(feature = "input") {
        start_udev();
    }
    let mut demo = start();
    let ahead = until("the panel is lit", Picture::is_lit);
    told("nothing", "", &format!("the axes cross at {:?}", axes(&ahead)));

    hold("right", 300);
    let right = until("the head turns", |now| axes(now)[0] < axes(&ahead)[0] - 3);
    told("Right", "the head turns to the right", &moved(&ahead, &settled(right)));
    press("r");
    until("the head is recentred", |now| is_same(now, &ahead));
    told("R", "it looks straight ahead", "the first picture is back");
    hold("w", 200);
    let up = until("the head turns up", |now| axes(now)[1] > axes(&ahead)[1] + 3);
    told("W", "it looks up", &moved(&ahead, &settled(up)));
    press("r");
    until("the head is recentred", |now| is_same(now, &ahead));
    drag(-100, 0);
    let left = until("the head follows the mouse", |now| axes(now)[0] > axes(&ahead)[0] + 3);
    told("mouse", "it follows to the left", &moved(&ahead, &settled(left)));
    press("r");
    until("the head is recentred", |now| is_same(now, &ahead));

    press("m");
    let split = settled(until("mura correction is half off", |now| !is_same(now, &ahead)));
    let [left, right] = halves_that_differ(&split, &ahead);
    told("M", "half of each eye is uncorrected", &format!("{left} pixels differ on the left, {right} right"));
    assert!(left > 1_000 && right == 0);
    press("m");
    until("mura correction is back", |now| is_same(now, &ahead));
    told("M", "correction is back", "the first picture is back");

    press("o");
    let board = until("the board is shown", |now| ink(now) > ink(&ahead) + 60);
    told("O", "statistics", &format!("{} more bright pixels below the middle", ink(&board) - ink(&ahead)));
    press("o");
    until("the board is taken away", |now| is_same(now, &ahead));
    told("O", "no statistics", "the first picture is back");

    press("x");
    std::thread::sleep(Duration::from_secs(3));
    assert!(is_same(&qemu::photograph(TEST), &ahead));
    told("X", "nothing", "the picture is the same");
    switch_to_terminal(2);
    press("m");
    press("esc");
    std::thread::sleep(Duration::from_secs(3)); // it reads them while it is not in front
    switch_to_terminal(1);
    std::thread::sleep(Duration::from_secs(3));
    assert!(is_same(&qemu::photograph(TEST), &ahead));
    told("M, Esc", "nothing, at another terminal", "the picture is the same");

    press("esc");
    assert!(demo.ends_within(PATIENCE).success());
    let report: Value = serde_json::from_slice(&std::fs::read(REPORT).unwrap()).unwrap();
    assert_eq!(report["display"]["source"], "seat");
    let presented = report["frames"]["presented"].as_u64().unwrap();
    assert!(presented > 10);
    told("Escape", "the end", &format!("it reports {presented} frames"));
}

/// A demo on the first terminal, with a headset whose panel is uneven.
fn start() -> Program {
    let mut simulate = leasehold();
    simulate.args(["headset", "simulate", "--eye", "240x270", "--out", HEADSET]).stdout(Stdio::null());
    assert!(simulate.status().unwrap().success());
    let mut demo = leasehold();
    demo.args(["demo", "--from", "seat", "--scene", "grid", "--headset", HEADSET, "--report", REPORT]);
    demo.env_remove("WAYLAND_DISPLAY").env_remove("DISPLAY").stdin(File::open("/dev/tty1").unwrap());
    Program::mute(&mut demo)
}

/// libinput takes the devices that udev tells it of.
fn start_udev() {
    let script = "/usr/lib/systemd/systemd-udevd --daemon && udevadm trigger && udevadm settle";
    assert!(Command::new("sh").args(["-c", script]).status().unwrap().success());
    assert!(Path::new("/run/udev/control").exists());
}

fn told(key: &str, what: &str, seen: &str) {
    say(&format!("| {key:<8} | {what:<32} | {seen} |"));
}

fn press(key: &str) {
    hold(key, 50);
}

/// Holds a key down for so long, by QEMU's name for it.
fn hold(key: &str, ms: u32) {
    let keys = json!([{"type": "qcode", "data": key}]);
    let arguments = json!({"keys": keys, "hold-time": ms});
    qemu::monitor(TEST, &json!({"execute": "send-key", "arguments": arguments}));
    // It answers before it lets go.
    std::thread::sleep(Duration::from_millis(u64::from(ms) + 100));
}

/// Moves the mouse, to the right and downwards.
fn drag(right: i32, down: i32) {
    let axis = |axis: &str, value: i32| json!({"type": "rel", "data": {"axis": axis, "value": value}});
    let arguments = json!({"events": [axis("x", right), axis("y", down)]});
    qemu::monitor(TEST, &json!({"execute": "input-send-event", "arguments": arguments}));
}

fn switch_to_terminal(number: u32) {
    assert!(Command::new("busybox").args(["chvt", &number.to_string()]).status().unwrap().success());
}

/// The first photograph of which that is true.
fn until(what: &str, is: impl Fn(&Picture) -> bool) -> Picture {
    let start = Instant::now();
    loop {
        let now = qemu::photograph(TEST);
        if is(&now) {
            return now;
        }
        if Instant::now() - start > PATIENCE {
            now.write_png(Path::new(env!("CARGO_TARGET_TMPDIR")).join(TEST).join("last.png").as_path());
            panic!("it does not come to this: {what}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The picture as it is when it does not change any more.
fn settled(mut before: Picture) -> Picture {
    let start = Instant::now();
    loop {
        std::thread::sleep(Duration::from_secs(2));
        let now = qemu::photograph(TEST);
        if is_same(&now, &before) {
            return now;
        }
        assert!(Instant::now() - start < PATIENCE, "the picture does not come to rest");
        before = now;
    }
}

fn is_same(a: &Picture, b: &Picture) -> bool {
    a.differs_from(b) == 0.0
}

/// Where the grid's two bright lines are in the left eye: in which column, and in which row.
fn axes(picture: &Picture) -> [usize; 2] {
    let (eye, height) = (picture.width / 2, picture.height);
    let light =
        |x: usize, y: usize| picture.colours[y * picture.width + x].map(u64::from).iter().sum::<u64>();
    let column = (0..eye).max_by_key(|&x| (0..height).map(|y| light(x, y)).sum::<u64>());
    let row = (0..height).max_by_key(|&y| (0..eye).map(|x| light(x, y)).sum::<u64>());
    [column.expect("it has columns"), row.expect("it has rows")]
}

fn moved(before: &Picture, after: &Picture) -> String {
    let [before, after] = [before, after].map(|picture| axes(picture).map(|place| place as i64));
    let [right, down] = [0, 1].map(|axis| after[axis] - before[axis]);
    format!("the axes move by {right:+} pixels across, {down:+} down")
}

/// How many pixels differ in the left and in the right halves of the eyes.
fn halves_that_differ(a: &Picture, b: &Picture) -> [usize; 2] {
    let eye = a.width / 2;
    let places: Vec<usize> = a.places_that_differ(b).map(|[x, _]| x % eye).collect();
    let left = places.iter().filter(|&&x| x < eye / 2).count();
    [left, places.len() - left]
}

/// How many bright pixels there are where the left eye has the board.
fn ink(picture: &Picture) -> usize {
    let Picture { width, height, .. } = *picture;
    let board = (height * 53 / 100..height * 2 / 3)
        .flat_map(|y| (width * 3 / 16..width * 3 / 8).map(move |x| (x, y)));
    board.filter(|&(x, y)| picture.colours[y * width + x].iter().all(|&code| code > 180)).count()
}
