//! The checksums of EDIDs.

/// What makes the sum zero.
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

/// A block of 128 bytes with its checksum.
pub fn close(mut block: Vec<u8>) -> Vec<u8> {
    block.resize(127, 0);
    block.push(checksum(&block));
    block
}

/// Makes the checksums of all whole blocks fit, those of DisplayID sections too, so that what is behind them is reached.
pub fn repair(bytes: &mut [u8]) {
    for block in bytes.as_chunks_mut::<128>().0 {
        let section_end = 1 + 4 + usize::from(block[2]);
        if block[0] == 0x70 && section_end < 127 {
            block[section_end] = checksum(&block[1..section_end]);
        }
        block[127] = checksum(&block[..127]);
    }
}
