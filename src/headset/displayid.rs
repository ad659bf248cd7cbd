//! DisplayID sections inside an EDID: the only place where newer headsets keep their modes.
//!
//! Layouts are VESA DisplayID 1.3 and 2.0, read as the kernel's `drm_displayid.c` and `drm_edid.c` do.

use super::edid::{EdidMode, Extent, TimingSource, bad_checksum};

const STRUCTURE_2_0: u8 = 0x20;
const TYPE_1_TIMINGS: u8 = 0x03;
const TYPE_7_TIMINGS: u8 = 0x22;
const CTA_BLOCKS: u8 = 0x81;

/// What one section says.
pub(super) struct Section<'a> {
    /// Its primary use is a VR or AR headset.
    pub headset: bool,
    /// Its type I and type VII timings.
    pub modes: Vec<EdidMode>,
    /// CTA-861 data blocks it carries.
    pub cta: Vec<&'a [u8]>,
}

/// Reads the section that starts `bytes`. A section longer than `bytes` counts as empty: nothing in it is sure.
///
/// # Errors
/// The checksum expected and the one found.
pub(super) fn read(bytes: &[u8]) -> Result<Section<'_>, (u8, u8)> {
    let mut section = Section { headset: false, modes: Vec::new(), cta: Vec::new() };
    let [version, length, primary_use, _extensions, rest @ ..] = bytes else { return Ok(section) };
    let Some(whole) = bytes.get(..4 + usize::from(*length) + 1) else { return Ok(section) };
    if let Some(bad) = bad_checksum(whole) {
        return Err(bad);
    }
    // In 1.x the same byte is a product type, which knows no headsets.
    section.headset = *version == STRUCTURE_2_0 && matches!(primary_use, 7 | 8);
    let mut blocks = &rest[..usize::from(*length)];
    while let [tag, revision, length, rest @ ..] = blocks {
        let Some((payload, rest)) = rest.split_at_checked(usize::from(*length)) else { break };
        match *tag {
            0 if *revision == 0 && *length == 0 => break, // only padding follows
            TYPE_1_TIMINGS => section.modes.extend(timings(payload, 10)),
            TYPE_7_TIMINGS => section.modes.extend(timings(payload, 1)),
            CTA_BLOCKS => section.cta.push(payload),
            _ => {}
        }
        blocks = rest;
    }
    Ok(section)
}

/// Type I and type VII timings differ only in the clock's unit, here in kHz. Every number is stored less one.
fn timings(payload: &[u8], clock_unit_khz: u32) -> impl Iterator<Item = EdidMode> {
    let (descriptors, _) = payload.as_chunks::<20>();
    descriptors.iter().filter_map(move |bytes| {
        let number = |at: usize| u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]])) + 1;
        // The top bit of a front porch is the sync's polarity.
        let porch = |at: usize| u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1] & 0x7f])) + 1;
        let extent = |at| Extent {
            active: number(at),
            blank: number(at + 2),
            front: porch(at + 4),
            sync: number(at + 6),
        };
        let clock = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) + 1;
        let interlaced = bytes[3] & 0x10 != 0;
        EdidMode::new(clock * clock_unit_khz, &extent(4), &extent(12), interlaced, TimingSource::DisplayId)
    })
}
