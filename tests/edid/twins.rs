//! EDIDs made up here, laid out as real headsets' are: what is tested with those is tested without them too.

use super::checksum::close;
use super::layout::{HDMI, NOTHING, base, cta, detailed, displayid, displayid_timing, text};

/// A twin's name and bytes.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a Vive's: modes in both blocks", vive()),
        ("a Mixed Reality headset's: Microsoft's block", mixed_reality()),
        ("an Index's: modes in DisplayID 1.2 alone", index()),
        ("a Vive Pro 2's: DisplayID 2.0, which tells its use", vive_pro_2()),
        ("a PlayStation VR's: modes by number", playstation_vr()),
        ("a Rift's: one block more than it announces", rift()),
        ("a made-up television's: every number that CTA gave a mode", television()),
    ]
}

fn vive() -> Vec<u8> {
    let panel = detailed(297_000, [2160, 40, 20, 46], [1200, 20, 2, 242], false);
    let base = base(*b"XAA", 0x1001, 0, [panel, text(0xfc, "TWIN-VIVE"), NOTHING, NOTHING], 1);
    [base, cta(&[&[0x42, 0x01, 0x02], &HDMI], &[panel, panel])].concat()
}

fn mixed_reality() -> Vec<u8> {
    let fast = detailed(400_400, [2880, 8, 32, 40], [1440, 49, 8, 6], false);
    let slow = detailed(270_200, [2880, 8, 32, 40], [1440, 49, 8, 6], false);
    let base = base(*b"XAB", 0x1002, 4_000_000_001, [fast, slow, text(0xfc, "MR"), NOTHING], 1);
    let mut microsoft = vec![0x60 | 21, 0x5c, 0x12, 0xca, 1, 7];
    microsoft.resize(22, 0x55);
    [base, cta(&[&HDMI, &microsoft], &[fast, slow])].concat()
}

fn index() -> Vec<u8> {
    let base = base(*b"XAC", 0x1003, 7, [text(0xfc, "Twin HMD"), NOTHING, NOTHING, NOTHING], 1);
    let timing = |clock_10_khz: u32, vfront: u16| {
        displayid_timing(clock_10_khz, [2880, 80, 8, 32], [1600, vfront + 18, vfront, 4], false)
    };
    let timings = [timing(68_600, 956), timing(68_600, 1277), timing(68_600, 313)].concat();
    let cta = [0x83, 0x01, 0, 0, 0x41, 0x10];
    [base, displayid(0x12, 0, &[(0x03, &timings), (0x81, &cta)])].concat()
}

fn vive_pro_2() -> Vec<u8> {
    let base = base(*b"XAD", 0x1004, 0, [text(0xfc, "TWIN Pro 2"), NOTHING, NOTHING, NOTHING], 1);
    let timings = [
        displayid_timing(432_201, [2448, 100, 50, 4], [1224, 660, 640, 2], false),
        displayid_timing(517_143, [3264, 120, 50, 4], [1632, 66, 46, 2], false),
        displayid_timing(74_250, [1920, 280, 88, 44], [1080, 45, 4, 10], true),
    ]
    .concat();
    [base, displayid(0x20, 7, &[(0x22, &timings)])].concat()
}

fn playstation_vr() -> Vec<u8> {
    let panel = detailed(148_500, [1920, 88, 44, 148], [1080, 4, 5, 36], false);
    let half = detailed(74_250, [1920, 88, 44, 148], [540, 2, 5, 15], true);
    let mut base = base(*b"XAE", 0x1005, 16_843_009, [panel, half, text(0xfc, "Twin *08"), NOTHING], 1);
    base[35..38].copy_from_slice(&[0xff, 0xff, 0x80]);
    base[38..42].copy_from_slice(&[0xd1, 0xc0, 0xa9, 0x4f]);
    let video = [0x48, 0x90, 31, 5, 20, 32, 0x84, 198, 126];
    let hdmi = [0x60 | 15, 0x03, 0x0c, 0x00, 0x10, 0, 0x80, 30, 0xe0, 1, 1, 1, 1, 0, 0x20, 4];
    let video_420 = [0xe3, 0x0e, 96, 97];
    [close(base), cta(&[&video, &hdmi, &video_420], &[])].concat()
}

fn rift() -> Vec<u8> {
    let panel = detailed(164_980, [1080, 33, 10, 15], [1920, 7, 2, 4], false);
    let descriptors = [panel, text(0xfc, "Twin DK2"), text(0xff, "H1DEM0000"), NOTHING];
    let slower = detailed(131_980, [1080, 33, 10, 15], [1920, 7, 2, 4], false);
    [base(*b"XAF", 0x1006, 0, descriptors, 0), cta(&[], &[slower])].concat()
}

fn television() -> Vec<u8> {
    let panel = detailed(148_500, [1920, 88, 44, 148], [1080, 4, 5, 36], false);
    let base = base(*b"XAG", 0x1007, 0, [panel, text(0xfc, "TWIN-TV"), NOTHING, NOTHING], 2);
    let block = |numbers: &[u8]| {
        let video = |numbers: &[u8]| [&[0x40 | numbers.len() as u8], numbers].concat();
        let data: Vec<Vec<u8>> = numbers.chunks(31).map(video).collect();
        cta(&data.iter().map(Vec::as_slice).collect::<Vec<_>>(), &[])
    };
    let numbers: Vec<u8> = (1..=127).chain(193..=219).collect();
    let (few, many) = numbers.split_at(80);
    [base, block(few), block(many)].concat()
}
