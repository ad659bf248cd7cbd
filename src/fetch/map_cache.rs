//! The folder where maps are kept that were read out of headsets, each under its checksum and size, and beside them the
//! parts of those that were cut off.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{FetchError, checksum};
use crate::files::{self, FileError};
use crate::headset::flash::FlashEntry;

/// A folder of maps.
#[derive(Clone, Debug)]
pub struct MapCache {
    folder: PathBuf,
}

impl MapCache {
    /// The user's own: `$XDG_CACHE_HOME/leasehold/maps`, else `~/.cache/leasehold/maps`. None where neither is known.
    pub fn of_user() -> Option<Self> {
        Some(Self::in_folder(files::cache_folder()?.join("maps")))
    }

    /// In this folder, which is made when there is something to keep.
    pub fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The map that the headset lists so; None when it is not here whole.
    pub fn get(&self, entry: &FlashEntry) -> Option<Vec<u8>> {
        let bytes = std::fs::read(self.path(entry)).ok()?;
        (bytes.len() == entry.size as usize && checksum(&bytes) == entry.crc32).then_some(bytes)
    }

    /// What there is of that map so far, to be added to.
    ///
    /// # Errors
    /// When another program is adding to it, or the folder cannot be used.
    pub fn part(&self, entry: &FlashEntry) -> Result<Part, FetchError> {
        files::create_folder(&self.folder)?;
        let whole = self.path(entry);
        let path = whole.with_extension("part");
        let failed = |source| FileError::Io { operation: "keep", path: path.clone(), source };
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => FetchError::Busy { name: entry.name.clone() },
            errno => failed(errno.into()).into(),
        })?;
        let mut bytes = Vec::new();
        (&*lock).take(u64::from(entry.size) + 1).read_to_end(&mut bytes).map_err(failed)?;
        let writer = BufWriter::new(lock.try_clone().map_err(failed)?);
        let mut part = Part { bytes, kept: Some(Kept { file: writer, _lock: lock, path, whole }) };
        if part.bytes.len() > entry.size as usize {
            part.clear();
        }
        Ok(part)
    }

    fn path(&self, entry: &FlashEntry) -> PathBuf {
        self.folder.join(format!("{:08x}-{}.mc", entry.crc32, entry.size))
    }
}

/// What has been read of a map.
///
/// That it cannot be kept is no reason to fail: then the next attempt starts from the beginning.
#[derive(Debug)]
pub struct Part {
    bytes: Vec<u8>,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    file: BufWriter<File>,
    _lock: Flock<File>,
    path: PathBuf,
    whole: PathBuf,
}

impl Part {
    /// One that is kept nowhere.
    pub fn in_memory() -> Self {
        Self { bytes: Vec::new(), kept: None }
    }

    /// The bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds some.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.keep(|kept| kept.file.write_all(bytes));
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.keep(|kept| {
            kept.file.flush()?;
            kept.file.get_ref().set_len(0)?;
            kept.file.seek(SeekFrom::Start(0)).map(drop)
        });
    }

    /// The whole map, which has proved right, and is now kept as such.
    pub fn finish(mut self) -> Vec<u8> {
        self.keep(|kept| {
            kept.file.flush()?;
            kept.file.get_ref().sync_all()?;
            std::fs::rename(&kept.path, &kept.whole)
        });
        self.bytes
    }

    fn keep(&mut self, act: impl FnOnce(&mut Kept) -> std::io::Result<()>) {
        let Some(kept) = &mut self.kept else { return };
        if let Err(error) = act(kept) {
            tracing::info!("what is read of the map is not kept in {}: {error}", kept.path.display());
            // What is there may have gaps.
            let _ = std::fs::remove_file(&kept.path);
            self.kept = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: &[u8]) -> FlashEntry {
        FlashEntry {
            name: "left.mc".to_owned(),
            offset: 136,
            size: bytes.len() as u32,
            crc32: checksum(bytes),
        }
    }

    #[test]
    fn a_part_is_gone_on_with_and_becomes_the_map() {
        let home = tempfile::tempdir().unwrap();
        let cache = MapCache::in_folder(home.path().join("leasehold/maps"));
        let entry = entry(b"the whole map");
        let mut part = cache.part(&entry).unwrap();
        part.append(b"the who");
        let busy = cache.part(&entry).expect_err("another adds to it").to_string();
        assert!(busy.contains("left.mc"), "{busy}");
        drop(part);
        assert_eq!(cache.get(&entry), None);
        let mut part = cache.part(&entry).unwrap();
        assert_eq!(part.bytes(), b"the who");
        part.append(b"le map");
        assert_eq!(part.finish(), b"the whole map");
        assert_eq!(cache.get(&entry).as_deref(), Some(&b"the whole map"[..]));
        assert_eq!(std::fs::read_dir(home.path().join("leasehold/maps")).unwrap().count(), 1);
    }

    #[test]
    fn what_is_damaged_or_too_long_counts_as_absent() {
        let home = tempfile::tempdir().unwrap();
        let cache = MapCache::in_folder(home.path().into());
        let entry = entry(b"the whole map");
        std::fs::write(cache.path(&entry), b"the whole mop").unwrap();
        assert_eq!(cache.get(&entry), None);
        std::fs::write(cache.path(&entry).with_extension("part"), b"the whole map and more").unwrap();
        let mut part = cache.part(&entry).unwrap();
        assert_eq!(part.bytes(), b"");
        part.append(b"the");
        part.clear();
        part.append(b"the whole map");
        part.finish();
        assert_eq!(std::fs::read(cache.path(&entry)).unwrap(), b"the whole map");
    }

    #[test]
    fn what_cannot_be_kept_is_read_all_the_same() {
        let mut part = Part::in_memory();
        part.append(b"the whole map");
        assert_eq!(part.finish(), b"the whole map");
        assert!(MapCache::in_folder("/dev/null/maps".into()).part(&entry(b"x")).is_err());
    }
}
