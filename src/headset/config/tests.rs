use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::error::{Class, Classified};
use crate::headset::{Channel, Headset};

/// A made-up headset with every field that is read.
pub(crate) fn made_up() -> Value {
    let distortion = |k1: f64| {
        json!({"center_x": 0.1, "center_y": -0.01, "type": "DISTORT_DPOLY3",
               "coeffs": [k1, -0.02, -0.05, 0.0, 0.0, 0.0, 0.0, 0.0]})
    };
    let eye = |x: f64| {
        json!({"distortion": distortion(-0.22), "distortion_red": distortion(-0.19),
               "distortion_blue": distortion(-0.25),
               "extrinsics": [[1, 0, 0, x], [0, 1, 0, 0.001], [0, 0, 1, 0]],
               "grow_for_undistort": 0.6, "undistort_r2_cutoff": 1.1,
               "intrinsics": [[1.2, 0, -0.1], [0, 1.08, -0.01], [0, 0, -1]]})
    };
    json!({"device_serial_number": "LHR-00000000", "model_number": "Made up", "lens_separation": 0.062,
           "device": {"eye_target_width_in_pixels": 2, "eye_target_height_in_pixels": 1,
                      "physical_aspect_x_over_y": 0.9},
           "display_gc": {"black_clamp": 0.0117},
           "display_mc": {"type": 1, "scale": 0.125, "offset": -0.498, "left": "l.mc", "right": "r.mc"},
           "tracking_to_eye_transform": [eye(0.031), eye(-0.031)]})
}

fn parse(json: &Value) -> Result<Config, HeadsetError> {
    Config::parse(json.to_string().as_bytes())
}

/// The error's text once the value at a JSON pointer is another one.
fn refusal(pointer: &str, value: Value) -> String {
    let mut json = made_up();
    *json.pointer_mut(pointer).expect("the place exists") = value;
    let error = parse(&json).expect_err("the value is refused");
    assert_eq!(error.class(), Class::Config);
    error.to_string()
}

fn without(parent: &str, field: &str) -> Result<Config, HeadsetError> {
    let mut json = made_up();
    let parent = json.pointer_mut(parent).and_then(Value::as_object_mut).expect("the place exists");
    parent.remove(field).expect("the field exists");
    parse(&json)
}

#[test]
fn reads_every_field() {
    let config = parse(&made_up()).expect("valid");
    assert_eq!((config.serial.as_str(), config.model.as_str()), ("LHR-00000000", "Made up"));
    assert_eq!((config.panel.eye_width, config.panel.eye_height, config.panel.black_clamp), (2, 1, 0.0117));
    assert_eq!(config.panel.illumination, Illumination::Global);
    let maps = config.maps.expect("named");
    assert_eq!((maps.scale, maps.offset), (0.125, -0.498));
    assert_eq!(maps.files, ["l.mc", "r.mc"]);
    let lens = config.eyes[0].lens;
    assert_eq!((lens.kind, lens.grow, lens.aspect_x_over_y), (LensKind::Dpoly3, 0.6, 0.9));
    assert_eq!(lens.cutoff_r2, Some(1.1));
    assert_eq!(
        *lens.channel(Channel::Red),
        ChannelLens { center: [0.1, -0.01], coeffs: [-0.19, -0.02, -0.05, 0.0, 0.0] }
    );
    assert_eq!(config.eyes[1].tangents, Tangents::from_intrinsics([1.2, 1.08], [-0.1, -0.01], 0.6));
    assert!(config.notes.is_empty());
}

#[test]
fn extrinsics_lead_from_the_head_to_the_eye() {
    let eyes = parse(&made_up()).expect("valid").eyes;
    assert_eq!(eyes[0].eye_to_head.map(|row| row[3]), [-0.031, -0.001, 0.0]);
    assert_eq!(eyes[1].eye_to_head[0][3], 0.031);
}

#[test]
fn a_bare_rotation_is_put_at_half_the_lens_separation() {
    let mut json = made_up();
    json["tracking_to_eye_transform"][0]["eye_to_head"] = json!([[0, 0, 1], [0, 1, 0], [-1, 0, 0]]);
    let pose = parse(&json).expect("valid").eyes[0].eye_to_head;
    assert_eq!(pose, [[0.0, 0.0, 1.0, -0.031], [0.0, 1.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0]]);
}

#[test]
fn the_fourth_coefficient_counts_only_where_the_formula_has_one() {
    let mut json = made_up();
    for channel in ["distortion", "distortion_red", "distortion_blue"] {
        let distortion = &mut json["tracking_to_eye_transform"][0][channel];
        distortion["type"] = json!("DISTORT_DPOLY3_SCALED");
        distortion["coeffs"] = json!([-0.2, 0, 0, 0.01]);
    }
    json["tracking_to_eye_transform"][1]["distortion"]["coeffs"] = json!([-0.2, 0, 0, 0.01]);
    let config = parse(&json).expect("valid");
    assert_eq!(config.eyes[0].lens.channels[1].coeffs, [-0.2, 0.0, 0.0, 0.01, 0.0]);
    assert_eq!(config.eyes[1].lens.channels[1].coeffs, [-0.2, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(config.notes.len(), 1, "{:?}", config.notes);
    assert!(config.notes[0].contains("tracking_to_eye_transform[1].distortion.coeffs"));
}

#[test]
fn refusals_name_place_and_value() {
    let text = refusal("/tracking_to_eye_transform/1/distortion/coeffs", json!([]));
    assert!(text.contains("tracking_to_eye_transform[1].distortion.coeffs"), "{text}");
    assert!(text.contains("found a list of 0"), "{text}");
    for (pointer, value, named) in [
        ("/device/eye_target_width_in_pixels", json!(0), "device.eye_target_width_in_pixels"),
        ("/device/eye_target_height_in_pixels", json!(16385), "found 16385"),
        ("/device/eye_target_height_in_pixels", json!(1.5), "found 1.5"),
        ("/device/physical_aspect_x_over_y", json!(-0.9), "device.physical_aspect_x_over_y"),
        ("/display_gc/black_clamp", json!(3), "display_gc.black_clamp"),
        ("/display_mc/scale", json!("much"), "found \"much\""),
        ("/display_mc/left", json!("../l.mc"), "display_mc.left"),
        ("/display_mc/right", json!("maps/r.mc"), "display_mc.right"),
        ("/tracking_to_eye_transform", json!([]), "tracking_to_eye_transform should be a list of two eyes"),
        ("/tracking_to_eye_transform/0/grow_for_undistort", json!(-1), "[0].grow_for_undistort"),
        ("/tracking_to_eye_transform/0/intrinsics/0/0", json!(0), "[0].intrinsics[0][0]"),
        ("/tracking_to_eye_transform/0/intrinsics/1/1", json!(1e-309), "[0].intrinsics[1][1]"),
        ("/tracking_to_eye_transform/0/extrinsics/1/1", json!(-1), "[0].extrinsics"),
        ("/tracking_to_eye_transform/0/distortion_red/type", json!("DISTORT_POLY3"), "distortion_red.type"),
        ("/tracking_to_eye_transform/0/distortion/type", json!("DISTORT_FTHETA"), "DISTORT_FTHETA"),
    ] {
        let text = refusal(pointer, value);
        assert!(text.contains(named), "{text}");
    }
    assert!(matches!(Config::parse(b"{"), Err(HeadsetError::Json(_))));
}

#[test]
fn what_is_missing_is_named_or_made_up_for_aloud() {
    let text = without("/tracking_to_eye_transform/1", "intrinsics").expect_err("needed").to_string();
    assert!(text.contains("tracking_to_eye_transform[1].intrinsics[0][0]"), "{text}");
    assert!(text.contains("found nothing"), "{text}");
    let config = without("/tracking_to_eye_transform/1", "distortion_red").expect("green stands in");
    assert_eq!(config.eyes[1].lens.channels[0], config.eyes[1].lens.channels[1]);
    assert!(config.notes[0].contains("tracking_to_eye_transform[1].distortion_red"), "{:?}", config.notes);
    let config = without("", "display_mc").expect("no OLED panel");
    assert_eq!((config.maps, config.panel.illumination), (None, Illumination::Global));
    assert_eq!(
        without("/tracking_to_eye_transform/0", "undistort_r2_cutoff").expect("valid").eyes[0].lens.cutoff_r2,
        None
    );
}

#[test]
fn only_a_panel_that_is_known_to_roll_rolls() {
    let illumination = |vendor: Value, product: Value| {
        let mut json = made_up();
        (json["direct_mode_edid_vid"], json["direct_mode_edid_pid"]) = (vendor, product);
        Config::parse(json.to_string().as_bytes()).expect("valid").panel.illumination
    };
    // HVR is 22 d2 in an EDID.
    assert_eq!(illumination(json!(0xd222), json!(0xaa02)), Illumination::Rolling, "a Vive Pro");
    assert_eq!(illumination(json!(0xd222), json!(0xaa01)), Illumination::Global, "a Vive");
    assert_eq!(illumination(json!(0xd222), json!(0x1234)), Illumination::Global, "who knows");
    assert_eq!(illumination(json!("HVR"), json!(-1)), Illumination::Global, "no numbers at all");
}

#[test]
fn the_panel_that_is_plugged_in_knows_best_when_it_lights_up() {
    let mut headset = Headset::generic(8, 9);
    let edid = |product: u16| {
        let mut edid = vec![0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x22, 0xd2];
        edid.extend(product.to_le_bytes());
        edid
    };
    for (product, expected) in
        [(0xaa01, Illumination::Global), (0x1234, Illumination::Global), (0xaa02, Illumination::Rolling)]
    {
        headset.is_on(&edid(product));
        assert_eq!(headset.panel.illumination, expected, "{product:#x}");
    }
}

#[test]
fn maps_that_are_absent_turn_mura_off_and_others_are_refused() {
    let json = made_up().to_string();
    let headset = |kind: std::io::ErrorKind| Headset::from_config(json.as_bytes(), |_| Err(kind.into()));
    let absent = headset(std::io::ErrorKind::NotFound).expect("the lens is there");
    assert_eq!(absent.mura, None);
    assert!(absent.notes[0].contains("l.mc"), "{:?}", absent.notes);
    let text = headset(std::io::ErrorKind::PermissionDenied).expect_err("unreadable").to_string();
    assert!(text.contains("l.mc"), "{text}");
    let text = Headset::from_config(json.as_bytes(), |_| Ok(vec![0; 9])).expect_err("no PNG").to_string();
    assert!(text.contains("l.mc"), "{text}");
}

proptest! {
    /// Any value replaced by any other is read or refused, and what is read is finite.
    #[test]
    fn survives_any_value_anywhere(
        pointer in prop::sample::select(vec![
            "/device", "/device/eye_target_width_in_pixels", "/device/physical_aspect_x_over_y", "/display_gc",
            "/display_mc", "/display_mc/left", "/display_mc/type", "/lens_separation", "/tracking_to_eye_transform",
            "/tracking_to_eye_transform/0", "/tracking_to_eye_transform/0/distortion/coeffs",
            "/tracking_to_eye_transform/0/distortion/coeffs/0", "/tracking_to_eye_transform/0/distortion/center_x",
            "/tracking_to_eye_transform/0/extrinsics", "/tracking_to_eye_transform/0/extrinsics/0",
            "/tracking_to_eye_transform/0/grow_for_undistort", "/tracking_to_eye_transform/0/intrinsics/1/1",
        ]),
        value in prop_oneof![
            any::<f64>().prop_map(|number| json!(number)), any::<i64>().prop_map(|number| json!(number)),
            ".{0,20}".prop_map(|text| json!(text)), Just(json!(null)), Just(json!([1, 2, 3])), Just(json!({})),
        ],
    ) {
        let mut json = made_up();
        *json.pointer_mut(pointer).expect("the place exists") = value;
        if let Ok(config) = parse(&json) {
            for eye in config.eyes {
                let numbers = [eye.tangents.left, eye.tangents.right, eye.tangents.up, eye.tangents.down];
                prop_assert!(numbers.iter().all(|number| number.is_finite()));
                if let Some(uv) = eye.lens.eye_uv(Channel::Blue, [0.4, 0.6]) {
                    prop_assert!(uv.iter().all(|part| (0.0..=1.0).contains(part)));
                }
            }
        }
    }

    #[test]
    fn survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Config::parse(&bytes);
    }
}
