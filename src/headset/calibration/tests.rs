use proptest::prelude::*;

use super::*;
use crate::headset::{Headset, MuraMap};

const GAMMA: f64 = 2.2;

/// The camera: its noise is that of counted electrons, 64,000 from a white panel
/// pixel (which several of the camera's see), and of reading them out.
struct Camera {
    state: u64,
    exposure: f64,
}

impl Camera {
    fn bell(&mut self) -> f64 {
        let mut next = || {
            self.state =
                self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from((self.state >> 40) as u32) / f64::from(1u32 << 24)
        };
        (0..12).map(|_| next()).sum::<f64>() - 6.0
    }

    /// A shot of a panel whose pixels are off by what the map takes away.
    fn shoot(&mut self, map: &MuraMap, code: u8, bits: u8) -> Capture {
        let samples = map.texels.iter().map(|texel| {
            let shown = f64::from(code) - SCALE * (f64::from(*texel) - 127.0);
            let light = 0.004 + self.exposure * (shown.max(0.0) / 255.0).powf(GAMMA);
            let noisy = light + self.bell() * (light / 64_000.0 + 1e-8).sqrt();
            let top = f64::from((1u32 << bits) - 1);
            ((noisy * top).round().clamp(0.0, top) * 65535.0 / top) as u16
        });
        let step = if bits == 8 { 257 } else { 1 };
        Capture { code, size: (map.width, map.height), samples: samples.collect(), step }
    }
}

fn true_map() -> MuraMap {
    Headset::simulated(5, 108, 120).mura.expect("it has maps").left
}

/// Root mean square of the difference, in codes.
fn off_codes(found: &[u8], map: &MuraMap) -> f64 {
    let squares = found.iter().zip(&map.texels).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    (squares.sum::<f64>() / found.len() as f64).sqrt() * SCALE
}

#[test]
fn the_map_of_a_simulated_panel_is_found_through_the_cameras_noise() {
    let map = true_map();
    let mut camera = Camera { state: 1, exposure: 0.7 };
    let mut captures: Vec<Capture> = [64, 96, 128, 160, 192]
        .iter()
        .flat_map(|code| [*code; 4])
        .map(|code| camera.shoot(&map, code, 16))
        .collect();
    captures.extend([0, 0].map(|code| camera.shoot(&map, code, 16)));
    let found = fit("left", &captures, None).unwrap();
    let off = off_codes(&found.texels, &map);
    assert!((found.gamma - GAMMA).abs() < 0.01, "{}", found.gamma);
    // The map's own rounding to an eighth of a code is 0.036 of it; the panel is off by 1.57.
    assert!(off < 0.2, "off by {off} codes, expected {}", found.noise_codes);
    assert!(
        (found.noise_codes..1.5 * found.noise_codes + 0.05).contains(&off),
        "{off} and {}",
        found.noise_codes
    );
    assert!((found.sigma_codes - map.sigma_codes(SCALE)).abs() < 0.05, "{}", found.sigma_codes);
    assert_eq!((found.unseen, found.clipped), (0, 0));
}

#[test]
fn one_8_bit_shot_a_level_still_takes_most_of_the_error_away() {
    let map = true_map();
    let mut camera = Camera { state: 2, exposure: 0.95 };
    let captures = [96, 128, 160, 192].map(|code| camera.shoot(&map, code, 8));
    let found = fit("left", &captures, Some(GAMMA)).unwrap();
    let off = off_codes(&found.texels, &map);
    assert!(off < 0.5 * map.sigma_codes(SCALE), "off by {off} codes");
}

#[test]
fn what_one_level_or_one_shot_shows_alone_is_not_believed() {
    let map = true_map();
    let mut camera = Camera { state: 3, exposure: 0.7 };
    let mut captures: Vec<Capture> = [64, 96, 128, 160]
        .iter()
        .flat_map(|code| [*code; 3])
        .map(|code| camera.shoot(&map, code, 16))
        .collect();
    let clean = fit("left", &captures, None).unwrap();
    captures[1].samples[500..900].fill(60_000); // a reflection in one shot
    captures[3..6].iter_mut().for_each(|shot| shot.samples[2000..2020].fill(40_000)); // and in all of one level
    let found = fit("left", &captures, None).unwrap();
    for (pixel, (a, b)) in found.texels.iter().zip(&clean.texels).enumerate() {
        assert!(a.abs_diff(*b) < 12, "pixel {pixel}: {a} and {b}");
    }
}

#[test]
fn dead_pixels_are_left_alone() {
    let map = true_map();
    let mut camera = Camera { state: 4, exposure: 0.7 };
    let mut captures = [64, 128].map(|code| camera.shoot(&map, code, 16));
    captures.iter_mut().for_each(|capture| capture.samples[77] = 0);
    let found = fit("left", &captures, None).unwrap();
    assert_eq!((found.texels[77], found.unseen), (127, 1));
}

#[test]
fn captures_that_cannot_do_are_refused_in_a_sentence() {
    let map = true_map();
    let mut camera = Camera { state: 5, exposure: 0.7 };
    let refused = |captures: &[Capture], words: &str| {
        let text = fit("right", captures, None).expect_err("they cannot do").to_string();
        assert!(text.contains("right") && text.contains(words), "{text}");
    };
    refused(&[], "no capture of a gray above black");
    let one = camera.shoot(&map, 128, 16);
    refused(std::slice::from_ref(&one), "only one level");
    refused(&[one.clone(), Capture { code: 64, ..one.clone() }], "0.00, which no panel has");
    refused(&[Capture { samples: vec![u16::MAX; 12960], ..one.clone() }], "white");
    refused(&[Capture { samples: vec![0; 12960], ..one }], "black");
}

#[test]
fn names_tell_eye_and_level() {
    let name = |eye, code| Some(Ok(CaptureName { eye, code }));
    assert_eq!(CaptureName::parse("left-064.png"), name(0, 64));
    assert_eq!(CaptureName::parse("right-000-12.png"), name(1, 0));
    for other in ["notes.txt", "leftover.png", "dark.png", ""] {
        assert_eq!(CaptureName::parse(other), None, "{other}");
    }
    for wrong in
        ["left-64.png", "left-256.png", "right-128.jpg", "left-128-.png", "left-128-1-2.png", "left-+12.png"]
    {
        let error = CaptureName::parse(wrong).expect("it starts like one").expect_err("wrong").to_string();
        assert!(error.contains(wrong), "{error}");
    }
}

fn png(color: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

#[test]
fn captures_of_both_depths_are_read_and_others_refused() {
    use png::{BitDepth, ColorType};
    let eight = Capture::decode("c", 64, &png(ColorType::Grayscale, BitDepth::Eight, &[1, 255])).unwrap();
    assert_eq!((eight.samples, eight.step), (vec![257, 65535], 257));
    let data = [1, 2, 255, 255];
    let sixteen = Capture::decode("c", 64, &png(ColorType::Grayscale, BitDepth::Sixteen, &data)).unwrap();
    assert_eq!((sixteen.samples, sixteen.step, sixteen.size), (vec![258, 65535], 1, (2, 1)));
    let error =
        Capture::decode("left-064.png", 64, &png(ColorType::Rgb, BitDepth::Eight, &[0; 6])).unwrap_err();
    assert!(error.to_string().contains("left-064.png"), "{error}");
}

#[test]
fn a_capture_larger_than_any_panel_is_refused_by_its_header() {
    let mut bytes = png(png::ColorType::Grayscale, png::BitDepth::Eight, &[1, 2]);
    bytes[16..24].copy_from_slice(&[0, 0, 0x80, 0, 0, 0, 0x80, 0]);
    let crc32 = crc32fast::hash(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc32.to_be_bytes());
    let error = Capture::decode("left-064.png", 64, &bytes).unwrap_err().to_string();
    assert!(error.contains("left-064.png") && error.contains("32768x32768"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_and_names_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), name in ".{0,20}") {
        let _ = Capture::decode(&name, 64, &bytes);
        for name in [name.clone(), format!("left-{name}"), format!("right-{name}.png")] {
            let _ = CaptureName::parse(&name);
        }
    }

    /// Whatever light there was, a map comes out or a reason.
    #[test]
    fn any_light_is_survived(light in prop::collection::vec((any::<u8>(), any::<u16>(), any::<u16>()), 0..6)) {
        let captures: Vec<Capture> = light
            .into_iter()
            .map(|(code, a, b)| Capture { code, size: (3, 1), samples: vec![a, b, a / 2], step: 1 })
            .collect();
        for gamma in [None, Some(2.2)] {
            if let Ok(found) = fit("left", &captures, gamma) {
                prop_assert_eq!(found.texels.len(), 3);
                prop_assert!(found.gamma.is_finite());
            }
        }
    }
}
