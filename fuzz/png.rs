//! PNGs whose chunks are all in order but for what is in them.

/// The checksum of each chunk made to fit: the PNG specification, section 5.3, has length, type, data, and the CRC of type
/// and data.
pub fn closed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let Some(end) = (at + 8).checked_add(length).filter(|end| end + 4 <= bytes.len()) else { break };
        let crc32 = crc32fast::hash(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&crc32.to_be_bytes());
        at = end + 4;
    }
    bytes
}

/// No more than 64 pixels each way. The header follows the eight bytes of the signature; its first chunk's data start with
/// width and height.
pub fn shrunk(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(size) = bytes.get_mut(16..24) {
        size.iter_mut().zip([0, 0, 0, 63, 0, 0, 0, 63]).for_each(|(byte, mask)| *byte &= mask);
    }
    bytes
}
