//! Files that are written whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{FileError, create_folder};

/// Writes a file whole or not at all: beside its place first, then moved there. What is there and no file, a pipe or
/// `/dev/null` say, is written to as it is.
///
/// # Errors
/// When it cannot be written; what was there is there still.
pub fn write(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), FileError> {
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        let mut special = File::options().write(true).open(path).map_err(|error| failed(path, error))?;
        return write(&mut special).and_then(|()| special.flush()).map_err(|error| failed(path, error));
    }
    let draft = Draft::write(path, write)?;
    std::fs::rename(&draft.beside, path).map_err(|error| failed(path, error))
}

/// Writes a set of files into a folder, which is made if it is not there: all of them or none. They are all written before
/// the first takes its place; should a later one fail to, the earlier ones are taken back.
///
/// Only where the file system cannot exchange two files (NFS) and a file fails to take its place, those before it stay.
///
/// # Errors
/// When one cannot be written, or what stands in its place is no file; what was there is there still.
pub fn write_all<'a>(
    folder: &Path,
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<(), FileError> {
    let is_new = !folder.exists();
    create_folder(folder)?;
    let written = write_set(folder, files);
    if written.is_err() && is_new {
        // It is empty.
        let _ = std::fs::remove_dir(folder);
    }
    written
}

fn write_set<'a>(
    folder: &Path,
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<(), FileError> {
    let draft = |(name, bytes): (&str, &[u8])| {
        let path = folder.join(name);
        if path.metadata().is_ok_and(|there| !there.is_file()) {
            let why = "what stands in its place is no file; move it away, or write to another folder";
            return Err(failed(&path, io::Error::new(ErrorKind::AlreadyExists, why)));
        }
        Draft::write(&path, |file| file.write_all(bytes))
    };
    let drafts = files.into_iter().map(draft).collect::<Result<Vec<_>, _>>()?;
    let mut placed = Vec::new();
    for draft in &drafts {
        match draft.place() {
            Ok(way) => placed.push((draft, way)),
            Err(error) => {
                placed.into_iter().rev().for_each(|(draft, way)| draft.take_back(way));
                return Err(failed(&draft.path, error));
            }
        }
    }
    Ok(())
}

fn failed(path: &Path, source: io::Error) -> FileError {
    FileError::Io { operation: "write", path: path.into(), source }
}

/// A file's new contents, beside its place; what is left there goes when this is dropped.
struct Draft {
    path: PathBuf,
    beside: PathBuf,
}

/// How a draft took its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// There was nothing.
    New,
    /// What was there is now beside.
    Exchanged,
    /// What was there is gone.
    Replaced,
}

impl Draft {
    fn write(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Self, FileError> {
        // Not made of the file's own name, to which nothing may be left to add.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(".{}.{}.part", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let draft = Self { path: path.into(), beside: path.with_file_name(name) };
        let attempt = File::create(&draft.beside).and_then(|file| {
            let mut file = BufWriter::new(file);
            write(&mut file)?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
        });
        attempt.map(|()| draft).map_err(|error| failed(path, error))
    }

    fn place(&self) -> io::Result<Way> {
        match self.exchange() {
            Ok(()) => Ok(Way::Exchanged),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                std::fs::rename(&self.beside, &self.path).map(|()| Way::New)
            }
            // What file systems that cannot exchange say (rename(2)).
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
                std::fs::rename(&self.beside, &self.path).map(|()| Way::Replaced)
            }
            Err(error) => Err(error),
        }
    }

    fn take_back(&self, way: Way) {
        let taken = match way {
            Way::New => std::fs::rename(&self.path, &self.beside),
            Way::Exchanged => self.exchange(),
            Way::Replaced => Ok(()),
        };
        taken.unwrap_or_else(|error| tracing::warn!("could not restore {}: {error}", self.path.display()));
    }

    fn exchange(&self) -> io::Result<()> {
        Ok(renameat_with(CWD, &self.beside, CWD, &self.path, RenameFlags::EXCHANGE)?)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.beside);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;

    /// What is in a folder, by name; a folder counts as one.
    fn contents(folder: &Path) -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|_| "a folder".to_owned());
        entries.map(|entry| (entry.file_name().into_string().unwrap(), read(&entry.path()))).collect()
    }

    fn expected(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
    }

    const NEW: [(&str, &[u8]); 3] = [("a", b"new a"), ("b", b"new b"), ("c", b"new c")];

    #[test]
    fn a_set_is_written_over_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b"), "old b").unwrap();
        write_all(folder.path(), NEW).unwrap();
        assert_eq!(contents(folder.path()), expected(&[("a", "new a"), ("b", "new b"), ("c", "new c")]));
        let long = "n".repeat(255);
        write_all(&folder.path().join("made/for/it"), [(long.as_str(), &b"as long as names can be"[..])])
            .unwrap();
    }

    #[test]
    fn what_stands_in_the_way_of_one_keeps_all_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "old a").unwrap();
        std::fs::create_dir(folder.path().join("c")).unwrap();
        let error = write_all(folder.path(), NEW).unwrap_err().to_string();
        assert!(error.contains("/c: ") && error.contains("move it away"), "{error}");
        assert_eq!(contents(folder.path()), expected(&[("a", "old a"), ("c", "a folder")]));
        let made = folder.path().join("made");
        assert!(write_all(&made, [("a", &b"a"[..]), ("no/b", &b"b"[..])]).is_err());
        assert!(!made.exists());
    }

    #[test]
    fn files_that_took_their_places_are_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b"), "old b").unwrap();
        let draft =
            |name: &str| Draft::write(&folder.path().join(name), |file| write!(file, "new {name}")).unwrap();
        let (a, b) = (draft("a"), draft("b"));
        let ways = [a.place().unwrap(), b.place().unwrap()];
        assert_eq!(ways, [Way::New, Way::Exchanged]);
        assert_eq!(std::fs::read_to_string(&b.path).unwrap(), "new b");
        a.take_back(ways[0]);
        b.take_back(ways[1]);
        drop((a, b));
        assert_eq!(contents(folder.path()), expected(&[("b", "old b")]));
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "old a").unwrap();
        let full = |file: &mut dyn Write| {
            file.write_all(b"half")?;
            Err(ErrorKind::StorageFull.into())
        };
        let error = write(&path, full).unwrap_err().to_string();
        assert!(error.starts_with("could not write ") && error.contains("/a: "), "{error}");
        assert_eq!(contents(folder.path()), expected(&[("a", "old a")]));
    }

    #[test]
    fn what_is_no_file_is_written_to_and_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
                text
            }
        });
        write(&pipe, |file| file.write_all(b"whole")).unwrap();
        assert_eq!(reader.join().unwrap(), "whole");
        assert!(!pipe.metadata().unwrap().is_file());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
