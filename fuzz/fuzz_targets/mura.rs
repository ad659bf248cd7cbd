#![no_main]
//! Mura maps, as they are and with the checksum of each chunk made to fit.

use leasehold::headset::MuraMap;
use leasehold::headset::mura::headset_serial;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = MuraMap::decode("fuzzed", bytes, 8, 8);
    let mut closed = bytes.to_vec();
    close_chunks(&mut closed);
    let _ = MuraMap::decode("fuzzed", &closed, 8, 8);
    let _ = headset_serial(&closed);
});

/// PNG specification, section 5.3: length, type, data, and the CRC of type and data.
fn close_chunks(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let Some(end) = (at + 8).checked_add(length).filter(|end| end + 4 <= bytes.len()) else { return };
        let crc32 = crc32fast::hash(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&crc32.to_be_bytes());
        at = end + 4;
    }
}
