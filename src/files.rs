//! Reads a headset's directory and pictures from disk, and writes pictures to it.

pub mod edid_cache;
mod whole;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::compositor::eye_images::{Pixels, Samples};
use crate::compositor::readback::PanelPicture;
use crate::error::{Class, Classified};
use crate::headset::{Headset, HeadsetError};
use crate::lease::policy::{Policy, PolicyError};
use crate::pacing::simulate::{Load, LoadError};
pub use whole::{write, write_all};

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("could not {operation} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A headset's data does not hold together.
    #[error("{path}: {source}", path = .path.display())]
    Headset {
        /// The configuration.
        path: PathBuf,
        /// What is wrong with it.
        source: HeadsetError,
    },
    /// A policy says what none can.
    #[error("{path}: {error}", path = .path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: PolicyError,
    },
    /// A table of a simulated load is none.
    #[error("{path}: {error}", path = .path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: LoadError,
    },
    /// A picture that is none, or not of a kind that can be used.
    #[error("{path} cannot be used as a picture: {why}; give an 8- or 16-bit PNG", path = .path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Classified for FileError {
    fn class(&self) -> Class {
        Class::Config
    }
}

/// Reads a whole file.
///
/// # Errors
/// When it is not there, or this user may not read it.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|source| FileError::Io { operation: "read", path: path.into(), source })
}

/// Makes a folder, and those it is in.
///
/// # Errors
/// When this user may not make it, or something that is no folder is in its place.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(|source| FileError::Io {
        operation: "create",
        path: path.into(),
        source,
    })
}

/// The user's own folder for what can be had again: `$XDG_CACHE_HOME/leasehold`, else `~/.cache/leasehold`. None where
/// neither is known.
pub fn cache_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("leasehold"))
}

/// Reads a headset's data: a directory with `config.json` and the maps it names, or that file itself.
///
/// An EDID beside it tells when its panel lights up.
///
/// # Errors
/// When the configuration cannot be read, or [`Headset::from_config`] refuses it or a map.
pub fn read_headset(path: &Path) -> Result<Headset, FileError> {
    let config = if path.is_dir() { path.join("config.json") } else { path.to_path_buf() };
    let json = read(&config)?;
    let directory = config.parent().unwrap_or(Path::new("."));
    let mut headset = Headset::from_config(&json, |name| std::fs::read(directory.join(name)))
        .map_err(|source| FileError::Headset { path: config.clone(), source })?;
    if let Ok(edid) = std::fs::read(directory.join(EDID)) {
        headset.is_on(&edid);
    }
    Ok(headset)
}

/// Reads who may have a lease.
///
/// # Errors
/// When it cannot be read, or [`Policy::read`] refuses it.
pub fn read_policy(path: &Path) -> Result<Policy, FileError> {
    Policy::read(&read(path)?).map_err(|error| FileError::Policy { path: path.into(), error })
}

/// Reads the table of what each frame of a simulated run costs.
///
/// # Errors
/// When it cannot be read, or [`Load::parse`] refuses it.
pub fn read_load(path: &Path) -> Result<Load, FileError> {
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    Load::parse(&text).map_err(|error| FileError::Load { path: path.into(), error })
}

/// What `headset simulate` calls a headset's EDID, and what is kept of real ones.
const EDID: &str = "edid.bin";

/// The largest picture that is read, in pixels: four times the largest headset's panel.
const MAX_PICTURE_PX: u64 = 8192 * 8192;

/// Reads an eye's image from a PNG of 8 or 16 bits: gray, RGB or palette, with or without alpha (which is ignored).
///
/// # Errors
/// When it cannot be read, is damaged or no PNG, or has more than 8192 x 8192 pixels.
pub fn read_pixels(path: &Path) -> Result<Pixels, FileError> {
    let picture = |why: String| FileError::Picture { path: path.into(), why };
    let file =
        File::open(path).map_err(|source| FileError::Io { operation: "read", path: path.into(), source })?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(|error| picture(error.to_string()))?;
    let (width_px, height_px) = reader.info().size();
    if u64::from(width_px) * u64::from(height_px) > MAX_PICTURE_PX {
        return Err(picture(format!("{width_px}x{height_px} pixels are too many")));
    }
    let length = reader.output_buffer_size().ok_or_else(|| picture("it is too large".to_string()))?;
    let mut bytes = vec![0; length];
    let frame = reader.next_frame(&mut bytes).map_err(|error| picture(error.to_string()))?;
    bytes.truncate(frame.buffer_size());
    let channels = frame.color_type.samples();
    let samples = match frame.bit_depth {
        png::BitDepth::Eight => Samples::Eight(rgba(&bytes, channels, u8::MAX)),
        png::BitDepth::Sixteen => {
            let samples: Vec<u16> =
                bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            Samples::Sixteen(rgba(&samples, channels, u16::MAX))
        }
        depth => return Err(picture(format!("{depth:?} bits a channel are not supported"))),
    };
    Ok(Pixels { width_px, height_px, samples })
}

/// Spreads pixels of 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA) samples to opaque RGBA.
fn rgba<T: Copy>(samples: &[T], channels: usize, opaque: T) -> Vec<T> {
    samples
        .chunks_exact(channels)
        .flat_map(|pixel| match channels {
            1 | 2 => [pixel[0], pixel[0], pixel[0], opaque],
            _ => [pixel[0], pixel[1], pixel[2], opaque],
        })
        .collect()
}

/// Writes a panel picture as a PNG of its codes: 8-bit for 8-bit codes, else 16-bit with the codes as they are.
///
/// # Errors
/// When it cannot be written, or there are not three codes a pixel; what was there is there still.
pub fn write_panel(path: &Path, picture: &PanelPicture) -> Result<(), FileError> {
    let sixteen = picture.bits > 8;
    let bytes: Vec<u8> = match sixteen {
        true => picture.codes.iter().flat_map(|code| code.to_be_bytes()).collect(),
        false => picture.codes.iter().map(|&code| code as u8).collect(),
    };
    write_png(path, picture.width_px, picture.height_px, sixteen, &bytes)
}

fn write_png(
    path: &Path,
    width_px: u32,
    height_px: u32,
    sixteen: bool,
    bytes: &[u8],
) -> Result<(), FileError> {
    write(path, |file| {
        let mut encoder = png::Encoder::new(file, width_px, height_px);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(if sixteen { png::BitDepth::Sixteen } else { png::BitDepth::Eight });
        let mut writer = encoder.write_header().map_err(std::io::Error::other)?;
        writer.write_image_data(bytes).map_err(std::io::Error::other)?;
        writer.finish().map_err(std::io::Error::other)
    })
}
