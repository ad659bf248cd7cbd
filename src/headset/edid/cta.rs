//! CTA-861 extension blocks: more modes, and what makers add of their own.

use super::BLOCK;
use super::mode::{EdidMode, TimingSource, detailed_timings};
use super::purpose::PrimaryUse;
use super::standard::{self, StandardMode};

const VIDEO: u8 = 2;
const VENDOR_SPECIFIC: u8 = 3;
const EXTENDED: u8 = 7;
/// Extended tag of the modes that come in YCbCr 4:2:0 alone.
const VIDEO_420: u8 = 0x0e;

/// The makers' numbers, low byte first as they stand in a block.
const HDMI: [u8; 3] = [0x03, 0x0c, 0x00];
const MICROSOFT: [u8; 3] = [0x5c, 0x12, 0xca];

/// What a block, or data blocks inside a DisplayID section, say.
#[derive(Default)]
pub(in crate::headset) struct Cta {
    pub modes: Vec<EdidMode>,
    pub standard_modes: Vec<StandardMode>,
    pub microsoft: Option<Microsoft>,
}

/// Microsoft's block about displays that are no desktop monitors.
#[derive(Clone, Copy)]
pub(in crate::headset) struct Microsoft {
    pub primary_use: PrimaryUse,
    /// Whether it takes the display off the desktop.
    pub non_desktop: bool,
}

impl Cta {
    /// Reads an extension block (CTA-861-H §7.5).
    pub fn read(block: &[u8; BLOCK]) -> Self {
        let timings = usize::from(block[2]);
        // Below 4 the offset says that there are neither data blocks nor timings.
        if !(4..BLOCK).contains(&timings) {
            return Self::default();
        }
        let mut cta = Self::read_data_blocks(&block[4..timings]);
        cta.modes = detailed_timings(&block[timings..BLOCK - 1], TimingSource::Cta).collect();
        cta
    }

    /// Reads data blocks as far as they are whole: nothing behind one that is too long is sure.
    pub fn read_data_blocks(mut data_blocks: &[u8]) -> Self {
        let mut cta = Self::default();
        while let [head, rest @ ..] = data_blocks {
            let Some((payload, rest)) = rest.split_at_checked(usize::from(head & 0x1f)) else { break };
            match (head >> 5, payload) {
                (VIDEO, codes) => cta.standard_modes.extend(standard::by_vics(codes)),
                (EXTENDED, [VIDEO_420, codes @ ..]) => cta.standard_modes.extend(standard::by_vics(codes)),
                (VENDOR_SPECIFIC, [a, b, c, rest @ ..]) => match [*a, *b, *c] {
                    HDMI => cta.standard_modes.extend(standard::by_hdmi_vics(hdmi_vics(rest))),
                    MICROSOFT => cta.microsoft = cta.microsoft.or(Microsoft::read(rest)),
                    _ => {}
                },
                _ => {}
            }
            data_blocks = rest;
        }
        cta
    }
}

impl Microsoft {
    /// Reads what follows the maker's number: 18 bytes. Versions 1 and 2 take the display off the desktop, version 3
    /// unless it has the desktop bit (`drm_edid.c`, `cea_db_is_microsoft_vsdb` and `drm_parse_microsoft_vsdb`).
    fn read(bytes: &[u8]) -> Option<Self> {
        let [version, flags, ..] = *bytes else { return None };
        let non_desktop = matches!(version, 1 | 2) || (version == 3 && flags & 0x40 == 0);
        (bytes.len() == 18).then_some(Self { primary_use: PrimaryUse::new(flags & 0x1f), non_desktop })
    }
}

/// The mode numbers in HDMI's block, after the maker's number (HDMI 1.4b §8.3.2): an address, flags, the fastest clock,
/// what latencies are told, those, what is told of 3D, and how many numbers there are.
fn hdmi_vics(bytes: &[u8]) -> &[u8] {
    const LATENCY: u8 = 0x80;
    const INTERLACED_LATENCY: u8 = 0x40;
    const VIDEO: u8 = 0x20;
    let Some(&told) = bytes.get(4) else { return &[] };
    if told & VIDEO == 0 {
        return &[];
    }
    let latencies = usize::from(told & LATENCY != 0) + usize::from(told & INTERLACED_LATENCY != 0);
    let lengths = 5 + 2 * latencies + 1;
    let Some(&length) = bytes.get(lengths) else { return &[] };
    bytes.get(lengths + 1..lengths + 1 + usize::from(length >> 5)).unwrap_or_default()
}
