//! What one composite costs: `cargo bench --bench composite -- [WIDTHxHEIGHT]...`, sizes of whole panels.
//!
//! The variants of one size run in turn, so that all of them meet the same moods of the machine.

#![allow(clippy::print_stdout)]

mod mesh;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use leasehold::compositor::eye_images::Samples;
use leasehold::compositor::{Compositor, EyeImages, Options, Pixels, Pose};
use leasehold::headset::Headset;
use leasehold::kms::ModeRequest;
use leasehold::kms::buffer::PixelFormat;
use leasehold::vulkan::{Device, Image, Instance, VulkanError};
use mesh::MeshPass;

const ROUNDS: u64 = 20;

const VARIANTS: [(&str, Options); 4] = [
    ("all of it", Options { lens: true, mura: true, dither: true, layers: 0 }),
    ("without mura", Options { lens: true, mura: false, dither: true, layers: 0 }),
    ("without lens", Options { lens: false, mura: true, dither: true, layers: 0 }),
    ("without either", Options { lens: false, mura: false, dither: true, layers: 0 }),
];

fn main() {
    let sizes: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let sizes = if sizes.is_empty() { vec!["480x270".to_string(), "2160x1200".to_string()] } else { sizes };
    let device = Device::open(&Arc::new(Instance::new(false).expect("Vulkan"))).expect("a Vulkan device");
    println!("{} | median of {ROUNDS}, ms | ms a megapixel | of the common way", device.name());
    for size in sizes {
        let size: ModeRequest = size.parse().expect("a size as WIDTHxHEIGHT");
        measure(&device, size.width_px, size.height_px);
    }
}

fn measure(device: &Arc<Device>, width_px: u32, height_px: u32) {
    let eye_px = [width_px / 2, height_px];
    let headset = Arc::new(headset(eye_px));
    let [width, height] = eye_px.map(|pixels| pixels * 7 / 5);
    let mut pixels = Pixels::flat(width, height, 0);
    if let Samples::Eight(samples) = &mut pixels.samples {
        samples.iter_mut().enumerate().for_each(|(index, sample)| *sample = (index * 7 % 251) as u8);
    }
    let images = Arc::new(EyeImages::upload(device, &pixels, &pixels).expect("upload"));
    let mut passes: Vec<_> = VARIANTS
        .iter()
        .map(|&(_, options)| {
            let format = PixelFormat::Xrgb8888;
            let compositor =
                Compositor::new(device, &headset, width_px, height_px, format, options).expect("compositor");
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
    let medians: Vec<f64> = times_ms.into_iter().map(median).collect();
    let common = medians[VARIANTS.len()];
    for (name, median) in names.zip(medians) {
        let (a_megapixel, of_common) = (median / megapixels, median / common);
        println!("{width_px}x{height_px} {name:<15} | {median:7.2} | {a_megapixel:6.2} | {of_common:5.3}");
    }
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

/// The real headset where its data is at hand and fits, with made-up maps otherwise.
fn headset([width_px, height_px]: [u32; 2]) -> Headset {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/headsets");
    let root = std::env::var_os("LEASEHOLD_HEADSETS").unwrap_or_else(|| beside.into());
    let real = leasehold::files::read_headset(&Path::new(&root).join("vive-LHR-C5C0BC88"));
    let mut simulated = Headset::simulated(1, width_px, height_px);
    if let Ok(real) = real {
        simulated.eyes = real.eyes;
    }
    simulated
}
