//! A lens of high order as HTC's own block `inhouse_lens_correction` has it: the Vive Pro 2.
//!
//! HTC has not published the block's meaning. It is known from Monado (`src/xrt/auxiliary/htc/htc_config.cpp`): places
//! are pixels of a panel of half the real one's size, y up, on which the far ends are 0 and size - 1.

use super::Node;
use crate::headset::lens::{ChannelLens, HighOrder, HighOrderChannel};
use crate::headset::{HeadsetError, Lens, LensKind, Tangents};

/// Which eye.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

/// The only model of this block whose formula is built.
const MODEL: &str = "strengthen_high_order";

/// The first version of the block in which every number stands for itself.
const FIRST_MINOR: u32 = 9;

/// One eye's lens and what its image spans.
pub(super) fn eye(block: &Node, side: Side) -> Result<(Lens, Tangents), HeadsetError> {
    let node = block.field(side.name());
    let own = |name: &str| node.field(name).field(side.name());
    let model = node.field("model_type");
    if model.text(MODEL)? != MODEL {
        return Err(model.error(MODEL));
    }
    check_version(&node.field("version"))?;

    // Far beyond all lenses either way, and no product of them overflows.
    let positive =
        |node: &Node| node.number("a number from 0.00001 to 100000", |n| (1e-5..=1e5).contains(&n));
    let scale_ratio = positive(&node.field("scale_ratio"))?;
    let size = |name: &str| Ok(positive(&node.field("resolution").field(name))? / scale_ratio);
    let [width, height] = [size("width")?, size("height")?];
    let large =
        |size: f64| if size < 2.0 { Err(node.field("resolution").error("2 or more pixels")) } else { Ok(()) };
    large(width)?;
    large(height)?;
    let offset = |name: &str| own("center").field(name).number("pixels of the panel", |n| n.abs() <= 1e4);
    let offset = [offset("x")?, offset("y")?];
    // Pixels for the formula's 1.
    let radius = positive(&node.field("normalizedRadius"))? / (scale_ratio * positive(&own("scale"))?);
    let enlarge = own("enlarge_ratio").number("a number from 1 to 10", |n| (1.0..=10.0).contains(&n))?;

    // The lens's centre, from 0 to 1 across the panel; the second is how HTC counts for the image.
    let center = [(width / 2.0 + offset[0]) / (width - 1.0), (height / 2.0 + offset[1]) / (height - 1.0)];
    let image_center = [offset[0] / width + 0.5, offset[1] / height + 0.5];
    // From the formula's result to 0 to 1 across the image, y up.
    let enlarged = |axis: usize, far: f64| {
        [(image_center[axis] * (enlarge - 1.0) + center[axis]) / enlarge, radius / (far * enlarge)]
    };
    let (across, up) = (enlarged(0, width - 1.0), enlarged(1, height - 1.0));

    let focal = |at: usize| {
        own("intrinsics")
            .index(at)
            .index(at)
            .number("a number from 0.01 to 100", |n| (0.01..=100.0).contains(&n))
    };
    let spans_across = Spans { focal: focal(0)?, center: offset[0] / (width / 2.0) };
    let spans_up = Spans { focal: focal(1)?, center: -offset[1] / (height / 2.0) };
    let grow =
        |name: &str| own(name).number("a number above -1 and up to 10", |grow| grow > -1.0 && grow <= 10.0);
    let grown = [
        grow("grow_for_undistort")?,
        grow("grow_for_undistort2")?,
        grow("grow_for_undistort3")?,
        grow("grow_for_undistort4")?,
    ];
    // Outwards, inwards, up, down.
    let [outer, inner, above, below] = grown;
    let [left_grow, right_grow] = if side == Side::Left { [outer, inner] } else { [inner, outer] };
    // The formula means an image that has grown alike on all sides; the image that is rendered has not.
    let (even_across, even_up) = (spans_across.grown(outer, outer), spans_up.grown(outer, outer));
    let (across_to, up_to) = (spans_across.grown(left_grow, right_grow), spans_up.grown(below, above));
    let remap = |[origin, scale]: [f64; 2], [low, high]: [f64; 2], [to_low, to_high]: [f64; 2]| {
        let stretch = (high - low) / (to_high - to_low);
        [(low - to_low) / (to_high - to_low) + origin * stretch, scale * stretch]
    };
    let (across, up) = (remap(across, even_across, across_to), remap(up, even_up, up_to));

    let channels = ["red", "green", "blue"].map(|colour| channel(&own("distortion_coeff").field(colour)));
    let [red, green, blue] = channels;
    let aspect = (width - 1.0) / (height - 1.0);
    let center = [2.0 * center[0] - 1.0, (1.0 - 2.0 * center[1]) / aspect];
    let lens = Lens {
        kind: LensKind::HighOrder(HighOrder {
            channels: [red?, green?, blue?],
            unit: (width - 1.0) / 2.0 / radius,
            onto: [[across[0], 1.0 - up[0]], [across[1], up[1]]],
        }),
        channels: [ChannelLens { center, ..ChannelLens::default() }; 3],
        grow: outer,
        aspect_x_over_y: aspect,
        cutoff_r2: None,
    };
    let tangents = Tangents { left: across_to[0], right: across_to[1], up: up_to[1], down: up_to[0] };
    Ok((lens, tangents))
}

fn check_version(node: &Node) -> Result<(), HeadsetError> {
    let expected = format!("1.{FIRST_MINOR} or a later 1.x");
    let minor = node.text(&expected)?.strip_prefix("1.").and_then(|minor| minor.parse().ok());
    if minor.is_some_and(|minor: u32| minor >= FIRST_MINOR) { Ok(()) } else { Err(node.error(&expected)) }
}

/// One axis of the intrinsics.
struct Spans {
    focal: f64,
    center: f64,
}

impl Spans {
    /// The tangents of the image's low and high edge once they have grown by so much.
    fn grown(&self, low: f64, high: f64) -> [f64; 2] {
        [(1.0 + low) * (-1.0 - self.center) / self.focal, (1.0 + high) * (1.0 - self.center) / self.focal]
    }
}

/// One colour's polynomials, turned to have y down.
fn channel(node: &Node) -> Result<HighOrderChannel, HeadsetError> {
    let mut channel = HighOrderChannel { radial: [0.0; 13], tangential: [0.0; 6], prism: [0.0; 4] };
    let number =
        |name: String| node.field(&name).number("a number up to 1e12", |number| number.abs() <= 1e12);
    for (n, coeff) in channel.radial.iter_mut().enumerate() {
        *coeff = number(format!("k{n}"))?;
    }
    for (n, coeff) in channel.tangential.iter_mut().enumerate() {
        *coeff = number(format!("p{}", n + 1))?;
    }
    for (n, coeff) in channel.prism.iter_mut().enumerate() {
        *coeff = number(format!("s{}", n + 1))?;
    }
    let down = channel.tangential[3..].iter_mut().chain(&mut channel.prism[2..]);
    down.for_each(|coeff| *coeff = -*coeff);
    Ok(channel)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made_up(scale_ratio: f64) -> Value {
        let names = (0..13).map(|n| format!("k{n}")).chain((1..7).map(|n| format!("p{n}")));
        let names = names.chain((1..5).map(|n| format!("s{n}")));
        let colour: Value = names.map(|name| (name, json!(0.01))).collect::<serde_json::Map<_, _>>().into();
        json!({
            "model_type": MODEL, "version": "1.9", "scale_ratio": scale_ratio, "normalizedRadius": 1000,
            "resolution": {"width": 2448, "height": 2448}, "scale": {"left": 1}, "center": {"left": {"x": 1, "y": 2}},
            "enlarge_ratio": {"left": 1.2}, "intrinsics": {"left": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]},
            "grow_for_undistort": {"left": 0.1}, "grow_for_undistort2": {"left": 0.2},
            "grow_for_undistort3": {"left": 0.3}, "grow_for_undistort4": {"left": 0.4},
            "distortion_coeff": {"left": {"red": colour, "green": colour, "blue": colour}},
        })
    }

    fn read(scale_ratio: f64) -> Result<(Lens, Tangents), HeadsetError> {
        let block = json!({"left": made_up(scale_ratio)});
        eye(&Node { value: Some(&block), path: "block".to_owned() }, Side::Left)
    }

    #[test]
    fn no_size_makes_a_lens_of_no_numbers() {
        for scale_ratio in [1e-5, 2.0, 1000.0] {
            let (lens, _) = read(scale_ratio).expect("it is in range");
            let LensKind::HighOrder(high) = lens.kind else { panic!("{lens:?}") };
            assert!(
                high.unit.is_finite() && high.onto.as_flattened().iter().all(|number| number.is_finite())
            );
        }
        for scale_ratio in [1e-300, 0.0, -2.0, 1e6] {
            let error = read(scale_ratio).expect_err("no headset's").to_string();
            assert!(error.contains("block.left.scale_ratio should be a number from 0.00001"), "{error}");
        }
    }
}
