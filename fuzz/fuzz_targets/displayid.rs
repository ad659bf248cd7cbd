#![no_main]
//! DisplayID sections, one a block, behind a base block that is in order; every checksum fits.

#[path = "../../tests/edid/checksum.rs"]
mod checksum;

use leasehold::headset::edid::Edid;

/// A section without its checksum: a block less its tag and that.
const LONGEST_SECTION: usize = 125;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let sections: Vec<&[u8]> = bytes.chunks(LONGEST_SECTION).take(4).collect();
    let mut base = vec![0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x60, 0x23, 0x03, 0x10];
    base.resize(126, 0);
    base.push(sections.len() as u8);
    let mut edid = checksum::close(base);
    for section in sections {
        edid.extend(checksum::close([&[0x70], section].concat()));
    }
    checksum::repair(&mut edid);
    let edid = Edid::parse(&edid).expect("the base block is in order");
    assert!(edid.notes.is_empty(), "{:?}", edid.notes);
    for mode in &edid.modes {
        assert!(mode.hz().is_finite() && mode.hz() > 0.0, "{mode:?}");
        assert!(mode.width <= mode.htotal && mode.height <= mode.vtotal, "{mode:?}");
    }
    let printable = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    assert!([&edid.name, &edid.serial].into_iter().flatten().all(|text| printable(text)));
});
