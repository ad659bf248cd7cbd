//! The EDID of a made-up headset: one block with one mode, under the Vive's numbers, so that the kernel takes it for what
//! it is.

use super::REFRESH_HZ;

/// `HVR:AA01`, as the block stores it.
const VIVE: [u8; 4] = [0x22, 0xd2, 0x01, 0xaa];

/// Front porch, sync and back porch: a Vive's long blank, in which its panel lights up.
const ACROSS: [u32; 3] = [40, 20, 52];
const DOWN: [u32; 3] = [28, 2, 234];

/// A block for a panel of this size, both eyes; None for one that no block can describe (E-EDID 1.4 section 3.10.2: 4095
/// pixels each way and 655.35 MHz).
pub(super) fn block(width: u32, height: u32, serial: u32) -> Option<Vec<u8>> {
    let [hblank, vblank] = [ACROSS, DOWN].map(|parts| parts.iter().sum::<u32>());
    let clock_hz = f64::from(width + hblank) * f64::from(height + vblank) * REFRESH_HZ;
    let clock = u16::try_from((clock_hz / 10_000.0).round() as u64).ok()?.to_le_bytes();
    if width > 0xfff || height > 0xfff {
        return None;
    }
    let low = |number: u32| number as u8;
    let high = |first: u32, second: u32| low((first >> 8) << 4 | second >> 8);
    let mut timing = [0; 18];
    timing[..8].copy_from_slice(&[
        clock[0],
        clock[1],
        low(width),
        low(hblank),
        high(width, hblank),
        low(height),
        low(vblank),
        high(height, vblank),
    ]);
    timing[8..12].copy_from_slice(&[
        low(ACROSS[0]),
        low(ACROSS[1]),
        low((DOWN[0] & 15) << 4 | DOWN[1] & 15),
        low((DOWN[0] >> 4) << 2 | DOWN[1] >> 4),
    ]);
    timing[17] = 0x18; // digital, separate sync

    let mut block = vec![0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
    block.extend(VIVE);
    block.extend(serial.to_le_bytes());
    block.extend([1, 30, 1, 4]); // first week of 2020, EDID 1.4
    block.resize(38, 0);
    block.resize(54, 1); // no standard timings
    block.extend(timing);
    block.extend([0, 0, 0, 0xfc, 0]); // the display's name
    block.extend(b"SIMULATED\n   ");
    for _ in 0..2 {
        block.extend([0, 0, 0, 0x10]); // a dummy
        block.resize(block.len() + 14, 0);
    }
    block.push(0); // no extensions
    let sum = block.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    block.push(sum.wrapping_neg());
    Some(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headset::edid::Edid;

    #[test]
    fn it_says_what_was_asked_for() {
        let edid = Edid::parse(&block(2160, 1200, 7).expect("it fits")).expect("valid");
        assert_eq!(
            (edid.vendor.as_str(), edid.product, edid.name.as_deref()),
            ("HVR", 0xaa01, Some("SIMULATED"))
        );
        assert!(edid.non_desktop && edid.is_headset());
        let [mode] = &edid.modes[..] else { panic!("{:?}", edid.modes) };
        assert_eq!((mode.width, mode.height, mode.vtotal), (2160, 1200, 1464));
        assert!((mode.hz() - 90.0).abs() < 0.01, "{}", mode.hz());
        assert_eq!(block(5000, 1200, 7), None);
        assert_eq!(block(3840, 2160, 7), None);
    }
}
