//! Where the kernel's files are: the root of the file system, or a folder that a test made to look like one.

use std::path::{Path, PathBuf};

/// A root with `dev`, `proc` and `sys` in it.
#[derive(Clone, Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// This machine's own.
    pub fn system() -> Self {
        Self::at("/")
    }

    /// A made-up machine's.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether the processes in it are real ones, which can be asked for more.
    pub fn is_real(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where a file of it really is; `path` is without a slash at its start.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// A small file's text without white space around it; `None` where this user may not read it or it is not there.
    pub fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = std::fs::read(self.path(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_string())
    }

    /// Where a link leads.
    pub fn link(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        std::fs::read_link(self.path(path)).ok()
    }

    /// The names in a folder, in order; none where there is no such folder.
    pub fn names(&self, folder: impl AsRef<Path>) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}
