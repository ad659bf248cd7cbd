//! The user-data area in a headset's flash, where a Vive keeps its mura maps.
//!
//! All numbers are little-endian:
//!
//! | offset | what |
//! |---|---|
//! | 0x00 | `res\x85` |
//! | 0x04 | u32 end of the directory and start of the contents |
//! | 0x08 | u32 CRC-32 of the bytes from 0x0c to that end |
//! | 0x0c | u32 length of it all |
//! | 0x10 | u16 number of files, u16 offset of their entries, u32 offset of their names |
//!
//! The names follow, each with a zero byte after it, then the contents. An entry is u32 CRC-32 of the file, u32 offset from the start of the contents, u32 size, u16 offset of its name
//! from the names and u16 length of it. The layout was worked out from one headset's area in which every checksum
//! fits; it is not documented by its maker.

use std::collections::HashSet;

use crate::error::{Class, Classified};

const MAGIC: [u8; 4] = *b"res\x85";
const HEADER: usize = 0x18;
const ENTRY: usize = 16;

/// Why a user-data area cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlashError {
    /// It does not start as one. Erased flash is all 0xff.
    #[error(
        "reading the headset's user data: it starts with {found:02x?}, not with \"res\\x85\"; \
         check that this is the whole area from its first byte"
    )]
    Magic {
        /// The first bytes, four at most.
        found: Vec<u8>,
    },
    /// It ends before something that it points to.
    #[error(
        "reading the headset's user data: {what} ends at byte {end}, but there are only {found}; \
         read the area again, in full"
    )]
    OutOfBounds {
        /// What would not fit.
        what: String,
        /// Where it would end.
        end: u64,
        /// Where it had to end at the latest.
        found: u64,
    },
    /// A checksum does not fit the bytes it is for.
    #[error(
        "reading the headset's user data: the checksum of {what} should be {expected:#010x}, \
         found {found:#010x}; the bytes are damaged, read the area again"
    )]
    Checksum {
        /// Of what.
        what: String,
        /// The stored checksum.
        expected: u32,
        /// The checksum of the bytes that are there.
        found: u32,
    },
    /// A file's name is empty, has a directory in it, or stands twice.
    #[error(
        "reading the headset's user data: file {index} is named {name:?}, which is no plain name of its own; \
         unpack nothing from this area, and report it"
    )]
    Name {
        /// Which file, from 0.
        index: usize,
        /// What it is named.
        name: String,
    },
    /// Files overlap: together they are longer than the contents.
    #[error(
        "reading the headset's user data: its files take {files} bytes of the {contents} there are; \
         the directory is wrong, read the area again"
    )]
    Overlap {
        /// The sizes of all files.
        files: u64,
        /// The bytes there are for them.
        contents: u64,
    },
}

impl Classified for FlashError {
    fn class(&self) -> Class {
        Class::Config
    }
}

/// A file in the area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlashFile {
    /// Its name, without any directory.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// CRC-32 of the bytes, verified.
    pub crc32: u32,
}

/// Where a file lies in the area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlashEntry {
    /// Its name, without any directory.
    pub name: String,
    /// Its first byte's offset from the start of the area.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u32,
    /// CRC-32 its bytes should have.
    pub crc32: u32,
}

/// How many of an area's first bytes its directory takes, by its header; [`directory`] needs as many.
///
/// # Errors
/// When the bytes do not start as an area does, or are fewer than a header.
pub fn directory_bytes(bytes: &[u8]) -> Result<u64, FlashError> {
    if !bytes.starts_with(&MAGIC) {
        return Err(FlashError::Magic { found: bytes.iter().take(4).copied().collect() });
    }
    let header = slice(bytes, 0, HEADER, "the header")?;
    Ok(u64::from(u32_at(header, 0x04)).max(HEADER as u64))
}

/// Reads the directory alone: the first bytes of an area suffice, 136 on a Vive. Reading the maps themselves out of
/// a headset takes a minute, so their checksums here say whether a stored copy is still right.
///
/// # Errors
/// As [`parse`], but for the files' contents.
pub fn directory(bytes: &[u8]) -> Result<Vec<FlashEntry>, FlashError> {
    let directory = slice(bytes, 0, directory_bytes(bytes)? as usize, "the directory")?;
    let header = &directory[..HEADER];
    let total = u64::from(u32_at(header, 0x0c));
    verify("the directory", &directory[0x0c..], u32_at(header, 0x08))?;

    let (count, entries) = (u16_at(header, 0x10), u16_at(header, 0x12));
    let names = u32_at(header, 0x14) as usize;
    let entries = slice(directory, usize::from(entries), usize::from(count) * ENTRY, "the list of files")?;
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    for (index, entry) in entries.chunks_exact(ENTRY).enumerate() {
        let (name_offset, name_length) = (usize::from(u16_at(entry, 12)), usize::from(u16_at(entry, 14)));
        let name = slice(directory, names.saturating_add(name_offset), name_length, "a file's name")?;
        let name = String::from_utf8_lossy(name).into_owned();
        if !super::is_plain_file_name(&name) || !seen.insert(name.clone()) {
            return Err(FlashError::Name { index, name });
        }
        let size = u32_at(entry, 8);
        let offset = directory.len() as u64 + u64::from(u32_at(entry, 4));
        let end = offset + u64::from(size);
        if end > total {
            return Err(FlashError::OutOfBounds { what: format!("file {name:?}"), end, found: total });
        }
        files.push(FlashEntry { name, offset, size, crc32: u32_at(entry, 0) });
    }
    Ok(files)
}

/// Unpacks a whole area. Bytes after its end are left alone: the flash is larger than what is stored in it.
///
/// # Errors
/// When anything points outside the area, any checksum does not fit, names are no plain file names, or files overlap
/// (which would let a small area unpack into a huge one).
pub fn parse(bytes: &[u8]) -> Result<Vec<FlashFile>, FlashError> {
    let entries = directory(bytes)?;
    let files: u64 = entries.iter().map(|entry| u64::from(entry.size)).sum();
    if files > bytes.len() as u64 {
        return Err(FlashError::Overlap { files, contents: bytes.len() as u64 });
    }
    entries
        .into_iter()
        .map(|FlashEntry { name, offset, size, crc32 }| {
            let what = format!("file {name:?}");
            let contents = slice(bytes, offset as usize, size as usize, &what)?;
            verify(&what, contents, crc32)?;
            Ok(FlashFile { name, bytes: contents.to_vec(), crc32 })
        })
        .collect()
}

/// Packs an area with these files, as a headset packs them: made-up headsets are made of it.
pub fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
    let names_at = HEADER + files.len() * ENTRY;
    let (mut entries, mut names, mut contents) = (Vec::new(), Vec::new(), Vec::new());
    for (name, bytes) in files {
        entries.extend(crc32fast::hash(bytes).to_le_bytes());
        entries.extend((contents.len() as u32).to_le_bytes());
        entries.extend((bytes.len() as u32).to_le_bytes());
        entries.extend((names.len() as u16).to_le_bytes());
        entries.extend((name.len() as u16).to_le_bytes());
        names.extend(name.as_bytes());
        names.push(0);
        contents.extend(*bytes);
    }
    let start = names_at + names.len();
    let mut checked = ((start + contents.len()) as u32).to_le_bytes().to_vec();
    checked.extend((files.len() as u16).to_le_bytes());
    checked.extend((HEADER as u16).to_le_bytes());
    checked.extend((names_at as u32).to_le_bytes());
    checked.extend(entries);
    checked.extend(names);
    let crc32 = crc32fast::hash(&checked).to_le_bytes();
    [&MAGIC[..], &(start as u32).to_le_bytes(), &crc32, &checked, &contents].concat()
}

fn slice<'a>(bytes: &'a [u8], start: usize, length: usize, what: &str) -> Result<&'a [u8], FlashError> {
    let end = start.saturating_add(length);
    bytes.get(start..end).ok_or_else(|| FlashError::OutOfBounds {
        what: what.to_owned(),
        end: end as u64,
        found: bytes.len() as u64,
    })
}

fn verify(what: &str, bytes: &[u8], expected: u32) -> Result<(), FlashError> {
    let found = crc32fast::hash(bytes);
    if found == expected {
        Ok(())
    } else {
        Err(FlashError::Checksum { what: what.to_owned(), expected, found })
    }
}

/// The number at an offset known to lie inside.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The number at an offset known to lie inside.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(bytes: &mut [u8]) {
        let end = (u32_at(bytes, 4) as usize).clamp(HEADER, bytes.len());
        let crc32 = crc32fast::hash(&bytes[0x0c..end]);
        bytes[8..12].copy_from_slice(&crc32.to_le_bytes());
    }

    #[test]
    fn unpacks_every_file_and_ignores_what_follows() {
        let mut bytes = pack(&[("left.mc", b"first"), ("right.mc", b"second one")]);
        bytes.extend([0xff; 100]);
        let files = parse(&bytes).expect("valid");
        assert_eq!((files[0].name.as_str(), files[0].bytes.as_slice()), ("left.mc", &b"first"[..]));
        assert_eq!((files[1].name.as_str(), files[1].bytes.as_slice()), ("right.mc", &b"second one"[..]));
        assert_eq!(files[1].crc32, crc32fast::hash(b"second one"));
    }

    #[test]
    fn the_directory_needs_only_the_first_bytes() {
        let bytes = pack(&[("a", b"12345")]);
        let entries = directory(&bytes[..bytes.len() - 5]).expect("the directory is whole");
        assert_eq!((entries[0].name.as_str(), entries[0].size), ("a", 5));
        assert_eq!(entries[0].offset, bytes.len() as u64 - 5);
    }

    #[test]
    fn damage_is_named() {
        assert!(matches!(parse(&[0xff; 64]), Err(FlashError::Magic { .. })));
        let good = pack(&[("a.mc", b"12345")]);
        let mut bytes = good.clone();
        *bytes.last_mut().expect("not empty") ^= 1;
        let error = parse(&bytes).expect_err("the file is damaged").to_string();
        assert!(error.contains("a.mc") && error.contains("checksum"), "{error}");
        let mut bytes = good.clone();
        bytes[0x12] ^= 1;
        assert!(matches!(parse(&bytes), Err(FlashError::Checksum { .. })));
        assert!(matches!(parse(&good[..good.len() - 1]), Err(FlashError::OutOfBounds { .. })));
    }

    #[test]
    fn names_with_directories_and_twins_are_refused() {
        for names in [["../a", "b"], ["a/b", "b"], ["..", "b"], ["", "b"], ["b", "b"]] {
            let bytes = pack(&[(names[0], b"1"), (names[1], b"2")]);
            assert!(matches!(parse(&bytes), Err(FlashError::Name { .. })), "{names:?}");
        }
    }

    #[test]
    fn files_on_top_of_each_other_are_refused() {
        let mut bytes = pack(&[("a", &[7; 600]), ("b", &[7; 600])]);
        let second = HEADER + ENTRY;
        bytes[second + 4..second + 8].copy_from_slice(&0u32.to_le_bytes());
        close(&mut bytes);
        bytes.truncate(bytes.len() - 300);
        bytes[0x0c..0x10].copy_from_slice(&((HEADER + 2 * ENTRY + 604) as u32).to_le_bytes());
        close(&mut bytes);
        assert!(matches!(parse(&bytes), Err(FlashError::Overlap { .. })));
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[&MAGIC[..], &bytes].concat());
        }

        /// Damaged offsets under a checksum that fits, so that they are followed.
        #[test]
        fn survives_any_damage_under_a_good_checksum(
            damage in prop::collection::vec((4usize..80, any::<u8>()), 1..8)
        ) {
            let mut bytes = pack(&[("left.mc", b"first"), ("right.mc", b"second one")]);
            for (at, value) in damage {
                bytes[at] = value;
            }
            close(&mut bytes);
            for file in parse(&bytes).unwrap_or_default() {
                prop_assert_eq!(crc32fast::hash(&file.bytes), file.crc32);
            }
        }
    }
}
