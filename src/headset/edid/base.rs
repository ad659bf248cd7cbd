//! The base block: who made the display, and its first modes.

use super::BLOCK;
use super::mode::{EdidMode, TimingSource, detailed_timings};
use super::standard::{self, StandardMode};

const NAME: u8 = 0xfc;
const SERIAL: u8 = 0xff;
const MORE_STANDARD_TIMINGS: u8 = 0xfa;

/// What the base block says (E-EDID 1.4 §3).
pub(super) struct BaseBlock {
    pub vendor: String,
    pub product: u16,
    pub serial_number: u32,
    pub serial_text: Option<String>,
    pub name: Option<String>,
    pub bits_a_color: Option<u32>,
    pub modes: Vec<EdidMode>,
    pub standard_modes: Vec<StandardMode>,
    /// How many blocks are to follow.
    pub extensions: usize,
}

impl BaseBlock {
    /// Reads a block whose header and checksum are right.
    pub fn read(block: &[u8; BLOCK]) -> Self {
        let letters = u16::from_be_bytes([block[8], block[9]]);
        let letter = |shift: u16| char::from(b'@' + (letters >> shift & 0x1f) as u8);
        let vendor = [letter(10), letter(5), letter(0)];
        let descriptors = &block[54..126];
        let text = |tag| {
            let found = others(descriptors).find(|bytes| bytes[3] == tag)?;
            printable(found[5..].split(|byte| *byte == b'\n').next().unwrap_or_default())
        };
        let mut standard_modes = standard::established([block[35], block[36], block[37]]);
        standard_modes.extend(standard::by_codes(&block[38..54]));
        for more in others(descriptors).filter(|bytes| bytes[3] == MORE_STANDARD_TIMINGS) {
            standard_modes.extend(standard::by_codes(&more[5..17]));
        }
        Self {
            vendor: vendor.iter().collect(),
            product: u16::from_le_bytes([block[10], block[11]]),
            serial_number: u32::from_le_bytes([block[12], block[13], block[14], block[15]]),
            serial_text: text(SERIAL),
            name: text(NAME),
            bits_a_color: bits_a_color(block),
            modes: detailed_timings(descriptors, TimingSource::Dtd).collect(),
            standard_modes,
            extensions: usize::from(block[126]),
        }
    }
}

/// What a digital display says of its colours, since EDID 1.4 (§3.6.1).
fn bits_a_color(block: &[u8; BLOCK]) -> Option<u32> {
    let (version, input) = ([block[18], block[19]], block[20]);
    let code = u32::from(input >> 4 & 7);
    (version >= [1, 4] && input & 0x80 != 0 && (1..=6).contains(&code)).then_some(4 + 2 * code)
}

/// The descriptors that are no timings (§3.10.3).
fn others(descriptors: &[u8]) -> impl Iterator<Item = &[u8; 18]> {
    let (descriptors, _) = descriptors.as_chunks::<18>();
    descriptors.iter().filter(|bytes| bytes[..3] == [0, 0, 0])
}

/// Text of a display without the blanks around it; none where nothing is left. What is no printable ASCII becomes `?`:
/// the text goes to terminals.
pub(in crate::headset) fn printable(bytes: &[u8]) -> Option<String> {
    let text: String =
        bytes.iter().map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' }).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
