//! What a display says about itself: identity, modes, and whether it is a headset.
//!
//! Layouts are VESA E-EDID 1.4 (base block and detailed timings) and CTA-861 (extension blocks). DisplayID has a
//! file of its own beside this one.

pub(super) mod base;
pub(super) mod cta;
mod error;
mod id;
pub(super) mod mode;
mod purpose;
pub mod standard;

pub use id::EdidId;

use super::displayid;
use super::quirks::{self, KnownHeadset};
use base::BaseBlock;
use cta::Cta;
pub use error::EdidError;
pub use mode::{EdidMode, TimingSource};
pub use purpose::{NonDesktopBy, PrimaryUse};
use standard::StandardMode;

const BLOCK: usize = 128;
const HEADER: [u8; 8] = [0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
const CTA_EXTENSION: u8 = 0x02;
const DISPLAYID_EXTENSION: u8 = 0x70;

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
    /// Bits of one colour that it shows, where it says.
    pub bits_a_color: Option<u32>,
    /// Every detailed mode once, in the order of the blocks.
    pub modes: Vec<EdidMode>,
    /// Every mode once that is named by number and stands in a table.
    pub standard_modes: Vec<StandardMode>,
    /// What it says that it is used for, where it does.
    pub primary_use: Option<PrimaryUse>,
    /// Whether the kernel keeps it from being used as a desktop monitor.
    pub non_desktop: bool,
    /// What says so.
    pub non_desktop_by: NonDesktopBy,
    /// What is damaged and therefore left out, a sentence each.
    pub notes: Vec<String>,
}

impl Edid {
    /// Reads an EDID of one or more blocks. An extension whose checksum is wrong is left out and noted, as the kernel
    /// leaves it out. Blocks after the announced ones have to be whole too, and are read: some headsets announce too few.
    ///
    /// # Errors
    /// When the length, the header or the base block's checksum is wrong, or announced blocks are missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, EdidError> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let (Some((base, extensions)), []) = (blocks.split_first(), rest) else {
            return Err(EdidError::Length { found: bytes.len() });
        };
        if !base.starts_with(&HEADER) {
            let mut found = [0; 8];
            found.copy_from_slice(&base[..8]);
            return Err(EdidError::Header { found });
        }
        if let Some((expected, found)) = bad_checksum(base) {
            return Err(EdidError::Checksum { expected, found });
        }
        let base = BaseBlock::read(base);
        if extensions.len() < base.extensions {
            return Err(EdidError::Truncated { expected: base.extensions + 1, found: blocks.len() });
        }
        let mut reader = Reader::new(base);
        for (index, block) in extensions.iter().enumerate() {
            reader.read_extension(index + 1, block);
        }
        Ok(reader.finish())
    }

    /// The headset this is, when its numbers are known.
    pub fn headset(&self) -> Option<&'static KnownHeadset> {
        quirks::find(&self.vendor, self.product)
    }

    /// Whether it is a headset: by its numbers, else by its own word, else because the kernel keeps it off the desktop.
    pub fn is_headset(&self) -> bool {
        let by_itself = match self.primary_use {
            None | Some(PrimaryUse::Other(0)) => self.non_desktop,
            Some(primary_use) => primary_use.is_head_mounted(),
        };
        self.headset().is_some() || by_itself
    }

    /// What to call it: the known headset's name, else its own, else its numbers, `HVRaa01` say.
    pub fn title(&self) -> String {
        let known = self.headset().map(|known| known.name.to_owned());
        known.or_else(|| self.name.clone()).unwrap_or_else(|| format!("{}{:04x}", self.vendor, self.product))
    }
}

/// An EDID half read, and who calls it a headset so far.
struct Reader {
    edid: Edid,
    microsoft: bool,
    displayid: bool,
}

impl Reader {
    fn new(base: BaseBlock) -> Self {
        let number = (base.serial_number != 0).then(|| base.serial_number.to_string());
        let edid = Edid {
            vendor: base.vendor,
            product: base.product,
            name: base.name,
            serial: base.serial_text.or(number),
            bits_a_color: base.bits_a_color,
            modes: Vec::new(),
            standard_modes: Vec::new(),
            primary_use: None,
            non_desktop: false,
            non_desktop_by: NonDesktopBy::None,
            notes: Vec::new(),
        };
        let mut reader = Self { edid, microsoft: false, displayid: false };
        reader.add_modes(base.modes, base.standard_modes);
        reader
    }

    fn read_extension(&mut self, index: usize, block: &[u8; BLOCK]) {
        if let Some(bad) = bad_checksum(block) {
            return self.leave_out(&format!("Block {index}"), bad);
        }
        match block[0] {
            CTA_EXTENSION => self.add_cta(Cta::read(block)),
            DISPLAYID_EXTENSION => match displayid::Section::read(&block[1..BLOCK - 1]) {
                Ok(section) => self.add_section(section),
                Err(bad) => self.leave_out(&format!("The DisplayID section in block {index}"), bad),
            },
            _ => {}
        }
    }

    fn leave_out(&mut self, what: &str, (expected, found): (u8, u8)) {
        self.edid.notes.push(format!(
            "{what} is left out: it should end in checksum {expected:#04x}, found {found:#04x}; \
             the bytes are damaged, read the EDID again."
        ));
    }

    fn add_section(&mut self, section: displayid::Section) {
        self.displayid |= section.non_desktop;
        self.edid.primary_use = self.edid.primary_use.or(section.primary_use);
        self.edid.name = self.edid.name.take().or(section.name);
        self.edid.serial = self.edid.serial.take().or(section.serial);
        self.add_modes(section.modes, Vec::new());
        section.cta.into_iter().for_each(|cta| self.add_cta(cta));
    }

    fn add_cta(&mut self, cta: Cta) {
        if let Some(microsoft) = cta.microsoft {
            self.microsoft |= microsoft.non_desktop;
            self.edid.primary_use = self.edid.primary_use.or(Some(microsoft.primary_use));
        }
        self.add_modes(cta.modes, cta.standard_modes);
    }

    fn add_modes(&mut self, modes: Vec<EdidMode>, standard_modes: Vec<StandardMode>) {
        for mode in modes {
            if !self.edid.modes.iter().any(|known| known.same_timing(&mode)) {
                self.edid.modes.push(mode);
            }
        }
        for mode in standard_modes {
            if !self.edid.standard_modes.contains(&mode) {
                self.edid.standard_modes.push(mode);
            }
        }
    }

    fn finish(mut self) -> Edid {
        self.edid.non_desktop_by = match self.edid.headset() {
            Some(KnownHeadset { kernel_quirk: true, .. }) => NonDesktopBy::Quirk,
            _ if self.microsoft => NonDesktopBy::MsVsdb,
            _ if self.displayid => NonDesktopBy::DisplayId,
            _ => NonDesktopBy::None,
        };
        self.edid.non_desktop = self.edid.non_desktop_by != NonDesktopBy::None;
        self.edid
    }
}

/// The last byte that would make the sum zero, and the one that is there, when they differ.
pub(super) fn bad_checksum(bytes: &[u8]) -> Option<(u8, u8)> {
    let (&found, rest) = bytes.split_last()?;
    let expected = rest.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
    (expected != found).then_some((expected, found))
}

#[cfg(test)]
pub(super) mod tests;
