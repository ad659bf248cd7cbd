use proptest::prelude::*;

use super::*;

/// A base block of a made-up maker `ABC`, product 0x1234, serial 77, with four descriptors.
pub(in crate::headset) fn base_block(descriptors: [[u8; 18]; 4], extensions: u8) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..8].copy_from_slice(&HEADER);
    block[8..16].copy_from_slice(&[0x04, 0x43, 0x34, 0x12, 77, 0, 0, 0]);
    block[54..126].copy_from_slice(descriptors.as_flattened());
    block[126] = extensions;
    close(block)
}

fn close(mut block: Vec<u8>) -> Vec<u8> {
    block.resize(BLOCK, 0);
    block[BLOCK - 1] = 0;
    block[BLOCK - 1] = bad_checksum(&block).map_or(0, |(expected, _)| expected);
    block
}

fn text(tag: u8, text: &[u8]) -> [u8; 18] {
    let mut bytes = [b' '; 18];
    bytes[..5].copy_from_slice(&[0, 0, 0, tag, 0]);
    bytes[5..5 + text.len()].copy_from_slice(text);
    bytes
}

/// 800x600, 1000x625 in all, at 56.25 MHz: 90 Hz.
const TIMING: [u8; 18] =
    [0xf9, 0x15, 0x20, 0xc8, 0x30, 0x58, 0x19, 0x20, 40, 80, 0x34, 0, 0, 0, 0, 0, 0, 0x18];

const NOTHING: [u8; 18] = [0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn cta_block(data: &[u8], timings: &[[u8; 18]]) -> Vec<u8> {
    let mut block = vec![CTA_EXTENSION, 3, 4 + data.len() as u8, 0];
    block.extend(data);
    block.extend(timings.as_flattened());
    close(block)
}

fn displayid_block(version: u8, primary_use: u8, data: &[u8]) -> Vec<u8> {
    let mut section = vec![version, data.len() as u8, primary_use, 0];
    section.extend(data);
    section.push(0);
    let checksum = bad_checksum(&section).map_or(0, |(expected, _)| expected);
    *section.last_mut().expect("a section is never empty") = checksum;
    section.insert(0, DISPLAYID_EXTENSION);
    close(section)
}

fn microsoft(version: u8, desktop: u8) -> Vec<u8> {
    let mut data = vec![0x60 | 21, 0x5c, 0x12, 0xca, version, desktop];
    data.resize(22, 0);
    data
}

fn with(extension: Vec<u8>) -> Edid {
    let mut bytes = base_block([TIMING, NOTHING, NOTHING, NOTHING], 1);
    bytes.extend(extension);
    Edid::parse(&bytes).expect("the made-up EDID is valid")
}

#[test]
fn reads_identity_and_the_base_blocks_mode() {
    let block = base_block([TIMING, TIMING, text(0xfc, b"Made Up\n"), text(0xff, b"X1 \x1b\n")], 0);
    let edid = Edid::parse(&block).expect("valid");
    assert_eq!((edid.vendor.as_str(), edid.product), ("ABC", 0x1234));
    assert_eq!(edid.name.as_deref(), Some("Made Up"));
    assert_eq!(edid.serial.as_deref(), Some("X1 ?"));
    assert_eq!(edid.non_desktop_by, NonDesktopBy::None);
    let mode = EdidMode {
        width: 800,
        height: 600,
        clock_khz: 56_250,
        htotal: 1000,
        vtotal: 625,
        hsync_start: 840,
        hsync_end: 920,
        vsync_start: 603,
        vsync_end: 607,
        interlaced: false,
        from: TimingSource::Dtd,
    };
    assert_eq!(edid.modes, [mode]);
    assert_eq!(mode.hz(), 90.0);
}

#[test]
fn the_serial_number_stands_in_for_its_text() {
    let edid = Edid::parse(&base_block([NOTHING; 4], 0)).expect("valid");
    assert_eq!(edid.serial.as_deref(), Some("77"));
    assert_eq!(edid.name, None);
}

#[test]
fn an_interlaced_mode_counts_frames_in_lines_and_fields_in_hertz() {
    // 1920x1080i at 60 Hz, as every television has it: 540 lines a field, 562.5 in all.
    let timing = [0x01, 0x1d, 0x80, 0x18, 0x71, 0x1c, 0x16, 0x20, 0x58, 0x2c, 0x25, 0, 0, 0, 0, 0, 0, 0x9e];
    let edid = Edid::parse(&base_block([timing, NOTHING, NOTHING, NOTHING], 0)).expect("valid");
    assert_eq!((edid.modes[0].height, edid.modes[0].vtotal), (1080, 1125));
    assert_eq!(edid.modes[0].hz(), 60.0);
}

#[test]
fn each_mode_is_listed_once_with_its_first_source() {
    let other = { [&[0xea, 0x0e][..], &TIMING[2..]].concat() };
    let edid = with(cta_block(&[], &[TIMING, other.try_into().expect("18 bytes")]));
    let listed: Vec<_> = edid.modes.iter().map(|mode| (mode.clock_khz, mode.from)).collect();
    assert_eq!(listed, [(56_250, TimingSource::Dtd), (38_180, TimingSource::Cta)]);
}

#[test]
fn displayid_timings_have_every_number_less_one() {
    let timing = |clock: [u8; 3]| -> Vec<u8> {
        let numbers: [u16; 8] = [2879, 79, 0x8000 | 7, 31, 1599, 23, 9, 1];
        [&clock[..], &[0x88], &numbers.map(u16::to_le_bytes).concat()].concat()
    };
    let type_1 = [&[TYPE_1, 0, 20][..], &timing([0xa3, 0xb5, 0])].concat();
    let type_7 = [&[TYPE_7, 0, 20][..], &timing([0x67, 0x18, 0x07])].concat();
    const TYPE_1: u8 = 0x03;
    const TYPE_7: u8 = 0x22;
    let edid = with(displayid_block(0x12, 0, &type_1));
    let mode = edid.modes[1];
    assert_eq!((mode.width, mode.height, mode.clock_khz), (2880, 1600, 465_000));
    assert_eq!((mode.htotal, mode.hsync_start, mode.hsync_end), (2960, 2888, 2920));
    assert_eq!((mode.vtotal, mode.vsync_start, mode.vsync_end), (1624, 1610, 1612));
    assert_eq!(mode.from, TimingSource::DisplayId);
    assert_eq!(with(displayid_block(0x20, 0, &type_7)).modes[1].clock_khz, 465_000);
}

#[test]
fn microsofts_block_makes_a_headset() {
    let by = |version, desktop| with(cta_block(&microsoft(version, desktop), &[])).non_desktop_by;
    assert_eq!(by(1, 0), NonDesktopBy::MsVsdb);
    assert_eq!(by(2, 0x40), NonDesktopBy::MsVsdb);
    assert_eq!(by(3, 0), NonDesktopBy::MsVsdb);
    assert_eq!(by(3, 0x40), NonDesktopBy::None);
    assert_eq!(by(4, 0), NonDesktopBy::None);
    let inside = [&[0x81, 0, 22][..], &microsoft(1, 0)].concat();
    assert_eq!(with(displayid_block(0x12, 0, &inside)).non_desktop_by, NonDesktopBy::MsVsdb);
}

#[test]
fn the_primary_use_counts_from_displayid_2_on() {
    let by = |version, primary_use| with(displayid_block(version, primary_use, &[])).non_desktop_by;
    assert_eq!(by(0x20, 7), NonDesktopBy::DisplayId);
    assert_eq!(by(0x20, 8), NonDesktopBy::DisplayId);
    assert_eq!(by(0x20, 4), NonDesktopBy::None);
    assert_eq!(by(0x12, 7), NonDesktopBy::None);
}

#[test]
fn the_kernels_table_is_named_first() {
    let mut block = base_block([TIMING, NOTHING, NOTHING, NOTHING], 1);
    block[8..12].copy_from_slice(&[0x22, 0xd2, 0x01, 0xaa]); // HVR, 0xaa01
    let bytes = [close(block), cta_block(&microsoft(1, 0), &[])].concat();
    let edid = Edid::parse(&bytes).expect("valid");
    assert_eq!((edid.non_desktop, edid.non_desktop_by), (true, NonDesktopBy::Quirk));
    assert_eq!(edid.headset().map(|known| known.name), Some("HTC Vive"));
}

#[test]
fn damage_is_named() {
    let block = base_block([TIMING, NOTHING, NOTHING, NOTHING], 1);
    assert_eq!(Edid::parse(&[]), Err(EdidError::Length { found: 0 }));
    assert_eq!(Edid::parse(&block[..127]), Err(EdidError::Length { found: 127 }));
    assert_eq!(Edid::parse(&block), Err(EdidError::Truncated { expected: 2, found: 1 }));
    let mut cut = block.clone();
    cut.extend(&block[..100]);
    assert_eq!(Edid::parse(&cut), Err(EdidError::Length { found: 228 }));
    let header = Edid::parse(&[0; 128]);
    assert_eq!(header, Err(EdidError::Header { found: [0; 8] }));

    let mut damaged = [block, cta_block(&[], &[TIMING])].concat();
    damaged[200] ^= 1;
    damaged[20] ^= 1;
    let error = Edid::parse(&damaged).expect_err("the base block is damaged");
    assert!(matches!(error, EdidError::Checksum { .. }), "{error}");
}

#[test]
fn a_damaged_extension_is_left_out_and_noted() {
    let other: [u8; 18] = [&[0xea, 0x0e][..], &TIMING[2..]].concat().try_into().expect("18 bytes");
    let mut bytes = [base_block([TIMING, NOTHING, NOTHING, NOTHING], 1), cta_block(&[], &[other])].concat();
    assert_eq!(Edid::parse(&bytes).expect("whole").modes.len(), 2);
    bytes[200] ^= 1;
    let edid = Edid::parse(&bytes).expect("the base block is whole");
    assert_eq!(edid.modes.len(), 1);
    assert!(edid.notes[0].starts_with("Block 1 is left out"), "{:?}", edid.notes);

    let mut section = displayid_block(0x20, 7, &[]);
    section[3] = 8;
    let edid = with(close(section));
    assert_eq!((edid.primary_use, edid.non_desktop), (None, false));
    assert!(edid.notes[0].starts_with("The DisplayID section in block 1 is left out"), "{:?}", edid.notes);
}

#[test]
fn a_displayid_product_is_named_where_the_base_block_is_silent() {
    let product = |tag| [&[tag, 0, 19, b'A', b'B', b'C', 1, 0, 9, 0, 0, 0, 0, 0, 7][..], b"Made Up"].concat();
    for (version, tag) in [(0x12, 0), (0x20, 0x20)] {
        let edid = with(displayid_block(version, 0, &product(tag)));
        assert_eq!(edid.name.as_deref(), Some("Made Up"));
        assert_eq!(edid.serial.as_deref(), Some("77"), "the base block has one");
    }
    let mut cut = product(0x20);
    cut[14] = 8; // a name longer than the block
    assert_eq!(with(displayid_block(0x20, 0, &cut)).name, None);
}

#[test]
fn modes_named_by_number_are_looked_up() {
    let mut base = base_block([TIMING, NOTHING, NOTHING, NOTHING], 1);
    base[35..38].copy_from_slice(&[0x20, 0x10, 0x80]);
    base[38..54].fill(1);
    base[38..40].copy_from_slice(&[0xd1, 0xc0]);
    // Native VIC 16, VIC 198, HDMI VIC 1 behind one latency, and VIC 97 in 4:2:0.
    let data = [0x42, 0x90, 0xc6, 0x6d, 3, 12, 0, 0x10, 0, 0, 60, 0xa0, 0, 0, 0, 0x20, 1, 0xe2, 0x0e, 97];
    let edid = Edid::parse(&[close(base), cta_block(&data, &[])].concat()).expect("valid");
    let found: Vec<_> = edid
        .standard_modes
        .iter()
        .map(|mode| format!("{} {}x{}", mode.name, mode.timing.width, mode.timing.height))
        .collect();
    let expected = [
        "DMT 0x04 640x480",
        "DMT 0x0f 1024x768",
        "established timing 16 1152x870",
        "DMT 0x52 1920x1080",
        "VIC 16 1920x1080",
        "VIC 198 7680x4320",
        "HDMI VIC 1 3840x2160",
        "VIC 97 3840x2160",
    ];
    assert_eq!(found, expected);
}

#[test]
fn headsets_are_told_from_other_displays_off_the_desktop() {
    let worn = |version, desktop| with(cta_block(&microsoft(version, desktop), &[]));
    assert!(worn(1, 7).is_headset() && worn(1, 7).non_desktop);
    assert_eq!(worn(1, 7).primary_use, Some(PrimaryUse::VirtualReality));
    assert!(worn(1, 0).is_headset(), "nothing said, off the desktop");
    assert!(!worn(1, 0x10).is_headset() && worn(1, 0x10).non_desktop, "a video wall");
    assert!(worn(3, 0x48).is_headset() && !worn(3, 0x48).non_desktop, "worn, and yet a desktop");
    assert!(!with(cta_block(&[], &[])).is_headset());
    assert!(with(displayid_block(0x21, 8, &[])).is_headset());
}

proptest! {
    #[test]
    fn survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Edid::parse(&bytes);
    }

    /// Damaged contents under checksums that fit, so that the parsers behind them are reached.
    #[test]
    fn survives_any_damage_under_good_checksums(
        damage in prop::collection::vec((8usize..384, any::<u8>()), 0..40)
    ) {
        let mut bytes = base_block([TIMING, TIMING, text(0xfc, b"M\n"), NOTHING], 2);
        bytes.extend(cta_block(&microsoft(1, 0), &[TIMING]));
        bytes.extend(displayid_block(0x20, 7, &[&[0x22, 0, 20][..], &[7; 20]].concat()));
        for (at, value) in damage {
            bytes[at] = value;
        }
        (bytes[126], bytes[128]) = (2, CTA_EXTENSION);
        let section_end = (257 + 4 + usize::from(bytes[258])).min(382);
        bytes[section_end] = 0;
        bytes[section_end] = bad_checksum(&bytes[257..=section_end]).map_or(0, |(expected, _)| expected);
        let bytes: Vec<u8> = bytes.chunks(BLOCK).flat_map(|block| close(block.to_vec())).collect();
        let edid = Edid::parse(&bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        for mode in edid.modes {
            prop_assert!(mode.hz().is_finite());
        }
    }
}
