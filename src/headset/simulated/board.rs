//! The tracking board of a made-up headset: what it answers over HID.

use super::files::NamedFile;

/// The size of a Vive's flash, in bytes.
const FLASH_BYTES: u32 = 3_997_696;

/// A tracking board's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackingBoard {
    /// The config as it is sent, compressed.
    pub config: Vec<u8>,
    /// The user data in its flash; the rest is erased.
    pub user_data: Vec<u8>,
    /// The flash's size in bytes.
    pub flash: u32,
    config_at: usize,
    user_data_at: usize,
}

impl TrackingBoard {
    /// One with this config and this user data.
    pub fn new(config: Vec<u8>, user_data: Vec<u8>) -> Self {
        Self { config, user_data, flash: FLASH_BYTES, config_at: 0, user_data_at: 0 }
    }

    /// The one of a headset with these [`files`](super::files::files).
    pub fn of_files(files: &[NamedFile]) -> Self {
        let file = |name: &str| files.iter().find(|(there, _)| there == name).map(|(_, bytes)| bytes.clone());
        Self::new(file("config.zlib").unwrap_or_default(), file("userdata.bin").unwrap_or_default())
    }

    /// The feature report of that number, 64 bytes with the number first, as the headset would give it now.
    pub fn get(&mut self, number: u8) -> Vec<u8> {
        let mut report = vec![number];
        match number {
            0x08 => {
                report.extend((self.user_data_at as u32).to_le_bytes());
                report.extend(self.flash.to_le_bytes());
            }
            0x09 => {
                let places = self.user_data_at..self.user_data_at.saturating_add(63);
                report.extend(places.map(|at| self.user_data.get(at).copied().unwrap_or(0xff)));
                self.user_data_at = self.user_data_at.saturating_add(63);
            }
            0x10 => self.config_at = 0,
            0x11 => {
                let rest = self.config.get(self.config_at..).unwrap_or_default();
                let piece = &rest[..rest.len().min(62)];
                report.push(piece.len() as u8);
                report.extend(piece);
                self.config_at += piece.len();
            }
            _ => {}
        }
        report.resize(64, 0);
        report
    }

    /// Takes a feature report, its number first.
    pub fn set(&mut self, report: &[u8]) {
        if let [0x08, a, b, c, d, ..] = *report {
            self.user_data_at = u32::from_le_bytes([a, b, c, d]) as usize;
        }
    }
}
