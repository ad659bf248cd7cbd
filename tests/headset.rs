//! Headset data as it comes from real headsets, and made-up twins of it.
//!
//! Real data is not part of the project. `LEASEHOLD_HEADSETS` names the directory that has it; tests say so when it
//! is absent.

#![allow(clippy::disallowed_macros)] // a test that does not run says so where a person sees it

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use leasehold::headset::edid::{Edid, EdidError, NonDesktopBy, TimingSource};
use leasehold::headset::{Channel, Headset, HeadsetError, HeadsetSource, Illumination, LensKind, flash};

/// A directory of real headset data, or None after saying that the test is skipped.
fn real(directory: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/headsets");
    let root = std::env::var_os("LEASEHOLD_HEADSETS").unwrap_or_else(|| beside.into());
    let path = Path::new(&root).join(directory);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no headset data in {} (set LEASEHOLD_HEADSETS)", path.display());
    None
}

fn vive() -> Option<PathBuf> {
    real("vive-LHR-C5C0BC88")
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
}

fn load(directory: &Path) -> Result<Headset, HeadsetError> {
    Headset::from_config(&read(&directory.join("config.json")), |name| fs::read(directory.join(name)))
}

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "found {found}, expected {expected}");
}

/// Width, height and millihertz, as a set: what two readers of an EDID have to agree on.
type Modes = BTreeSet<(u32, u32, u64)>;

fn our_modes(edid: &Edid) -> Modes {
    edid.modes.iter().map(|mode| (mode.width, mode.height, (mode.hz() * 1000.0).round() as u64)).collect()
}

/// The detailed modes that `edid-decode` reads in a file; None when it is not installed.
fn decoded_modes(path: &Path) -> Option<Modes> {
    let output = Command::new("edid-decode").arg(path).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mode = |line: &str| {
        let (_, timing) = line.trim().strip_prefix("DTD")?.split_once(':')?;
        let mut words = timing.split_whitespace();
        let (width, height) = words.next()?.split_once('x')?;
        let hz: f64 = words.next()?.parse().ok()?;
        let height = height.trim_end_matches('i').parse().ok()?;
        Some((width.parse().ok()?, height, (hz * 1000.0).round() as u64))
    };
    Some(text.lines().filter_map(mode).collect())
}

#[test]
fn edids_agree_with_edid_decode() {
    for directory in ["edid", "tiny"] {
        let Some(directory) = real(directory) else { continue };
        for file in fs::read_dir(directory).expect("the directory can be listed") {
            let path = file.expect("the directory can be listed").path();
            let edid =
                Edid::parse(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let Some(decoded) = decoded_modes(&path) else {
                eprintln!("SKIPPED: comparing {} (install edid-decode)", path.display());
                continue;
            };
            assert!(!decoded.is_empty(), "{}", path.display());
            assert_eq!(our_modes(&edid), decoded, "{}", path.display());
        }
    }
}

/// A made-up EDID, 1920x1080i in the base block and a type VII timing: read alike by `edid-decode`.
#[test]
fn a_made_up_edid_agrees_with_edid_decode() {
    let mut base = vec![0u8; 128];
    base[1..7].fill(0xff);
    base[8..12].copy_from_slice(&[0x04, 0x43, 0x34, 0x12]);
    base[18..20].copy_from_slice(&[1, 4]);
    base[54..72].copy_from_slice(&[
        0x01, 0x1d, 0x80, 0x18, 0x71, 0x1c, 0x16, 0x20, 0x58, 0x2c, 0x25, 0, 0, 0, 0, 0, 0, 0x9e,
    ]);
    for dummy in [72, 90, 108] {
        base[dummy + 3] = 0x10;
    }
    base[126] = 1;
    let mut extension = vec![0x70, 0x20, 23, 7, 0, 0x22, 0, 20, 0x67, 0x18, 0x07, 0x88];
    for number in [2879u16, 79, 7, 31, 1599, 23, 9, 1] {
        extension.extend(number.to_le_bytes());
    }
    let add_checksum = |bytes: &mut Vec<u8>| {
        let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        bytes.push(sum.wrapping_neg());
    };
    let mut section = extension.split_off(1);
    add_checksum(&mut section);
    extension.extend(section);
    extension.resize(127, 0);
    add_checksum(&mut extension);
    base.truncate(127);
    add_checksum(&mut base);
    let bytes = [base, extension].concat();

    let edid = Edid::parse(&bytes).expect("the made-up EDID is valid");
    assert_eq!(edid.non_desktop_by, NonDesktopBy::DisplayId);
    assert_eq!(our_modes(&edid), Modes::from([(1920, 1080, 60_000), (2880, 1600, 96_733)]));
    let file = tempfile::NamedTempFile::new().expect("there is room for a file");
    fs::write(file.path(), &bytes).expect("there is room for a file");
    match decoded_modes(file.path()) {
        Some(decoded) => assert_eq!(our_modes(&edid), decoded),
        None => eprintln!("SKIPPED: comparing a made-up EDID (install edid-decode)"),
    }
}

#[test]
fn a_vive_says_what_it_is() {
    let Some(vive) = vive() else { return };
    let mut bytes = read(&vive.join("edid.bin"));
    let edid = Edid::parse(&bytes).expect("undamaged");
    assert_eq!((edid.vendor.as_str(), edid.product), ("HVR", 0xaa01));
    assert_eq!(edid.name.as_deref(), Some("HTC-VIVE"));
    assert_eq!(edid.headset().map(|known| known.name), Some("HTC Vive"));
    assert_eq!((edid.non_desktop, edid.non_desktop_by), (true, NonDesktopBy::Quirk));
    let [mode] = edid.modes[..] else { panic!("one mode, listed once: {:?}", edid.modes) };
    assert_eq!((mode.width, mode.height, mode.clock_khz), (2160, 1200, 297_000));
    assert_eq!((mode.vtotal, mode.from), (1464, TimingSource::Dtd));
    near(mode.hz(), 89.527296, 1e-6);

    bytes[130] ^= 0x10;
    assert!(matches!(Edid::parse(&bytes), Err(EdidError::Checksum { block: 1, .. })));
}

#[test]
fn each_kind_of_headset_is_told_from_a_monitor() {
    let Some(directory) = real("edid") else { return };
    let by = |file: &str| {
        Edid::parse(&read(&directory.join(file)))
            .unwrap_or_else(|error| panic!("{file}: {error}"))
            .non_desktop_by
    };
    assert_eq!(by("VLV91A8_0B4B0AEB0F0A.bin"), NonDesktopBy::Quirk);
    assert_eq!(by("ACR7FCE_56204CC7D509.bin"), NonDesktopBy::Quirk);
    assert_eq!(by("HPN3515_2C2A2792DCCB.bin"), NonDesktopBy::MsVsdb);
    assert_eq!(by("LENB800_0A45A7091DF3.bin"), NonDesktopBy::MsVsdb);
    assert_eq!(by("HVRAA04_313A46DDCF23.bin"), NonDesktopBy::DisplayId);
    assert_eq!(by("HVRAA03_EB681E7683EC.bin"), NonDesktopBy::None);
    assert_eq!(by("SNYB403_5CDA30B2DC92.bin"), NonDesktopBy::None);
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
