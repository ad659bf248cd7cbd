//! The user-data area of the headset's flash, read in small pieces; what is in it: [`flash`].

use super::{BETWEEN_READS, Fault, FeatureReports, HidError, REPORT_BYTES, ask, persist};
use crate::headset::flash::{self, FlashEntry};

/// Asked for: where the next piece comes from, and the flash's size. Sent: where it is to come from.
const PLACE: u8 = 0x08;
/// The next piece: number and 63 bytes.
const PIECE: u8 = 0x09;
const PIECE_BYTES: u64 = 63;

/// What is read to know what there is: all that SteamVR reads of a headset whose maps it has. It holds a Vive's whole
/// directory.
pub const HEAD_BYTES: u64 = 3 * PIECE_BYTES;

/// The longest directory that is read.
const MAX_DIRECTORY: u64 = 64 << 10;

/// The largest flash that is believed; a Vive's has 3,997,696 bytes.
const MAX_FLASH: u64 = 64 << 20;

const WHAT: &str = "user data";

/// What is in a headset's user-data area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The area's first bytes, with the whole directory.
    pub bytes: Vec<u8>,
    /// Its files, each within the flash.
    pub files: Vec<FlashEntry>,
}

/// Reads the area's directory.
///
/// # Errors
/// When the headset has gone or does not answer, or what it says there cannot be right.
pub fn head(device: &mut impl FeatureReports) -> Result<Head, HidError> {
    let place = persist(WHAT, || ask(device, PLACE, 9))?.bytes;
    let flash = u64::from(u32::from_le_bytes([place[5], place[6], place[7], place[8]])).min(MAX_FLASH);
    let mut bytes = read(device, 0, HEAD_BYTES.min(flash))?;
    let directory = flash::directory_bytes(&bytes)?;
    if directory > bytes.len() as u64 {
        check("the directory", directory, flash.min(MAX_DIRECTORY))?;
        bytes = read(device, 0, directory)?;
    }
    let files = flash::directory(&bytes)?;
    for file in &files {
        check(&format!("file {:?}", file.name), file.offset + u64::from(file.size), flash)?;
    }
    Ok(Head { bytes, files })
}

fn check(what: &str, end: u64, limit: u64) -> Result<(), HidError> {
    if end <= limit { Ok(()) } else { Err(HidError::BeyondFlash { what: what.to_owned(), end, limit }) }
}

fn read(device: &mut impl FeatureReports, start: u64, end: u64) -> Result<Vec<u8>, HidError> {
    let mut bytes = Vec::new();
    let mut reading = Reading::new(device, start, end);
    while let Some(piece) = reading.next_piece()? {
        bytes.extend(piece);
    }
    Ok(bytes)
}

/// A part of the area that is being read, piece by piece.
#[derive(Debug)]
pub struct Reading<'a, D> {
    device: &'a mut D,
    at: u64,
    end: u64,
    /// Whether the headset will go on where we are.
    in_place: bool,
    piece: [u8; REPORT_BYTES],
}

impl<'a, D: FeatureReports> Reading<'a, D> {
    /// From byte `start` of the area to before `end`.
    pub fn new(device: &'a mut D, start: u64, end: u64) -> Self {
        Self { device, at: start, end, in_place: false, piece: [0; REPORT_BYTES] }
    }

    /// The next bytes, 63 at most; None at the end. After an answer that is cut short, or none, the headset is set back to
    /// the place and asked again.
    ///
    /// # Errors
    /// When the headset has gone, or a piece does not come after a few attempts.
    pub fn next_piece(&mut self) -> Result<Option<&[u8]>, HidError> {
        if self.at >= self.end {
            return Ok(None);
        }
        persist(WHAT, || self.attempt().inspect_err(|_| self.in_place = false))?;
        let length = PIECE_BYTES.min(self.end - self.at);
        self.at += length;
        Ok(Some(&self.piece[1..=length as usize]))
    }

    fn attempt(&mut self) -> Result<(), Fault> {
        if !self.in_place {
            let mut place = [0; 9];
            place[0] = PLACE;
            place[1..5].copy_from_slice(&(self.at as u32).to_le_bytes());
            self.device.set(&place).map_err(Fault::Io)?;
            self.in_place = true;
        }
        self.device.pause(BETWEEN_READS);
        self.piece = ask(self.device, PIECE, REPORT_BYTES)?.bytes;
        Ok(())
    }
}
