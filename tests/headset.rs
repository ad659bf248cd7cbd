//! Headset data as it comes from real headsets, and made-up twins of it.
//!
//! Real data is not part of the project. `LEASEHOLD_HEADSETS` names the directory that has it; tests say so when it
//! is absent.

mod data;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use data::{read, real};
use leasehold::headset::hid::{MAINBOARDS, TRACKING_BOARDS, UsbId};
use leasehold::headset::{Channel, Headset, HeadsetError, HeadsetSource, Illumination, LensKind, flash};

/// Prints a line past the test harness's capture, so that skips are seen.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn vive() -> Option<PathBuf> {
    real("vive-LHR-C5C0BC88")
}

fn load(directory: &Path) -> Result<Headset, HeadsetError> {
    Headset::from_config(&read(&directory.join("config.json")), |name| fs::read(directory.join(name)))
}

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "found {found}, expected {expected}");
}

#[test]
fn a_vives_own_files() {
    let Some(vive) = vive() else { return };
    let headset = load(&vive).expect("the files are whole");
    assert_eq!((headset.serial.as_str(), headset.model.as_str()), ("LHR-C5C0BC88", "Vive MV"));
    assert_eq!((headset.source, headset.notes.len()), (HeadsetSource::Files, 0));
    assert_eq!((headset.panel.eye_width, headset.panel.eye_height), (1080, 1200));
    assert_eq!(headset.panel.illumination, Illumination::Global);
    near(headset.panel.black_clamp, 3.0 / 255.0, 1e-6);

    let [left, right] = headset.eyes;
    assert_eq!(left.lens.kind, LensKind::Dpoly3);
    near(left.lens.cutoff_r2.expect("it has one"), 1.132368, 1e-6);
    for (angle, expected) in left.tangents.degrees().into_iter().zip([-54.5, 51.3, 55.7, -55.8]) {
        near(angle, expected, 0.05);
    }
    near(left.eye_to_head[0][3], -0.031097, 1e-6);
    near(right.eye_to_head[0][3], 0.031097, 1e-6);

    // Worked out by a separate program from the same numbers.
    for (eye, channel, panel_uv, expected) in [
        (left, Channel::Red, [0.25, 0.75], [0.3079652165204, 0.6866976336800]),
        (left, Channel::Green, [0.25, 0.75], [0.3058641749456, 0.6884853137697]),
        (left, Channel::Blue, [0.25, 0.75], [0.3033553173445, 0.6906199858464]),
        (right, Channel::Blue, [0.7, 0.2], [0.6595491846290, 0.2708554501150]),
    ] {
        let uv = eye.lens.eye_uv(channel, panel_uv).expect("the lens shows it");
        near(uv[0], expected[0], 1e-12);
        near(uv[1], expected[1], 1e-12);
    }
    assert_eq!(left.lens.eye_uv(Channel::Green, [0.02, 0.02]), None);

    let mura = headset.mura.expect("both maps are there");
    assert_eq!((mura.left.crc32, mura.right.crc32), (0x62ae36c6, 0x13e0e0bd));
    near(mura.left.sigma_codes(mura.scale), 1.568, 0.0005);
    near(mura.right.sigma_codes(mura.scale), 2.147, 0.0005);
    near(mura.correct(128.0, 127, Channel::Green), 128.0, 1e-5);
}

#[test]
fn a_vives_lens_is_worth_having_without_its_maps() {
    let Some(vive) = vive() else { return };
    let absent = |_: &str| Err(io::ErrorKind::NotFound.into());
    let headset =
        Headset::from_config(&read(&vive.join("config.json")), absent).expect("the config is whole");
    assert_eq!(headset.mura, None);
    assert!(headset.notes[0].contains("Green_46GA1637000440_mura_analyzes.mc"), "{:?}", headset.notes);
}

#[test]
fn a_vives_flash_unpacks_to_its_own_maps() {
    let Some(vive) = vive() else { return };
    let files = flash::parse(&read(&vive.join("userdata.bin"))).expect("every checksum fits");
    let names: Vec<_> = files.iter().map(|file| (file.name.as_str(), file.crc32)).collect();
    let expected = [
        ("Green_46GA1637000440_mura_analyzes.mc", 0x62ae36c6),
        ("Green_46HA1639002552_mura_analyzes.mc", 0x13e0e0bd),
    ];
    assert_eq!(names, expected);
    for file in &files {
        assert!(file.bytes == read(&vive.join(&file.name)), "{} differs", file.name);
    }
    let entries = flash::directory(&read(&vive.join("userdata-head.bin"))).expect("189 bytes are enough");
    assert_eq!((entries[0].crc32, entries[1].crc32), (0x62ae36c6, 0x13e0e0bd));
}

#[test]
fn a_config_with_parts_missing_is_refused_by_place() {
    let Some(partial) = real("partial") else { return };
    let json = read(&partial.join("index-left-eye.json"));
    let error = Headset::from_config(&json, |_| Ok(Vec::new())).expect_err("it has no panel size");
    assert!(error.to_string().contains("device.eye_target_width_in_pixels"), "{error}");
}

#[test]
fn a_headset_without_data_is_plain_and_says_so() {
    let headset = Headset::generic(1440, 1600);
    assert_eq!((headset.source, headset.mura), (HeadsetSource::Generic, None));
    assert_eq!(headset.notes.len(), 1);
    let [left, right] = headset.eyes;
    assert_eq!(left.lens.eye_uv(Channel::Red, [0.25, 0.75]), Some([0.25, 0.75]));
    assert_eq!(left.lens.kind_name(), "none");
    assert!(left.eye_to_head[0][3] < 0.0 && right.eye_to_head[0][3] > 0.0);
    near(left.tangents.degrees()[1], 45.0, 1e-12);
    // A pixel is as high as it is wide.
    near(
        (left.tangents.up - left.tangents.down) / 1600.0,
        (left.tangents.right - left.tangents.left) / 1440.0,
        1e-12,
    );
}

/// systemd hands out what is tagged in 73-seat-late.rules, so the tag has to be there before.
#[test]
fn every_board_may_be_opened_by_the_user_at_the_seat() {
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib");
    let files = fs::read_dir(contrib).expect("it is there").map(|entry| entry.expect("it is there").path());
    let rules: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "rules")).collect();
    let [path] = &rules[..] else { panic!("one file of rules: {rules:?}") };
    let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
    let number: u32 = name.split('-').next().and_then(|number| number.parse().ok()).expect("NN-name.rules");
    assert!(number < 73, "{name}");

    let text = String::from_utf8(read(path)).expect("text");
    let rules: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    for UsbId { vendor, product } in TRACKING_BOARDS.into_iter().chain(MAINBOARDS) {
        let rule = format!(
            "SUBSYSTEM==\"hidraw\", ATTRS{{idVendor}}==\"{vendor:04x}\", ATTRS{{idProduct}}==\"{product:04x}\", \
             TAG+=\"uaccess\""
        );
        assert!(rules.contains(&rule.as_str()), "no rule for {vendor:04x}:{product:04x}");
    }
    // No rule opens more than a headset's board.
    for rule in rules {
        for key in ["SUBSYSTEM==", "ATTRS{idVendor}==", "ATTRS{idProduct}==", "TAG+="] {
            assert_eq!(rule.matches(key).count(), 1, "{rule}");
        }
    }
}
