//! The calm scene: what is seen while no app draws. A dim horizon and marks along it, the same all around, so that a
//! person knows which way is up and that the head's turns are followed.
//!
//! It is drawn once, looking ahead. As it repeats every `STEP_DEG` degrees, a head that looks elsewhere sees the same as
//! one that looks nearly ahead: the picture's edge is never far inside the view. Up and down it ends in the dark, well
//! within the picture.

use super::eye_images::{Pixels, Samples};
use super::pose::Pose;
use crate::headset::{Eye, Headset, Tangents};

/// How far apart the marks are, and so after how far a turn all looks as before.
const STEP_DEG: f64 = 15.0;
/// Beyond this elevation, up or down, it is dark.
const DARK_DEG: f64 = 40.0;

/// The left and right eye's images, of so many pixels each.
pub fn images(headset: &Headset, size_px: [u32; 2]) -> [Pixels; 2] {
    [0, 1].map(|eye: usize| look(&headset.eyes[eye], size_px))
}

/// From where the images are to be taken as drawn, for a head that looks from `shown`: level, and turned by whole steps.
pub fn anchor(shown: Pose) -> Pose {
    let [x, _, z] = shown.to_room([0.0, 0.0, -1.0]);
    let yaw = (-x).atan2(-z).to_degrees();
    Pose::from_degrees((yaw / STEP_DEG).round() * STEP_DEG, 0.0, 0.0)
}

fn look(eye: &Eye, [width_px, height_px]: [u32; 2]) -> Pixels {
    let Tangents { left, right, up, down } = eye.tangents;
    let mut samples = Vec::with_capacity(width_px as usize * height_px as usize * 4);
    for row in 0..height_px {
        let y = up + (f64::from(row) + 0.5) / f64::from(height_px) * (down - up);
        for column in 0..width_px {
            let x = left + (f64::from(column) + 0.5) / f64::from(width_px) * (right - left);
            let in_head = eye.eye_to_head.map(|axis| axis[0] * x + axis[1] * y - axis[2]);
            let [red, green, blue] = colour(in_head);
            samples.extend([red, green, blue, 255]);
        }
    }
    Pixels { width_px, height_px, samples: Samples::Eight(samples) }
}

/// What lies in a direction, sRGB-encoded.
fn colour([x, y, z]: [f64; 3]) -> [u8; 3] {
    let elevation = y.atan2(x.hypot(z)).to_degrees();
    let along = x.atan2(-z).to_degrees() / STEP_DEG;
    let from_mark = (along - along.round()).abs() * STEP_DEG;
    let near = |distance: f64, width: f64| (1.0 - distance / width).clamp(0.0, 1.0);
    let glow = near(elevation.abs(), DARK_DEG).powi(2);
    let horizon = near(elevation.abs(), 1.2);
    let mark = near(from_mark, 1.2) * near(elevation.abs(), 6.0);
    let base = if elevation > 0.0 { [26.0, 36.0, 52.0] } else { [38.0, 34.0, 32.0] };
    let light = 70.0 * horizon.max(mark);
    base.map(|part| (part * glow + light).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_looks_the_same_after_a_step_to_either_side(
            yaw in -180.0..180.0f64, pitch in -80.0..80.0f64, steps in -24i32..24
        ) {
            let towards = |yaw| colour(Pose::from_degrees(yaw, pitch, 0.0).to_room([0.0, 0.0, -1.0]));
            let (here, there) = (towards(yaw), towards(yaw + f64::from(steps) * STEP_DEG));
            prop_assert!(here.iter().zip(there).all(|(here, there)| here.abs_diff(there) <= 1));
        }

        #[test]
        fn it_is_always_taken_as_drawn_from_nearly_where_the_head_is_turned(
            yaw in -180.0..180.0f64, pitch in -80.0..80.0f64, roll in -45.0..45.0f64
        ) {
            let anchor = anchor(Pose::from_degrees(yaw, pitch, roll));
            let [x, y, z] = anchor.to_room([0.0, 0.0, -1.0]);
            let turned = (-x).atan2(-z).to_degrees();
            let off = (turned - yaw + 540.0).rem_euclid(360.0) - 180.0;
            prop_assert!(y.abs() < 1e-9 && off.abs() <= STEP_DEG / 2.0 + 1e-6, "{off}");
            let steps = turned / STEP_DEG;
            prop_assert!((steps - steps.round()).abs() < 1e-6);
        }
    }

    #[test]
    fn it_is_dark_at_the_edges_above_and_below_and_dim_everywhere() {
        for pixels in images(&Headset::simulated(1, 108, 120), [54, 60]) {
            let Samples::Eight(samples) = &pixels.samples else { panic!("8 bits") };
            let row = |row: usize| &samples[row * 54 * 4..(row + 1) * 54 * 4];
            let brightest = |row: &[u8]| row.chunks(4).flat_map(|pixel| pixel[..3].to_vec()).max().unwrap();
            assert!(brightest(row(0)) <= 2 && brightest(row(59)) <= 2);
            assert!((60..160).contains(&brightest(samples.chunks(54 * 4).nth(30).unwrap())));
        }
    }
}
