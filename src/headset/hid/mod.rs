//! What a Vive says of itself over HID. Pure protocol: reports come and go through [`FeatureReports`].
//!
//! Two of its USB devices matter here. The tracking board holds the [`config`] and the [`user_data`] with the mura maps;
//! the [`mainboard`] knows the panel. The protocol was worked out by others from what SteamVR sends
//! (`nairol/LighthouseRedox`, "USB Protocol"; Monado's `vive_protocol.h`); its makers document none of it. All numbers are
//! little-endian.

pub mod config;
pub mod mainboard;
pub mod user_data;

use std::io;

use super::flash::FlashError;
use crate::error::{Class, Classified};
use crate::time::Span;

/// How often in a row something is asked for before it counts as failed. The kernel gives a device five seconds each time.
const TRIES: usize = 3;

/// The headset needs so long between two reads.
const BETWEEN_READS: Span = Span::from_ms(1);

/// The length of every feature report here, its number included.
const REPORT_BYTES: usize = 64;

/// A HID device's feature reports.
pub trait FeatureReports {
    /// Asks for the report whose number stands in the first byte of `report`; how many bytes have come, that number
    /// included.
    ///
    /// # Errors
    /// `ENODEV` when the device has gone for good; anything else may pass.
    fn get(&mut self, report: &mut [u8]) -> io::Result<usize>;

    /// Sends a report, its number first.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    fn set(&mut self, report: &[u8]) -> io::Result<()>;

    /// Lets the device have so much time.
    fn pause(&mut self, span: Span);
}

/// A USB device's vendor and product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UsbId {
    /// The vendor's number.
    pub vendor: u16,
    /// The vendor's number for the product.
    pub product: u16,
}

const fn usb(vendor: u16, product: u16) -> UsbId {
    UsbId { vendor, product }
}

/// The tracking boards: the Vive's, and the one that the Vive Pro and the Index share.
pub const TRACKING_BOARDS: [UsbId; 2] = [usb(0x28de, 0x2000), usb(0x28de, 0x2300)];

/// The mainboards: the Vive's, the Vive Pro's.
pub const MAINBOARDS: [UsbId; 2] = [usb(0x0bb4, 0x2c87), usb(0x0bb4, 0x0309)];

/// Why a headset's data could not be had over HID.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HidError {
    /// It was unplugged, or switched off.
    #[error(
        "reading the headset's {what}: it has gone, unplugged or switched off; connect it and start again, \
         what was read of its maps is kept"
    )]
    Gone {
        /// What was being read.
        what: &'static str,
    },
    /// It does not answer, or with an error.
    #[error(
        "reading the headset's {what}: asked {TRIES} times and got no answer: {source}; \
         connect the headset anew and start again"
    )]
    NoAnswer {
        /// What was being read.
        what: &'static str,
        /// What the last attempt ended in.
        source: io::Error,
    },
    /// Its answers are cut short, or of another kind.
    #[error(
        "reading the headset's {what}: asked {TRIES} times and got {found}; \
         connect the headset anew and start again"
    )]
    BadAnswer {
        /// What was being read.
        what: &'static str,
        /// What came.
        found: String,
    },
    /// Its config is longer than any can be.
    #[error(
        "reading the headset's config: it goes on beyond {limit} bytes {when}, and no headset's does; \
         check that this is a headset's tracking board"
    )]
    ConfigTooLong {
        /// The most that is read.
        limit: usize,
        /// At which point: as it is sent, or inflated.
        when: &'static str,
    },
    /// Its config cannot be inflated.
    #[error(
        "reading the headset's config: what it sends is no zlib stream or a damaged one ({cause}); \
         connect the headset anew and start again"
    )]
    ConfigDamaged {
        /// What is wrong with it.
        cause: String,
    },
    /// Its user data names places beyond its flash.
    #[error(
        "reading the headset's user data: {what} would end at byte {end}, and nothing can end beyond byte {limit} there; \
         its directory is damaged, the maps cannot be read"
    )]
    BeyondFlash {
        /// What would lie there.
        what: String,
        /// Where it would end.
        end: u64,
        /// Where it can end at most.
        limit: u64,
    },
    /// Its user data does not hold together.
    #[error(transparent)]
    Flash(#[from] FlashError),
}

impl Classified for HidError {
    fn class(&self) -> Class {
        match self {
            Self::Gone { .. }
            | Self::NoAnswer { .. }
            | Self::BadAnswer { .. }
            | Self::ConfigDamaged { .. } => Class::Retry,
            Self::ConfigTooLong { .. } | Self::BeyondFlash { .. } => Class::Config,
            Self::Flash(error) => error.class(),
        }
    }
}

/// One question that was not answered as it should be.
#[derive(Debug)]
enum Fault {
    Io(io::Error),
    Bad(String),
}

impl Fault {
    fn is_final(&self) -> bool {
        matches!(self, Self::Io(error) if error.raw_os_error() == Some(libc::ENODEV))
    }

    fn into_error(self, what: &'static str) -> HidError {
        match self {
            Self::Io(_) if self.is_final() => HidError::Gone { what },
            Self::Io(source) => HidError::NoAnswer { what, source },
            Self::Bad(found) => HidError::BadAnswer { what, found },
        }
    }
}

/// A report that has come, zeros after its end.
#[derive(Debug)]
struct Report {
    bytes: [u8; REPORT_BYTES],
    length: usize,
}

/// Asks once for a report, of which at least so many bytes have to come.
fn ask(device: &mut impl FeatureReports, number: u8, least: usize) -> Result<Report, Fault> {
    let mut bytes = [0; REPORT_BYTES];
    bytes[0] = number;
    let length = device.get(&mut bytes).map_err(Fault::Io)?;
    if length < least {
        return Err(Fault::Bad(format!("{length} bytes of a report of {least} or more")));
    }
    if bytes[0] != number {
        return Err(Fault::Bad(format!("report {} instead of {number}", bytes[0])));
    }
    Ok(Report { bytes, length })
}

/// Tries a few times, unless the device has gone.
fn persist<T>(what: &'static str, mut attempt: impl FnMut() -> Result<T, Fault>) -> Result<T, HidError> {
    let mut tried = 1;
    loop {
        match attempt() {
            Ok(answer) => return Ok(answer),
            Err(fault) if tried == TRIES || fault.is_final() => return Err(fault.into_error(what)),
            Err(_) => tried += 1,
        }
    }
}

#[cfg(test)]
mod tests;
