//! The composite in double precision on the CPU, one pixel at a time: what the GPU's pass is measured against.
//!
//! Slow and plain on purpose. It shares the lens and mura formulas with [`headset`](crate::headset), and none of the
//! shader's rearrangements.

use super::composite::Options;
use super::eye_images::{Pixels, Samples};
use crate::headset::{Channel, Headset, MuraMap};

/// The code of one channel of one panel pixel before it is rounded, in 8-bit codes; for an unturned head.
///
/// `eye` is 0 for the left and 1 for the right; `column` and `row` count from that eye's top left.
pub fn code(
    headset: &Headset,
    picture: &Pixels,
    options: Options,
    eye: usize,
    channel: Channel,
    [column, row]: [u32; 2],
) -> f64 {
    let panel_uv = [
        (f64::from(column) + 0.5) / f64::from(headset.panel.eye_width),
        (f64::from(row) + 0.5) / f64::from(headset.panel.eye_height),
    ];
    let place = match options.lens {
        true => headset.eyes[eye].lens.eye_uv(channel, panel_uv),
        false => Some(panel_uv),
    };
    let code = place.map_or(0.0, |uv| 255.0 * filtered(picture, channel, uv));
    let Some(mura) = headset.mura.as_ref().filter(|_| options.mura) else { return code };
    let map: &MuraMap = [&mura.left, &mura.right][eye];
    let texel = map.texels[(row * map.width + column) as usize];
    mura.correct(code.max(mura.black_code), texel, channel)
}

/// Bilinear in squared codes, to 1/256 of a texel, the edge repeated beyond the edge: 0 to 1.
fn filtered(picture: &Pixels, channel: Channel, [u, v]: [f64; 2]) -> f64 {
    let fine = |place: f64, size: u32| ((place * f64::from(size) - 0.5) * 256.0).round() / 256.0;
    let (x, y) = (fine(u, picture.width_px), fine(v, picture.height_px));
    let light = |dx: f64, dy: f64| {
        let clamped = |place: f64, size: u32| place.floor().clamp(0.0, f64::from(size - 1)) as usize;
        let (column, row) = (clamped(x + dx, picture.width_px), clamped(y + dy, picture.height_px));
        let index = (row * picture.width_px as usize + column) * 4 + channel.index();
        let code = match &picture.samples {
            Samples::Eight(samples) => f64::from(samples[index]) / 255.0,
            Samples::Sixteen(samples) => f64::from(samples[index]) / 65535.0,
        };
        code * code
    };
    let mix = |from: f64, to: f64, weight: f64| from + (to - from) * weight;
    let (across, down) = (x - x.floor(), y - y.floor());
    let above = mix(light(0.0, 0.0), light(1.0, 0.0), across);
    let below = mix(light(0.0, 1.0), light(1.0, 1.0), across);
    mix(above, below, down).sqrt()
}
