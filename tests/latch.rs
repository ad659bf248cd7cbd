//! The pose that is read after the submit: it is the one that is shown, and whatever becomes of who reads it, the device is
//! not left waiting.

#[expect(dead_code, reason = "one helper of two is enough here")]
mod pass;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leasehold::compositor::eye_images::Samples;
use leasehold::compositor::readback::Readback;
use leasehold::compositor::{Compositor, EyeImages, Latch, Latched, Options, Pixels, Pose};
use leasehold::headset::Headset;
use leasehold::kms::buffer::PixelFormat::Xrgb8888;
use leasehold::vulkan::Image;
use pass::composite_with;
use pass::gpu::{assert_valid, device};
use serde_json::Value;

const AFTER: Options = Options { latch: Latch::AfterSubmit, ..Options::DEFAULT };

/// An image that looks different from wherever it is seen.
fn slope(width_px: u32, height_px: u32) -> Pixels {
    let samples = (0..height_px).flat_map(|y| {
        (0..width_px)
            .flat_map(move |x| [(x * 255 / width_px) as u8, (y * 255 / height_px) as u8, (x ^ y) as u8, 255])
    });
    Pixels { width_px, height_px, samples: Samples::Eight(samples.collect()) }
}

#[test]
fn what_is_written_after_the_submit_is_shown_and_a_panic_leaves_nobody_waiting() {
    let headset = Arc::new(Headset::simulated(3, 135, 150));
    let image = slope(189, 210);
    let poses = [0.0, 4.0, -7.0].map(|yaw| Pose::from_degrees(yaw, yaw / 2.0, 1.0));
    let expected = poses.map(|pose| {
        composite_with(&headset, [&image, &image], Options::DEFAULT, Xrgb8888, |pass| {
            pass.latch(Pose::AHEAD, pose, 7);
        })
    });
    let compositor = Compositor::new(device(), &headset, 270, 150, Xrgb8888, AFTER).unwrap();
    let images = Arc::new(EyeImages::upload(device(), &image, &image).unwrap());
    let target = Arc::new(Image::target(device(), compositor.target_format(), 270, 150).unwrap());
    let mut pass = compositor.pass(&images, &target).unwrap();
    let mut readback = Readback::new(device(), &target, Xrgb8888).unwrap();
    pass.rehearse().unwrap();
    for _ in 0..5 {
        for (pose, expected) in poses.iter().zip(&expected) {
            pass.run_with(|| {
                // Time enough for a device that does not wait.
                std::thread::sleep(Duration::from_millis(20));
                Latched { rendered: Pose::AHEAD, shown: (*pose).into(), number: 7 }
            })
            .unwrap();
            assert!(readback.picture().unwrap() == *expected, "{pose:?}");
        }
        let start = Instant::now();
        let panicked = catch_unwind(AssertUnwindSafe(|| pass.run_with(|| panic!("no pose is to be had"))));
        assert!(panicked.is_err());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
    drop(pass);
    assert_valid();
}

/// What the demo says of a run on a panel that is not there.
fn report(arguments: &[&str]) -> Value {
    let demo = ["demo", "--from", "simulated", "--mode", "160x90", "--frames", "240", "--json"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    let output = command.args(demo).args(arguments).env("LEASEHOLD_VALIDATION", "1").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

#[test]
fn the_loop_goes_on_as_ever_with_validation_on() {
    for latch in ["before-submit", "after-submit"] {
        let report = report(&["--latch", latch]);
        assert_eq!(report["loop"]["allocations"], 0, "{latch}: {report}");
        let calls = report["loop"]["syscalls_per_frame"].as_f64().unwrap();
        assert!(calls <= 6.0, "{latch}: {calls} system calls a frame");
    }
}

#[test]
fn a_moment_that_is_none_is_refused_by_name() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    let output = command.args(["demo", "--latch", "sometime"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("before-submit or after-submit"));
}
