//! The per-pixel correction of an OLED panel.
//!
//! No two pixels of an OLED panel are equally bright at the same code. The maker measured each pixel and stored what
//! to add to its code, in the panel's own gamma-encoded codes (US patent 10,553,142, claim 1). A map is a picture of
//! the panel: it fits only pixel for pixel, and moved by one pixel it does harm.

use png::{BitDepth, ColorType};

use super::gray::{self, Shape};
use super::{HeadsetError, lens::Channel};

/// From this 8-bit code up the correction is applied in full.
const FULL_CODE: f64 = 16.0;

/// A panel's light is taken to be this power of its code.
const GAMMA: f64 = 2.2;

/// The keyword of the PNG's text that names the headset.
const SERIAL_KEYWORD: &str = "Headset";

/// One eye's map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuraMap {
    /// The file it came from.
    pub file: String,
    /// Texels in a row: the eye's width in panel pixels.
    pub width: u32,
    /// Rows: the eye's height in panel pixels.
    pub height: u32,
    /// Raw values, row by row from the top left; about 127 means that the pixel is right as it is.
    pub texels: Vec<u8>,
    /// CRC-32 of the whole file, as the headset's flash stores it; of the texels when there was no file.
    pub crc32: u32,
}

impl MuraMap {
    /// Reads the map `file` from its bytes, a PNG in 8-bit gray, for an eye of `width` by `height` panel pixels.
    ///
    /// # Errors
    /// When the bytes are damaged, no such PNG, or of another size.
    pub fn decode(file: &str, bytes: &[u8], width: u32, height: u32) -> Result<Self, HeadsetError> {
        let refuse = |cause: String| HeadsetError::MapFormat { file: file.to_owned(), cause };
        let accept = |Shape { size, bits }| match (bits, size == (width, height)) {
            (8, true) => Ok(()),
            (8, false) => {
                Err(HeadsetError::MapSize { file: file.to_owned(), found: size, expected: (width, height) })
            }
            _ => Err(refuse(format!("its pixels have {bits} bits, not 8"))),
        };
        let (_, texels) = gray::decode(bytes, accept, refuse)?;
        Ok(Self { file: file.to_owned(), width, height, texels, crc32: crc32fast::hash(bytes) })
    }

    /// The map as a file, with the serial number of the headset it is for, where that is known. One with other letters
    /// than Latin-1's is left out: a PNG's `tEXt` chunk has no room for them (PNG specification, 11.3.3).
    ///
    /// # Panics
    /// When there is not one texel for each pixel of `width` by `height`, or there is none at all.
    pub fn encode(&self, serial: Option<&str>) -> Vec<u8> {
        const MEMORY: &str = "memory takes all, and a map is no larger than a PNG can be";
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::Eight);
        let latin_1 = |serial: &&str| serial.chars().all(|letter| matches!(u32::from(letter), 1..=0xff));
        if let Some(serial) = serial.filter(latin_1) {
            encoder.add_text_chunk(SERIAL_KEYWORD.to_owned(), serial.to_owned()).expect(MEMORY);
        }
        let mut writer = encoder.write_header().expect(MEMORY);
        writer.write_image_data(&self.texels).expect(MEMORY);
        writer.finish().expect(MEMORY);
        bytes
    }

    /// How strong the correction is: the standard deviation over the panel, in 8-bit codes, at this `scale`.
    pub fn sigma_codes(&self, scale: f64) -> f64 {
        let count = self.texels.len() as f64;
        let sum: u64 = self.texels.iter().map(|texel| u64::from(*texel)).sum();
        let squares: u64 = self.texels.iter().map(|texel| u64::from(*texel).pow(2)).sum();
        let mean = sum as f64 / count;
        (squares as f64 / count - mean * mean).max(0.0).sqrt() * scale
    }
}

/// The serial number of the headset that a map was made for, where its file tells: maps that are calibrated or made up
/// here do, those of a headset's maker are known by their checksum alone. `bytes` are a PNG.
pub fn headset_serial(bytes: &[u8]) -> Option<String> {
    gray::text(bytes, SERIAL_KEYWORD)
}

/// How bright a panel is set, as a part of how bright it was when its maps were measured: above 0, at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brightness(f64);

impl Brightness {
    /// As bright as it was.
    pub const FULL: Self = Self(1.0);
}

impl std::str::FromStr for Brightness {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse() {
            Ok(part) if part > 0.0 && part <= 1.0 => Ok(Self(part)),
            _ => Err(format!("'{text}' is not a number above 0 and up to 1, as in 0.5")),
        }
    }
}

/// Both eyes' maps and how to apply them.
#[derive(Clone, Debug, PartialEq)]
pub struct Mura {
    /// What a texel's range of 1 is worth in the panel's range of 1; 0.125 in every Vive seen.
    pub scale: f64,
    /// Added to a texel in its range of 1; -127/255 in every Vive seen.
    pub offset: f64,
    /// How much of the correction red, green and blue get. The maps were measured in green. That they fit red and
    /// blue as well is an assumption (the three share the panel's process, not its transistors), so it can be
    /// changed.
    pub weights: [f64; 3],
    /// How bright the panel is set.
    pub brightness: Brightness,
    /// The panel's black in 8-bit codes: at and below it nothing is corrected. The panel's black clamp times 255.
    pub black_code: f64,
    /// The left eye's map.
    pub left: MuraMap,
    /// The right eye's map.
    pub right: MuraMap,
}

impl Mura {
    /// Weights that treat all three colours as the maps' green.
    pub const EQUAL_WEIGHTS: [f64; 3] = [1.0; 3];

    /// With other weights for red, green and blue, if any.
    pub fn weighed(self, weights: Option<[f64; 3]>) -> Self {
        Self { weights: weights.unwrap_or(self.weights), ..self }
    }

    /// On a panel that is set to that part of the brightness its maps were measured at, if to any.
    pub fn at_brightness(self, brightness: Option<Brightness>) -> Self {
        Self { brightness: brightness.unwrap_or(self.brightness), ..self }
    }

    /// What a code is worth on a panel that was dimmed, in codes of the panel as it was measured: times this, it gives the
    /// code of the same light (US patent 10,943,530). 1 where it was not.
    pub fn dimming(&self) -> f64 {
        self.brightness.0.powf(1.0 / GAMMA)
    }

    /// The code that shows what `code` was meant to, on the pixel with this texel. Both are 8-bit codes with
    /// fractions; the result can lie outside 0 to 255 and below black, and is to be clamped after dithering.
    ///
    /// On a dimmed panel a pixel is off by as many of the codes that were measured, each of which takes more than one of
    /// those that are sent. (The patent that [`dimming`](Self::dimming) is from gives fewer, as it is quoted; on a panel
    /// dimmed by its current, that leaves most of the error.)
    pub fn correct(&self, code: f64, texel: u8, channel: Channel) -> f64 {
        let offset_codes = 255.0 * self.scale * (f64::from(texel) / 255.0 + self.offset);
        code + self.weight_near_black(code) * self.weights[channel.index()] * offset_codes / self.dimming()
    }

    /// 0 up to black, 1 from code 16 on, and rising smoothly between (smoothstep), all in codes of the panel as it was
    /// measured.
    ///
    /// Black has to stay one code all over the panel: a pixel that is off needs no correction, and one lifted off
    /// black is seen as grain in a dark scene. Just above black a full correction would be cut off on one side
    /// only, which brightens the mean, and the measured brightness range does not reach down there.
    pub fn weight_near_black(&self, code: f64) -> f64 {
        let measured = code * self.dimming();
        let risen = ((measured - self.black_code) / (self.full_code() - self.black_code)).clamp(0.0, 1.0);
        risen * risen * (3.0 - 2.0 * risen)
    }

    /// From this 8-bit code up the correction is applied in full.
    pub fn full_code(&self) -> f64 {
        // A panel whose black is above code 15 still gets a rise of one code rather than a division by zero.
        FULL_CODE.max(self.black_code + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn png(width: u32, height: u32, color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        let mut writer = encoder.write_header().expect("the size is not zero");
        writer.write_image_data(data).expect("the data fits the size");
        writer.finish().expect("memory takes all");
        bytes
    }

    fn gray(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
        png(width, height, ColorType::Grayscale, BitDepth::Eight, data)
    }

    fn mura() -> Mura {
        let bytes = gray(2, 1, &[127, 130]);
        let map = MuraMap::decode("made-up.mc", &bytes, 2, 1).expect("valid");
        Mura {
            scale: 0.125,
            offset: -127.0 / 255.0,
            weights: [0.5, 1.0, 0.0],
            brightness: Brightness::FULL,
            black_code: 3.0,
            left: map.clone(),
            right: map,
        }
    }

    #[test]
    fn decodes_and_names_its_file_by_checksum() {
        let bytes = gray(2, 2, &[1, 2, 3, 4]);
        let map = MuraMap::decode("made-up.mc", &bytes, 2, 2).expect("valid");
        assert_eq!((map.width, map.height, map.texels), (2, 2, vec![1, 2, 3, 4]));
        assert_eq!(map.crc32, crc32fast::hash(&bytes));
    }

    #[test]
    fn a_map_that_is_made_here_names_its_headset() {
        let map = MuraMap::decode("m", &gray(2, 1, &[117, 137]), 2, 1).expect("valid");
        let bytes = map.encode(Some("LHR-00000001"));
        assert_eq!(MuraMap::decode("m", &bytes, 2, 1).expect("valid").texels, map.texels);
        assert_eq!(headset_serial(&bytes).as_deref(), Some("LHR-00000001"));
        assert_eq!(headset_serial(&gray(2, 1, &[117, 137])), None);
        assert_eq!(headset_serial(b"no PNG"), None);
    }

    #[test]
    fn sigma_is_in_codes() {
        let map = MuraMap::decode("m", &gray(2, 1, &[117, 137]), 2, 1).expect("valid");
        assert_eq!(map.sigma_codes(0.125), 1.25);
    }

    #[test]
    fn refuses_another_size_by_name() {
        let error = MuraMap::decode("left.mc", &gray(2, 1, &[0, 0]), 1080, 1200).expect_err("too small");
        let text = error.to_string();
        assert!(text.contains("left.mc") && text.contains("2x1") && text.contains("1080x1200"), "{text}");
    }

    #[test]
    fn refuses_other_pixels_and_damage() {
        let refused =
            |bytes: &[u8]| matches!(MuraMap::decode("m", bytes, 2, 1), Err(HeadsetError::MapFormat { .. }));
        assert!(refused(b"not a PNG"));
        assert!(refused(&png(2, 1, ColorType::Rgb, BitDepth::Eight, &[0; 6])));
        assert!(refused(&png(2, 1, ColorType::Grayscale, BitDepth::Sixteen, &[0; 4])));
        let bytes = gray(2, 1, &[7, 9]);
        assert!(refused(&bytes[..bytes.len() - 4]));
    }

    #[test]
    fn adds_an_eighth_of_a_code_a_step() {
        let mura = mura();
        assert_eq!(mura.correct(100.0, 127, Channel::Green), 100.0);
        assert!((mura.correct(100.0, 135, Channel::Green) - 101.0).abs() < 1e-12);
        assert!((mura.correct(100.0, 119, Channel::Green) - 99.0).abs() < 1e-12);
        assert!((mura.correct(100.0, 135, Channel::Red) - 100.5).abs() < 1e-12);
        assert_eq!(mura.correct(100.0, 255, Channel::Blue), 100.0);
    }

    #[test]
    fn black_stays_one_code() {
        let mura = mura();
        for code in [0.0, 1.0, 3.0] {
            assert_eq!(mura.correct(code, 255, Channel::Green), code);
        }
        assert_eq!(mura.weight_near_black(9.5), 0.5);
        assert_eq!(mura.weight_near_black(16.0), 1.0);
        assert_eq!(mura.weight_near_black(255.0), 1.0);
    }

    #[test]
    fn a_dimmed_panel_gets_more_codes_for_the_same_light() {
        let mura = mura().at_brightness("0.25".parse().ok());
        let dimming = 0.25f64.powf(1.0 / 2.2);
        assert_eq!(mura.dimming(), dimming);
        assert!((mura.correct(100.0, 135, Channel::Green) - (100.0 + 1.0 / dimming)).abs() < 1e-12);
        assert_eq!(mura.correct(5.0, 255, Channel::Green), 5.0, "darker than black was when it was measured");
        assert!((mura.weight_near_black(9.5 / dimming) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn no_flipped_bit_passes_for_another_map() {
        let texels: Vec<u8> = (0..64u8).map(|i| i.wrapping_mul(37) ^ i >> 2).collect();
        let good = gray(8, 8, &texels);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(map) = MuraMap::decode("m", &bytes, 8, 8) {
                assert_eq!(map.texels, texels, "bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_map_is_written_for_a_headset_of_any_serial_number(serial in any::<String>()) {
            let map = MuraMap::decode("m", &gray(1, 1, &[127]), 1, 1).unwrap();
            let bytes = map.encode(Some(&serial));
            prop_assert_eq!(&MuraMap::decode("m", &bytes, 1, 1).unwrap().texels, &map.texels);
            prop_assert!(headset_serial(&bytes).is_none_or(|read| read == serial));
        }

        #[test]
        fn survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = MuraMap::decode("m", &bytes, 8, 8);
        }
    }
}
