//! A made-up headset as the files that a real one's data come in.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};

use super::{edid, high_order};
use crate::headset::config;
use crate::headset::hid::user_data::HEAD_BYTES;
use crate::headset::{Channel, Eye, Headset, LensKind, USER_DATA_HEAD, flash};

/// A file's name and what is in it.
pub type NamedFile = (String, Vec<u8>);

/// The files of a headset: `config.json` and, where it has them, its mura maps; the same as it would give them over HID
/// (`config.zlib`, `userdata.bin` and its first bytes); and `edid.bin`, unless no EDID of one block can describe its panel.
/// The same headset always gives the same files.
///
/// # Panics
/// When a map cannot be [encoded](crate::headset::mura::MuraMap::encode).
pub fn files(headset: &Headset) -> Vec<NamedFile> {
    let json = serde_json::to_vec_pretty(&config(headset)).expect("numbers and texts are JSON");
    let mut files = Vec::new();
    if let Some(mura) = &headset.mura {
        let maps = [&mura.left, &mura.right].map(|map| (map.file.clone(), map.encode(Some(&headset.serial))));
        let area = flash::pack(&maps.each_ref().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
        let directory = flash::directory_bytes(&area).map_or(0, |length| length as usize);
        let head = area[..area.len().min(directory.max(HEAD_BYTES as usize))].to_vec();
        files.extend(maps);
        files.extend([(USER_DATA_HEAD.to_owned(), head), ("userdata.bin".to_owned(), area)]);
    }
    let panel = &headset.panel;
    let serial = crc32fast::hash(headset.serial.as_bytes());
    let edid = edid::block(panel.eye_width * 2, panel.eye_height, serial);
    files.extend(edid.map(|block| ("edid.bin".to_owned(), block)));
    files.extend([("config.zlib".to_owned(), deflated(&json)), ("config.json".to_owned(), json)]);
    files
}

fn deflated(json: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(json).and_then(|()| encoder.finish()).expect("memory takes all")
}

/// The headset's config, laid out as a Vive's.
fn config(headset: &Headset) -> Value {
    let panel = &headset.panel;
    let mut config = json!({
        "device": {
            "eye_target_width_in_pixels": panel.eye_width,
            "eye_target_height_in_pixels": panel.eye_height,
            "physical_aspect_x_over_y": headset.eyes[0].lens.aspect_x_over_y,
        },
        "device_class": "hmd",
        "device_serial_number": headset.serial,
        "display_gc": {"black_clamp": panel.black_clamp},
        "model_number": headset.model,
        "tracking_to_eye_transform": headset.eyes.each_ref().map(eye),
        "type": "Lighthouse_HMD",
    });
    if let Some(mura) = &headset.mura {
        config["display_mc"] =
            config::map_block(mura.scale, mura.offset, [&mura.left.file, &mura.right.file]);
    }
    if let Some(block) = high_order::block(headset) {
        config["inhouse_lens_correction"] = block;
    }
    config
}

fn eye(eye: &Eye) -> Value {
    let (lens, tangents) = (&eye.lens, &eye.tangents);
    if matches!(lens.kind, LensKind::HighOrder(_)) {
        return json!({"eye_to_head": eye.eye_to_head});
    }
    let channel = |channel: Channel| {
        let numbers = lens.channel(channel);
        json!({
            "type": lens.kind_name(),
            "center_x": numbers.center[0],
            "center_y": numbers.center[1],
            "coeffs": numbers.coeffs[..lens.kind.coefficients()],
        })
    };
    // What `Tangents::from_intrinsics` undoes.
    let edges = 2.0 * (1.0 + lens.grow);
    let focal = [edges / (tangents.right - tangents.left), edges / (tangents.up - tangents.down)];
    let center =
        [(tangents.left + tangents.right) / 2.0 * focal[0], (tangents.up + tangents.down) / 2.0 * focal[1]];
    json!({
        "distortion": channel(Channel::Green),
        "distortion_red": channel(Channel::Red),
        "distortion_blue": channel(Channel::Blue),
        "eye_to_head": eye.eye_to_head,
        "grow_for_undistort": lens.grow,
        "intrinsics": [[focal[0], 0.0, center[0]], [0.0, focal[1], center[1]], [0.0, 0.0, -1.0]],
        "undistort_r2_cutoff": lens.cutoff_r2,
    })
}

#[cfg(test)]
mod tests {
    use super::super::LensModel;
    use super::*;
    use crate::headset::hid;

    fn read(files: &[NamedFile], name: &str) -> std::io::Result<Vec<u8>> {
        let file = files.iter().find(|(there, _)| there == name);
        file.map(|(_, bytes)| bytes.clone()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    #[test]
    fn what_is_written_is_read_back_as_the_same_headset() {
        for seed in 0..20 {
            let made_up = Headset::simulated(seed, 27, 30);
            let files = files(&made_up);
            let json = read(&files, "config.json").expect("written");
            let headset = Headset::from_config(&json, |name| read(&files, name)).expect("valid");
            assert_eq!((&headset.serial, &headset.model), (&made_up.serial, &made_up.model));
            assert_eq!(headset.panel, made_up.panel);
            assert_eq!(headset.notes, [] as [String; 0]);
            for (eye, expected) in headset.eyes.iter().zip(&made_up.eyes) {
                assert_eq!((eye.lens, eye.eye_to_head), (expected.lens, expected.eye_to_head));
                let angles = eye.tangents.degrees().into_iter().zip(expected.tangents.degrees());
                assert!(angles.into_iter().all(|(angle, expected)| (angle - expected).abs() < 1e-9));
            }
            let (mura, expected) = (headset.mura.expect("it has maps"), made_up.mura.expect("it has maps"));
            assert_eq!(
                (&mura.left.texels, &mura.right.texels),
                (&expected.left.texels, &expected.right.texels)
            );
        }
    }

    #[test]
    fn a_lens_of_high_order_is_read_back_as_the_same_within_rounding() {
        for seed in 0..20 {
            let made_up = Headset::simulated_with(LensModel::HighOrder, seed, 27, 30);
            let files = files(&made_up);
            let json = read(&files, "config.json").expect("written");
            let headset = Headset::from_config(&json, |name| read(&files, name)).expect("valid");
            assert_eq!(headset.notes, [] as [String; 0]);
            for (eye, expected) in headset.eyes.iter().zip(&made_up.eyes) {
                assert_eq!(eye.eye_to_head, expected.eye_to_head);
                let angles = eye.tangents.degrees().into_iter().zip(expected.tangents.degrees());
                assert!(angles.into_iter().all(|(angle, expected)| (angle - expected).abs() < 1e-9));
                for place in (0..=8).flat_map(|x| (0..=8).map(move |y| [x, y].map(|n| f64::from(n) / 8.0))) {
                    for channel in Channel::ALL {
                        let looks = [eye, expected].map(|eye| eye.lens.look(channel, place).expect("lit"));
                        let off = (looks[0][0] - looks[1][0]).hypot(looks[0][1] - looks[1][1]);
                        assert!(off < 1e-9, "{looks:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_lens_of_high_order_bends_about_as_much_as_a_round_one() {
        for (high, round) in (0..20).flat_map(|seed| {
            let eyes = |model| Headset::simulated_with(model, seed, 108, 120).eyes;
            eyes(LensModel::HighOrder).into_iter().zip(eyes(LensModel::Round))
        }) {
            for place in [[0.3, 0.5], [0.5, 0.3], [0.7, 0.7]] {
                let direction = |eye: &Eye| {
                    let [u, v] = eye.lens.eye_uv(Channel::Green, place).expect("lit");
                    let spans = &eye.tangents;
                    [spans.left + u * (spans.right - spans.left), spans.up + v * (spans.down - spans.up)]
                };
                let ([x, y], [u, v]) = (direction(&high), direction(&round));
                assert!((x - u).hypot(y - v) < 0.15, "{x},{y} and {u},{v}");
            }
        }
    }

    #[test]
    fn its_files_agree_with_each_other() {
        let files = files(&Headset::simulated(3, 27, 30));
        let file = |name: &str| read(&files, name).expect("written");
        let area = file("userdata.bin");
        for unpacked in flash::parse(&area).expect("whole") {
            assert_eq!(unpacked.bytes, file(&unpacked.name));
        }
        assert!(area.starts_with(&file(USER_DATA_HEAD)));
        assert_eq!(hid::config::inflate(&file("config.zlib")).expect("whole"), file("config.json"));
    }
}
