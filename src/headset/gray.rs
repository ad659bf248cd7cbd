//! PNGs in gray, from outside: mura maps and captures.

use png::{BitDepth, ColorType, DecodeOptions, Decoder, Limits};

/// What the PNG decoder may allocate of its own; the samples come on top, and only once their number is known to fit.
const DECODER_BYTES: usize = 16 << 20;

/// What a picture's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Bits of a sample: 8 or 16.
    pub bits: u8,
}

/// Decodes a picture whose shape is accepted: its samples as the file has them, two bytes each where they have 16 bits, the
/// high one first. What is wrong with the file itself goes through `refuse`.
pub(super) fn decode<E>(
    bytes: &[u8],
    accept: impl FnOnce(Shape) -> Result<(), E>,
    refuse: impl Fn(String) -> E,
) -> Result<(Shape, Vec<u8>), E> {
    let png_error = |error: png::DecodingError| refuse(error.to_string());
    let mut options = DecodeOptions::default();
    options.set_ignore_checksums(false);
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = Decoder::new_with_options(std::io::Cursor::new(bytes), options);
    decoder.set_limits(Limits { bytes: DECODER_BYTES });
    let mut reader = decoder.read_info().map_err(png_error)?;

    let info = reader.info();
    let bits = match (info.color_type, info.bit_depth) {
        (ColorType::Grayscale, BitDepth::Eight) => 8,
        (ColorType::Grayscale, BitDepth::Sixteen) => 16,
        (color, depth) => return Err(refuse(format!("its pixels are {color:?}, {depth:?} bits, not gray"))),
    };
    let shape = Shape { size: (info.width, info.height), bits };
    accept(shape)?;
    let (width, height) = shape.size;
    let mut samples = vec![0; width as usize * height as usize * usize::from(bits / 8)];
    let frame = reader.next_frame(&mut samples).map_err(png_error)?;
    if (frame.width, frame.height) != shape.size {
        return Err(refuse(format!("its first frame covers only {}x{}", frame.width, frame.height)));
    }
    // Reads on to the end mark, so that a cut file is noticed.
    reader.finish().map_err(png_error)?;
    Ok((shape, samples))
}

/// The text that the picture has under a keyword, before its pixels.
pub(super) fn text(bytes: &[u8], keyword: &str) -> Option<String> {
    let mut decoder = Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_limits(Limits { bytes: DECODER_BYTES });
    let reader = decoder.read_info().ok()?;
    let mut texts = reader.info().uncompressed_latin1_text.iter();
    texts.find(|text| text.keyword == keyword).map(|text| text.text.clone())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    /// Megabytes of zeros in a few kilobytes.
    fn bomb() -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; 64 << 20]).unwrap();
        encoder.finish().unwrap()
    }

    /// A picture of that size whose chunks are these; every checksum fits.
    fn png(size: [u32; 2], chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let header = [&size[0].to_be_bytes()[..], &size[1].to_be_bytes()[..], &[8, 0, 0, 0, 0]].concat();
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, data) in [(b"IHDR", header.as_slice())].iter().chain(chunks).chain(&[(b"IEND", &[][..])]) {
            bytes.extend((data.len() as u32).to_be_bytes());
            let checked = [kind.as_slice(), data].concat();
            bytes.extend(&checked);
            bytes.extend(crc32fast::hash(&checked).to_be_bytes());
        }
        bytes
    }

    fn of_8_by_8(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let accept = |shape: Shape| (shape.size == (8, 8)).then_some(()).ok_or_else(|| format!("{shape:?}"));
        decode(bytes, accept, |cause| cause).map(|(_, samples)| samples)
    }

    #[test]
    fn bombs_are_refused_or_stay_small() {
        let bomb = bomb();
        // One that is all too large is known by its header.
        assert!(of_8_by_8(&png([100_000, 100_000], &[(b"IDAT", &bomb)])).unwrap_err().contains("100000"));
        assert!(of_8_by_8(&png([u32::MAX, u32::MAX], &[(b"IDAT", &bomb)])).is_err());
        // Of one that unfolds to more than its header says, no more than that is kept.
        assert!(of_8_by_8(&png([8, 8], &[(b"IDAT", &bomb)])).is_ok_and(|samples| samples == [0; 64]));
        // Texts and profiles are not unfolded at all.
        let folded = |name: &[u8]| [name, b"\0\0", &bomb].concat();
        let aside =
            png([8, 8], &[(b"iCCP", &folded(b"x")), (b"zTXt", &folded(b"Headset")), (b"IDAT", &bomb)]);
        assert!(of_8_by_8(&aside).is_ok());
        assert_eq!(text(&aside, "Headset"), None);
        let many: Vec<(&[u8; 4], &[u8])> = vec![(b"tEXt", b"Headset\0x"); 1000];
        assert_eq!(
            text(&png([8, 8], &[&many[..], &[(b"IDAT", &bomb)]].concat()), "Headset").as_deref(),
            Some("x")
        );
    }
}
