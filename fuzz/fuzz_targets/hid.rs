#![no_main]
//! What a headset answers over HID: its config, compressed, and the directory of its user data. The first two bytes say how
//! long the first is, and the third how many bytes before it say how long answers are.

use leasehold::headset::hid::mainboard::{Mainboard, Sensors};
use leasehold::headset::hid::{FeatureReports, config, user_data};
use leasehold::headset::simulated::board::TrackingBoard;
use leasehold::time::Span;

/// A board that answers at once, and cuts some answers short.
struct Twin {
    board: TrackingBoard,
    lengths: Vec<u8>,
    asked: usize,
}

impl FeatureReports for Twin {
    fn get(&mut self, report: &mut [u8]) -> std::io::Result<usize> {
        let answer = self.board.get(report[0]);
        let length = self.lengths.get(self.asked).map_or(64, |length| usize::from(*length).min(64));
        self.asked += 1;
        report[..length].copy_from_slice(&answer[..length]);
        Ok(length)
    }

    fn set(&mut self, report: &[u8]) -> std::io::Result<()> {
        self.board.set(report);
        Ok(())
    }

    fn pause(&mut self, _: Span) {}
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = config::inflate(bytes);
    let mut told = Mainboard::default();
    told.add(bytes);
    let _ = Sensors::parse(bytes);
    let [low, high, lengths, rest @ ..] = bytes else { return };
    let (lengths, rest) = rest.split_at(usize::from(*lengths % 16).min(rest.len()));
    let (config, user_data) = rest.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(rest.len()));
    let board = TrackingBoard::new(config.to_vec(), user_data.to_vec());
    let mut twin = Twin { board, lengths: lengths.to_vec(), asked: 0 };
    let _ = config::read(&mut twin);
    if let Ok(head) = user_data::head(&mut twin) {
        assert!(
            head.files.iter().all(|file| file.offset + u64::from(file.size) <= u64::from(twin.board.flash))
        );
    }
});
