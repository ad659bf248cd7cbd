//! Getting a lease on a headset: from a Wayland compositor, from whoever started this process, or from the card itself.

pub mod inherited;
pub mod seat;
pub mod wayland;

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use nix::errno::Errno;

use crate::error::{Class, Classified};
use crate::kms::{Card, Connector, KmsError, Pipeline};

/// A headset's display, held by this process until dropped.
#[derive(Debug)]
pub struct Lease {
    /// The fd to drive it with; sees nothing of the card but what was leased.
    pub card: Arc<Card>,
    /// The connector, CRTC and planes to use.
    pub pipeline: Pipeline,
    /// The connector's name, `DP-1` say.
    pub connector_name: String,
    /// Where it comes from.
    pub source: Source,
    /// What has to live as long as the lease.
    pub keeper: Keeper,
}

/// Where a lease comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A Wayland compositor or `leasehold serve`.
    Wayland,
    /// The card itself, whose master this process is.
    Seat,
    /// An fd this process was started with.
    Inherited,
}

impl Source {
    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wayland => "wayland",
            Self::Seat => "seat",
            Self::Inherited => "fd",
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What has to live as long as a lease, and knows when the lessor has ended it.
#[derive(Debug)]
pub enum Keeper {
    /// The connection to the compositor.
    Wayland(wayland::Keeper),
    /// The fd alone.
    Nothing,
}

/// What a lessor has said of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing so far.
    Nothing,
    /// That it is over.
    Finished,
    /// No word, but it will not say anything more. The lease may live on: ask its fd
    /// ([`liveness`](crate::lease::liveness)).
    HungUp,
}

impl Keeper {
    /// What the lessor has said. Does not wait. A lease without a connection ends silently.
    pub fn heard(&mut self) -> Heard {
        match self {
            Self::Wayland(keeper) => keeper.heard(),
            Self::Nothing => Heard::Nothing,
        }
    }

    /// Readable when [`heard`](Self::heard) may have something to tell.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Wayland(keeper) => Some(keeper.fd()),
            Self::Nothing => None,
        }
    }
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No compositor can be reached.
    #[error(
        "no Wayland socket at {tried}: set WAYLAND_DISPLAY to a compositor's, or start 'leasehold serve'"
    )]
    NoSocket {
        /// The paths tried, and why each was refused.
        tried: String,
    },
    /// The user has no folder for sockets.
    #[error(
        "XDG_RUNTIME_DIR is not set: set it to the folder with the compositor's socket, /run/user/UID as a rule"
    )]
    NoRuntimeDir,
    /// The compositor does not lease displays.
    #[error(
        "the compositor at {socket} leases no displays (it has no wp_drm_lease_device_v1): \
         use one that does, or run 'leasehold serve' without a desktop"
    )]
    NoLeasing {
        /// Its socket.
        socket: String,
    },
    /// Nothing is on offer.
    #[error(
        "{place} offers no headset: plug one in and switch it on, see that nobody has it leased, \
         or offer its connector by name ('leasehold serve --offer NAME')"
    )]
    NothingOffered {
        /// Who was asked.
        place: String,
    },
    /// The connector that the user named is not there.
    #[error("{place} has no connector {name} to lease; it has: {there}")]
    NoSuchConnector {
        /// Who was asked.
        place: String,
        /// What the user named.
        name: String,
        /// What there is.
        there: String,
    },
    /// Several would do.
    #[error("{place} has several headsets, choose one with --connector: {there}")]
    Ambiguous {
        /// Who was asked.
        place: String,
        /// What there is.
        there: String,
    },
    /// The lessor refused.
    #[error(
        "{socket} denied the lease on {connector}: see that this user may lease (serve's --allow-uid or --policy), \
         that nobody else has it, and what the compositor's log says"
    )]
    Denied {
        /// Who was asked.
        socket: String,
        /// What was asked for.
        connector: String,
    },
    /// No answer came in time.
    #[error("{socket} did not {what} within {seconds:.1} s: see whether the compositor is stopped or hangs")]
    TimedOut {
        /// Who was asked.
        socket: String,
        /// What was waited for.
        what: &'static str,
        /// How long was waited.
        seconds: f64,
    },
    /// The connection broke, or the compositor called a request wrong.
    #[error("the connection to {socket} broke: {cause}")]
    Connection {
        /// With whom.
        socket: String,
        /// What happened.
        cause: String,
    },
    /// The card cannot be opened.
    #[error("could not open {card}: {}: {}", .errno.desc(), open_remedy(*.errno))]
    NotOpened {
        /// The card.
        card: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// It opens, but is no display card.
    #[error("{card} is not a display card: name one in /dev/dri, or leave --card out")]
    NotACard {
        /// What was opened.
        card: String,
    },
    /// The card has another master.
    #[error(
        "{card} belongs to another program{holders}, and only one can set its modes: \
         end that session or service, or lease from it over Wayland"
    )]
    Held {
        /// The card.
        card: String,
        /// Who has it open, in parentheses, where that can be known.
        holders: String,
    },
    /// The number is not an fd that this process was started with.
    #[error(
        "fd {fd} was not passed to this program: start it with the lease's fd open and not close-on-exec"
    )]
    NotInherited {
        /// The number.
        fd: i32,
    },
    /// The fd is something else.
    #[error("fd {fd} is not a display lease or card: pass what wp_drm_lease_v1 or drmModeCreateLease gave")]
    NotADisplay {
        /// The number.
        fd: i32,
    },
    /// There is no card at all.
    #[error("no display card in /dev/dri: load the GPU's kernel driver")]
    NoCard,
    /// The kernel refused.
    #[error(transparent)]
    Kms(#[from] KmsError),
}

impl Classified for RequestError {
    fn class(&self) -> Class {
        match self {
            Self::NothingOffered { .. } | Self::NoSuchConnector { .. } | Self::NoCard => Class::NoHeadset,
            Self::Denied { .. } => Class::LeaseDenied,
            Self::TimedOut { .. } | Self::Connection { .. } => Class::Retry,
            Self::NoSocket { .. }
            | Self::NoRuntimeDir
            | Self::NoLeasing { .. }
            | Self::Ambiguous { .. }
            | Self::NotOpened { .. }
            | Self::NotACard { .. }
            | Self::Held { .. }
            | Self::NotInherited { .. }
            | Self::NotADisplay { .. } => Class::Config,
            Self::Kms(error) => error.class(),
        }
    }
}

fn open_remedy(errno: Errno) -> &'static str {
    match errno {
        Errno::EACCES | Errno::EPERM => "join group 'video', or run at the seat",
        Errno::ENOENT => "see in /dev/dri which cards there are",
        _ => "see the kernel's log",
    }
}

/// A connector to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    name: String,
    /// Whether the kernel calls it non-desktop.
    headset: bool,
}

/// The one to take: the one named, else the only one, else the only headset. Its index.
fn choose(place: &str, candidates: &[Candidate], name: Option<&str>) -> Result<usize, RequestError> {
    let place = place.to_string();
    let list = |of: &[usize]| of.iter().map(|&n| candidates[n].name.as_str()).collect::<Vec<_>>().join(", ");
    let all: Vec<usize> = (0..candidates.len()).collect();
    if let Some(name) = name {
        let found = candidates.iter().position(|candidate| candidate.name == name);
        let there = if all.is_empty() { "none".to_string() } else { list(&all) };
        return found.ok_or(RequestError::NoSuchConnector { place, name: name.to_string(), there });
    }
    let headsets: Vec<usize> = all.iter().copied().filter(|&n| candidates[n].headset).collect();
    match (&all[..], &headsets[..]) {
        ([], _) => Err(RequestError::NothingOffered { place }),
        ([only], _) | (_, [only]) => Ok(*only),
        (_, []) => Err(RequestError::Ambiguous { place, there: list(&all) }),
        _ => Err(RequestError::Ambiguous { place, there: list(&headsets) }),
    }
}

/// The pipeline of a headset on a card that is all ours: of the connector named, else of the only one non-desktop.
fn headset_of(card: &Card, name: Option<&str>) -> Result<(Pipeline, String), RequestError> {
    let all = card
        .connectors()?
        .into_iter()
        .map(|id| Connector::read(card, id, true))
        .collect::<Result<Vec<_>, _>>()?;
    let connected: Vec<&Connector> = all.iter().filter(|connector| connector.connected).collect();
    // A desktop monitor is only taken by name, even if there is nothing else.
    let eligible: Vec<&Connector> =
        connected.into_iter().filter(|connector| connector.non_desktop || name.is_some()).collect();
    let candidates: Vec<Candidate> = eligible
        .iter()
        .map(|connector| Candidate { name: connector.name.clone(), headset: connector.non_desktop })
        .collect();
    let chosen = eligible[choose(card.name(), &candidates, name)?];
    let pipeline = Pipeline::find(card, chosen, |object| {
        let others = all.iter().filter(|other| other.id != chosen.id);
        others.filter_map(|other| other.crtc).any(|crtc| object == crtc.into())
    })?;
    Ok((pipeline, chosen.name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, headset: bool) -> Candidate {
        Candidate { name: name.into(), headset }
    }

    #[test]
    fn a_named_connector_is_taken_and_others_are_listed() {
        let there = [candidate("DP-1", true), candidate("DP-2", false)];
        assert_eq!(choose("x", &there, Some("DP-2")).unwrap(), 1);
        let error = choose("x", &there, Some("DP-3")).unwrap_err();
        assert!(error.to_string().contains("DP-1, DP-2"), "{error}");
        assert_eq!(error.class(), Class::NoHeadset);
    }

    #[test]
    fn without_a_name_the_only_one_or_the_only_headset_is_taken() {
        assert_eq!(choose("x", &[candidate("DP-1", false)], None).unwrap(), 0);
        assert_eq!(choose("x", &[candidate("DP-1", false), candidate("DP-2", true)], None).unwrap(), 1);
        assert_eq!(choose("x", &[], None).unwrap_err().class(), Class::NoHeadset);
    }

    #[test]
    fn several_headsets_need_a_name() {
        let error = choose("x", &[candidate("DP-1", true), candidate("DP-2", true)], None).unwrap_err();
        assert!(
            error.to_string().contains("DP-1, DP-2") && error.to_string().contains("--connector"),
            "{error}"
        );
    }
}
