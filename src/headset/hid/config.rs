//! The headset's config as it sends it: JSON, compressed with zlib, in small pieces.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::{BETWEEN_READS, Fault, FeatureReports, HidError, Report, ask, persist};

/// Asking for this report starts over at the config's first byte.
const START: u8 = 0x10;
/// A piece: number, length, and so many bytes; a length of none ends the config.
const PIECE: u8 = 0x11;

/// The most bytes that are read; a Vive sends 3503.
pub const MAX_SENT: usize = 64 << 10;
/// The most bytes that are inflated; a Vive's config has 16650.
pub const MAX_CONFIG: usize = 1 << 20;

const WHAT: &str = "config";

/// Reads the config out of the headset; its JSON. One that came damaged is read again.
///
/// # Errors
/// When the headset has gone, does not answer, or sends what cannot be a config.
pub fn read(device: &mut impl FeatureReports) -> Result<Vec<u8>, HidError> {
    let first = inflate(&read_sent(device)?);
    match first {
        Err(HidError::ConfigDamaged { .. }) => inflate(&read_sent(device)?),
        other => other,
    }
}

/// Whether a device is one that has a config: one that answers as such.
pub fn answers(device: &mut impl FeatureReports) -> bool {
    ask(device, START, 1).is_ok()
}

/// The config as it is sent.
fn read_sent(device: &mut impl FeatureReports) -> Result<Vec<u8>, HidError> {
    let sent = persist(WHAT, || {
        ask(device, START, 1)?;
        let mut sent = Vec::new();
        loop {
            device.pause(BETWEEN_READS);
            let Report { bytes, length: came } = ask(device, PIECE, 2)?;
            let length = usize::from(bytes[1]);
            if length == 0 || sent.len() > MAX_SENT {
                return Ok(sent);
            }
            let piece = bytes[2..came].get(..length);
            sent.extend(piece.ok_or_else(|| {
                Fault::Bad(format!("a piece of {length} bytes of which {} came", came - 2))
            })?);
        }
    })?;
    if sent.len() > MAX_SENT {
        return Err(HidError::ConfigTooLong { limit: MAX_SENT, when: "as it is sent" });
    }
    Ok(sent)
}

/// Inflates a config as it was sent. zlib's own checksum says whether it came whole.
///
/// # Errors
/// When it is damaged, or inflates to more than [`MAX_CONFIG`] bytes.
pub fn inflate(sent: &[u8]) -> Result<Vec<u8>, HidError> {
    let mut json = Vec::new();
    let mut inflated = ZlibDecoder::new(sent).take(MAX_CONFIG as u64 + 1);
    inflated.read_to_end(&mut json).map_err(|error| HidError::ConfigDamaged { cause: error.to_string() })?;
    if json.len() > MAX_CONFIG {
        return Err(HidError::ConfigTooLong { limit: MAX_CONFIG, when: "inflated" });
    }
    Ok(json)
}
