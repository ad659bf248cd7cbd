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
