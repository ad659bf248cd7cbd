//! The composite in double precision on the CPU, one pixel at a time: what the GPU's pass is measured against.
//!
//! Slow and plain on purpose. It shares the lens and mura formulas with [`headset`](crate::headset), and none of the
//! shader's rearrangements: directions are followed through space one by one.

use glam::{DQuat, DVec3};

use super::composite::Options;
use super::eye_images::{Pixels, Samples};
use super::layer::{Anchor, Quad, premultiplied};
use super::pose::Pose;
use crate::headset::{Channel, Eye, Headset, MuraMap};

/// One frame, as the pass is told of it.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// The headset; its panel's own size is the target's.
    pub headset: &'a Headset,
    /// The left and the right eye's image.
    pub eyes: [&'a Pixels; 2],
    /// What is left out.
    pub options: Options,
    /// From where the images were rendered.
    pub rendered: Pose,
    /// From where they are seen.
    pub shown: Pose,
    /// The scale of the images' light.
    pub fade: f64,
    /// The first column that mura correction holds for.
    pub correct_from: f64,
    /// What lies over the picture, the first lowest.
    pub layers: Vec<FlatLayer>,
}

/// A layer with its texels at hand.
#[derive(Clone, Debug)]
pub struct FlatLayer {
    quad: Quad,
    opacity: f64,
    size_px: [u32; 2],
    texels: Vec<u8>,
}

impl FlatLayer {
    /// Shows `pixels` on `quad`.
    pub fn new(pixels: &Pixels, quad: Quad, opacity: f64) -> Self {
        Self { quad, opacity, size_px: [pixels.width_px, pixels.height_px], texels: premultiplied(pixels) }
    }

    /// A channel's code and cover at (u, v), 0 to 1: bilinear, with nothing beyond the edge.
    fn at(&self, channel: Channel, [u, v]: [f64; 2]) -> [f64; 2] {
        let [width, height] = self.size_px.map(f64::from);
        let (x, y) = (u * width - 0.5, v * height - 0.5);
        let texel = |dx: f64, dy: f64, part: usize| {
            let (column, row) = (x.floor() + dx, y.floor() + dy);
            let there = (0.0..width).contains(&column) && (0.0..height).contains(&row);
            there.then(|| {
                let index = (row as usize * self.size_px[0] as usize + column as usize) * 4 + part;
                f64::from(self.texels[index]) / 255.0
            })
        };
        [channel.index(), 3].map(|part| {
            let (across, down) = (x - x.floor(), y - y.floor());
            let row =
                |dy| mix(texel(0.0, dy, part).unwrap_or(0.0), texel(1.0, dy, part).unwrap_or(0.0), across);
            mix(row(0.0), row(1.0), down)
        })
    }
}

impl<'a> Frame<'a> {
    /// A frame seen from where it was rendered, as it is.
    pub fn new(headset: &'a Headset, eyes: [&'a Pixels; 2], options: Options) -> Self {
        Self {
            headset,
            eyes,
            options,
            rendered: Pose::AHEAD,
            shown: Pose::AHEAD,
            fade: 1.0,
            correct_from: 0.0,
            layers: Vec::new(),
        }
    }

    /// The code of one channel of one panel pixel before it is rounded, in 8-bit codes.
    ///
    /// `eye` is 0 for the left and 1 for the right; `column` and `row` count from that eye's top left.
    pub fn code(&self, eye: usize, channel: Channel, [column, row]: [u32; 2]) -> f64 {
        let light = self.look(eye, channel, [column, row]).map_or(0.0, |uv| self.light(eye, channel, uv));
        let code = 255.0 * light.sqrt();
        let Some(mura) = self.headset.mura.as_ref().filter(|_| self.options.mura) else { return code };
        let code = code.max(mura.black_code);
        if f64::from(column) + 0.5 < self.correct_from {
            return code;
        }
        let map: &MuraMap = [&mura.left, &mura.right][eye];
        mura.correct(code, map.texels[(row * map.width + column) as usize], channel)
    }

    /// Where a panel pixel shows the eye's image, in texels, if anywhere.
    pub fn place(&self, eye: usize, channel: Channel, pixel: [u32; 2]) -> Option<[f64; 2]> {
        let uv = self.turned(&self.headset.eyes[eye], self.look(eye, channel, pixel)?)?;
        let inside = uv.iter().all(|part| (0.0..=1.0).contains(part));
        let picture = self.eyes[eye];
        inside.then(|| [uv[0] * f64::from(picture.width_px), uv[1] * f64::from(picture.height_px)])
    }

    /// Where the lens looks, on an eye image that is rendered from where it is seen.
    fn look(&self, eye: usize, channel: Channel, [column, row]: [u32; 2]) -> Option<[f64; 2]> {
        let panel_uv = [
            (f64::from(column) + 0.5) / f64::from(self.headset.panel.eye_width),
            (f64::from(row) + 0.5) / f64::from(self.headset.panel.eye_height),
        ];
        match self.options.lens {
            true => self.headset.eyes[eye].lens.look(channel, panel_uv),
            false => Some(panel_uv),
        }
    }

    /// The same on the image as it was rendered.
    fn turned(&self, eye: &Eye, uv: [f64; 2]) -> Option<[f64; 2]> {
        if self.rendered == self.shown {
            return Some(uv);
        }
        let head = to_head(eye, direction(eye, uv));
        let turn = quaternion(self.rendered.orientation).inverse() * quaternion(self.shown.orientation);
        let seen = from_head(eye, turn * head);
        let spans = &eye.tangents;
        (seen.z < 0.0).then(|| {
            let (x, y) = (seen.x / -seen.z, seen.y / -seen.z);
            [(x - spans.left) / (spans.right - spans.left), (y - spans.up) / (spans.down - spans.up)]
        })
    }

    /// Squared codes, 0 to 1, of what is seen in the direction of `uv`.
    fn light(&self, index: usize, channel: Channel, uv: [f64; 2]) -> f64 {
        let eye = &self.headset.eyes[index];
        let inside = |uv: &[f64; 2]| uv.iter().all(|part| (0.0..=1.0).contains(part));
        let place = self.turned(eye, uv).filter(inside);
        let picture = self.fade * place.map_or(0.0, |uv| filtered(self.eyes[index], channel, uv));
        self.layers.iter().fold(picture, |light, layer| {
            let Some(place) = self.on_quad(eye, &layer.quad, uv) else { return light };
            let [code, cover] = layer.at(channel, place);
            let own = if cover > 0.0 { code * code / cover } else { 0.0 };
            light + layer.opacity * (own - cover * light)
        })
    }

    /// Where a ray from the eye meets the rectangle's plane, in the rectangle's (u, v); None where it never does, or
    /// from behind.
    fn on_quad(&self, eye: &Eye, quad: &Quad, uv: [f64; 2]) -> Option<[f64; 2]> {
        let to_anchor = match quad.anchor {
            Anchor::Head => DQuat::IDENTITY,
            Anchor::World => quaternion(self.shown.orientation),
        };
        let from = to_anchor * DVec3::from_array(eye.eye_to_head.map(|row| row[3]));
        let ray = to_anchor * to_head(eye, direction(eye, uv));
        let [x, y, z] = [DVec3::X, DVec3::Y, DVec3::Z].map(|axis| quaternion(quad.orientation) * axis);
        let middle = DVec3::from_array(quad.position_m);
        let (towards, away) = (ray.dot(z), (middle - from).dot(z));
        if away >= 0.0 || towards >= 0.0 {
            return None;
        }
        let met = from + ray * (away / towards) - middle;
        Some([met.dot(x) / quad.size_m[0] + 0.5, 0.5 - met.dot(y) / quad.size_m[1]])
    }
}

fn quaternion(parts: [f64; 4]) -> DQuat {
    DQuat::from_array(parts)
}

/// The direction in the eye's space that its image shows at (u, v).
fn direction(eye: &Eye, [u, v]: [f64; 2]) -> DVec3 {
    let spans = &eye.tangents;
    DVec3::new(mix(spans.left, spans.right, u), mix(spans.up, spans.down, v), -1.0)
}

fn to_head(eye: &Eye, direction: DVec3) -> DVec3 {
    DVec3::from_array(eye.eye_to_head.map(|row| DVec3::new(row[0], row[1], row[2]).dot(direction)))
}

fn from_head(eye: &Eye, direction: DVec3) -> DVec3 {
    let [x, y, z] = eye.eye_to_head.map(|row| DVec3::new(row[0], row[1], row[2]));
    x * direction.x + y * direction.y + z * direction.z
}

fn mix(from: f64, to: f64, weight: f64) -> f64 {
    from + (to - from) * weight
}

/// Bilinear in squared codes, to 1/256 of a texel, the edge repeated beyond the edge: squared codes from 0 to 1.
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
    let (across, down) = (x - x.floor(), y - y.floor());
    let above = mix(light(0.0, 0.0), light(1.0, 0.0), across);
    let below = mix(light(0.0, 1.0), light(1.0, 1.0), across);
    mix(above, below, down)
}
