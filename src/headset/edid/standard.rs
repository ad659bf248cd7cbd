//! Modes that an EDID names by number; their timings stand in tables of VESA and CTA.

mod dmt;
mod vic;

use super::mode::refresh_hz;
use dmt::{DMT, dmt};

/// What a mode is called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StandardName {
    /// VESA's Display Monitor Timings.
    Dmt(u8),
    /// CTA-861.
    Vic(u8),
    /// HDMI 1.4.
    HdmiVic(u8),
    /// From before there were numbers: IBM's and Apple's, by the bit that stands for them.
    Established(u8),
}

impl std::fmt::Display for StandardName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dmt(number) => write!(formatter, "DMT {number:#04x}"),
            Self::Vic(number) => write!(formatter, "VIC {number}"),
            Self::HdmiVic(number) => write!(formatter, "HDMI VIC {number}"),
            Self::Established(bit) => write!(formatter, "established timing {bit}"),
        }
    }
}

/// A mode out of a table. No headset has its panel's own mode only here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StandardMode {
    /// What the EDID calls it.
    pub name: StandardName,
    /// Its timing.
    pub timing: StandardTiming,
}

/// What is needed of a timing in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StandardTiming {
    /// Visible pixels in a line.
    pub width: u32,
    /// Visible lines of a frame.
    pub height: u32,
    /// Pixel clock in kHz.
    pub clock_khz: u32,
    /// Pixels in a line, blank ones included.
    pub htotal: u32,
    /// Lines of a frame, blank ones included.
    pub vtotal: u32,
    /// Whether a frame comes as two fields.
    pub interlaced: bool,
}

impl StandardTiming {
    /// Refreshes a second: fields when interlaced, frames when not.
    pub fn hz(&self) -> f64 {
        refresh_hz(self.clock_khz, self.htotal, self.vtotal, self.interlaced)
    }
}

const fn progressive(width: u32, height: u32, clock_khz: u32, htotal: u32, vtotal: u32) -> StandardTiming {
    StandardTiming { width, height, clock_khz, htotal, vtotal, interlaced: false }
}

const fn interlaced(width: u32, height: u32, clock_khz: u32, htotal: u32, vtotal: u32) -> StandardTiming {
    StandardTiming { width, height, clock_khz, htotal, vtotal, interlaced: true }
}

/// A bit of the established timings (E-EDID 1.4 §3.8).
enum Established {
    Dmt(u8),
    Own(StandardTiming),
}

/// From the highest bit of the first byte on.
const ESTABLISHED: [Established; 17] = {
    use Established::{Dmt, Own};
    [
        Own(progressive(720, 400, 28_320, 900, 449)),
        Own(progressive(720, 400, 35_500, 900, 449)),
        Dmt(0x04),
        Own(progressive(640, 480, 30_240, 864, 525)),
        Dmt(0x05),
        Dmt(0x06),
        Dmt(0x08),
        Dmt(0x09),
        Dmt(0x0a),
        Dmt(0x0b),
        Own(progressive(832, 624, 57_284, 1152, 667)),
        Dmt(0x0f),
        Dmt(0x10),
        Dmt(0x11),
        Dmt(0x12),
        Dmt(0x24),
        Own(progressive(1152, 870, 100_000, 1456, 915)),
    ]
};

const HDMI_VICS: [StandardTiming; 4] = [
    progressive(3840, 2160, 297_000, 4400, 2250),
    progressive(3840, 2160, 297_000, 5280, 2250),
    progressive(3840, 2160, 297_000, 5500, 2250),
    progressive(4096, 2160, 297_000, 5500, 2250),
];

/// The modes whose bits are set in the three bytes of established timings.
pub(super) fn established(bytes: [u8; 3]) -> Vec<StandardMode> {
    let bits = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], 0]);
    let set = (0u8..).zip(&ESTABLISHED).filter(|(bit, _)| bits << bit >> 31 == 1);
    set.filter_map(|(bit, mode)| match mode {
        Established::Dmt(number) => dmt(*number),
        Established::Own(timing) => {
            Some(StandardMode { name: StandardName::Established(bit), timing: *timing })
        }
    })
    .collect()
}

/// The modes of two-byte standard timings (§3.9). Those that no table has are left out: their timings are worked out by
/// formula, differently by each reader.
pub(super) fn by_codes(codes: &[u8]) -> impl Iterator<Item = StandardMode> {
    let (codes, _) = codes.as_chunks::<2>();
    codes.iter().filter_map(|code| {
        let (number, timing, _) = DMT.iter().find(|(_, _, known)| known.as_ref() == Some(code))?;
        Some(StandardMode { name: StandardName::Dmt(*number), timing: *timing })
    })
}

/// The modes of short video descriptors (CTA-861-H §7.5.1). The top bit calls one of the first 64 native.
pub(super) fn by_vics(codes: &[u8]) -> impl Iterator<Item = StandardMode> {
    codes.iter().filter_map(|&code| {
        let number = if matches!(code, 129..=192) { code & 0x7f } else { code };
        let (_, timing) = vic::VIC.iter().find(|(known, _)| *known == number)?;
        Some(StandardMode { name: StandardName::Vic(number), timing: *timing })
    })
}

/// The modes of HDMI 1.4's own numbers.
pub(super) fn by_hdmi_vics(numbers: &[u8]) -> impl Iterator<Item = StandardMode> {
    numbers.iter().filter_map(|&number| {
        let timing = HDMI_VICS.get(usize::from(number).checked_sub(1)?)?;
        Some(StandardMode { name: StandardName::HdmiVic(number), timing: *timing })
    })
}
