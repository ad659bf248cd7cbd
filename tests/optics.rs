//! Whether the GPU looks where the lens formulas say, measured through the picture alone: gratings go in, panel codes come
//! out, and the phases in them tell which place of the eye buffer each pixel shows in each colour.

mod data;
mod gpu;

use std::f64::consts::TAU;
use std::io::{self, Write};
use std::sync::Arc;

use data::{read, real};
use glam::{DQuat, DVec3};
use gpu::{assert_valid, device};
use leasehold::compositor::eye_images::Samples;
use leasehold::compositor::readback::{PanelPicture, Readback};
use leasehold::compositor::reference::Frame;
use leasehold::compositor::{Compositor, EyeImages, Options, Pixels, Pose, Seen};
use leasehold::headset::lens::{ChannelLens, HighOrder, HighOrderChannel};
use leasehold::headset::{Channel, Eye, Headset, Illumination, Lens, LensKind, Tangents};
use leasehold::kms::buffer::PixelFormat;
use leasehold::vulkan::Image;
use serde_json::{Value, json};

/// Prints a line past the test harness's capture.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// How far a pixel may look from where it should, in eye-buffer pixels.
const TOLERANCE_PX: f64 = 0.05;

const OPTIONS: Options = Options { lens: true, mura: false, dither: false, ..Options::DEFAULT };
const FORMAT: PixelFormat = PixelFormat::Xrgb2101010;
const AXES: [&str; 2] = ["x", "y"];

/// Gratings of one period: how long it is in eye-buffer pixels, and how many shots of it there are. The short one tells
/// where a pixel looks, the long one that it is not a whole period off.
const GRATINGS: [(f64, usize); 2] = [(32.0, 8), (600.0, 3)];

/// A head that was somewhere when the picture was rendered, and goes on turning while it is shown.
#[derive(Clone, Copy)]
struct Turn {
    rendered: Pose,
    /// When the panel's middle line lights up.
    middle: Pose,
    /// The axis, and how far about it from the first line to the last, in radians; none where all light up at once.
    spin: Option<DVec3>,
}

impl Turn {
    fn still(rendered: Pose, shown: Pose) -> Self {
        Self { rendered, middle: shown, spin: None }
    }

    /// The true pose when a line lights up, -1 the first and 1 the last.
    fn at(&self, line: f64) -> Pose {
        let spin = DQuat::from_scaled_axis(self.spin.unwrap_or_default() * line / 2.0);
        Pose { orientation: (DQuat::from_array(self.middle.orientation) * spin).to_array() }
    }

    fn seen(&self) -> Seen {
        match self.spin {
            None => Seen::AtOnce(self.middle),
            Some(_) => Seen::LineByLine([-1.0, 0.0, 1.0].map(|line| self.at(line))),
        }
    }
}

/// Unturned, and turned about every axis.
fn turns() -> Vec<Turn> {
    vec![
        Turn::still(Pose::AHEAD, Pose::AHEAD),
        Turn::still(Pose::from_degrees(4.0, -3.0, 2.0), Pose::from_degrees(-3.0, 1.5, -4.0)),
    ]
}

/// Turning by 600 degrees a second, about each axis and aslant, while a panel that is lit all of a period of 90 Hz lights up.
fn spins() -> Vec<Turn> {
    let whole = (600.0f64 / 90.0).to_radians();
    [DVec3::X, -DVec3::Y, DVec3::Z, DVec3::new(0.6, -0.64, 0.48)]
        .map(|axis| Turn {
            rendered: Pose::from_degrees(2.0, -1.0, 1.0),
            middle: Pose::from_degrees(-2.0, 1.5, -1.0),
            spin: Some(axis * whole),
        })
        .to_vec()
}

/// A grating along one axis: light goes up and down as a cosine, its phase moved on by `shift` of a period.
fn grating([width_px, height_px]: [u32; 2], axis: usize, period: f64, shift: f64) -> Pixels {
    let sample = |at: u32| {
        let light = 0.5 + 0.45 * (((f64::from(at) + 0.5) / period + shift) * TAU).cos();
        (light.sqrt() * 65535.0).round() as u16
    };
    let lines: Vec<u16> = (0..[width_px, height_px][axis]).map(sample).collect();
    let mut samples = Vec::with_capacity(width_px as usize * height_px as usize * 4);
    for row in 0..height_px as usize {
        for column in 0..width_px as usize {
            samples.extend([lines[[column, row][axis]]; 4]);
        }
    }
    Pixels { width_px, height_px, samples: Samples::Sixteen(samples) }
}

/// What one turn's shots add up to, a complex number a channel of a pixel.
type Phasors = Vec<[f64; 2]>;

/// Adds a shot that was moved on by `shift` of a period.
fn add(phasors: &mut Phasors, picture: &PanelPicture, shift: f64) {
    let (sin, cos) = (shift * TAU).sin_cos();
    for (phasor, &code) in phasors.iter_mut().zip(&picture.codes) {
        let light = (f64::from(code) / 1023.0).powi(2);
        phasor[0] += light * cos;
        phasor[1] -= light * sin;
    }
}

/// Where each pixel looks along an axis, in eye-buffer pixels, modulo the period; by turn, pixel and channel. None where
/// it is dark.
fn looks(
    headset: &Arc<Headset>,
    picture_px: [u32; 2],
    turns: &[Turn],
    axis: usize,
    grating_index: usize,
) -> Vec<Vec<Option<f64>>> {
    let (period, shots) = GRATINGS[grating_index];
    let (width, height) = (headset.panel.eye_width * 2, headset.panel.eye_height);
    let compositor = Compositor::new(device(), headset, width, height, FORMAT, OPTIONS).unwrap();
    let target = Arc::new(Image::target(device(), compositor.target_format(), width, height).unwrap());
    let mut readback = Readback::new(device(), &target, FORMAT).unwrap();
    let mut turned = vec![vec![[0.0; 2]; width as usize * height as usize * 3]; turns.len()];
    for shot in 0..shots {
        let shift = shot as f64 / shots as f64;
        let pixels = grating(picture_px, axis, period, shift);
        let images = Arc::new(EyeImages::upload(device(), &pixels, &pixels).unwrap());
        let mut pass = compositor.pass(&images, &target).unwrap();
        for (turn, phasors) in turns.iter().zip(&mut turned) {
            pass.latch(turn.rendered, turn.seen(), 0);
            pass.run().unwrap();
            add(phasors, &readback.picture().unwrap(), shift);
        }
    }
    assert_valid();
    let place = |[re, im]: [f64; 2]| {
        let bright = re.hypot(im) / shots as f64 > 0.1;
        bright.then(|| im.atan2(re) / TAU * period)
    };
    turned.into_iter().map(|phasors| phasors.into_iter().map(place).collect()).collect()
}

/// What became of a comparison.
#[derive(Default)]
struct Verdict {
    compared: usize,
    /// Pixels that are dark on one side only: on the very edge of what is seen, single precision may decide otherwise.
    edge: usize,
    worst_px: f64,
    worst_at: String,
}

/// Holds what the GPU shows of `headset` to what the formulas say of `expected`.
fn compare(headset: &Arc<Headset>, expected: &Headset, turns: &[Turn]) -> Verdict {
    let picture_px = [headset.panel.eye_width, headset.panel.eye_height].map(|pixels| pixels * 7 / 5);
    let size =
        Pixels { samples: Samples::Eight(Vec::new()), width_px: picture_px[0], height_px: picture_px[1] };
    let mut verdict = Verdict::default();
    for axis in 0..2 {
        let [fine, coarse] = [0, 1].map(|index| looks(headset, picture_px, turns, axis, index));
        for (turn, &at) in turns.iter().enumerate() {
            let rendered = at.rendered;
            let mut frame = Frame { rendered, ..Frame::new(expected, [&size, &size], OPTIONS) };
            let width = headset.panel.eye_width as usize * 2;
            for (index, (fine, coarse)) in fine[turn].iter().zip(&coarse[turn]).enumerate() {
                let (pixel, channel) = (index / 3, Channel::ALL[index % 3]);
                let (column, row) = ((pixel % width) as u32, (pixel / width) as u32);
                let (eye, column) = (column / headset.panel.eye_width, column % headset.panel.eye_width);
                let height = f64::from(headset.panel.eye_height);
                frame.shown = at.at((2.0 * f64::from(row) + 1.0) / height - 1.0);
                let expected = frame.place(eye as usize, channel, [column, row]);
                // Half a pixel from the edge of the eye buffer the edge goes on beyond it, and there is no phase.
                let margin = |place: [f64; 2]| {
                    (0..2).any(|axis| place[axis] < 1.0 || place[axis] > f64::from(picture_px[axis]) - 1.0)
                };
                match (expected, fine, coarse) {
                    (Some(place), _, _) if margin(place) => {}
                    (Some(place), Some(fine), Some(coarse)) => {
                        let off = |look: f64, period: f64| {
                            ((look - place[axis]) / period + 0.5).rem_euclid(1.0) * period - period / 2.0
                        };
                        let mut off_px = off(*fine, GRATINGS[0].0).abs();
                        let far = off(*coarse, GRATINGS[1].0).abs();
                        // The long grating is coarse by a pixel or two.
                        if far > GRATINGS[0].0 / 2.0 {
                            off_px = far;
                        }
                        verdict.compared += 1;
                        if off_px > verdict.worst_px {
                            verdict.worst_px = off_px;
                            verdict.worst_at = format!(
                                "{} {channel:?} of eye {eye}, pixel {column},{row}, turn {turn}",
                                AXES[axis]
                            );
                        }
                    }
                    (None, None, _) => {}
                    _ => verdict.edge += 1,
                }
            }
        }
    }
    verdict
}

/// Measures a headset, and prints the worst.
fn hold(name: &str, headset: Headset) {
    hold_turned(name, headset, &turns());
}

/// Measures one whose panel lights up line by line while the head turns.
fn hold_rolling(name: &str, mut headset: Headset) {
    headset.panel.illumination = Illumination::Rolling;
    hold_turned(&format!("{name}, rolling"), headset, &spins());
}

fn hold_turned(name: &str, headset: Headset, turns: &[Turn]) {
    let headset = Arc::new(headset);
    let verdict = compare(&headset, &headset, turns);
    let Verdict { compared, edge, worst_px, worst_at } = &verdict;
    let kind = headset.eyes[0].lens.kind_name();
    say(&format!(
        "{name} ({kind}): {worst_px:.4} px at worst of {compared} ({worst_at}); {edge} on the edge"
    ));
    assert!(*compared > 50_000, "{name}: only {compared} places were seen");
    assert!(*edge <= compared / 2_000, "{name}: {edge} of {compared} are dark on one side only");
    assert!(*worst_px <= TOLERANCE_PX, "{name}: {worst_px} px off: {worst_at}");
}

#[test]
fn a_vive() {
    let Some(vive) = real("vive-LHR-C5C0BC88") else { return };
    let absent = |_: &str| Err(io::ErrorKind::NotFound.into());
    let vive = Headset::from_config(&read(&vive.join("config.json")), absent).unwrap();
    hold("Vive", vive.clone());
    hold_rolling("Vive", vive);
}

/// The right eye and the panel are made up: only one eye's lens is known.
#[test]
fn an_index() {
    let Some(partial) = real("partial") else { return };
    let mut config: Value = serde_json::from_slice(&read(&partial.join("index-left-eye.json"))).unwrap();
    let device = json!({"eye_target_width_in_pixels": 1440, "eye_target_height_in_pixels": 1600});
    config["device"] = device;
    let mut right = config["tracking_to_eye_transform"][0].clone();
    for block in ["distortion", "distortion_red", "distortion_blue"] {
        let center = right[block]["center_x"].as_f64().unwrap();
        right[block]["center_x"] = (-center).into();
    }
    right["intrinsics"][0][2] = 0.0266.into();
    right["eye_to_head"] =
        json!([[0.996_194_72, 0, -0.087_155_744_4], [0, 1, 0], [0.087_155_744_4, 0, 0.996_194_72]]);
    config["tracking_to_eye_transform"][1] = right;
    hold("Index", from_json(&config));
}

/// Only its lenses are known. The smaller of its modes.
#[test]
fn a_vive_pro_2() {
    let Some(partial) = real("partial") else { return };
    let lens: Value = serde_json::from_slice(&read(&partial.join("vivepro2-lens.json"))).unwrap();
    let device = json!({"eye_target_width_in_pixels": 1224, "eye_target_height_in_pixels": 1224});
    let vive_pro_2 = from_json(&json!({"device": device, "inhouse_lens_correction": lens}));
    hold("Vive Pro 2", vive_pro_2.clone());
    hold_rolling("Vive Pro 2", vive_pro_2);
}

fn from_json(config: &Value) -> Headset {
    let absent = |_: &str| Err(io::ErrorKind::NotFound.into());
    Headset::from_config(config.to_string().as_bytes(), absent).unwrap()
}

#[test]
fn twenty_made_up_headsets() {
    for seed in 0..20 {
        hold(&format!("made up {seed}"), made_up(seed));
    }
}

/// One of each kind of lens.
#[test]
fn made_up_headsets_that_light_up_line_by_line() {
    for seed in 20..25 {
        hold_rolling(&format!("made up {seed}"), made_up(seed));
    }
}

#[test]
fn lines_that_are_all_seen_from_the_middle_ones_pose_are_noticed() {
    let mut headset = made_up(1);
    headset.panel.illumination = Illumination::Global;
    let verdict = compare(&Arc::new(headset.clone()), &headset, &spins());
    assert!(verdict.worst_px > 10.0, "{} px", verdict.worst_px);
}

#[test]
fn a_lens_a_thousandth_off_is_noticed() {
    let headset = Arc::new(made_up(1));
    let mut off = (*headset).clone();
    for channel in &mut off.eyes[1].lens.channels {
        channel.coeffs[0] *= 1.001;
    }
    let verdict = compare(&headset, &off, &turns());
    assert!(verdict.worst_px > TOLERANCE_PX, "{} px", verdict.worst_px);
    assert!(verdict.worst_at.contains("eye 1"), "{}", verdict.worst_at);
}

/// Numbers that look drawn at random and are the same every time.
struct Draw(u64);

impl Draw {
    /// Between two numbers.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (high - low) * (self.0 >> 33) as f64 / f64::from(1u32 << 31)
    }
}

/// A headset whose lenses are like none there is: each eye and each colour has its own.
fn made_up(seed: u64) -> Headset {
    let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let mut headset = Headset::generic(540, draw.between(480.0, 660.0) as u32);
    let aspect = f64::from(headset.panel.eye_width) / f64::from(headset.panel.eye_height);
    headset.eyes = [-1.0, 1.0].map(|side| {
        let lens = lens(&mut draw, seed, side, aspect);
        let turn = DQuat::from_euler(
            glam::EulerRot::YXZ,
            side * draw.between(0.0, 0.2),
            draw.between(-0.05, 0.05),
            draw.between(-0.05, 0.05),
        );
        let to_head = glam::DMat3::from_quat(turn);
        let row = |row: usize| {
            let [x, y, z] = to_head.row(row).to_array();
            [x, y, z, if row == 0 { side * 0.03 } else { 0.0 }]
        };
        let focal = draw.between(0.9, 1.4);
        let center = [side * draw.between(0.0, 0.2), draw.between(-0.05, 0.05)];
        Eye {
            tangents: Tangents::from_intrinsics([focal, focal * aspect], center, lens.grow),
            eye_to_head: [row(0), row(1), row(2)],
            lens,
        }
    });
    headset
}

fn lens(draw: &mut Draw, seed: u64, side: f64, aspect: f64) -> Lens {
    let center = [-side * draw.between(0.0, 0.12), draw.between(-0.03, 0.03)];
    let grow = draw.between(0.3, 0.7);
    let kind = match seed % 5 {
        0 => LensKind::Poly3,
        1 => LensKind::Dpoly3,
        2 => LensKind::Dpoly3Scaled,
        3 => LensKind::Panotools,
        _ => {
            let scale = 0.5 / (1.0 + grow);
            LensKind::HighOrder(HighOrder {
                channels: [0, 1, 2].map(|_| high_order(draw)),
                unit: 0.35,
                onto: [
                    [0.5 + center[0] * scale, 0.5 + center[1] * scale * aspect],
                    [scale / 0.35, scale * aspect / 0.35],
                ],
            })
        }
    };
    let channels = [0, 1, 2].map(|_| {
        let k = match kind {
            LensKind::Poly3 => {
                [draw.between(0.1, 0.25), draw.between(0.0, 0.06), draw.between(0.0, 0.03), 0.0, 0.0]
            }
            LensKind::Panotools => [
                draw.between(0.0, 0.1),
                draw.between(0.05, 0.2),
                draw.between(-0.1, 0.1),
                draw.between(0.9, 1.05),
                draw.between(-0.05, 0.05),
            ],
            _ => [
                draw.between(-0.27, -0.17),
                draw.between(-0.05, 0.03),
                draw.between(-0.06, 0.0),
                draw.between(-0.03, 0.03),
                0.0,
            ],
        };
        let center = match kind {
            // It has one centre for all.
            LensKind::HighOrder(_) => center,
            _ => center.map(|part| part + draw.between(-0.01, 0.01)),
        };
        ChannelLens { center, coeffs: k }
    });
    Lens { kind, channels, grow, aspect_x_over_y: aspect, cutoff_r2: Some(draw.between(0.9, 1.3)) }
}

/// Coefficients of the size of a Vive Pro 2's where that matters: large, and taking each other away.
fn high_order(draw: &mut Draw) -> HighOrderChannel {
    let mut radial = [0.0; 13];
    radial[0] = 1.0;
    radial[2] = draw.between(1.0, 1.6);
    // (r - 0.1)(r - 0.2)(r - 0.3)(r - 0.4) times a bit, to the third power: small where the lens is.
    let roots = [0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3, 0.4];
    let mut wave = [0.0; 13];
    wave[0] = draw.between(2e6, 4e6);
    for (degree, root) in roots.into_iter().enumerate() {
        for n in (0..=degree + 1).rev() {
            wave[n] = if n > 0 { wave[n - 1] } else { 0.0 } - root * wave[n];
        }
    }
    radial.iter_mut().zip(wave).for_each(|(radial, wave)| *radial += wave);
    HighOrderChannel {
        radial,
        tangential: std::array::from_fn(|n| draw.between(-1.0, 1.0) * [0.005, 0.1, 0.5][n % 3]),
        prism: std::array::from_fn(|n| draw.between(-1.0, 1.0) * [0.02, 0.2][n % 2]),
    }
}
