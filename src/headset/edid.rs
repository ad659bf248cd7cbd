//! What a display says about itself: identity, modes, and whether it is a headset.
//!
//! Layouts are VESA E-EDID 1.4 (base block and detailed timings) and CTA-861 (extension blocks). DisplayID has a
//! file of its own beside this one.

mod id;

pub use id::EdidId;

use super::displayid;
use super::quirks::{self, KnownHeadset};
use crate::error::{Class, Classified};

const BLOCK: usize = 128;
const HEADER: [u8; 8] = [0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
const CTA_EXTENSION: u8 = 0x02;
const DISPLAYID_EXTENSION: u8 = 0x70;

/// Why bytes are not an EDID that can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EdidError {
    /// There is no whole number of blocks. Connectors whose EDID could not be read have an empty one.
    #[error(
        "reading an EDID: {found} bytes are not one or more whole blocks of 128 bytes; \
         power-cycle the headset or read the EDID again"
    )]
    Length {
        /// How many bytes there were.
        found: usize,
    },
    /// The base block announces more extension blocks than there are.
    #[error(
        "reading an EDID: {found} of the {expected} blocks it announces are there; \
         read the EDID again, in full"
    )]
    Truncated {
        /// Blocks announced, the base block included.
        expected: usize,
        /// Blocks there are.
        found: usize,
    },
    /// The first eight bytes are not an EDID's.
    #[error("reading an EDID: it starts with {found:02x?}, not with an EDID's fixed header; check the file")]
    Header {
        /// The first eight bytes.
        found: [u8; 8],
    },
    /// A block's bytes do not add up to zero.
    #[error(
        "reading an EDID: block {block} should end in checksum {expected:#04x}, found {found:#04x}; \
         the bytes are damaged, read the EDID again"
    )]
    Checksum {
        /// Which block, from 0 for the base block.
        block: usize,
        /// The checksum that would fit the bytes before it.
        expected: u8,
        /// The checksum that is there.
        found: u8,
    },
    /// The bytes of the DisplayID section inside a block do not add up to zero.
    #[error(
        "reading an EDID: the DisplayID section in block {block} should end in checksum {expected:#04x}, \
         found {found:#04x}; the bytes are damaged, read the EDID again"
    )]
    DisplayIdChecksum {
        /// Which block, from 0 for the base block.
        block: usize,
        /// The checksum that would fit the bytes before it.
        expected: u8,
        /// The checksum that is there.
        found: u8,
    },
}

impl Classified for EdidError {
    fn class(&self) -> Class {
        Class::Config
    }
}

/// Which part of the EDID a mode was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimingSource {
    /// A detailed timing descriptor of the base block.
    Dtd,
    /// A type I or type VII timing of a DisplayID section.
    DisplayId,
    /// A detailed timing descriptor of a CTA-861 block.
    Cta,
}

impl TimingSource {
    /// The source as JSON names it: `dtd`, `displayid` or `cta`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dtd => "dtd",
            Self::DisplayId => "displayid",
            Self::Cta => "cta",
        }
    }
}

/// What makes a display non-desktop. Where several do, the kernel's table is named first, then Microsoft's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NonDesktopBy {
    /// The kernel's table of headsets ([`quirks::KNOWN_HEADSETS`]).
    Quirk,
    /// Microsoft's vendor-specific block.
    MsVsdb,
    /// The primary use of a DisplayID 2.0 section.
    DisplayId,
    /// Nothing: it passes for a desktop monitor.
    None,
}

impl NonDesktopBy {
    /// The reason as JSON names it: `quirk`, `ms_vsdb`, `displayid` or `none`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quirk => "quirk",
            Self::MsVsdb => "ms_vsdb",
            Self::DisplayId => "displayid",
            Self::None => "none",
        }
    }
}

/// A mode the display offers. Horizontal numbers are pixels, vertical ones lines of the whole frame, and both count
/// from the first visible one. As in the EDID, nothing ensures that sync ends before the total does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EdidMode {
    /// Visible pixels in a line, at least 1.
    pub width: u32,
    /// Visible lines, at least 1.
    pub height: u32,
    /// Pixel clock in kHz, at least 1.
    pub clock_khz: u32,
    /// Pixels in a line, blank ones included.
    pub htotal: u32,
    /// Lines, blank ones included. Odd when interlaced, as each field then has half a line.
    pub vtotal: u32,
    /// Pixel at which horizontal sync starts.
    pub hsync_start: u32,
    /// Pixel at which horizontal sync has ended.
    pub hsync_end: u32,
    /// Line at which vertical sync starts.
    pub vsync_start: u32,
    /// Line at which vertical sync has ended.
    pub vsync_end: u32,
    /// Whether a frame comes as two fields.
    pub interlaced: bool,
    /// Where it stood first.
    pub from: TimingSource,
}

/// One direction of a timing: visible, front porch, sync, and all that is not visible.
pub(super) struct Extent {
    pub active: u32,
    pub front: u32,
    pub sync: u32,
    pub blank: u32,
}

impl EdidMode {
    /// Refreshes a second: fields when interlaced, frames when not.
    pub fn hz(&self) -> f64 {
        let frames = f64::from(self.clock_khz) * 1000.0 / (f64::from(self.htotal) * f64::from(self.vtotal));
        if self.interlaced { 2.0 * frames } else { frames }
    }

    /// A mode from a descriptor's numbers; those of an interlaced one count the lines of a single field.
    /// None when it has no pixels or no clock.
    pub(super) fn new(
        clock_khz: u32,
        across: &Extent,
        down: &Extent,
        interlaced: bool,
        from: TimingSource,
    ) -> Option<Self> {
        let fields = if interlaced { 2 } else { 1 };
        (clock_khz > 0 && across.active > 0 && down.active > 0).then(|| Self {
            width: across.active,
            height: down.active * fields,
            clock_khz,
            htotal: across.active + across.blank,
            vtotal: (down.active + down.blank) * fields + u32::from(interlaced),
            hsync_start: across.active + across.front,
            hsync_end: across.active + across.front + across.sync,
            vsync_start: (down.active + down.front) * fields,
            vsync_end: (down.active + down.front + down.sync) * fields,
            interlaced,
            from,
        })
    }

    fn same_timing(&self, other: &Self) -> bool {
        Self { from: other.from, ..*self } == *other
    }
}

/// A display's identity and modes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edid {
    /// The maker's three letters, e.g. `HVR`.
    pub vendor: String,
    /// The maker's number for the product.
    pub product: u16,
    /// The product's name, where given.
    pub name: Option<String>,
    /// The serial text, else the serial number unless that is zero.
    pub serial: Option<String>,
    /// Every detailed mode once, in the order of the blocks.
    pub modes: Vec<EdidMode>,
    /// Whether the kernel keeps it from being used as a desktop monitor.
    pub non_desktop: bool,
    /// What says so.
    pub non_desktop_by: NonDesktopBy,
}

impl Edid {
    /// Reads an EDID of one or more blocks. Blocks after the announced ones have to be whole and undamaged too, and
    /// are read: some headsets announce too few.
    ///
    /// # Errors
    /// When the length, the header or any checksum is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, EdidError> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let Some((base, extensions)) = blocks.split_first() else {
            return Err(EdidError::Length { found: bytes.len() });
        };
        if !rest.is_empty() {
            return Err(EdidError::Length { found: bytes.len() });
        }
        if !base.starts_with(&HEADER) {
            let mut found = [0; 8];
            found.copy_from_slice(&base[..8]);
            return Err(EdidError::Header { found });
        }
        for (block, bytes) in blocks.iter().enumerate() {
            if let Some((expected, found)) = bad_checksum(bytes) {
                return Err(EdidError::Checksum { block, expected, found });
            }
        }
        let announced = usize::from(base[126]) + 1;
        if blocks.len() < announced {
            return Err(EdidError::Truncated { expected: announced, found: blocks.len() });
        }

        let mut edid = Self::from_base_block(base);
        let mut microsoft = false;
        let mut displayid_headset = false;
        for (index, block) in extensions.iter().enumerate() {
            match block[0] {
                CTA_EXTENSION => {
                    let timings = usize::from(block[2]);
                    // Below 4 the offset says that there are neither data blocks nor timings.
                    if (4..BLOCK).contains(&timings) {
                        microsoft |= microsoft_headset(&block[4..timings]);
                        edid.add_detailed_timings(&block[timings..BLOCK - 1], TimingSource::Cta);
                    }
                }
                DISPLAYID_EXTENSION => {
                    let section = displayid::read(&block[1..BLOCK - 1]).map_err(|(expected, found)| {
                        EdidError::DisplayIdChecksum { block: index + 1, expected, found }
                    })?;
                    displayid_headset |= section.headset;
                    microsoft |= section.cta.iter().any(|data_blocks| microsoft_headset(data_blocks));
                    section.modes.into_iter().for_each(|mode| edid.add(mode));
                }
                _ => {}
            }
        }
        edid.non_desktop_by = match edid.headset() {
            Some(KnownHeadset { kernel_quirk: true, .. }) => NonDesktopBy::Quirk,
            _ if microsoft => NonDesktopBy::MsVsdb,
            _ if displayid_headset => NonDesktopBy::DisplayId,
            _ => NonDesktopBy::None,
        };
        edid.non_desktop = edid.non_desktop_by != NonDesktopBy::None;
        Ok(edid)
    }

    /// The headset this is, when its numbers are known.
    pub fn headset(&self) -> Option<&'static KnownHeadset> {
        quirks::find(&self.vendor, self.product)
    }

    fn from_base_block(base: &[u8; BLOCK]) -> Self {
        let letters = u16::from_be_bytes([base[8], base[9]]);
        let letter = |shift: u16| char::from(b'@' + (letters >> shift & 0x1f) as u8);
        let number = u32::from_le_bytes([base[12], base[13], base[14], base[15]]);
        let descriptors = &base[54..126];
        let mut edid = Self {
            vendor: [letter(10), letter(5), letter(0)].iter().collect(),
            product: u16::from_le_bytes([base[10], base[11]]),
            name: text_descriptor(descriptors, 0xfc),
            serial: text_descriptor(descriptors, 0xff).or((number != 0).then(|| number.to_string())),
            modes: Vec::new(),
            non_desktop: false,
            non_desktop_by: NonDesktopBy::None,
        };
        edid.add_detailed_timings(descriptors, TimingSource::Dtd);
        edid
    }

    fn add_detailed_timings(&mut self, descriptors: &[u8], from: TimingSource) {
        let (descriptors, _) = descriptors.as_chunks::<18>();
        descriptors.iter().filter_map(|bytes| detailed_timing(bytes, from)).for_each(|mode| self.add(mode));
    }

    fn add(&mut self, mode: EdidMode) {
        if !self.modes.iter().any(|known| known.same_timing(&mode)) {
            self.modes.push(mode);
        }
    }
}

/// The last byte that would make the sum zero, and the one that is there, when they differ.
pub(super) fn bad_checksum(bytes: &[u8]) -> Option<(u8, u8)> {
    let (&found, rest) = bytes.split_last()?;
    let expected = rest.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
    (expected != found).then_some((expected, found))
}

/// E-EDID 1.4 §3.10.3: text ends at a line feed and is padded with spaces. What is no printable ASCII becomes `?`:
/// the text goes to terminals.
fn text_descriptor(descriptors: &[u8], tag: u8) -> Option<String> {
    let (descriptors, _) = descriptors.as_chunks::<18>();
    let found = descriptors.iter().find(|bytes| bytes[..3] == [0, 0, 0] && bytes[3] == tag)?;
    let text: String = found[5..]
        .iter()
        .take_while(|byte| **byte != b'\n')
        .map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' })
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// E-EDID 1.4 §3.10.2. Descriptors with a clock of zero are text or ranges.
fn detailed_timing(bytes: &[u8; 18], from: TimingSource) -> Option<EdidMode> {
    let wide = |low: u8, high: u8| u32::from(high) << 8 | u32::from(low);
    let across = Extent {
        active: wide(bytes[2], bytes[4] >> 4),
        front: wide(bytes[8], bytes[11] >> 6),
        sync: wide(bytes[9], bytes[11] >> 4 & 3),
        blank: wide(bytes[3], bytes[4] & 15),
    };
    let down = Extent {
        active: wide(bytes[5], bytes[7] >> 4),
        front: u32::from((bytes[11] >> 2 & 3) << 4 | bytes[10] >> 4),
        sync: u32::from((bytes[11] & 3) << 4 | bytes[10] & 15),
        blank: wide(bytes[6], bytes[7] & 15),
    };
    let clock_khz = wide(bytes[0], bytes[1]) * 10;
    EdidMode::new(clock_khz, &across, &down, bytes[17] & 0x80 != 0, from)
}

/// Whether CTA data blocks hold Microsoft's, and it describes a headset: payload of 21 bytes, version 1 or 2, or
/// version 3 without the desktop bit (`drm_edid.c`, `cea_db_is_microsoft_vsdb` and `drm_parse_microsoft_vsdb`).
fn microsoft_headset(mut data_blocks: &[u8]) -> bool {
    const VENDOR_SPECIFIC: u8 = 3;
    const MICROSOFT: [u8; 3] = [0x5c, 0x12, 0xca];
    while let [head, rest @ ..] = data_blocks {
        let Some((payload, rest)) = rest.split_at_checked(usize::from(head & 0x1f)) else { return false };
        if head >> 5 == VENDOR_SPECIFIC && payload.len() == 21 && payload.starts_with(&MICROSOFT) {
            let (version, desktop) = (payload[3], payload[4] & 0x40 != 0);
            if matches!(version, 1 | 2) || (version == 3 && !desktop) {
                return true;
            }
        }
        data_blocks = rest;
    }
    false
}

#[cfg(test)]
mod tests;
