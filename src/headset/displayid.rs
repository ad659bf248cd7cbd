//! DisplayID sections inside an EDID: the only place where newer headsets keep their modes.
//!
//! Layouts are VESA DisplayID 1.3 and 2.x, read as the kernel's `drm_displayid.c` and `drm_edid.c` do.

use super::edid::base::printable;
use super::edid::cta::Cta;
use super::edid::mode::Extent;
use super::edid::{EdidMode, PrimaryUse, TimingSource, bad_checksum};

const STRUCTURE_2_0: u8 = 0x20;
const PRODUCT_1: u8 = 0x00;
const PRODUCT_2: u8 = 0x20;
const TYPE_1_TIMINGS: u8 = 0x03;
const TYPE_7_TIMINGS: u8 = 0x22;
const CTA_BLOCKS: u8 = 0x81;

/// What one section says.
#[derive(Default)]
pub(super) struct Section {
    /// What the display is used for, from 2.0 on.
    pub primary_use: Option<PrimaryUse>,
    /// Whether the kernel takes it off the desktop for that.
    pub non_desktop: bool,
    /// The product's name, where given.
    pub name: Option<String>,
    /// Its serial number, unless that is zero.
    pub serial: Option<String>,
    /// Its type I and type VII timings.
    pub modes: Vec<EdidMode>,
    /// CTA-861 data blocks it carries.
    pub cta: Vec<Cta>,
}

impl Section {
    /// Reads the section that starts `bytes`. A section longer than `bytes` counts as empty: nothing in it is sure.
    ///
    /// # Errors
    /// The checksum expected and the one found.
    pub fn read(bytes: &[u8]) -> Result<Self, (u8, u8)> {
        let mut section = Self::default();
        let [version, length, primary_use, _extensions, rest @ ..] = bytes else { return Ok(section) };
        let Some(whole) = bytes.get(..4 + usize::from(*length) + 1) else { return Ok(section) };
        if let Some(bad) = bad_checksum(whole) {
            return Err(bad);
        }
        // In 1.x the same byte is a product type, which knows no headsets.
        if *version >= STRUCTURE_2_0 {
            let primary_use = PrimaryUse::new(*primary_use);
            section.primary_use = Some(primary_use);
            // The kernel compares the version for equality (`update_displayid_info`).
            section.non_desktop = *version == STRUCTURE_2_0 && primary_use.is_head_mounted();
        }
        section.read_blocks(&rest[..usize::from(*length)]);
        Ok(section)
    }

    fn read_blocks(&mut self, mut blocks: &[u8]) {
        while let [tag, revision, length, rest @ ..] = blocks {
            let Some((payload, rest)) = rest.split_at_checked(usize::from(*length)) else { break };
            match *tag {
                PRODUCT_1 if *revision == 0 && *length == 0 => break, // only padding follows
                PRODUCT_1 | PRODUCT_2 => self.read_product(payload),
                TYPE_1_TIMINGS => self.modes.extend(timings(payload, 10)),
                TYPE_7_TIMINGS => self.modes.extend(timings(payload, 1)),
                CTA_BLOCKS => self.cta.push(Cta::read_data_blocks(payload)),
                _ => {}
            }
            blocks = rest;
        }
    }

    /// Three bytes of maker, two of product, four of serial number, two of date, then the name and its length.
    fn read_product(&mut self, payload: &[u8]) {
        let Some((numbers, name)) = payload.split_first_chunk::<12>() else { return };
        let serial = u32::from_le_bytes([numbers[5], numbers[6], numbers[7], numbers[8]]);
        self.serial = (serial != 0).then(|| serial.to_string());
        self.name = name.get(..usize::from(numbers[11])).and_then(printable);
    }
}

/// Type I and type VII timings differ only in the clock's unit, here in kHz. Every number is stored less one, and those of
/// an interlaced mode count the lines of a whole frame (so `drm_mode_displayid_detailed` and `edid-decode` read them).
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
