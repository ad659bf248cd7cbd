#![no_main]
//! A headset's user-data area, as it is and with a directory whose checksum fits.

use leasehold::headset::flash;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = flash::parse(bytes);
    let mut closed = bytes.to_vec();
    closed.resize(closed.len().max(0x18), 0);
    closed[..4].copy_from_slice(b"res\x85");
    let end = u32::from_le_bytes([closed[4], closed[5], closed[6], closed[7]]) as usize;
    let end = end.clamp(0x18, closed.len());
    let crc32 = crc32fast::hash(&closed[0x0c..end]);
    closed[8..12].copy_from_slice(&crc32.to_le_bytes());
    for file in flash::parse(&closed).unwrap_or_default() {
        assert_eq!(crc32fast::hash(&file.bytes), file.crc32);
    }
});
