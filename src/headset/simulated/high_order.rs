//! A made-up lens of high order, and the block of a config that has one: what `config::high_order` reads.

use serde_json::{Map, Value, json};

use super::around_zero;
use crate::headset::lens::{ChannelLens, HighOrder, HighOrderChannel};
use crate::headset::{Eye, Headset, Lens, LensKind, Tangents, beside};
use crate::random::SplitMix64;

/// The eye on one side (-1 left, 1 right), bent about as much as the round ones, and a little askew.
///
/// Its image has grown alike on all sides, and by what the formula enlarges.
pub(super) fn eye(side: f64, half_distance: f64, size_px: [u32; 2], random: &mut SplitMix64) -> Eye {
    assert!(
        size_px.iter().all(|&size| size >= 2),
        "a lens of high order is told by the panel's first and last pixel"
    );
    let [width, height] = size_px.map(f64::from);
    let aspect = (width - 1.0) / (height - 1.0);
    let mut near = |value: f64, spread: f64| value + spread * around_zero(random);
    let center = [-side * near(0.08, 0.012), near(-0.005, 0.005)];
    let grow = near(0.5, 0.1);
    let focal = near(1.2, 0.03);
    let green = [near(0.21, 0.012), near(0.06, 0.01), near(0.05, 0.005)];
    let mut channel = |dispersion: f64| {
        let mut radial = [0.0; 13];
        radial[0] = 1.0;
        for (coeff, value) in [2, 4, 6].into_iter().zip(green) {
            radial[coeff] = value * (1.0 + dispersion * near(1.0, 0.15));
        }
        HighOrderChannel {
            radial,
            tangential: [0.004, 0.002, 0.001, 0.004, 0.002, 0.001].map(|most| near(0.0, most)),
            prism: [0.004, 0.002, 0.004, 0.002].map(|most| near(0.0, most)),
        }
    };
    let unit = 0.7;
    let channels = [channel(-0.12), channel(0.0), channel(0.14)].map(|channel| in_units(channel, unit));
    let (offset, enlarge) = (offset(center, size_px), 1.0 + grow);
    let onto = |axis: usize, size: f64, middle: f64, stretch: f64| {
        let image_center = offset[axis] / size + 0.5;
        [(image_center * (enlarge - 1.0) + middle) / enlarge, stretch / (2.0 * unit * enlarge)]
    };
    let across = onto(0, width, (center[0] + 1.0) / 2.0, 1.0);
    let up = onto(1, height, (1.0 - center[1] * aspect) / 2.0, aspect);
    let edge = |focal: f64, center: f64, side: f64| (1.0 + grow) * (side - center) / focal;
    let (right_of, above) = (offset[0] * 2.0 / width, -offset[1] * 2.0 / height);
    Eye {
        lens: Lens {
            kind: LensKind::HighOrder(HighOrder {
                channels,
                unit,
                onto: [[across[0], 1.0 - up[0]], [across[1], up[1]]],
            }),
            channels: [ChannelLens { center, ..ChannelLens::default() }; 3],
            grow,
            aspect_x_over_y: aspect,
            cutoff_r2: None,
        },
        tangents: Tangents {
            left: edge(focal, right_of, -1.0),
            right: edge(focal, right_of, 1.0),
            up: edge(focal * aspect, above, 1.0),
            down: edge(focal * aspect, above, -1.0),
        },
        eye_to_head: beside(side * half_distance),
    }
}

/// Coefficients for half the panel's width as 1, for `unit` as that.
fn in_units(mut channel: HighOrderChannel, unit: f64) -> HighOrderChannel {
    // What the formula yields is in its units too.
    channel.radial.iter_mut().zip(0..).for_each(|(coeff, power)| *coeff /= unit.powi(power));
    let even = |coeffs: &mut [f64], first: i32| {
        coeffs.iter_mut().zip(0..).for_each(|(coeff, n)| *coeff /= unit.powi(first + 2 * n));
    };
    let (across, down) = channel.tangential.split_at_mut(3);
    even(across, 1);
    even(down, 1);
    let (across, down) = channel.prism.split_at_mut(2);
    even(across, 1);
    even(down, 1);
    channel
}

/// Where a lens's centre lies, in pixels from half the panel's size, y up.
fn offset([x, y]: [f64; 2], size_px: [u32; 2]) -> [f64; 2] {
    let [width, height] = size_px.map(f64::from);
    let aspect = (width - 1.0) / (height - 1.0);
    [(x + 1.0) / 2.0 * (width - 1.0) - width / 2.0, (1.0 - y * aspect) / 2.0 * (height - 1.0) - height / 2.0]
}

/// The block `inhouse_lens_correction` of a headset with such lenses; None for others. Its images are taken to have grown
/// alike on all sides.
pub(super) fn block(headset: &Headset) -> Option<Value> {
    let [left, right] = &headset.eyes;
    let (LensKind::HighOrder(left_lens), LensKind::HighOrder(right_lens)) =
        (&left.lens.kind, &right.lens.kind)
    else {
        return None;
    };
    let size_px = [headset.panel.eye_width, headset.panel.eye_height];
    Some(json!({
        "left": side("left", left, left_lens, size_px),
        "right": side("right", right, right_lens, size_px),
    }))
}

fn side(name: &str, eye: &Eye, high: &HighOrder, size_px: [u32; 2]) -> Value {
    let (lens, tangents) = (&eye.lens, &eye.tangents);
    let [x, y] = offset(lens.channels[0].center, size_px);
    let edges = 2.0 * (1.0 + lens.grow);
    let focal = [edges / (tangents.right - tangents.left), edges / (tangents.up - tangents.down)];
    let mut block = json!({
        "model_type": lens.kind_name(),
        "version": "1.9",
        "scale_ratio": 1.0,
        "resolution": {"width": size_px[0], "height": size_px[1]},
        "normalizedRadius": (f64::from(size_px[0]) - 1.0) / 2.0 / high.unit,
    });
    let own = [
        ("center", json!({"x": x, "y": y})),
        ("scale", json!(1.0)),
        ("enlarge_ratio", json!(1.0 / (2.0 * high.unit * high.onto[1][0]))),
        ("intrinsics", json!([[focal[0], 0.0, 0.0], [0.0, focal[1], 0.0], [0.0, 0.0, -1.0]])),
        ("grow_for_undistort", json!(lens.grow)),
        ("grow_for_undistort2", json!(lens.grow)),
        ("grow_for_undistort3", json!(lens.grow)),
        ("grow_for_undistort4", json!(lens.grow)),
        ("distortion_coeff", colours(high)),
    ];
    for (field, value) in own {
        block[field] = json!({name: value});
    }
    block
}

fn colours(high: &HighOrder) -> Value {
    let [red, green, blue] = high.channels.map(|channel| {
        let HighOrderChannel { radial, mut tangential, mut prism } = channel;
        // There y is up.
        tangential[3..].iter_mut().chain(&mut prism[2..]).for_each(|coeff| *coeff = -*coeff);
        let named = |letter: &'static str, first: usize, numbers: &[f64]| {
            numbers
                .iter()
                .enumerate()
                .map(|(n, &number)| (format!("{letter}{}", n + first), json!(number)))
                .collect::<Vec<_>>()
        };
        let all = [named("k", 0, &radial), named("p", 1, &tangential), named("s", 1, &prism)];
        Value::Object(all.into_iter().flatten().collect::<Map<_, _>>())
    });
    json!({"red": red, "green": green, "blue": blue})
}
