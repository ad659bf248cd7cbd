//! What has become of a lease, asked of the kernel through the lease's own fd. The kernel tells a lessee nothing of its
//! own accord: its next call fails, and in more than one case with the same error.
//!
//! | | `GET_LEASE` | `CRTC_GET_SEQUENCE` |
//! |---|---|---|
//! | live | its objects | any answer |
//! | suspended: the lessor is not the current master | `EACCES` | any answer but `ENOENT` |
//! | revoked | no objects | `ENOENT` |
//! | its lessor closed the card | `EACCES` | `ENOENT` |
//!
//! Only the current master and its lessees may ask for a lease (`drm_is_current_master`, drm_auth.c), which one that
//! is suspended is not. Anyone may ask for a vblank count, of what they can see: a revoked lease holds nothing
//! (`drm_lease_held`, drm_lease.c), and a master that closes the card revokes what it lent (`drm_master_release`). One
//! that revokes a lease and then gives the card up looks as if it were gone.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::stat::{major, minor};

use crate::kms::{Card, Connector, ConnectorId, CrtcId, KmsError, Pipeline};

/// What has become of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It can be used.
    Live,
    /// Its lessor has given up the card for a while, at a switch to another virtual terminal as a rule.
    Suspended,
    /// It will not come back.
    Lost(Loss),
}

/// Why a lease is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its lessor took it back.
    Revoked,
    /// Its lessor closed the card, or has died.
    LessorGone,
    /// Nothing hangs on its connector any longer, whether or not it was revoked for that.
    Unplugged,
    /// The card itself is gone.
    CardGone,
}

impl Loss {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::LessorGone => "lessor_gone",
            Self::Unplugged => "unplugged",
            Self::CardGone => "card_gone",
        }
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Revoked => "its lessor revoked it",
            Self::LessorGone => "its lessor is gone",
            Self::Unplugged => "the headset was unplugged",
            Self::CardGone => "the card is gone",
        })
    }
}

/// What the kernel answers to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// How many objects the lease holds.
    pub objects: Result<usize, Errno>,
    /// Whether its CRTC can be asked about.
    pub crtc: Result<(), Errno>,
    /// Whether something hangs on its connector, where that is known.
    pub plugged: Option<bool>,
}

impl Answers {
    /// What they come to. Answers that are not about the lease leave it live: whatever else failed is to be told.
    pub fn liveness(self) -> Liveness {
        let unplugged = self.plugged == Some(false);
        match (self.objects, self.crtc) {
            (Err(Errno::ENODEV), _) | (_, Err(Errno::ENODEV)) => Liveness::Lost(Loss::CardGone),
            (Err(Errno::EACCES), Err(Errno::ENOENT)) => Liveness::Lost(Loss::LessorGone),
            (Err(Errno::EACCES), _) => Liveness::Suspended,
            (Ok(_), _) if unplugged => Liveness::Lost(Loss::Unplugged),
            (Ok(0), _) => Liveness::Lost(Loss::Revoked),
            _ => Liveness::Live,
        }
    }
}

/// Asks the kernel about one lease.
#[derive(Debug)]
pub struct Probe {
    card: Arc<Card>,
    crtc: CrtcId,
    connector: ConnectorId,
    /// Where sysfs tells whether something is plugged in: a lease that was revoked cannot be asked.
    status: Option<PathBuf>,
}

impl Probe {
    /// For the lease that `card` is, with its `pipeline`, whose connector has that name.
    pub fn new(card: Arc<Card>, pipeline: &Pipeline, connector_name: &str) -> Self {
        let status = status_file(&card, connector_name);
        Self { card, crtc: pipeline.crtc, connector: pipeline.connector, status }
    }

    /// What has become of it. A few system calls; waits for nothing and, of a living lease, allocates nothing.
    pub fn ask(&self) -> Liveness {
        let objects = match self.card.leased_object_count() {
            // Whether the lessor is master is checked before the objects are counted (drm_ioctl, drm_ioctl.c), and one that
            // closes the card may come between the two. By now it is no longer master.
            Ok(0) => self.card.leased_object_count(),
            answer => answer,
        };
        // One that is suspended is asked after again and again.
        let plugged = objects.is_ok().then(|| self.plugged()).flatten();
        Answers { objects, crtc: self.crtc(), plugged }.liveness()
    }

    /// Has the kernel see anew what is plugged in, as it is to be done after it announced a change, and asks. Takes tens
    /// of milliseconds where there is an EDID to read.
    pub fn look(&self) -> Liveness {
        let read = Connector::read(&self.card, self.connector, true);
        match (self.ask(), read) {
            // Without sysfs.
            (Liveness::Live, Ok(connector)) if !connector.connected => Liveness::Lost(Loss::Unplugged),
            (liveness, _) => liveness,
        }
    }

    fn crtc(&self) -> Result<(), Errno> {
        match self.card.vblank(self.crtc).map(drop).map_err(errno) {
            // A driver without vblanks says so before it looks whose CRTC it is.
            Err(Errno::EOPNOTSUPP) => self.card.mode_of(self.crtc).map(drop).map_err(errno),
            answer => answer,
        }
    }

    fn plugged(&self) -> Option<bool> {
        let mut word = [0; 16];
        let length = File::open(self.status.as_ref()?).and_then(|mut file| file.read(&mut word)).ok()?;
        match word[..length].trim_ascii_end() {
            b"connected" => Some(true),
            b"disconnected" => Some(false),
            _ => None,
        }
    }
}

fn errno(error: KmsError) -> Errno {
    error.errno().unwrap_or(Errno::UnknownErrno)
}

/// `/sys/devices/.../drm/card0/card0-DP-1/status`
fn status_file(card: &Card, connector: &str) -> Option<PathBuf> {
    let number = card.device_number().ok()?;
    let link = format!("/sys/dev/char/{}:{}", major(number), minor(number));
    let node = std::fs::canonicalize(link).ok()?;
    let name = format!("{}-{connector}", node.file_name()?.to_str()?);
    Some(node.join(name).join("status"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRTC_ANSWERS: [Result<(), Errno>; 5] =
        [Ok(()), Err(Errno::EINVAL), Err(Errno::EOPNOTSUPP), Err(Errno::ENOENT), Err(Errno::EIO)];

    fn classify(objects: Result<usize, Errno>, crtc: Result<(), Errno>) -> Liveness {
        Answers { objects, crtc, plugged: Some(true) }.liveness()
    }

    #[test]
    fn each_row_of_the_table_is_told_from_the_others() {
        assert_eq!(classify(Ok(4), Ok(())), Liveness::Live);
        assert_eq!(classify(Err(Errno::EACCES), Ok(())), Liveness::Suspended);
        assert_eq!(classify(Ok(0), Err(Errno::ENOENT)), Liveness::Lost(Loss::Revoked));
        assert_eq!(classify(Err(Errno::EACCES), Err(Errno::ENOENT)), Liveness::Lost(Loss::LessorGone));
    }

    #[test]
    fn a_crtc_that_is_off_or_keeps_no_count_is_still_leased() {
        for crtc in [Err(Errno::EINVAL), Err(Errno::EOPNOTSUPP)] {
            assert_eq!(classify(Ok(4), crtc), Liveness::Live);
            assert_eq!(classify(Err(Errno::EACCES), crtc), Liveness::Suspended);
        }
    }

    #[test]
    fn an_unplugged_headset_is_named_before_the_revocation_that_it_brings() {
        for objects in [Ok(0), Ok(4)] {
            let answers = Answers { objects, crtc: Err(Errno::ENOENT), plugged: Some(false) };
            assert_eq!(answers.liveness(), Liveness::Lost(Loss::Unplugged));
            assert_ne!(Answers { plugged: None, ..answers }.liveness(), Liveness::Lost(Loss::Unplugged));
        }
    }

    #[test]
    fn whoever_is_plugged_in_a_lessor_that_slept_or_left_did_so() {
        for plugged in [None, Some(false), Some(true)] {
            let answers = Answers { objects: Err(Errno::EACCES), crtc: Ok(()), plugged };
            assert_eq!(answers.liveness(), Liveness::Suspended);
            let answers = Answers { crtc: Err(Errno::ENOENT), ..answers };
            assert_eq!(answers.liveness(), Liveness::Lost(Loss::LessorGone));
        }
    }

    #[test]
    fn a_card_that_is_gone_is_not_taken_for_a_lessor() {
        for crtc in CRTC_ANSWERS {
            assert_eq!(classify(Err(Errno::ENODEV), crtc), Liveness::Lost(Loss::CardGone));
        }
        assert_eq!(classify(Ok(4), Err(Errno::ENODEV)), Liveness::Lost(Loss::CardGone));
    }

    #[test]
    fn answers_that_are_not_about_the_lease_leave_it_live() {
        for objects in [Errno::EIO, Errno::ENOMEM, Errno::EINVAL, Errno::UnknownErrno] {
            for crtc in CRTC_ANSWERS {
                assert_eq!(classify(Err(objects), crtc), Liveness::Live, "{objects} {crtc:?}");
            }
        }
    }
}
