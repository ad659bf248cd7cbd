//! What is on the cable: identity, lens, panel, mura. Pure data and pure maths; opens no file and reads no clock.

pub mod cache;
pub mod calibration;
pub mod config;
mod displayid;
pub mod edid;
pub mod flash;
mod gray;
pub mod hid;
pub mod lens;
pub mod mura;
pub mod quirks;
pub mod simulated;

use std::io;

use crate::error::{Class, Classified};
use config::Config;
use edid::EdidId;
use flash::{FlashEntry, FlashError};
pub use lens::{Channel, HighOrder, Lens, LensKind, Tangents};
pub use mura::{Brightness, Mura, MuraMap};

/// The largest width or height of an eye that is believed, in pixels.
pub const MAX_EYE_SIZE: u32 = 16384;

/// The file beside a config that has the first bytes of the headset's user data: the checksums of its maps, by name. Maps
/// that stand beside it have to be those.
pub const USER_DATA_HEAD: &str = "userdata-head.bin";

/// Half the distance between the eyes where nothing says better, in metres: 63 mm is the adult mean.
const HALF_EYE_DISTANCE: f64 = 0.0315;

/// Why a headset's data cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadsetError {
    /// The configuration is not JSON.
    #[error("reading the headset's config: not valid JSON: {0}; fetch it from the headset again")]
    Json(#[source] serde_json::Error),
    /// A value in the configuration cannot be right.
    #[error(
        "reading the headset's config: {path} should be {expected}, found {found}; \
         correct it or fetch the config from the headset again"
    )]
    Value {
        /// The value's place, e.g. `tracking_to_eye_transform[1].distortion.coeffs`.
        path: String,
        /// What it has to be.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A mura map could not be read, though it is there.
    #[error(
        "reading mura map {file:?}: {source}; check the file's permissions, or take it away to do without"
    )]
    MapRead {
        /// The map's file name.
        file: String,
        /// What reading it ended in.
        source: io::Error,
    },
    /// A mura map's bytes are no map.
    #[error(
        "reading mura map {file:?}: {cause}; a map is an 8-bit gray PNG, \
         fetch it from the headset again, or take it away to do without"
    )]
    MapFormat {
        /// The map's file name.
        file: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A mura map is for another panel.
    #[error(
        "reading mura map {file:?}: it should be {}x{} as the eye's panel, found {}x{}; \
         it belongs to another headset, fetch this one's",
        expected.0, expected.1, found.0, found.1
    )]
    MapSize {
        /// The map's file name.
        file: String,
        /// The map's width and height.
        found: (u32, u32),
        /// The eye's width and height.
        expected: (u32, u32),
    },
    /// A mura map was measured on another headset.
    #[error(
        "reading mura map {file:?}: it is not this headset's: {why}; a map of another panel adds to what it should take \
         away, fetch this headset's own, or take the map away to do without"
    )]
    MapOfAnother {
        /// The map's file name.
        file: String,
        /// By what it is known.
        why: String,
    },
    /// The headset's own list of maps cannot be read.
    #[error("{USER_DATA_HEAD}, the headset's own list of its maps: {0}")]
    MapList(#[source] FlashError),
}

impl Classified for HeadsetError {
    fn class(&self) -> Class {
        Class::Config
    }
}

/// Where a headset's data came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadsetSource {
    /// Its own files.
    Files,
    /// Made up by this library.
    Simulated,
    /// Nowhere: there is none.
    Generic,
}

/// When a panel's pixels light up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Illumination {
    /// All at once, after the whole frame has come in.
    Global,
    /// Line by line, as the frame comes in.
    Rolling,
}

/// The panel in front of both eyes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Panel {
    /// One eye's part, in panel pixels across: 1 to [`MAX_EYE_SIZE`].
    pub eye_width: u32,
    /// One eye's part, in panel pixels down: 1 to [`MAX_EYE_SIZE`].
    pub eye_height: u32,
    /// The lowest code the panel should be sent, as a share of the highest (0 to 1). OLED pixels that are fully off
    /// are slow to light up, which smears; 3/255 on a Vive.
    pub black_clamp: f64,
    /// When its pixels light up.
    pub illumination: Illumination,
}

/// One eye of a headset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eye {
    /// Its lens.
    pub lens: Lens,
    /// The directions its image spans.
    pub tangents: Tangents,
    /// Takes a point from the eye's space to the head's, in metres: three rows of rotation and translation. Both
    /// spaces have x right, y up and z backwards.
    pub eye_to_head: [[f64; 4]; 3],
}

/// All that is known about a headset, apart from the modes on its cable.
#[derive(Clone, Debug, PartialEq)]
pub struct Headset {
    /// Its serial number; `unknown` where its data has none.
    pub serial: String,
    /// Its model; `unknown` where its data has none.
    pub model: String,
    /// The left and the right eye.
    pub eyes: [Eye; 2],
    /// Its panel.
    pub panel: Panel,
    /// The panel's correction, where there is one.
    pub mura: Option<Mura>,
    /// Where all this came from.
    pub source: HeadsetSource,
    /// What a user should be told once, a sentence each: what is missing and what is done instead.
    pub notes: Vec<String>,
}

impl Headset {
    /// A headset from its own configuration, which is JSON, and the mura maps that this names. `read_map` gets a
    /// plain file name and returns the file's bytes.
    ///
    /// Maps that are not there ([`io::ErrorKind::NotFound`]) turn mura off, with a note: the lens is worth having
    /// without them.
    ///
    /// # Errors
    /// When the configuration has anything that cannot be right, a map cannot be read, or does not fit the panel.
    pub fn from_config(
        json: &[u8],
        read_map: impl FnMut(&str) -> io::Result<Vec<u8>>,
    ) -> Result<Self, HeadsetError> {
        let mut config = Config::parse(json)?;
        let mura = read_mura(&mut config, read_map)?;
        Ok(Self {
            serial: config.serial,
            model: config.model,
            eyes: config.eyes,
            panel: config.panel,
            mura,
            source: HeadsetSource::Files,
            notes: config.notes,
        })
    }

    /// A headset of which nothing is known but its mode: plain lenses that span 90 degrees across, no mura.
    ///
    /// # Panics
    /// When a size is zero.
    pub fn generic(eye_width: u32, eye_height: u32) -> Self {
        assert!(eye_width > 0 && eye_height > 0, "an eye of {eye_width}x{eye_height} has no pixels");
        let aspect = f64::from(eye_width) / f64::from(eye_height);
        let eye = |side: f64| Eye {
            lens: Lens::plain(aspect),
            tangents: Tangents::from_intrinsics([1.0, aspect], [0.0, 0.0], 0.0),
            eye_to_head: beside(side * HALF_EYE_DISTANCE),
        };
        Self {
            serial: "unknown".to_owned(),
            model: "unknown".to_owned(),
            eyes: [eye(-1.0), eye(1.0)],
            // As most panels that are worn: they are dark but for a flash a frame.
            panel: Panel { eye_width, eye_height, black_clamp: 0.0, illumination: Illumination::Global },
            mura: None,
            source: HeadsetSource::Generic,
            notes: vec![
                "This headset has no data of its own: its lens is not corrected and mura is off; \
                 name its data, or fetch it from the headset."
                    .to_owned(),
            ],
        }
    }
}

impl Headset {
    /// Takes over what is known of the panel with that EDID, which is the one that it is shown on.
    pub fn is_on(&mut self, edid: &[u8]) {
        let known = EdidId::of_edid(edid).and_then(|id| id.headset());
        if let Some(illumination) = known.and_then(|known| known.illumination) {
            self.panel.illumination = illumination;
        }
    }
}

fn read_mura(
    config: &mut Config,
    mut read_map: impl FnMut(&str) -> io::Result<Vec<u8>>,
) -> Result<Option<Mura>, HeadsetError> {
    let Some(maps) = &config.maps else { return Ok(None) };
    let Panel { eye_width, eye_height, black_clamp, .. } = config.panel;
    let mut read = |file: &str| match read_map(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HeadsetError::MapRead { file: file.to_owned(), source }),
    };
    let mut map = |file: &str| {
        let Some(bytes) = read(file)? else { return Ok(None) };
        let map = MuraMap::decode(file, &bytes, eye_width, eye_height)?;
        check_serial(file, &bytes, &config.serial)?;
        Ok(Some(map))
    };
    let [left, right] = &maps.files;
    let (left_map, right_map) = (map(left)?, map(right)?);
    if let Some(head) = read(USER_DATA_HEAD)? {
        let listed = flash::directory(&head).map_err(HeadsetError::MapList)?;
        [&left_map, &right_map].into_iter().flatten().try_for_each(|map| check_listed(map, &listed))?;
    }
    let (Some(left), Some(right)) = (left_map, right_map) else {
        config.notes.push(format!(
            "Mura is off: the headset's maps {left:?} and {right:?} are not both beside its config; \
             fetch them from the headset."
        ));
        return Ok(None);
    };
    Ok(Some(Mura {
        scale: maps.scale,
        offset: maps.offset,
        weights: Mura::EQUAL_WEIGHTS,
        brightness: Brightness::FULL,
        black_code: black_clamp * 255.0,
        left,
        right,
    }))
}

/// A map that names the headset it was made for has to name this one.
fn check_serial(file: &str, bytes: &[u8], serial: &str) -> Result<(), HeadsetError> {
    match mura::headset_serial(bytes) {
        Some(other) if other != serial => Err(HeadsetError::MapOfAnother {
            file: file.to_owned(),
            why: format!("it was made for {other}, and the config is {serial}'s"),
        }),
        _ => Ok(()),
    }
}

/// A map has to be the one that the headset lists by this name.
fn check_listed(map: &MuraMap, listed: &[FlashEntry]) -> Result<(), HeadsetError> {
    let MuraMap { file, crc32, .. } = map;
    let why = match listed.iter().find(|entry| entry.name == *file) {
        Some(entry) if entry.crc32 == *crc32 => return Ok(()),
        Some(entry) => {
            format!("its checksum is {crc32:#010x}, and the headset's own has {:#010x}", entry.crc32)
        }
        None => "the headset has none of that name".to_owned(),
    };
    Err(HeadsetError::MapOfAnother { file: file.clone(), why })
}

/// An eye that looks straight ahead from `x` metres right of the head's middle.
fn beside(x: f64) -> [[f64; 4]; 3] {
    [[1.0, 0.0, 0.0, x], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
}

/// Whether a name from a headset can be trusted to name a file beside the config and nothing else.
fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name != "."
        && !name.contains("..")
        && !name.contains(|c: char| matches!(c, '/' | '\\') || c.is_control())
}
