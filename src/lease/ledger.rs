//! What a lessor leaves to the one that comes after it: which leases it has granted, in memory that outlives the process
//! as long as somebody keeps the fd. The kernel tells a card's master the numbers of its lessees and nothing more
//! (`DRM_IOCTL_MODE_LIST_LESSEES`).

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

use super::process::Process;
use crate::kms::{ConnectorId, CrtcId, KmsError, LesseeId, Pipeline, PlaneId};

/// The leases that are out, kept up to date.
#[derive(Debug)]
pub struct Ledger {
    memory: File,
}

/// One lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The kernel's number for it.
    pub lessee: LesseeId,
    /// Who holds it.
    pub process: Process,
    /// The user the holder ran as.
    pub uid: Uid,
    /// The holder's group.
    pub gid: Gid,
    /// What it holds, each with its connector's name.
    pub pipelines: Vec<(String, Pipeline)>,
}

/// More than the leases of any card take; whatever is longer was not written by a lessor.
const MOST_BYTES: u64 = 1 << 20;

impl Ledger {
    /// An empty one.
    ///
    /// # Errors
    /// When this process may open no further fd (`EMFILE`), or there is no memory left (`ENOMEM`).
    pub fn new() -> Result<Self, KmsError> {
        let memory = memfd_create(c"leasehold-ledger", MFdFlags::MFD_CLOEXEC)
            .map_err(|errno| KmsError::call("make memory for", "the ledger of leases", errno))?;
        Ok(Self { memory: memory.into() })
    }

    /// The one that an earlier lessor wrote.
    pub fn kept(memory: OwnedFd) -> Self {
        Self { memory: memory.into() }
    }

    /// What was last written. Nothing, if that makes no sense: a lease of which nothing is known can only be ended.
    pub fn read(&self) -> Vec<Entry> {
        self.text().and_then(|text| parse(&text)).unwrap_or_else(|why| {
            tracing::warn!("the ledger of an earlier lessor cannot be read, its leases end: {why}");
            Vec::new()
        })
    }

    /// Writes down all leases that are out. Who dies between the two calls leaves the new line and an end of the old one.
    ///
    /// # Errors
    /// When there is no memory left for it, or the fd that was kept is not for writing (`EBADF`).
    pub fn write(&self, entries: &[Entry]) -> Result<(), KmsError> {
        let line = print(entries);
        let write = self.memory.write_all_at(&line, 0).and_then(|()| self.memory.set_len(line.len() as u64));
        write.map_err(|error| KmsError::io("write down", "the leases that are out", error))
    }

    fn text(&self) -> Result<Vec<u8>, String> {
        let length = self.memory.metadata().map_err(|error| error.to_string())?.len();
        if length > MOST_BYTES {
            return Err(format!("it has {length} bytes"));
        }
        let mut text = vec![0; length as usize];
        self.memory.read_exact_at(&mut text, 0).map_err(|error| error.to_string())?;
        Ok(text)
    }
}

impl AsFd for Ledger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

/// A line of JSON.
fn print(entries: &[Entry]) -> Vec<u8> {
    let written: Vec<Written> = entries.iter().map(Written::of).collect();
    let mut line = serde_json::to_vec(&written).expect("numbers and strings can be written");
    line.push(b'\n');
    line
}

/// The first line, which is the newest.
fn parse(text: &[u8]) -> Result<Vec<Entry>, String> {
    let Some(end) = text.iter().position(|&byte| byte == b'\n') else {
        return if text.is_empty() { Ok(Vec::new()) } else { Err("its line has no end".into()) };
    };
    let written: Vec<Written> = serde_json::from_slice(&text[..end]).map_err(|error| error.to_string())?;
    written.into_iter().map(|entry| entry.read().ok_or_else(|| "an object has number 0".into())).collect()
}

/// An entry as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    lessee: u32,
    process: Process,
    uid: u32,
    gid: u32,
    pipelines: Vec<WrittenPipeline>,
}

#[derive(Serialize, Deserialize)]
struct WrittenPipeline {
    name: String,
    connector: u32,
    crtc: u32,
    primary: u32,
    overlays: Vec<u32>,
}

impl Written {
    fn of(entry: &Entry) -> Self {
        let pipelines = entry.pipelines.iter().map(|(name, pipeline)| WrittenPipeline {
            name: name.clone(),
            connector: pipeline.connector.raw(),
            crtc: pipeline.crtc.raw(),
            primary: pipeline.primary.raw(),
            overlays: pipeline.overlays.iter().map(|plane| plane.raw()).collect(),
        });
        Self {
            lessee: entry.lessee.raw(),
            process: entry.process,
            uid: entry.uid.as_raw(),
            gid: entry.gid.as_raw(),
            pipelines: pipelines.collect(),
        }
    }

    fn read(self) -> Option<Entry> {
        let pipelines = self.pipelines.into_iter().map(|written| {
            let pipeline = Pipeline {
                connector: ConnectorId::new(written.connector)?,
                crtc: CrtcId::new(written.crtc)?,
                primary: PlaneId::new(written.primary)?,
                overlays: written.overlays.into_iter().map(PlaneId::new).collect::<Option<_>>()?,
            };
            Some((written.name, pipeline))
        });
        Some(Entry {
            lessee: LesseeId::new(self.lessee)?,
            process: self.process,
            uid: Uid::from_raw(self.uid),
            gid: Gid::from_raw(self.gid),
            pipelines: pipelines.collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(lessee: u32, name: &str) -> Entry {
        let id = lessee * 10;
        let pipeline = Pipeline {
            connector: ConnectorId::new(id + 1).unwrap(),
            crtc: CrtcId::new(id + 2).unwrap(),
            primary: PlaneId::new(id + 3).unwrap(),
            overlays: vec![PlaneId::new(id + 4).unwrap()],
        };
        Entry {
            lessee: LesseeId::new(lessee).unwrap(),
            process: Process::of(std::process::id()),
            uid: Uid::from_raw(1000),
            gid: Gid::from_raw(100),
            pipelines: vec![(name.to_string(), pipeline)],
        }
    }

    #[test]
    fn what_is_written_is_read_by_the_next_lessor() {
        let ledger = Ledger::new().unwrap();
        assert_eq!(ledger.read(), []);
        let entries = [entry(1, "DP-1"), entry(2, "a name\nof two lines")];
        ledger.write(&entries).unwrap();
        let next = Ledger::kept(ledger.as_fd().try_clone_to_owned().unwrap());
        assert_eq!(next.read(), entries);
        next.write(&entries[..1]).unwrap();
        assert_eq!(ledger.read(), entries[..1]);
        next.write(&[]).unwrap();
        assert_eq!(ledger.read(), []);
    }

    #[test]
    fn a_writer_that_dies_before_it_cuts_the_end_off_is_understood() {
        let long = print(&[entry(1, "DP-1"), entry(2, "DP-2")]);
        let mut text = print(&[entry(3, "DP-3")]);
        text.extend_from_slice(&long[text.len()..]);
        assert_eq!(parse(&text).unwrap(), [entry(3, "DP-3")]);
    }

    #[test]
    fn what_no_lessor_wrote_is_refused_and_read_as_nothing() {
        assert!(parse(b"[]").is_err(), "no line end");
        let with_zero = String::from_utf8(print(&[entry(1, "DP-1")])).unwrap().replace("12", "0");
        assert!(parse(with_zero.as_bytes()).is_err());
        let ledger = Ledger::new().unwrap();
        ledger.memory.set_len(MOST_BYTES + 1).unwrap();
        assert_eq!(ledger.read(), []);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&text);
        }

        #[test]
        fn any_change_is_survived(at in 0usize..300, byte: u8) {
            let mut text = print(&[entry(1, "DP-1"), entry(2, "DP-2")]);
            let at = at % text.len();
            text[at] = byte;
            let _ = parse(&text);
        }
    }
}
