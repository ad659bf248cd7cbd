//! Whether the correction corrects: flat grays through the real pass, shown on a simulated panel whose pixels are off by just
//! what the maps say, however the panel is built in.
//!
//! The panel's light is the 2.2th power of its code, and each pixel's true error is minus its map. How uneven the picture is
//! then is a figure of its light: the standard deviation over the mean. With the maps of a real headset where its data is at
//! hand, and with made-up ones.

#![allow(clippy::disallowed_macros)] // the figures are to be seen

mod pass;

use std::path::Path;
use std::sync::Arc;

use leasehold::compositor::readback::PanelPicture;
use leasehold::compositor::{Options, Pixels};
use leasehold::files::read_headset;
use leasehold::headset::{Headset, Mura, MuraMap};
use leasehold::kms::buffer::PixelFormat::{self, Xrgb8888, Xrgb2101010};
use pass::composite;

const GAMMA: f64 = 2.2;

/// How much of the unevenness has to go, by the picture's bits. Rounding alone leaves 18.7 % at 8 bits and 5.3 % at 10 of a
/// map of 1.57 codes, the fainter one of the real headset's.
const BOUNDS: [(PixelFormat, f64); 2] = [(Xrgb8888, 0.80), (Xrgb2101010, 0.94)];

/// Levels at which the correction is whole and none of it is cut off.
const LEVELS: [u8; 5] = [30, 64, 128, 200, 235];

fn headsets() -> Vec<(&'static str, Headset)> {
    let mut headsets = vec![("made-up", Headset::simulated(3, 1080, 1200))];
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/headsets");
    let root = std::env::var_os("LEASEHOLD_HEADSETS").unwrap_or_else(|| beside.into());
    match read_headset(&Path::new(&root).join("vive-LHR-C5C0BC88")) {
        Ok(real) => headsets.push(("real", real)),
        Err(error) => eprintln!("SKIPPED: the real headset's maps: {error} (set LEASEHOLD_HEADSETS)"),
    }
    headsets
}

/// By how many codes each pixel of a panel is off.
struct Panel {
    width: u32,
    errors: Vec<f64>,
}

impl Panel {
    /// The panel that a map was measured on.
    fn measured(map: &MuraMap, mura: &Mura) -> Self {
        let error = |texel: &u8| -255.0 * mura.scale * (f64::from(*texel) / 255.0 + mura.offset);
        Self { width: map.width, errors: map.texels.iter().map(error).collect() }
    }

    /// The same panel dimmed: what it is sent is worth less of what was measured, and it is off by as much of that.
    fn dimmed(self, brightness: f64) -> Self {
        let worth = brightness.powf(1.0 / GAMMA);
        Self { errors: self.errors.iter().map(|error| error / worth).collect(), ..self }
    }

    /// How uneven it is when every pixel gets the code that `code` says.
    fn unevenness(&self, code: impl Fn(usize) -> f64) -> f64 {
        let light: Vec<f64> = self
            .errors
            .iter()
            .enumerate()
            .map(|(pixel, error)| ((code(pixel) + error).max(0.0) / 255.0).powf(GAMMA))
            .collect();
        let mean = light.iter().sum::<f64>() / light.len() as f64;
        let variance = light.iter().map(|light| (light - mean).powi(2)).sum::<f64>() / light.len() as f64;
        variance.sqrt() / mean
    }

    /// How much of its unevenness at a flat gray is gone from a picture of that gray; below zero where it got worse.
    fn cut(&self, level: u8, picture: &PanelPicture, eye: u32) -> f64 {
        let top = f64::from((1u32 << picture.bits) - 1);
        let green = |pixel: usize| {
            let (x, y) = (pixel as u32 % self.width + eye * self.width, pixel as u32 / self.width);
            f64::from(picture.codes[(y * picture.width_px + x) as usize * 3 + 1]) * 255.0 / top
        };
        1.0 - self.unevenness(green) / self.unevenness(|_| f64::from(level))
    }
}

/// The pass's picture of a flat gray, without a lens, which would leave black corners, and without dither.
fn flat(headset: &Headset, level: u8, format: PixelFormat) -> PanelPicture {
    let headset = Arc::new(headset.clone());
    let image = Pixels::flat(headset.panel.eye_width, headset.panel.eye_height, level);
    composite(
        &headset,
        [&image, &image],
        Options { lens: false, dither: false, ..Options::default() },
        format,
    )
}

/// The headset with other maps on the panels.
fn with_maps(headset: &Headset, mut change: impl FnMut(&MuraMap) -> MuraMap) -> Headset {
    let mut headset = headset.clone();
    let mura = headset.mura.as_mut().expect("it has maps");
    (mura.left, mura.right) = (change(&mura.left), change(&mura.right));
    (headset.panel.eye_width, headset.panel.eye_height) = (mura.left.width, mura.left.height);
    headset
}

fn maps(headset: &Headset) -> [&MuraMap; 2] {
    let mura = headset.mura.as_ref().expect("it has maps");
    [&mura.left, &mura.right]
}

/// The map with each texel taken from another place.
fn moved(map: &MuraMap, width: u32, height: u32, from: impl Fn(u32, u32) -> [u32; 2]) -> MuraMap {
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let texels = places.map(|(x, y)| from(x, y)).map(|[x, y]| map.texels[(y * map.width + x) as usize]);
    MuraMap { width, height, texels: texels.collect(), ..map.clone() }
}

/// The eight ways to lay a picture down: four turns, each also mirrored.
const ORIENTATIONS: std::ops::Range<u32> = 0..8;

/// The map as it lies after a quarter turn for each of the lower two bits, and mirrored with the third.
fn laid(map: &MuraMap, orientation: u32) -> MuraMap {
    let mut map = map.clone();
    for _ in 0..orientation & 3 {
        let height = map.height;
        map = moved(&map, height, map.width, |x, y| [y, height - 1 - x]);
    }
    if orientation & 4 != 0 {
        let width = map.width;
        map = moved(&map, width, map.height, |x, y| [width - 1 - x, y]);
    }
    map
}

/// The map moved by whole pixels; what goes out on one side comes in on the other.
fn shifted(map: &MuraMap, [right, down]: [u32; 2]) -> MuraMap {
    let (width, height) = (map.width, map.height);
    moved(map, width, height, |x, y| [(x + width - right) % width, (y + height - down) % height])
}

fn negated(map: &MuraMap) -> MuraMap {
    let texels = map.texels.iter().map(|texel| (254 - i32::from(*texel)).clamp(0, 255) as u8).collect();
    MuraMap { texels, ..map.clone() }
}

/// The middle of a map, as wide as high.
fn square(map: &MuraMap, side: u32) -> MuraMap {
    moved(map, side, side, |x, y| [x + (map.width - side) / 2, y + (map.height - side) / 2])
}

#[test]
fn what_the_maps_know_is_gone_but_for_rounding() {
    for (name, headset) in headsets() {
        let mura = headset.mura.as_ref().expect("it has maps");
        let panels = maps(&headset).map(|map| Panel::measured(map, mura));
        for (format, bound) in BOUNDS {
            for level in LEVELS {
                let picture = flat(&headset, level, format);
                let before = [0, 1].map(|eye| panels[eye].unevenness(|_| f64::from(level)));
                let cut = [0, 1].map(|eye| panels[eye].cut(level, &picture, eye as u32));
                eprintln!(
                    "{name} maps, {} bits, code {level:3}: uneven by {:.2} and {:.2} %, {:.1} and {:.1} % of it gone",
                    picture.bits,
                    100.0 * before[0],
                    100.0 * before[1],
                    100.0 * cut[0],
                    100.0 * cut[1]
                );
                assert!(cut.iter().all(|cut| *cut >= bound), "{cut:?} and not {bound}");
            }
        }
    }
}

#[test]
fn a_dimmed_panel_is_corrected_by_more_codes() {
    for (name, headset) in headsets() {
        let mura = headset.mura.as_ref().expect("it has maps");
        for brightness in [0.5, 0.25] {
            let panels = maps(&headset).map(|map| Panel::measured(map, mura).dimmed(brightness));
            let mut told = headset.clone();
            told.mura = told.mura.map(|mura| mura.at_brightness(brightness.to_string().parse().ok()));
            let cuts = |headset: &Headset, level: u8, format: PixelFormat| {
                let picture = flat(headset, level, format);
                [0, 1].map(|eye| panels[eye].cut(level, &picture, eye as u32))
            };
            for (format, bound) in BOUNDS {
                for level in [64, 128, 200] {
                    let (with, without) = (cuts(&told, level, format), cuts(&headset, level, format));
                    let [with_left, with_right, left, right] =
                        [with[0], with[1], without[0], without[1]].map(|cut| 100.0 * cut);
                    eprintln!(
                        "{name} maps at {brightness} of the brightness, {} bits, code {level:3}: {with_left:.1} and \
                         {with_right:.1} % gone, {left:.1} and {right:.1} % where the pass is not told",
                        format.bits()
                    );
                    assert!(with.iter().all(|cut| *cut >= bound), "{with:?} and not {bound}");
                    assert!(
                        without.iter().all(|cut| *cut < 0.75),
                        "{without:?}: the brightness is of no matter"
                    );
                }
            }
            let black = flat(&told, 0, Xrgb2101010).codes;
            assert!(black.iter().all(|code| *code == black[0]), "black is not one code");
        }
    }
}

#[test]
fn a_map_that_is_moved_by_a_pixel_or_negated_or_the_other_eyes_does_harm() {
    for (name, headset) in headsets() {
        let mura = headset.mura.as_ref().expect("it has maps");
        let panels = maps(&headset).map(|map| Panel::measured(map, mura));
        let mut swapped = headset.clone();
        if let Some(mura) = &mut swapped.mura {
            std::mem::swap(&mut mura.left, &mut mura.right);
        }
        let (width, height) = (headset.panel.eye_width, headset.panel.eye_height);
        let shifts = [[1, 0], [0, 1], [width - 1, 0], [0, height - 1]];
        let mut wrong = vec![("negated", with_maps(&headset, negated)), ("the other eye's", swapped)];
        wrong
            .extend(shifts.map(|shift| ("moved by a pixel", with_maps(&headset, |map| shifted(map, shift)))));
        for (what, wrong) in &wrong {
            for (format, _) in BOUNDS {
                let picture = flat(wrong, 128, format);
                let cut = [0, 1].map(|eye| panels[eye].cut(128, &picture, eye as u32));
                eprintln!(
                    "{name} maps, {what}, {} bits: {:.0} and {:.0} %",
                    picture.bits,
                    100.0 * cut[0],
                    100.0 * cut[1]
                );
                assert!(cut.iter().all(|cut| *cut < 0.0), "{what} {cut:?}: it does good");
            }
        }
    }
}

/// A panel that is built in turned or mirrored has its map turned and mirrored as it is, and by no other way of laying it.
#[test]
fn in_every_orientation_of_the_panel_only_its_own_map_does_good() {
    const SIDE: u32 = 540;
    for (name, headset) in headsets() {
        let headset = with_maps(&headset, |map| square(map, SIDE));
        let laid_maps: Vec<Headset> =
            ORIENTATIONS.map(|way| with_maps(&headset, |map| laid(map, way))).collect();
        let pictures: Vec<PanelPicture> = laid_maps.iter().map(|laid| flat(laid, 128, Xrgb8888)).collect();
        let (mut worst_right, mut best_wrong) = (f64::INFINITY, f64::NEG_INFINITY);
        for (built_in, own) in laid_maps.iter().enumerate() {
            let mura = own.mura.as_ref().expect("it has maps");
            for (eye, map) in maps(own).into_iter().enumerate() {
                let panel = Panel::measured(map, mura);
                for (way, picture) in pictures.iter().enumerate() {
                    let cut = panel.cut(128, picture, eye as u32);
                    match way == built_in {
                        true => worst_right = worst_right.min(cut),
                        false => best_wrong = best_wrong.max(cut),
                    }
                }
                // Moved and negated maps do harm in each of them.
                let wrongs = [with_maps(own, |map| shifted(map, [1, 0])), with_maps(own, negated)];
                for wrong in &wrongs {
                    best_wrong = best_wrong.max(panel.cut(128, &flat(wrong, 128, Xrgb8888), eye as u32));
                }
            }
        }
        eprintln!(
            "{name} maps in eight orientations: the right one takes {:.1} % away or more, any wrong one {:.1} % at best",
            100.0 * worst_right,
            100.0 * best_wrong
        );
        assert!(worst_right >= 0.80 && best_wrong < 0.0, "{worst_right}, {best_wrong}");
    }
}

#[test]
fn a_panel_that_is_not_square_is_corrected_on_its_side() {
    for (_, headset) in headsets() {
        for way in [1, 3, 5, 7] {
            let turned = with_maps(&headset, |map| laid(map, way));
            assert_eq!((turned.panel.eye_width, turned.panel.eye_height), (1200, 1080));
            let mura = turned.mura.as_ref().expect("it has maps");
            let picture = flat(&turned, 64, Xrgb8888);
            for (eye, map) in maps(&turned).into_iter().enumerate() {
                let cut = Panel::measured(map, mura).cut(64, &picture, eye as u32);
                assert!(cut >= 0.80, "{way}: {cut}");
            }
        }
    }
}
