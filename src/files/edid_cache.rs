//! The folder where headsets' EDIDs are remembered: a file a connector, as the headset gave it, last touched when it
//! last answered.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::FileError;
use crate::headset::cache::{self, Change, Memory, Occupant};

/// Where the kernel shows all connectors to everyone (`drm_sysfs.c`).
const CONNECTORS: &str = "/sys/class/drm";

/// A folder of remembered EDIDs.
#[derive(Clone, Debug)]
pub struct EdidCache {
    folder: PathBuf,
}

impl EdidCache {
    /// The user's own: `$XDG_CACHE_HOME/leasehold/edid`, else `~/.cache/leasehold/edid`. None where neither is known.
    pub fn of_user() -> Option<Self> {
        Some(Self::in_folder(super::cache_folder()?.join("edid")))
    }

    /// In this folder, which is made when there is something to remember.
    pub fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The headset that last answered on a connector of `card` (`card0` say), if one is remembered. Changes nothing.
    pub fn recall(&self, card: &str, connector: &str) -> Option<Memory> {
        recall(&self.folder.join(cache::file_name(card, connector)?))
    }

    /// Tells what hangs on a connector of `card` (`card0` say), and remembers it where it is a headset. `edid` is what
    /// the connector gives now, empty where it gives none; `non_desktop` is the kernel's word.
    ///
    /// Nothing here is worth failing for: what cannot be read counts as never seen, what cannot be written is said in
    /// the log.
    pub fn identify(&self, card: &str, connector: &str, edid: &[u8], non_desktop: bool) -> Occupant {
        let path = cache::file_name(card, connector).map(|name| self.folder.join(name));
        let memory = path.as_deref().and_then(recall);
        let (occupant, change) = Occupant::judge(edid, non_desktop, memory);
        if let Some(path) = path {
            let done = match change {
                Change::Remember => self.remember(&path, edid),
                Change::Forget => forget(&path),
                Change::Keep => Ok(()),
            };
            done.unwrap_or_else(|error| tracing::debug!("{error}"));
        }
        occupant
    }

    /// Looks at all connectors of this machine, as far as the kernel shows them without a card's being opened, and
    /// remembers headsets; what to tell about those that do not answer, a sentence each. A headset that answers on
    /// another connector has only moved.
    pub fn look_around(&self) -> Vec<String> {
        self.look_at(Path::new(CONNECTORS))
    }

    fn look_at(&self, connectors: &Path) -> Vec<String> {
        let mut folders: Vec<PathBuf> =
            std::fs::read_dir(connectors).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        folders.sort();
        let occupants: Vec<(&str, Occupant)> = folders
            .iter()
            .filter_map(|folder| {
                let (card, connector) = folder.file_name()?.to_str()?.split_once('-')?;
                let edid = std::fs::read(folder.join("edid")).ok()?;
                Some((connector, self.identify(card, connector, &edid, false)))
            })
            .collect();
        let elsewhere = |memory: &Memory| {
            occupants.iter().any(|(_, other)| matches!(other, Occupant::Headset(edid) if memory.is_of(edid)))
        };
        let silent = occupants.iter().filter_map(|(connector, occupant)| match occupant {
            Occupant::Silent(Some(memory)) if !elsewhere(memory) => Some(memory.sentence(connector)),
            _ => None,
        });
        silent.collect()
    }

    fn remember(&self, path: &Path, edid: &[u8]) -> Result<(), FileError> {
        if std::fs::read(path).is_ok_and(|there| there == edid) {
            return touch(path);
        }
        super::create_folder(&self.folder)?;
        super::write(path, |file| file.write_all(edid))
    }
}

/// What all connectors of this machine tell beside the user's own memories; see [`EdidCache::look_around`].
pub fn look_around() -> Vec<String> {
    EdidCache::of_user().map_or_else(Vec::new, |cache| cache.look_around())
}

fn recall(path: &Path) -> Option<Memory> {
    let bytes = std::fs::read(path).ok()?;
    let at = path.metadata().and_then(|metadata| metadata.modified()).ok()?;
    Memory::parse(&bytes, at)
        .inspect_err(|error| tracing::debug!("{} is no help: {error}", path.display()))
        .ok()
}

fn touch(path: &Path) -> Result<(), FileError> {
    let touched = std::fs::File::options().append(true).open(path);
    touched.and_then(|file| file.set_modified(SystemTime::now())).map_err(|source| FileError::Io {
        operation: "touch",
        path: path.into(),
        source,
    })
}

fn forget(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::Io { operation: "remove", path: path.into(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A base block without modes, of this vendor and product.
    fn edid(identity: [u8; 4]) -> Vec<u8> {
        let mut block = vec![0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
        block.extend(identity);
        block.resize(127, 0);
        let sum = block.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        block.push(sum.wrapping_neg());
        block
    }

    const VIVE: [u8; 4] = [0x22, 0xd2, 0x01, 0xaa];
    const MONITOR: [u8; 4] = [0x04, 0x43, 0x34, 0x12];

    #[test]
    fn a_headset_that_falls_silent_is_known_until_a_monitor_takes_its_place() {
        let home = tempfile::tempdir().unwrap();
        let cache = EdidCache::in_folder(home.path().join("leasehold/edid"));
        let silence = |edid: &[u8]| cache.identify("card0", "DP-1", edid, false).silence("DP-1");
        assert_eq!(silence(&[]), None);
        assert_eq!(silence(&edid(VIVE)), None);
        assert!(silence(&[]).expect("it is remembered").contains("it was HTC Vive at "));
        let recalled = cache.recall("card0", "DP-1").expect("it is remembered");
        assert!(recalled.to_string().starts_with("HTC Vive at "), "{recalled}");
        assert_eq!(cache.recall("card0", "DP-2"), None);
        assert_eq!(cache.identify("card0", "DP-2", &[], false), Occupant::Silent(None));
        assert_eq!(silence(&edid(MONITOR)), None);
        assert_eq!(silence(&[]), None);
        assert_eq!(std::fs::read_dir(home.path().join("leasehold/edid")).unwrap().count(), 0);
    }

    #[test]
    fn a_memory_that_is_damaged_is_ignored_and_replaced() {
        let home = tempfile::tempdir().unwrap();
        let cache = EdidCache::in_folder(home.path().into());
        let path = home.path().join("card0-DP-1");
        std::fs::write(&path, b"no EDID").unwrap();
        assert_eq!(cache.identify("card0", "DP-1", &[], false), Occupant::Silent(None));
        cache.identify("card0", "DP-1", &edid(VIVE), false);
        assert_eq!(std::fs::read(&path).unwrap(), edid(VIVE));
    }

    #[test]
    fn a_headset_that_answers_again_is_dated_anew() {
        let home = tempfile::tempdir().unwrap();
        let cache = EdidCache::in_folder(home.path().into());
        let path = home.path().join("card0-DP-1");
        std::fs::write(&path, edid(VIVE)).unwrap();
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let old = cache.identify("card0", "DP-1", &[], false).silence("DP-1").unwrap();
        assert!(old.contains("1970-01-01"), "{old}");
        cache.identify("card0", "DP-1", &edid(VIVE), false);
        let new = cache.identify("card0", "DP-1", &[], false).silence("DP-1").unwrap();
        assert!(!new.contains("1970-01-01"), "{new}");
    }

    #[test]
    fn all_connectors_are_looked_at_as_the_kernel_shows_them() {
        let (home, kernel) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = EdidCache::in_folder(home.path().into());
        let show = |name: &str, edid: &[u8]| {
            std::fs::create_dir_all(kernel.path().join(name)).unwrap();
            std::fs::write(kernel.path().join(name).join("edid"), edid).unwrap();
        };
        std::fs::create_dir(kernel.path().join("card0")).unwrap();
        std::fs::write(kernel.path().join("version"), "drm 1.1.0 20060810").unwrap();
        show("card0-DP-1", &edid(MONITOR));
        show("card0-HDMI-A-1", &edid(VIVE));
        assert_eq!(cache.look_at(kernel.path()), Vec::<String>::new());
        show("card0-HDMI-A-1", &[]);
        show("card0-DP-1", &[]);
        let told = cache.look_at(kernel.path());
        assert!(matches!(&told[..], [one] if one.starts_with("HDMI-A-1: EDID does not answer")), "{told:?}");
        show("card1-DP-3", &edid(VIVE));
        assert_eq!(cache.look_at(kernel.path()), Vec::<String>::new(), "it has moved");
        assert_eq!(cache.look_at(&kernel.path().join("missing")), Vec::<String>::new());
    }

    #[test]
    fn a_folder_that_cannot_be_made_harms_nobody() {
        let cache = EdidCache::in_folder("/dev/null/edid".into());
        let occupant = cache.identify("card0", "DP-1", &edid(VIVE), false);
        assert_eq!(occupant.headset_title().as_deref(), Some("HTC Vive"));
    }
}
