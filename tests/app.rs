//! What an app sees of a session, and what the panel shows of an app that is late, hangs, panics or never draws.

mod rig;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use leasehold::Headset;
use leasehold::compositor::readback::PanelPicture;
use leasehold::kms::ModeRequest;
use leasehold::lease::request::Wanted;
use leasehold::session::layer::{Layer, Quad};
use leasehold::session::options::From;
use leasehold::session::{
    DisplayState, Ending, Eyes, Instant, Limit, Options, Pixels, Pose, PoseSource, Session, Span,
};
use leasehold::vulkan::instance::validation_messages;
use nix::sys::eventfd::EventFd;
use rig::mesa::Mesa;
use rig::{CARD, Program, TINY, example, inside, serve};
use serde_json::Value;

/// A head that looks so many degrees to the left.
#[derive(Debug)]
struct Turned(f64);

impl PoseSource for Turned {
    fn pose_at(&self, _photon: Instant) -> Pose {
        Pose::from_degrees(self.0, 0.0, 0.0)
    }
}

/// What ends a session.
#[derive(Clone, Copy)]
enum Until {
    Told,
    Seconds(f64),
    Frames(u64),
}

/// A small simulated panel.
fn options(until: Until) -> Options {
    let stop = Arc::new(AtomicBool::new(false));
    let limit = match until {
        Until::Told => Limit { frames: None, time: None, stop },
        Until::Seconds(seconds) => Limit { frames: None, time: Some(Span::from_secs_f64(seconds)), stop },
        Until::Frames(frames) => Limit { frames: Some(frames), time: None, stop },
    };
    Options {
        from: From::Simulated,
        connector: Wanted::Headset,
        mode: Some(ModeRequest { width_px: 128, height_px: 72, hz: Some(90.0) }),
        limit,
        poses: Arc::new(Turned(0.0)),
        validation: true,
        ..Options::default()
    }
}

fn open(options: Options) -> Session {
    Headset::open(options).unwrap().session(Eyes::pixels([96, 96])).unwrap()
}

/// Shows a gray for so many frames.
fn show(session: &mut Session, gray: u8, frames: usize) {
    for _ in 0..frames {
        let Some(mut frame) = session.wait() else { return };
        frame.paint(|_| [gray; 3]);
        let pose = frame.pose();
        frame.submit(pose);
    }
}

fn last_picture(ending: &Ending) -> PanelPicture {
    assert_eq!(validation_messages(), 0, "the validation layer found mistakes");
    ending.picture().unwrap().expect("something was shown")
}

/// The code in the middle of each eye, of its first channel.
fn middles(picture: &PanelPicture) -> [u16; 2] {
    let (width, height) = (picture.width_px as usize, picture.height_px as usize);
    [width / 4, width * 3 / 4].map(|column| picture.codes[(height / 2 * width + column) * 3])
}

/// Whether the panel shows that gray, as near as mura correction and dither leave it.
fn shows(picture: &PanelPicture, gray: u16) -> bool {
    middles(picture).iter().all(|code| code.abs_diff(gray) < 24)
}

/// Whether it shows the calm scene: dim, and something of it.
fn is_calm(picture: &PanelPicture) -> bool {
    let brightest = *picture.codes.iter().max().unwrap();
    (40..160).contains(&brightest)
}

/// The first of three endings that shows what it should: an app that the machine holds up at the end has been faded out.
fn ends_with(is_right: impl Fn(&PanelPicture) -> bool, mut run: impl FnMut() -> Ending) -> Ending {
    let mut last = Vec::new();
    for _ in 0..3 {
        let ending = run();
        let picture = last_picture(&ending);
        if is_right(&picture) {
            return ending;
        }
        last.push(middles(&picture));
    }
    panic!("other pictures are shown in the end: {last:?} in the middle of the eyes");
}

const GRAY: u8 = 220;

/// So many frames on the panel: enough for an app to be among them for long.
const LONG: u64 = 60;

#[test]
fn what_an_app_draws_is_on_the_panel() {
    let run = || {
        let mut session = open(options(Until::Frames(LONG)));
        let mut asked = Instant::now();
        while let Some(mut frame) = session.wait() {
            assert_eq!(frame.state(), DisplayState::Showing);
            for (eye, gray) in [(0, 100), (1, 180)] {
                let mut canvas = frame.canvas(eye);
                assert_eq!(canvas.size_px(), [96, 96]);
                (0..96).for_each(|row| canvas.row_mut(row).fill([gray, gray, gray, 255]));
            }
            assert!(frame.photon() > asked);
            frame.submit(Pose::AHEAD);
            asked = Instant::now();
        }
        session.end().unwrap()
    };
    let is_right = |picture: &PanelPicture| {
        let [left, right] = middles(picture);
        left.abs_diff(100) < 24 && right.abs_diff(180) < 24
    };
    let ending = ends_with(is_right, run);
    assert_eq!(ending.run.history.frames, LONG);
    ending.result().unwrap();
}

#[test]
fn the_sky_is_above_and_what_is_at_the_left_is_at_the_left() {
    let run = || {
        let mut session = open(options(Until::Frames(LONG)));
        while let Some(mut frame) = session.wait() {
            frame.paint(|[x, y, _]| [if x < 0.0 { 250 } else { 0 }, if y > 0.0 { 250 } else { 0 }, 0]);
            frame.submit(Pose::AHEAD);
        }
        session.end().unwrap()
    };
    let is_right = |picture: &PanelPicture| {
        // In the left eye, at a quarter and three quarters of its width and height.
        let places = [(20, 26), (50, 26), (20, 46), (50, 46)].map(|(column, row)| (row * 128 + column) * 3);
        let bright = places.map(|at| [picture.codes[at] > 128, picture.codes[at + 1] > 128]);
        bright == [[true, true], [false, true], [true, false], [false, false]]
    };
    ends_with(is_right, run);
}

#[test]
fn a_late_app_is_shown_again_and_not_taken_for_dead() {
    let run = || {
        let mut session = open(options(Until::Frames(LONG)));
        while let Some(mut frame) = session.wait() {
            frame.paint(|_| [GRAY; 3]);
            std::thread::sleep(Duration::from_millis(40));
            let pose = frame.pose();
            frame.submit(pose);
        }
        session.end().unwrap()
    };
    let ending = ends_with(|picture| shows(picture, GRAY.into()), run);
    assert!(ending.run.app.late > 0 && ending.run.history.recorder.totals().rewarped > 0);
}

#[test]
fn an_app_that_never_draws_leaves_a_calm_scene() {
    let mut session = open(options(Until::Seconds(0.6)));
    while session.wait().is_some() {}
    let ending = session.end().unwrap();
    assert!(is_calm(&last_picture(&ending)));
    assert_eq!(ending.run.app.submitted, 0);
    ending.result().unwrap();
}

#[test]
fn the_calm_scene_follows_the_head() {
    let seen_from = |yaw: f64| {
        let mut session = open(Options { poses: Arc::new(Turned(yaw)), ..options(Until::Seconds(0.6)) });
        while session.wait().is_some() {}
        last_picture(&session.end().unwrap())
    };
    let (here, aside, a_step_on) = (seen_from(20.0), seen_from(27.0), seen_from(35.0));
    let apart = |one: &PanelPicture, other: &PanelPicture, by: u16| {
        one.codes.iter().zip(&other.codes).filter(|(one, other)| one.abs_diff(**other) > by).count()
    };
    assert_eq!(apart(&here, &a_step_on, 2), 0, "all looks the same after a step, but for the dither");
    assert!(apart(&here, &aside, 10) > 50, "{}", apart(&here, &aside, 10));
}

#[test]
fn an_app_that_stops_is_replaced_by_the_calm_scene() {
    let mut session = open(options(Until::Seconds(4.0)));
    show(&mut session, GRAY, 20);
    let frame = session.wait().unwrap();
    std::thread::sleep(Duration::from_secs(5));
    // What it brings then is too late for anybody to see, and no mistake.
    frame.submit(Pose::AHEAD);
    assert!(session.wait().is_none());
    let ending = session.end().unwrap();
    assert!(is_calm(&last_picture(&ending)));
    assert!(ending.run.history.recorder.totals().presented > 30, "the headset went on");
    ending.result().unwrap();
}

#[test]
fn an_app_that_stopped_for_two_seconds_is_back_when_it_draws_again() {
    let run = || {
        let mut session = open(options(Until::Told));
        show(&mut session, GRAY, 20);
        std::thread::sleep(Duration::from_secs(2));
        show(&mut session, GRAY, 90);
        session.end().unwrap()
    };
    ends_with(|picture| shows(picture, GRAY.into()), run).result().unwrap();
}

#[test]
fn an_app_that_panics_leaves_a_calm_scene_and_another_can_take_over() {
    let run = || {
        let mut session = open(options(Until::Told));
        let app = catch_unwind(AssertUnwindSafe(|| {
            show(&mut session, GRAY, 20);
            let _frame = session.wait().unwrap();
            panic!("as this test wants it");
        }));
        assert!(app.is_err());
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(session.state(), DisplayState::Showing);
        show(&mut session, 120, 90);
        session.end().unwrap()
    };
    ends_with(|picture| shows(picture, 120), run);
}

#[test]
fn a_session_may_go_to_another_thread() {
    let run = || {
        let mut session = open(options(Until::Frames(LONG)));
        let app = std::thread::spawn(move || {
            show(&mut session, GRAY, usize::MAX);
            session.end().unwrap()
        });
        app.join().unwrap()
    };
    ends_with(|picture| shows(picture, GRAY.into()), run);
}

#[test]
fn a_session_that_is_dropped_gives_everything_back() {
    let poses: Arc<dyn PoseSource> = Arc::new(Turned(0.0));
    let mut session = open(Options { poses: poses.clone(), ..options(Until::Told) });
    show(&mut session, GRAY, 5);
    assert!(Arc::strong_count(&poses) > 1);
    drop(session);
    assert_eq!(Arc::strong_count(&poses), 1, "no thread is left that asks for poses");
}

#[test]
fn an_engine_that_never_finishes_stops_neither_the_headset_nor_the_end() {
    let mut session = open(options(Until::Seconds(4.0)));
    show(&mut session, GRAY, 10);
    let finished = EventFd::new().unwrap();
    session.wait().unwrap().submit_when(finished.into(), Pose::AHEAD);
    assert!(session.wait().is_none(), "it waited until nothing was shown any more");
    let ending = session.end().unwrap();
    assert_eq!(ending.run.app.submitted, 10);
    assert!(is_calm(&last_picture(&ending)));
}

#[test]
fn a_frame_is_shown_once_its_engine_is_done() {
    let run = || {
        let mut session = open(options(Until::Frames(LONG)));
        while let Some(mut frame) = session.wait() {
            frame.paint(|_| [GRAY; 3]);
            let finished = EventFd::new().unwrap();
            finished.write(1).unwrap();
            let pose = frame.pose();
            frame.submit_when(finished.into(), pose);
        }
        session.end().unwrap()
    };
    ends_with(|picture| shows(picture, GRAY.into()), run);
}

#[test]
fn a_layer_lies_over_the_frame_and_turns_with_the_head() {
    let run = || {
        let poses = Arc::new(Turned(30.0));
        let mut headset =
            Headset::open(Options { layers: 1, poses, ..options(Until::Frames(LONG)) }).unwrap();
        let image = headset.layer(&Pixels::flat(8, 8, 250)).unwrap();
        let mut session = headset.session(Eyes::pixels([96, 96])).unwrap();
        let layer = Layer { image, quad: Quad::ahead(1.0, [0.5, 0.5]), opacity: 1.0 };
        while let Some(mut frame) = session.wait() {
            frame.paint(|_| [60; 3]);
            let pose = frame.pose();
            frame.under(std::slice::from_ref(&layer)).submit(pose);
        }
        session.end().unwrap()
    };
    let is_right = |picture: &PanelPicture| {
        let of_the_frame = picture.codes.iter().filter(|code| code.abs_diff(60) < 24).count();
        shows(picture, 250) && of_the_frame > 1_000
    };
    ends_with(is_right, run);
}

#[test]
fn a_frame_is_turned_from_where_it_was_drawn_to_where_the_head_looks() {
    let drawn_from = |yaw: f64| {
        let mut session = open(options(Until::Frames(LONG)));
        while let Some(mut frame) = session.wait() {
            frame.paint(|_| [GRAY; 3]);
            frame.submit(Pose::from_degrees(yaw, 0.0, 0.0));
        }
        session.end().unwrap()
    };
    ends_with(|picture| shows(picture, GRAY.into()), || drawn_from(0.0));
    // Out of sight.
    ends_with(|picture| shows(picture, 0), || drawn_from(80.0));
}

const HELLO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hello_headset.rs");

#[test]
#[should_panic(expected = "made by another headset")]
fn an_image_of_another_headset_is_no_layer_of_this_one() {
    let open = || Headset::open(Options { layers: 1, ..options(Until::Told) }).unwrap();
    let (mut other, headset) = (open(), open());
    let image = other.layer(&Pixels::flat(8, 8, 250)).unwrap();
    let mut session = headset.session(Eyes::pixels([96, 96])).unwrap();
    let frame = session.wait().unwrap();
    frame.under(&[Layer { image, quad: Quad::ahead(1.0, [0.5, 0.5]), opacity: 1.0 }]).submit(Pose::AHEAD);
}

#[test]
fn an_app_takes_no_more_than_forty_lines() {
    let lines = std::fs::read_to_string(HELLO).unwrap().lines().count();
    assert!(lines <= 40, "hello_headset has {lines} lines");
}

#[test]
fn hello_headset_runs_without_a_headset() {
    let mut hello = example("hello_headset");
    // No server to ask, and nothing to find.
    hello.arg("0.5").env_remove("WAYLAND_DISPLAY").env_remove("DISPLAY").env("XDG_RUNTIME_DIR", "/nowhere");
    let output = hello.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn hello_headset_lights_a_headset_over_a_lease_and_gives_it_back() {
    inside("hello_headset_lights_a_headset_over_a_lease_and_gives_it_back", TINY, || {
        let serve = serve(&[]);
        let output = example("hello_headset").arg("1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(serve.event("granted")["connector"], "Virtual-2");
        assert_eq!(serve.event("ended")["reason"], Value::from("released"));
    });
}

/// The brightest code on the panel when `host` ended.
fn brightest(host: &Program) -> u64 {
    host.event("ended")["value"].as_u64().expect("something was shown")
}

#[test]
fn an_engine_in_another_process_draws_in_dma_bufs_and_may_die() {
    const TEST: &str = "an_engine_in_another_process_draws_in_dma_bufs_and_may_die";
    let Some(mesa) = Mesa::new(TEST) else { return };
    inside(TEST, TINY, || {
        let serve = serve(&[]);
        let socket = "/tmp/engine";
        let start = |seconds: &str| {
            let _ = std::fs::remove_file(socket);
            let host = Program::start(mesa.drives(example("dma_buf").args(["host", socket, seconds])));
            host.event("listening");
            let engine = example("dma_buf").args(["engine", socket, CARD]).spawn().unwrap();
            (host, engine)
        };
        let (host, mut engine) = start("2");
        assert_eq!(serve.event("granted")["connector"], "Virtual-2");
        let drawn = brightest(&host);
        assert!((190..250).contains(&drawn), "the engine's wall is bright: {drawn}");
        // It hangs up when nothing is shown any more.
        assert!(engine.wait().unwrap().success());

        let (host, mut engine) = start("3");
        host.event("drawing");
        std::thread::sleep(Duration::from_millis(500));
        engine.kill().unwrap();
        engine.wait().unwrap();
        assert!(host.event("engine_gone")["value"].as_u64().unwrap() > 0);
        let calm = brightest(&host);
        assert!((40..160).contains(&calm), "the calm scene is dim: {calm}");
        assert_eq!(serve.event("ended")["reason"], Value::from("released"));
    });
}
