//! A made-up headset, so that everything can be tried without one.

use super::lens::ChannelLens;
use super::{
    Brightness, Eye, HALF_EYE_DISTANCE, Headset, HeadsetSource, Illumination, Lens, LensKind, Mura, MuraMap,
    Panel, Tangents, beside,
};
use crate::random::SplitMix64;

pub mod board;
mod edid;
pub mod files;
mod high_order;

/// The width of the simulated panel in front of one eye, in pixels, where nothing else is asked for.
pub const EYE_WIDTH: u32 = 1080;
/// The height of the simulated panel, in pixels, where nothing else is asked for.
pub const EYE_HEIGHT: u32 = 1200;
/// How often the simulated panel refreshes in a second, where nothing else is asked for.
pub const REFRESH_HZ: f64 = 90.0;

impl Headset {
    /// A made-up headset with an OLED panel: lenses that bend and spread colours about as much as real ones, dark
    /// corners, and mura maps. What sets one headset apart from another is drawn from `seed`. The same arguments always give the same headset.
    ///
    /// # Panics
    /// When a size is zero.
    pub fn simulated(seed: u64, eye_width: u32, eye_height: u32) -> Self {
        Self::simulated_with(LensModel::Round, seed, eye_width, eye_height)
    }

    /// The same with lenses of that kind.
    ///
    /// # Panics
    /// When a size is zero, or one with a lens of high order.
    pub fn simulated_with(model: LensModel, seed: u64, eye_width: u32, eye_height: u32) -> Self {
        assert!(eye_width > 0 && eye_height > 0, "an eye of {eye_width}x{eye_height} has no pixels");
        let aspect = f64::from(eye_width) / f64::from(eye_height);
        let black_clamp = 3.0 / 255.0;
        let serial = format!("SIM-{seed:016X}");
        let mut random = SplitMix64::new(seed);
        let [left, right] = ["left", "right"]
            .map(|side| map(format!("{serial}_{side}.mc"), &mut random, eye_width, eye_height));
        // Drawn apart from the maps, whose number of texels would otherwise change the lens.
        let mut random = SplitMix64::new(!seed);
        let half_distance = HALF_EYE_DISTANCE * (1.0 + 0.05 * around_zero(&mut random));
        let eyes = [-1.0, 1.0].map(|side| match model {
            LensModel::Round => eye(side, half_distance, aspect, &mut random),
            LensModel::HighOrder => {
                high_order::eye(side, half_distance, [eye_width, eye_height], &mut random)
            }
        });
        Self {
            serial,
            model: "Simulated".to_owned(),
            eyes,
            panel: Panel { eye_width, eye_height, black_clamp, illumination: Illumination::Global },
            mura: Some(Mura {
                scale: 0.125,
                offset: -127.0 / 255.0,
                weights: Mura::EQUAL_WEIGHTS,
                brightness: Brightness::FULL,
                black_code: black_clamp * 255.0,
                left,
                right,
            }),
            source: HeadsetSource::Simulated,
            notes: vec!["This headset is simulated: its lens and its mura maps are made up.".to_owned()],
        }
    }
}

/// What kind of lens a made-up headset has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LensModel {
    /// A Vive's: round, one over a polynomial.
    #[default]
    Round,
    /// A Vive Pro 2's: of high order, and not round.
    HighOrder,
}

impl std::str::FromStr for LensModel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "round" => Ok(Self::Round),
            "high-order" => Ok(Self::HighOrder),
            _ => Err(format!("'{text}' is no kind of lens: write round or high-order")),
        }
    }
}

/// The eye on one side (-1 left, 1 right), with a lens as they come off a line: each a little different. Its centre lies
/// towards the nose.
fn eye(side: f64, half_distance: f64, aspect: f64, random: &mut SplitMix64) -> Eye {
    let mut near = |value: f64, spread: f64| value + spread * around_zero(random);
    let center = [-side * near(0.08, 0.012), near(-0.005, 0.005)];
    let grow = near(0.5, 0.1);
    let focal = near(1.2, 0.03);
    let cutoff_r2 = near(1.15, 0.05);
    let green = [near(-0.21, 0.012), near(-0.02, 0.01), near(-0.045, 0.005)];
    // Red is bent less than green, and blue more.
    let mut dispersed = |difference: [f64; 3]| {
        let part = near(1.0, 0.15);
        let [k1, k2, k3] = std::array::from_fn(|n| green[n] + part * difference[n]);
        ChannelLens { center, coeffs: [k1, k2, k3, 0.0, 0.0] }
    };
    let red = dispersed([0.03, -0.04, 0.025]);
    let blue = dispersed([-0.035, 0.05, -0.035]);
    Eye {
        lens: Lens {
            kind: LensKind::Dpoly3,
            channels: [red, ChannelLens { center, coeffs: [green[0], green[1], green[2], 0.0, 0.0] }, blue],
            grow,
            aspect_x_over_y: aspect,
            cutoff_r2: Some(cutoff_r2),
        },
        tangents: Tangents::from_intrinsics([focal, focal * aspect], [-center[0], center[1]], grow),
        eye_to_head: beside(side * half_distance),
    }
}

/// A number from -1 to 1, all equally likely.
fn around_zero(random: &mut SplitMix64) -> f64 {
    2.0 * random.share() - 1.0
}

/// A map as real ones look: nearly white noise, with a fainter one shared by each column.
fn map(file: String, random: &mut SplitMix64, width: u32, height: u32) -> MuraMap {
    let columns: Vec<i32> = (0..width).map(|_| random.bell(3)).collect();
    let texels: Vec<u8> = (0..height)
        .flat_map(|_| columns.iter())
        .map(|column| (127 + column + random.bell(12)).clamp(0, 255) as u8)
        .collect();
    let crc32 = crc32fast::hash(&texels);
    MuraMap { file, width, height, texels, crc32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headset::Channel;

    #[test]
    fn the_same_seed_gives_the_same_headset() {
        assert_eq!(Headset::simulated(7, 40, 30), Headset::simulated(7, 40, 30));
        let [one, other] = [7, 8].map(|seed| Headset::simulated(seed, 40, 30));
        assert_ne!(one.mura, other.mura);
        assert_ne!(one.eyes, other.eyes);
    }

    #[test]
    fn its_maps_look_like_measured_ones() {
        let mura = Headset::simulated(1, EYE_WIDTH, EYE_HEIGHT).mura.expect("it has maps");
        assert_ne!(mura.left.texels, mura.right.texels);
        for map in [&mura.left, &mura.right] {
            let mean =
                map.texels.iter().map(|texel| f64::from(*texel)).sum::<f64>() / map.texels.len() as f64;
            assert!((mean - 127.0).abs() < 0.5, "{mean}");
            let sigma = map.sigma_codes(mura.scale);
            assert!((1.5..1.6).contains(&sigma), "{sigma}");
        }
    }

    #[test]
    fn its_corners_are_dark_and_its_middle_is_not() {
        for eye in (0..40).flat_map(|seed| Headset::simulated(seed, 9, 10).eyes) {
            for channel in Channel::ALL {
                for seen in [[0.5, 0.5], [0.2, 0.5], [0.8, 0.5], [0.5, 0.1], [0.5, 0.9]] {
                    assert!(eye.lens.eye_uv(channel, seen).is_some(), "{:?}", eye.lens);
                }
                for corner in [[0.01, 0.01], [0.99, 0.01], [0.01, 0.99], [0.99, 0.99]] {
                    assert_eq!(eye.lens.eye_uv(channel, corner), None);
                }
            }
        }
    }
}
