//! What a headset and its mode fix for the shader: computed in double precision, handed over in single.

use bytemuck::{Pod, Zeroable};

use crate::headset::lens::{HIGH_ORDER_PRISM, HIGH_ORDER_RADIAL, HIGH_ORDER_TANGENTIAL};
use crate::headset::{Channel, Headset, Illumination, Lens, LensKind, Mura};

/// How the pass is to end: what the scanout's codes are and how they are dithered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantisation {
    /// Bits of one channel of the picture that is scanned out.
    pub bits: u32,
    /// Whether to dither.
    pub dither: bool,
    /// Whether to drive pixels beyond where they are to be while they change.
    pub overdrive: bool,
}

/// For each code that a pixel of an OLED panel has to rise and to fall, how much further it is driven. The figures of the
/// Oculus SDK 0.4 (CAPI_DistortionRenderer); they fit pixels that come nine tenths of the way to where they are driven, as
/// measured of such panels (doc-ok.org, "A Clarification About Black Smear").
const OVERDRIVE: [f32; 2] = [0.1, 0.05];

/// The overrides of `shaders/composite.wgsl` by their numbers. By channel: red, green, blue.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct Constants {
    center_x: [f32; 3],
    center_y: [f32; 3],
    y_over_x: f32,
    cutoff_r2: f32,
    pixel_size: [f32; 2],
    mura: [f32; 3],
    mura_offset: f32,
    black: f32,
    full: f32,
    steps: f32,
    step_size: f32,
    dither_steps: f32,
    k: [[f32; 3]; 4],
    unit: f32,
    t_per_unit: f32,
    radial: [[f32; 3]; HIGH_ORDER_RADIAL],
    tangential: [[f32; 3]; HIGH_ORDER_TANGENTIAL],
    prism: [[f32; 3]; HIGH_ORDER_PRISM],
    rolling: f32,
    overdrive: [f32; 2],
    dimming: f32,
}

impl Constants {
    /// For one eye's lens and panel of `eye_px` pixels.
    pub fn new(headset: &Headset, lens: &Lens, eye_px: [u32; 2], quantisation: Quantisation) -> Self {
        let by_channel = |part: &dyn Fn(Channel) -> f64| Channel::ALL.map(|channel| part(channel) as f32);
        let top = f64::from((1u32 << quantisation.bits) - 1);
        let mura = headset.mura.as_ref();
        // In 8-bit codes: weight * 255 * scale * (texel / 255 + offset), and more of them on a dimmed panel.
        let weights = mura
            .map_or([0.0; 3], |mura| mura.weights.map(|weight| weight * 255.0 * mura.scale / mura.dimming()));
        let mut constants = Self {
            center_x: by_channel(&|channel| lens.channel(channel).center[0]),
            center_y: by_channel(&|channel| lens.channel(channel).center[1]),
            y_over_x: (1.0 / lens.aspect_x_over_y) as f32,
            cutoff_r2: lens.cutoff_r2.map_or(f32::MAX, |cutoff| cutoff as f32),
            pixel_size: eye_px.map(|pixels| (1.0 / f64::from(pixels)) as f32),
            mura: weights.map(|weight| weight as f32),
            mura_offset: mura.map_or(0.0, |mura| mura.offset) as f32,
            black: mura.map_or(0.0, |mura| mura.black_code) as f32,
            full: mura.map_or(1.0, Mura::full_code) as f32,
            steps: (top / 255.0) as f32,
            step_size: (1.0 / top) as f32,
            // Short of half a step either way, so that a whole code stays the same code in every frame.
            dither_steps: if quantisation.dither { 0.99 } else { 0.0 },
            // One shader does for all rational lenses, so what a kind does not use has to be 0.
            k: std::array::from_fn(|n| match n < lens.kind.coefficients() {
                true => by_channel(&|channel| lens.channel(channel).coeffs[n]),
                false => [0.0; 3],
            }),
            rolling: f32::from(u8::from(headset.panel.illumination == Illumination::Rolling)),
            overdrive: if quantisation.overdrive { OVERDRIVE } else { [0.0; 2] },
            dimming: mura.map_or(1.0, Mura::dimming) as f32,
            ..Self::zeroed()
        };
        match &lens.kind {
            LensKind::HighOrder(high) => {
                constants.set_radial(high.channels.map(|channel| channel.radial), high.unit, lens);
                let channels = high.channels;
                constants.tangential =
                    std::array::from_fn(|n| channels.map(|channel| channel.tangential[n] as f32));
                constants.prism = std::array::from_fn(|n| channels.map(|channel| channel.prism[n] as f32));
            }
            LensKind::Panotools => {
                let radial = lens.channels.map(|channel| {
                    let mut radial = [0.0; HIGH_ORDER_RADIAL];
                    let [k1, k2, k3, k4, k5] = channel.coeffs;
                    radial[..5].copy_from_slice(&[k4, k3, k2, k1, k5]);
                    radial
                });
                constants.set_radial(radial, 1.0, lens);
            }
            _ => {}
        }
        constants
    }

    /// Polynomials of the radius, in units of which there are so many in half the panel's width.
    fn set_radial(&mut self, channels: [[f64; HIGH_ORDER_RADIAL]; 3], unit: f64, lens: &Lens) {
        let half_reach = unit * lens.reach() / 2.0;
        self.unit = unit as f32;
        self.t_per_unit = (1.0 / half_reach) as f32;
        let channels = channels.map(|radial| about(&radial, half_reach));
        self.radial = std::array::from_fn(|n| channels.map(|radial| radial[n] as f32));
    }
}

/// The coefficients in t of a polynomial whose coefficients in `middle * (1 + t)` are given.
fn about<const N: usize>(coeffs: &[f64; N], middle: f64) -> [f64; N] {
    let mut about = [0.0; N];
    // Horner's scheme, on polynomials in t.
    for &coeff in coeffs.iter().rev() {
        let before = about;
        for n in 0..N {
            about[n] = middle * (before[n] + if n > 0 { before[n - 1] } else { 0.0 });
        }
        about[0] += coeff;
    }
    about
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_stays_itself_about_another_middle() {
        let coeffs = [1.0, -2.0, 3.0, 0.5];
        let about = about(&coeffs, 0.7);
        for t in [-1.0, -0.3, 0.0, 0.8] {
            let sum = |coeffs: &[f64], x: f64| coeffs.iter().rev().fold(0.0, |sum, coeff| sum * x + coeff);
            assert!((sum(&about, t) - sum(&coeffs, 0.7 * (1.0 + t))).abs() < 1e-12);
        }
    }
}
