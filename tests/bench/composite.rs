//! What one composite costs: `cargo bench --bench composite -- [WIDTHxHEIGHT]...`, sizes of whole panels.
//!
//! It says how much of the common way's time each variant takes, and fails where the whole of it takes more than 0.6.
//!
//! The variants of one size run in turn, so that all of them meet the same moods of the machine. With `--shaders` none
//! runs: their pipelines are built, for a driver that tells what it makes of them, and has no need of a GPU for that.

#![allow(clippy::print_stdout)]

#[expect(dead_code, reason = "single files are for tests")]
#[path = "../data/mod.rs"]
mod data;
mod mesh;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use data::real;
use leasehold::compositor::composite::pipelines;
use leasehold::compositor::eye_images::Samples;
use leasehold::compositor::{Compositor, EyeImages, Options, Pixels, Pose};
use leasehold::files::read_headset;
use leasehold::headset::Headset;
use leasehold::kms::ModeRequest;
use leasehold::kms::buffer::PixelFormat;
use leasehold::vulkan::pipeline::Pipeline;
use leasehold::vulkan::{Device, Image, Instance, VulkanError};
use mesh::MeshPass;

const ROUNDS: u64 = 40;

/// How much of the common way's time the first variant may take.
const MOST_OF_COMMON: f64 = 0.6;

const FORMAT: PixelFormat = PixelFormat::Xrgb8888;

const VARIANTS: [(&str, Options); 4] = [
    ("all of it", Options { lens: true, mura: true, dither: true, ..Options::DEFAULT }),
    ("without mura", Options { lens: true, mura: false, dither: true, ..Options::DEFAULT }),
    ("without lens", Options { lens: false, mura: true, dither: true, ..Options::DEFAULT }),
    ("without either", Options { lens: false, mura: false, dither: true, ..Options::DEFAULT }),
];

fn main() -> ExitCode {
    let (flags, sizes): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let device = Device::open(&Arc::new(Instance::new(false).expect("Vulkan"))).expect("a Vulkan device");
    if flags.iter().any(|flag| flag == "--shaders") {
        build(&device);
        return ExitCode::SUCCESS;
    }
    let sizes = if sizes.is_empty() { vec!["480x270".to_string(), "2160x1200".to_string()] } else { sizes };
    println!("{} | median of {ROUNDS}, ms | ms a megapixel | of the common way", device.name());
    let mut verdict = ExitCode::SUCCESS;
    for size in sizes {
        let size: ModeRequest = size.parse().expect("a size as WIDTHxHEIGHT");
        let [of_common, ..] = measure(&device, size.width_px, size.height_px);
        let holds = of_common <= MOST_OF_COMMON;
        println!(
            "{}x{}: {of_common:.3} of the common way's time, {} {MOST_OF_COMMON}",
            size.width_px,
            size.height_px,
            if holds { "not above" } else { "ABOVE" },
        );
        if !holds {
            verdict = ExitCode::FAILURE;
        }
    }
    verdict
}

/// Builds what draws a Vive's left eye, one after the other.
fn build(device: &Arc<Device>) {
    println!("{}", device.name());
    let headset = headset([2160, 1200]);
    for (name, options) in VARIANTS {
        say(&format!("{name}:"));
        pipelines(device, &headset, [1080, 1200], FORMAT, options).expect("pipelines");
    }
    say("the common way:");
    Pipeline::new(device, mesh::SHADERS, mesh::FORMAT).expect("a pipeline");
}

/// How much of the common way's time each variant takes.
fn measure(device: &Arc<Device>, width_px: u32, height_px: u32) -> [f64; VARIANTS.len() + 1] {
    let eye_px = [width_px / 2, height_px];
    let headset = Arc::new(headset([width_px, height_px]));
    let [width, height] = eye_px.map(|pixels| pixels * 7 / 5);
    let mut pixels = Pixels::flat(width, height, 0);
    if let Samples::Eight(samples) = &mut pixels.samples {
        samples.iter_mut().enumerate().for_each(|(index, sample)| *sample = (index * 7 % 251) as u8);
    }
    let images = Arc::new(EyeImages::upload(device, &pixels, &pixels).expect("upload"));
    let mut passes: Vec<_> = VARIANTS
        .iter()
        .map(|&(_, options)| {
            let compositor =
                Compositor::new(device, &headset, width_px, height_px, FORMAT, options).expect("compositor");
            let target =
                Image::target(device, compositor.target_format(), width_px, height_px).expect("target");
            // The pass holds what it draws with only by reference, so the compositor comes along.
            (compositor.pass(&images, &Arc::new(target)).expect("pass"), compositor)
        })
        .collect();
    let mut mesh = MeshPass::new(device, &headset, &pixels, [width_px, height_px]).expect("mesh");
    let mut times_ms = vec![Vec::new(); VARIANTS.len() + 1];
    for round in 0..ROUNDS {
        for ((pass, _), times_ms) in passes.iter_mut().zip(&mut times_ms) {
            pass.latch(Pose::AHEAD, Pose::AHEAD, round);
            times_ms.push(milliseconds(|| pass.run()));
        }
        times_ms[VARIANTS.len()].push(milliseconds(|| mesh.run()));
    }
    let megapixels = f64::from(width_px) * f64::from(height_px) / 1e6;
    let names = VARIANTS.iter().map(|(name, _)| *name).chain(["the common way"]);
    let common = times_ms[VARIANTS.len()].clone();
    let mut shares = [0.0; VARIANTS.len() + 1];
    for ((name, times_ms), share) in names.zip(times_ms).zip(&mut shares) {
        // Round by round, so that a mood of the machine that lasts for some rounds touches both sides.
        let of_common = median(times_ms.iter().zip(&common).map(|(own, common)| own / common).collect());
        *share = of_common;
        let middle = median(times_ms);
        let a_megapixel = middle / megapixels;
        println!("{width_px}x{height_px} {name:<15} | {middle:7.2} | {a_megapixel:6.2} | {of_common:5.3}");
    }
    shares
}

fn milliseconds(run: impl FnOnce() -> Result<(), VulkanError>) -> f64 {
    let start = Instant::now();
    run().expect("run");
    start.elapsed().as_secs_f64() * 1e3
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A Vive where its data is at hand and its panel is that large; otherwise a made-up headset.
fn headset([width_px, height_px]: [u32; 2]) -> Headset {
    let vive = real("vive-LHR-C5C0BC88").map(|folder| read_headset(&folder).expect("a headset's data"));
    vive.filter(|vive| [vive.panel.eye_width * 2, vive.panel.eye_height] == [width_px, height_px])
        .unwrap_or_else(|| Headset::simulated(1, width_px / 2, height_px))
}

/// To where drivers speak too.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
