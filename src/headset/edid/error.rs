//! Why bytes are no EDID.

use crate::error::{Class, Classified};

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
    /// The base block's bytes do not add up to zero, so nothing in it is sure.
    #[error(
        "reading an EDID: block 0 should end in checksum {expected:#04x}, found {found:#04x}; \
         the bytes are damaged, read the EDID again"
    )]
    Checksum {
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
