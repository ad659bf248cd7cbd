//! How EDIDs are laid out, for those that are made up here.

use super::checksum::{checksum, close};

/// A dummy descriptor.
pub const NOTHING: [u8; 18] = {
    let mut bytes = [0; 18];
    bytes[3] = 0x10;
    bytes
};

/// HDMI's block with nothing but an address.
pub const HDMI: [u8; 6] = [0x65, 0x03, 0x0c, 0x00, 0x10, 0x00];

/// A detailed timing: visible, front porch, sync and back porch, across and down.
pub fn detailed(clock_khz: u32, across: [u16; 4], down: [u16; 4], interlaced: bool) -> [u8; 18] {
    let ([width, hfront, hsync, hback], [height, vfront, vsync, vback]) = (across, down);
    let (hblank, vblank) = (hfront + hsync + hback, vfront + vsync + vback);
    let clock = ((clock_khz / 10) as u16).to_le_bytes();
    let high = |a: u16, b: u16| ((a >> 8) << 4 | b >> 8) as u8;
    let mut bytes = [0; 18];
    bytes[..8].copy_from_slice(&[
        clock[0],
        clock[1],
        width as u8,
        hblank as u8,
        high(width, hblank),
        height as u8,
        vblank as u8,
        high(height, vblank),
    ]);
    bytes[8..10].copy_from_slice(&[hfront as u8, hsync as u8]);
    bytes[10] = ((vfront & 15) << 4 | vsync & 15) as u8;
    bytes[11] = ((hfront >> 8) << 6 | (hsync >> 8) << 4 | (vfront >> 4) << 2 | vsync >> 4) as u8;
    bytes[17] = 0x18 | if interlaced { 0x80 } else { 0 };
    bytes
}

/// A timing of DisplayID's types I and VII: visible, blank, front porch and sync, across and down.
pub fn displayid_timing(clock: u32, across: [u16; 4], down: [u16; 4], interlaced: bool) -> Vec<u8> {
    let mut bytes = (clock - 1).to_le_bytes()[..3].to_vec();
    bytes.push(0x08 | if interlaced { 0x10 } else { 0 });
    bytes.extend(across.iter().chain(&down).flat_map(|number| (number - 1).to_le_bytes()));
    bytes
}

/// A text descriptor: 0xfc is a name, 0xff a serial number.
pub fn text(tag: u8, text: &str) -> [u8; 18] {
    let mut bytes = [b' '; 18];
    bytes[..5].copy_from_slice(&[0, 0, 0, tag, 0]);
    bytes[5..5 + text.len()].copy_from_slice(text.as_bytes());
    if text.len() < 13 {
        bytes[5 + text.len()] = b'\n';
    }
    bytes
}

/// The first block.
pub fn base(
    vendor: [u8; 3],
    product: u16,
    serial: u32,
    descriptors: [[u8; 18]; 4],
    extensions: u8,
) -> Vec<u8> {
    let mut block = vec![0; 128];
    block[1..7].fill(0xff);
    let letters = vendor.iter().fold(0u16, |letters, letter| letters << 5 | u16::from(letter - b'@'));
    block[8..10].copy_from_slice(&letters.to_be_bytes());
    block[10..12].copy_from_slice(&product.to_le_bytes());
    block[12..16].copy_from_slice(&serial.to_le_bytes());
    block[16..20].copy_from_slice(&[1, 30, 1, 4]);
    block[38..54].fill(1); // no standard timings
    block[54..126].copy_from_slice(descriptors.as_flattened());
    block[126] = extensions;
    close(block)
}

/// A block of CTA-861 with detailed timings behind its data.
pub fn cta(data_blocks: &[&[u8]], timings: &[[u8; 18]]) -> Vec<u8> {
    let data = data_blocks.concat();
    let mut block = vec![0x02, 3, 4 + data.len() as u8, 0];
    block.extend(data);
    block.extend(timings.as_flattened());
    close(block)
}

/// A block that holds a DisplayID section.
pub fn displayid(version: u8, primary_use: u8, data_blocks: &[(u8, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (tag, payload) in data_blocks {
        data.extend([*tag, 0, payload.len() as u8]);
        data.extend(*payload);
    }
    let mut section = vec![version, data.len() as u8, primary_use, 0];
    section.extend(data);
    section.push(checksum(&section));
    section.insert(0, 0x70);
    close(section)
}
