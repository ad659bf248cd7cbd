//! Who made a display, and which of its products it is: the four bytes that everyone knows a display by.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use super::HEADER;
use crate::headset::quirks::{self, KnownHeadset};

/// The vendor and product of an EDID, written `HVR:AA01`: three letters, and the number in hexadecimal.
///
/// A Vive tells the same four bytes over HID ([`of_hid_report`](Self::of_hid_report)), which is how the connector that
/// a headset hangs on is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EdidId {
    vendor: [u8; 3],
    product: u16,
}

/// Feature report 4 of a Vive's mainboard (USB 0bb4:2c87, and the Pro's 0bb4:0309), and the type that marks this one of
/// several that share the number. Little-endian type, a length, and then the EDID's four bytes as they are.
const MAINBOARD_REPORT: u8 = 0x04;
const MAINBOARD_REPORT_TYPE: [u8; 2] = [0x87, 0x29];

impl EdidId {
    /// Reads the numbers off an EDID. Only its header is checked: a headset whose extension blocks are damaged is the
    /// same headset still.
    pub fn of_edid(bytes: &[u8]) -> Option<Self> {
        let id = bytes.strip_prefix(&HEADER)?.first_chunk()?;
        Self::of_bytes(*id)
    }

    /// Reads the numbers off what a Vive's mainboard says of itself over HID, the report's number first.
    pub fn of_hid_report(report: &[u8]) -> Option<Self> {
        let [MAINBOARD_REPORT, type_low, type_high, _length, id @ ..] = report else { return None };
        if [*type_low, *type_high] != MAINBOARD_REPORT_TYPE {
            return None;
        }
        Self::of_bytes(*id.first_chunk()?)
    }

    /// The numbers as Valve's headset configurations have them: each of the EDID's pairs of bytes, little-endian.
    pub fn of_config(vendor: u16, product: u16) -> Option<Self> {
        let ([a, b], [c, d]) = (vendor.to_le_bytes(), product.to_le_bytes());
        Self::of_bytes([a, b, c, d])
    }

    /// The headset with these numbers, when they are known.
    pub fn headset(&self) -> Option<&'static KnownHeadset> {
        quirks::find(self.vendor(), self.product)
    }

    /// E-EDID 1.4 §3.4.1: three letters of five bits each, the first one on top, big-endian; §3.4.2: the product,
    /// little-endian.
    fn of_bytes(bytes: [u8; 4]) -> Option<Self> {
        let letters = u16::from_be_bytes([bytes[0], bytes[1]]);
        let vendor = [10, 5, 0].map(|shift| b'@' + (letters >> shift & 0x1f) as u8);
        let product = u16::from_le_bytes([bytes[2], bytes[3]]);
        vendor.iter().all(u8::is_ascii_uppercase).then_some(Self { vendor, product })
    }

    /// The maker's three letters.
    pub fn vendor(&self) -> &str {
        // Both ways to make one let ASCII letters through and nothing else.
        std::str::from_utf8(&self.vendor).unwrap_or("???")
    }

    /// The maker's number for the product.
    pub fn product(self) -> u16 {
        self.product
    }
}

impl Display for EdidId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{:04X}", self.vendor(), self.product)
    }
}

impl FromStr for EdidId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (letters, digits) = text.split_once(':')?;
            let vendor: [u8; 3] = letters.to_ascii_uppercase().as_bytes().try_into().ok()?;
            let all_hex = digits.len() <= 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let product = all_hex.then(|| u16::from_str_radix(digits, 16).ok())??;
            vendor.iter().all(u8::is_ascii_uppercase).then_some(Self { vendor, product })
        };
        read().ok_or_else(|| {
            format!("'{text}' is no vendor and product: write three letters and a hexadecimal number, HVR:AA01 say")
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VIVE: [u8; 4] = [0x22, 0xd2, 0x01, 0xaa];

    #[test]
    fn a_vive_is_known_by_its_edid_and_by_its_hid_report() {
        let edid = [&HEADER[..], &VIVE, &[0; 116]].concat();
        let mut report = vec![4, 0x87, 0x29, 60];
        report.extend(VIVE);
        report.resize(64, 0);
        let id = EdidId::of_edid(&edid).unwrap();
        assert_eq!((id.vendor(), id.product(), id.to_string().as_str()), ("HVR", 0xaa01, "HVR:AA01"));
        assert_eq!(EdidId::of_hid_report(&report), Some(id));
        report[1] = 0x78; // The power report has the same number.
        assert_eq!(EdidId::of_hid_report(&report), None);
    }

    #[test]
    fn what_is_written_in_either_case_is_read() {
        let id: EdidId = "hvr:aa01".parse().unwrap();
        assert_eq!(id.to_string(), "HVR:AA01");
        assert_eq!("OVR:1".parse::<EdidId>().unwrap().product(), 1);
        for wrong in
            ["", "HVR", "HVR:", "HV:AA01", "HVRR:AA01", "HVR:AA01F", "HVR:+1", "H1R:AA01", "HVR:AA 1"]
        {
            assert!(wrong.parse::<EdidId>().unwrap_err().contains("HVR:AA01 say"), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,12}") {
            let ids = [EdidId::of_edid(&bytes), EdidId::of_hid_report(&bytes), text.parse().ok()];
            for id in ids.into_iter().flatten() {
                prop_assert_eq!(id.to_string().parse::<EdidId>(), Ok(id));
            }
        }

        #[test]
        fn what_an_edid_says_is_written_and_read_back(letters in "[A-Z]{3}", product: u16) {
            let packed = letters.bytes().fold(0u16, |packed, letter| packed << 5 | u16::from(letter - b'@'));
            let bytes = [&HEADER[..], &packed.to_be_bytes(), &product.to_le_bytes()].concat();
            let id = EdidId::of_edid(&bytes).unwrap();
            prop_assert_eq!(id.to_string(), format!("{letters}:{product:04X}"));
        }
    }
}
