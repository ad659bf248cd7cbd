//! A photograph of a panel that shows one gray.

use super::CalibrationError;
use crate::headset::gray::{self, Shape};

/// The largest capture that is read, in pixels: as many as an eye can have.
const MAX_PX: u64 = (crate::headset::MAX_EYE_SIZE as u64).pow(2) / 4;

/// What a capture's file name says: `left-064.png`, or `right-128-2.png` for a second shot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureName {
    /// 0 is the left eye and 1 the right.
    pub eye: usize,
    /// The code of the gray that the panel showed.
    pub code: u8,
}

impl CaptureName {
    /// Reads a file name. None for a file that is no capture of an eye; an error for one that starts like one.
    pub fn parse(name: &str) -> Option<Result<Self, CalibrationError>> {
        let start = |eye: &str| name.strip_prefix(eye)?.strip_prefix('-');
        let (eye, rest) = match (start("left"), start("right")) {
            (Some(rest), _) => (0, rest),
            (_, Some(rest)) => (1, rest),
            _ => return None,
        };
        let read = || {
            let mut parts = rest.strip_suffix(".png")?.split('-');
            let (code, shot) = (parts.next()?, parts.next().unwrap_or("1"));
            let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let whole = code.len() == 3 && all_digits(code) && all_digits(shot) && parts.next().is_none();
            whole.then(|| code.parse().ok())?
        };
        Some(match read() {
            Some(code) => Ok(Self { eye, code }),
            None => Err(CalibrationError::Name { name: name.to_owned() }),
        })
    }
}

/// A photograph: how bright each panel pixel was at one gray.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The gray's code.
    pub code: u8,
    /// Width and height in panel pixels.
    pub size: (u32, u32),
    /// Light, row by row from the top left; the highest value is where the camera saw white.
    pub samples: Vec<u16>,
    /// The distance between two neighbouring values: 257 of an 8-bit picture.
    pub step: u16,
}

impl Capture {
    /// Reads the capture `name` of a gray from its bytes, a PNG in gray whose values grow with the light.
    ///
    /// # Errors
    /// When the bytes are damaged, or no such PNG.
    pub fn decode(name: &str, code: u8, bytes: &[u8]) -> Result<Self, CalibrationError> {
        let refuse = |cause: String| CalibrationError::Capture { name: name.to_owned(), cause };
        let accept = |shape: Shape| {
            let (width, height) = shape.size;
            let fits = u64::from(width) * u64::from(height) <= MAX_PX;
            fits.then_some(()).ok_or_else(|| refuse(format!("{width}x{height} pixels are too many")))
        };
        let (Shape { size, bits }, bytes) = gray::decode(bytes, accept, refuse)?;
        let (samples, step) = match bits {
            8 => (bytes.into_iter().map(|sample| u16::from(sample) * 257).collect(), 257),
            _ => (bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect(), 1),
        };
        Ok(Self { code, size, samples, step })
    }
}
