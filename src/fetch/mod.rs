//! Takes a headset's own data out of it: its config, and its mura maps, of which a minute's reading is kept.

pub mod map_cache;

use std::path::Path;

use crate::error::{Class, Classified};
use crate::files::{self, FileError};
use crate::headset::config::Config;
use crate::headset::flash::{FlashEntry, FlashError};
use crate::headset::hid::user_data::{self, Head, Reading};
use crate::headset::hid::{FeatureReports, HidError, config};
use crate::headset::{Headset, HeadsetError, USER_DATA_HEAD};
use map_cache::{MapCache, Part};

/// The config's name in a headset's folder.
const CONFIG: &str = "config.json";

/// Why a headset's data could not be fetched. Nothing is half-written then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The headset did not give it.
    #[error(transparent)]
    Hid(#[from] HidError),
    /// What it gave does not hold together.
    #[error(transparent)]
    Headset(#[from] HeadsetError),
    /// Its config names a map that its user data does not have.
    #[error(
        "the headset's config names the map {name:?}, and its user data has {}: that map is another headset's, or lost; \
         fetch the config alone with --no-maps", list(.there)
    )]
    NotThere {
        /// The map.
        name: String,
        /// What there is.
        there: Vec<String>,
    },
    /// Another program reads the same map.
    #[error("map {name:?} is being read by another program; wait for it and start again")]
    Busy {
        /// The map.
        name: String,
    },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Classified for FetchError {
    fn class(&self) -> Class {
        match self {
            Self::Hid(error) => error.class(),
            Self::Headset(error) => error.class(),
            Self::File(error) => error.class(),
            Self::NotThere { .. } => Class::Config,
            Self::Busy { .. } => Class::Retry,
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { format!("only {}", names.join(", ")) }
}

/// Where a file's bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// They were read out of the headset.
    Headset,
    /// They had been read before.
    Cache,
    /// They stood where they were wanted.
    There,
}

impl Origin {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Headset => "headset",
            Self::Cache => "cache",
            Self::There => "there",
        }
    }
}

/// A file that is now in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Where that came from.
    pub origin: Origin,
}

/// How far a map has been read.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Its name.
    pub name: &'a str,
    /// The bytes that are there.
    pub done: u64,
    /// The bytes that there will be.
    pub total: u64,
}

/// What is fetched, and where it goes.
#[derive(Debug)]
pub struct Fetch<'a> {
    /// The folder for the headset's files; made if it is not there.
    pub out: &'a Path,
    /// Whether the mura maps are wanted.
    pub maps: bool,
    /// Where maps are kept while they are being read, and after; without, a map that is cut off is lost.
    pub cache: Option<MapCache>,
}

impl Fetch<'_> {
    /// Reads a headset's data and writes it. All of it has been read and has proved to fit together before it is written, all
    /// of it or nothing.
    ///
    /// # Errors
    /// When the headset does not give its data, they do not hold together, or cannot be written.
    pub fn run(
        &self,
        device: &mut impl FeatureReports,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Fetched>, FetchError> {
        let json = config::read(device)?;
        let named = Config::parse(&json)?.maps.filter(|_| self.maps);
        let mut files = Vec::new();
        if let Some(maps) = named {
            let Head { bytes, files: there } = user_data::head(device)?;
            for name in &maps.files {
                let entry =
                    there.iter().find(|entry| entry.name == *name).ok_or_else(|| FetchError::NotThere {
                        name: name.clone(),
                        there: there.iter().map(|entry| entry.name.clone()).collect(),
                    })?;
                files.push(self.map(device, entry, progress)?);
            }
            files.push(Fetched { name: USER_DATA_HEAD.to_owned(), bytes, origin: Origin::Headset });
            let read = |name: &str| {
                let file = files.iter().find(|file| file.name == name);
                file.map(|file| file.bytes.clone()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
            };
            Headset::from_config(&json, read)?;
        }
        files.push(Fetched { name: CONFIG.to_owned(), bytes: json, origin: Origin::Headset });
        self.write(&files)?;
        Ok(files)
    }

    /// A map, from wherever it is to be had soonest.
    fn map(
        &self,
        device: &mut impl FeatureReports,
        entry: &FlashEntry,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Fetched, FetchError> {
        let found = |bytes, origin| Ok(Fetched { name: entry.name.clone(), bytes, origin });
        let fits = |bytes: &Vec<u8>| checksum(bytes) == entry.crc32 && bytes.len() == entry.size as usize;
        if let Some(bytes) = std::fs::read(self.out.join(&entry.name)).ok().filter(fits) {
            return found(bytes, Origin::There);
        }
        if let Some(bytes) = self.cache.as_ref().and_then(|cache| cache.get(entry)) {
            return found(bytes, Origin::Cache);
        }
        let mut part = match self.cache.as_ref().map(|cache| cache.part(entry)) {
            Some(Ok(part)) => part,
            Some(Err(busy @ FetchError::Busy { .. })) => return Err(busy),
            Some(Err(error)) => {
                tracing::info!("what is read of {} is not kept: {error}", entry.name);
                Part::in_memory()
            }
            None => Part::in_memory(),
        };
        // A part that was kept may be of a read that went wrong, and so may a whole one: each is tried once more.
        for attempt in 0.. {
            read_rest(device, entry, &mut part, progress)?;
            let found_crc32 = checksum(part.bytes());
            if found_crc32 == entry.crc32 {
                break;
            }
            part.clear();
            if attempt == 1 {
                let what = format!("file {:?}", entry.name);
                let error = FlashError::Checksum { what, expected: entry.crc32, found: found_crc32 };
                return Err(HidError::Flash(error).into());
            }
            tracing::info!("what came of {} is damaged; reading it again", entry.name);
        }
        found(part.finish(), Origin::Headset)
    }

    fn write(&self, files: &[Fetched]) -> Result<(), FileError> {
        let differs = |file: &&Fetched| {
            std::fs::read(self.out.join(&file.name)).map_or(true, |there| there != file.bytes)
        };
        let new = files.iter().filter(differs);
        files::write_all(self.out, new.map(|file| (file.name.as_str(), file.bytes.as_slice())))
    }
}

fn read_rest(
    device: &mut impl FeatureReports,
    entry: &FlashEntry,
    part: &mut Part,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HidError> {
    let total = u64::from(entry.size);
    let start = entry.offset + part.bytes().len() as u64;
    let mut reading = Reading::new(device, start, entry.offset + total);
    while let Some(piece) = reading.next_piece()? {
        part.append(piece);
        progress(Progress { name: &entry.name, done: part.bytes().len() as u64, total });
    }
    Ok(())
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
