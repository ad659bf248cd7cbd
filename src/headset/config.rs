//! A headset's own configuration: the JSON that a Vive or an Index holds about itself.
//!
//! Its makers document part of it ("The JSON File" in the wiki of `ValveSoftware/openvr`). Fields that are not named
//! here are left alone.

mod high_order;

use serde_json::{Value, json};

use high_order::Side;

use super::edid::EdidId;
use super::lens::ChannelLens;
use super::{
    Eye, HALF_EYE_DISTANCE, HeadsetError, Illumination, Lens, LensKind, MAX_EYE_SIZE, Panel, Tangents,
    beside, is_plain_file_name,
};

/// `display_mc.type` of maps that are added to the panel's codes: the only one seen.
const ADDITIVE_MAPS: f64 = 1.0;

/// What a configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `device_serial_number`, else `unknown`.
    pub serial: String,
    /// `model_number`, else `unknown`.
    pub model: String,
    /// `tracking_to_eye_transform`: the left and the right eye.
    pub eyes: [Eye; 2],
    /// `device.eye_target_*` and `display_gc`.
    pub panel: Panel,
    /// `display_mc`: which mura maps there are.
    pub maps: Option<Maps>,
    /// What a user should be told once, a sentence each.
    pub notes: Vec<String>,
}

/// A headset's mura maps by name, and how to read their texels; see [`super::Mura`].
#[derive(Clone, Debug, PartialEq)]
pub struct Maps {
    /// What a texel's range of 1 is worth in the panel's.
    pub scale: f64,
    /// Added to a texel in its range of 1.
    pub offset: f64,
    /// Plain file names of the left and the right eye's map.
    pub files: [String; 2],
}

/// The block `display_mc` that names a pair of maps.
pub fn map_block(scale: f64, offset: f64, [left, right]: [&str; 2]) -> Value {
    json!({"type": ADDITIVE_MAPS as u32, "scale": scale, "offset": offset, "left": left, "right": right})
}

impl Config {
    /// Reads a configuration.
    ///
    /// No field says outright when the panel lights up. It is taken to do so all at once, as those that flash do, unless
    /// the configuration tells the EDID of a headset whose panel is known not to. [`Headset::is_on`] knows better.
    ///
    /// [`Headset::is_on`]: super::Headset::is_on
    ///
    /// # Errors
    /// When it is no JSON, or a value cannot be right; the error names the value's place.
    pub fn parse(json: &[u8]) -> Result<Self, HeadsetError> {
        let json: Value = serde_json::from_slice(json).map_err(HeadsetError::Json)?;
        let root = Node { value: Some(&json), path: String::new() };
        let mut notes = Vec::new();

        let device = root.field("device");
        let eye_width = size(&device.field("eye_target_width_in_pixels"))?;
        let eye_height = size(&device.field("eye_target_height_in_pixels"))?;
        let aspect = match device.field("physical_aspect_x_over_y").optional() {
            Some(aspect) => {
                aspect.number("a number from 0.1 to 10", |aspect| (0.1..=10.0).contains(&aspect))?
            }
            None => f64::from(eye_width) / f64::from(eye_height),
        };
        let black_clamp = match root.field("display_gc").field("black_clamp").optional() {
            Some(clamp) => clamp.number("a number from 0 to 1", |clamp| (0.0..=1.0).contains(&clamp))?,
            None => 0.0,
        };
        let half_distance = match root.field("lens_separation").optional() {
            Some(separation) => {
                separation.number("metres from 0.04 to 0.09", |metres| (0.04..=0.09).contains(&metres))? / 2.0
            }
            None => HALF_EYE_DISTANCE,
        };
        let eyes = root.field("tracking_to_eye_transform");
        let own_block = root.field("inhouse_lens_correction");
        let [left, right] = match own_block.optional() {
            Some(block) => {
                let eye = |side, at: usize, beside_x| {
                    let (lens, tangents) = high_order::eye(block, side)?;
                    Ok(Eye { lens, tangents, eye_to_head: eye_to_head(&eyes.index(at), beside_x)? })
                };
                [eye(Side::Left, 0, -half_distance)?, eye(Side::Right, 1, half_distance)?]
            }
            None => {
                eyes.list("a list of two eyes", |list| list.len() == 2)?;
                let mut eye = |at, beside_x| eye(&eyes.index(at), aspect, beside_x, &mut notes);
                [eye(0, -half_distance)?, eye(1, half_distance)?]
            }
        };
        let maps = maps(&root.field("display_mc"), &mut notes)?;
        let known = edid_id(&root).and_then(|id| id.headset());
        let illumination = known.and_then(|known| known.illumination).unwrap_or(Illumination::Global);
        Ok(Self {
            serial: text_or_unknown(&root.field("device_serial_number"))?,
            model: text_or_unknown(&root.field("model_number"))?,
            eyes: [left, right],
            panel: Panel { eye_width, eye_height, black_clamp, illumination },
            maps,
            notes,
        })
    }
}

/// The EDID that the headset says is its display's, if it does.
fn edid_id(root: &Node) -> Option<EdidId> {
    let number = |name: &str| root.field(name).value.and_then(Value::as_u64)?.try_into().ok();
    EdidId::of_config(number("direct_mode_edid_vid")?, number("direct_mode_edid_pid")?)
}

fn size(node: &Node) -> Result<u32, HeadsetError> {
    let expected = format!("a whole number from 1 to {MAX_EYE_SIZE}");
    let whole = |size: f64| size.fract() == 0.0 && (1.0..=f64::from(MAX_EYE_SIZE)).contains(&size);
    Ok(node.number(&expected, whole)? as u32)
}

fn text_or_unknown(node: &Node) -> Result<String, HeadsetError> {
    match node.optional() {
        Some(node) => Ok(node.text("text")?.to_owned()),
        None => Ok("unknown".to_owned()),
    }
}

fn maps(node: &Node, notes: &mut Vec<String>) -> Result<Option<Maps>, HeadsetError> {
    if node.optional().is_none() {
        return Ok(None);
    }
    let kind = node.field("type").number("a number", |_| true)?;
    if kind != ADDITIVE_MAPS {
        notes.push(format!(
            "Mura is off: display_mc.type is {kind}, and only type {ADDITIVE_MAPS} is understood."
        ));
        return Ok(None);
    }
    let file = |eye: &str| {
        let node = node.field(eye);
        let expected = "a plain file name, without a directory";
        let name = node.text(expected)?;
        if is_plain_file_name(name) { Ok(name.to_owned()) } else { Err(node.error(expected)) }
    };
    Ok(Some(Maps {
        scale: node.field("scale").number("a number from -1 to 1", |scale| scale.abs() <= 1.0)?,
        offset: node.field("offset").number("a number from -1 to 1", |offset| offset.abs() <= 1.0)?,
        files: [file("left")?, file("right")?],
    }))
}

fn eye(node: &Node, aspect: f64, beside_x: f64, notes: &mut Vec<String>) -> Result<Eye, HeadsetError> {
    let grow = node
        .field("grow_for_undistort")
        .number("a number above -1 and up to 10", |grow| grow > -1.0 && grow <= 10.0)?;
    let cutoff_r2 = match node.field("undistort_r2_cutoff").optional() {
        Some(cutoff) => Some(cutoff.number("a number above 0", |cutoff| cutoff > 0.0)?),
        None => None,
    };

    // What has no colour of its own holds for green, which is the eye's sharpest.
    let green = node.field("distortion");
    let (kind, green_lens) = channel(&green, notes)?;
    let mut other = |name: &str| {
        let other = node.field(name);
        if other.optional().is_none() {
            notes.push(format!("Colours are not aligned: {} is missing, green's lens is used.", other.path));
            return Ok(green_lens);
        }
        let (other_kind, lens) = channel(&other, notes)?;
        if other_kind == kind {
            Ok(lens)
        } else {
            Err(other.field("type").error(&format!("green's {}", kind.name())))
        }
    };
    let channels = [other("distortion_red")?, green_lens, other("distortion_blue")?];

    let intrinsics = node.field("intrinsics");
    let number = |row: usize, column: usize, expected: &str, fits: fn(f64) -> bool| {
        intrinsics.index(row).index(column).number(expected, fits)
    };
    let focal =
        |at: usize| number(at, at, "a number from 0.01 to 100", |focal| (0.01..=100.0).contains(&focal));
    let center = |row: usize| number(row, 2, "a number from -10 to 10", |center| center.abs() <= 10.0);
    let tangents = Tangents::from_intrinsics([focal(0)?, focal(1)?], [center(0)?, center(1)?], grow);

    Ok(Eye {
        lens: Lens { kind, channels, grow, aspect_x_over_y: aspect, cutoff_r2 },
        tangents,
        eye_to_head: eye_to_head(node, beside_x)?,
    })
}

fn channel(node: &Node, notes: &mut Vec<String>) -> Result<(LensKind, ChannelLens), HeadsetError> {
    let kinds = [LensKind::Poly3, LensKind::Dpoly3, LensKind::Dpoly3Scaled, LensKind::Panotools];
    let type_node = node.field("type");
    let expected = "DISTORT_POLY3, DISTORT_DPOLY3, DISTORT_DPOLY3_SCALED or PANOTOOLS";
    let name = type_node.text(expected)?;
    let kind = *kinds.iter().find(|kind| kind.name() == name).ok_or_else(|| type_node.error(expected))?;

    let center = |name: &str| node.field(name).number("a number from -2 to 2", |center| center.abs() <= 2.0);
    let list_node = node.field("coeffs");
    let count = list_node.list("a list of 1 to 32 numbers", |list| (1..=32).contains(&list.len()))?.len();
    let number = |index| list_node.index(index).number("a number from -1000 to 1000", |k| k.abs() <= 1000.0);
    let numbers = (0..count).map(number).collect::<Result<Vec<_>, _>>()?;
    // Those that are left out are zero, as in the headsets' own lists.
    let used = count.min(kind.coefficients());
    let mut coeffs = [0.0; 5];
    coeffs[..used].copy_from_slice(&numbers[..used]);
    if numbers[used..].iter().any(|number| *number != 0.0) {
        notes.push(format!("{} has more numbers than {name} uses; the rest is left out.", list_node.path));
    }
    Ok((kind, ChannelLens { center: [center("center_x")?, center("center_y")?], coeffs }))
}

/// `eye_to_head`, or the inverse of `extrinsics`, which go from the head to the eye; else straight ahead. A rotation
/// alone is put at `beside_x`.
fn eye_to_head(node: &Node, beside_x: f64) -> Result<[[f64; 4]; 3], HeadsetError> {
    let (direct, inverse) = (node.field("eye_to_head"), node.field("extrinsics"));
    if direct.optional().is_some() {
        pose(&direct, beside_x)
    } else if inverse.optional().is_some() {
        let pose = pose(&inverse, -beside_x)?;
        Ok(inverted(&pose))
    } else {
        Ok(beside(beside_x))
    }
}

/// A 3x3, 3x4 or 4x4 matrix, rows first, whose left part is a rotation.
fn pose(node: &Node, beside_x: f64) -> Result<[[f64; 4]; 3], HeadsetError> {
    let expected = "three or four rows of a rotation and at most ten metres";
    node.list(expected, |rows| matches!(rows.len(), 3 | 4))?;
    let mut pose = beside(beside_x);
    for (index, row) in pose.iter_mut().enumerate() {
        let row_node = node.index(index);
        let columns =
            row_node.list("a list of three or four numbers", |row| matches!(row.len(), 3 | 4))?.len();
        for (column, number) in row.iter_mut().enumerate().take(columns) {
            *number = row_node.index(column).number("a number from -10 to 10", |n| n.abs() <= 10.0)?;
        }
    }
    if is_rotation(&pose) { Ok(pose) } else { Err(node.error(expected)) }
}

/// Whether the rows are of length 1 and square to each other, and none is mirrored; 1 % off is let pass.
fn is_rotation(pose: &[[f64; 4]; 3]) -> bool {
    let dot = |a: usize, b: usize| (0..3).map(|i| pose[a][i] * pose[b][i]).sum::<f64>();
    let square = (0..3).all(|a| (0..3).all(|b| (dot(a, b) - f64::from(u8::from(a == b))).abs() < 0.01));
    let [x, y, z] = pose;
    let cross = [y[1] * z[2] - y[2] * z[1], y[2] * z[0] - y[0] * z[2], y[0] * z[1] - y[1] * z[0]];
    square && (0..3).map(|i| x[i] * cross[i]).sum::<f64>() > 0.0
}

/// The inverse of a rotation and translation: the rotation transposed, and the translation turned back by it.
fn inverted(pose: &[[f64; 4]; 3]) -> [[f64; 4]; 3] {
    std::array::from_fn(|row| {
        let [x, y, z] = [pose[0][row], pose[1][row], pose[2][row]];
        [x, y, z, -(x * pose[0][3] + y * pose[1][3] + z * pose[2][3])]
    })
}

/// A value, or the lack of one, and its place in the configuration.
struct Node<'a> {
    value: Option<&'a Value>,
    path: String,
}

impl<'a> Node<'a> {
    fn field(&self, name: &str) -> Node<'a> {
        let dot = if self.path.is_empty() { "" } else { "." };
        Node {
            value: self.value.and_then(|value| value.get(name)),
            path: format!("{}{dot}{name}", self.path),
        }
    }

    fn index(&self, index: usize) -> Node<'a> {
        Node { value: self.value.and_then(|value| value.get(index)), path: format!("{}[{index}]", self.path) }
    }

    /// This, unless there is no such value.
    fn optional(&self) -> Option<&Self> {
        self.value.is_some_and(|value| !value.is_null()).then_some(self)
    }

    fn number(&self, expected: &str, fits: impl Fn(f64) -> bool) -> Result<f64, HeadsetError> {
        let number = self.value.and_then(Value::as_f64);
        number.filter(|number| number.is_finite() && fits(*number)).ok_or_else(|| self.error(expected))
    }

    fn text(&self, expected: &str) -> Result<&'a str, HeadsetError> {
        self.value.and_then(Value::as_str).ok_or_else(|| self.error(expected))
    }

    fn list(&self, expected: &str, fits: impl Fn(&[Value]) -> bool) -> Result<&'a [Value], HeadsetError> {
        let list = self.value.and_then(Value::as_array).map(Vec::as_slice);
        list.filter(|list| fits(list)).ok_or_else(|| self.error(expected))
    }

    fn error(&self, expected: &str) -> HeadsetError {
        let found = match self.value {
            None => "nothing".to_owned(),
            Some(Value::Array(list)) => format!("a list of {}", list.len()),
            Some(Value::Object(_)) => "an object".to_owned(),
            Some(value) => value.to_string().chars().take(80).collect(),
        };
        HeadsetError::Value { path: self.path.clone(), expected: expected.to_owned(), found }
    }
}

#[cfg(test)]
mod tests;
