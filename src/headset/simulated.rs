//! A made-up headset, so that everything can be tried without one.

use super::lens::ChannelLens;
use super::{
    Eye, HALF_EYE_DISTANCE, Headset, HeadsetSource, Illumination, Lens, LensKind, Mura, MuraMap, Panel,
    Tangents, beside,
};
use crate::random::SplitMix64;

/// The width of the simulated panel in front of one eye, in pixels, where nothing else is asked for.
pub const EYE_WIDTH: u32 = 1080;
/// The height of the simulated panel, in pixels, where nothing else is asked for.
pub const EYE_HEIGHT: u32 = 1200;
/// How often the simulated panel refreshes in a second, where nothing else is asked for.
pub const REFRESH_HZ: f64 = 90.0;

const GROW: f64 = 0.5;

impl Headset {
    /// A made-up headset with an OLED panel: lenses that bend and spread colours about as much as real ones, dark
    /// corners, and mura maps drawn from `seed`. The same arguments always give the same headset.
    ///
    /// # Panics
    /// When a size is zero.
    pub fn simulated(seed: u64, eye_width: u32, eye_height: u32) -> Self {
        assert!(eye_width > 0 && eye_height > 0, "an eye of {eye_width}x{eye_height} has no pixels");
        let aspect = f64::from(eye_width) / f64::from(eye_height);
        let black_clamp = 3.0 / 255.0;
        let mut random = SplitMix64::new(seed);
        Self {
            serial: format!("SIM-{seed:016X}"),
            model: "Simulated".to_owned(),
            eyes: [eye(-1.0, aspect), eye(1.0, aspect)],
            panel: Panel { eye_width, eye_height, black_clamp, illumination: Illumination::Global },
            mura: Some(Mura {
                scale: 0.125,
                offset: -127.0 / 255.0,
                weights: Mura::EQUAL_WEIGHTS,
                black_code: black_clamp * 255.0,
                left: map("simulated-left", &mut random, eye_width, eye_height),
                right: map("simulated-right", &mut random, eye_width, eye_height),
            }),
            source: HeadsetSource::Simulated,
            notes: vec!["This headset is simulated: its lens and its mura maps are made up.".to_owned()],
        }
    }
}

/// The eye on one side (-1 left, 1 right). The lens's centre lies towards the nose.
fn eye(side: f64, aspect: f64) -> Eye {
    let center = [-0.08 * side, -0.005];
    let channel = |coeffs| ChannelLens { center, coeffs };
    Eye {
        lens: Lens {
            kind: LensKind::Dpoly3,
            channels: [
                channel([-0.18, -0.06, -0.02, 0.0]),
                channel([-0.21, -0.02, -0.045, 0.0]),
                channel([-0.245, 0.03, -0.08, 0.0]),
            ],
            grow: GROW,
            aspect_x_over_y: aspect,
            cutoff_r2: Some(1.15),
        },
        tangents: Tangents::from_intrinsics([1.2, 1.2 * aspect], [0.08 * side, -0.005], GROW),
        eye_to_head: beside(side * HALF_EYE_DISTANCE),
    }
}

/// A map as real ones look: nearly white noise, with a fainter one shared by each column.
fn map(file: &str, random: &mut SplitMix64, width: u32, height: u32) -> MuraMap {
    let columns: Vec<i32> = (0..width).map(|_| random.bell(3)).collect();
    let texels: Vec<u8> = (0..height)
        .flat_map(|_| columns.iter())
        .map(|column| (127 + column + random.bell(12)).clamp(0, 255) as u8)
        .collect();
    let crc32 = crc32fast::hash(&texels);
    MuraMap { file: file.to_owned(), width, height, texels, crc32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headset::Channel;

    #[test]
    fn the_same_seed_gives_the_same_headset() {
        assert_eq!(Headset::simulated(7, 40, 30), Headset::simulated(7, 40, 30));
        assert_ne!(Headset::simulated(7, 40, 30).mura, Headset::simulated(8, 40, 30).mura);
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
        for eye in Headset::simulated(1, EYE_WIDTH, EYE_HEIGHT).eyes {
            for channel in Channel::ALL {
                assert!(eye.lens.eye_uv(channel, [0.5, 0.5]).is_some());
                for corner in [[0.01, 0.01], [0.99, 0.01], [0.01, 0.99], [0.99, 0.99]] {
                    assert_eq!(eye.lens.eye_uv(channel, corner), None);
                }
            }
        }
    }
}
