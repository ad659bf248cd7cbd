//! Getting a lease on a headset: from a Wayland compositor, from an X server, from whoever started this process, or from
//! the card itself.
//!
//! A [`Request`] says where to ask ([`Way`]), for which connector ([`Wanted`]), and how long to wait; whichever way it
//! goes, what comes of it is a [`Lease`].

mod deadline;
mod error;
pub mod inherited;
#[cfg(feature = "seat")]
mod lender;
pub mod seat;
pub mod wanted;
pub mod way;
pub mod wayland;
pub mod x11;

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::kms::pipeline::leased_pipeline;
use crate::kms::{Card, Connector, ConnectorId, Pipeline};

pub use error::RequestError;
pub use wanted::Wanted;
pub use way::{Request, Way};

use wanted::{Candidate, choose};

/// A headset's display, held by this process until dropped.
#[derive(Debug)]
pub struct Lease {
    /// What has to live as long as the lease. First, and so dropped first: a lease whose fd is closed before its lessor
    /// has heard that it is given back counts as lost.
    pub keeper: Keeper,
    /// The fd to drive it with; sees nothing of the card but what was leased.
    pub card: Arc<Card>,
    /// The connector, CRTC and planes to use.
    pub pipeline: Pipeline,
    /// The connector's name, `DP-1` say, as whoever gave the lease calls it.
    pub connector_name: String,
    /// Where it comes from.
    pub source: Source,
}

/// Where a lease comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A Wayland compositor or `leasehold serve`.
    Wayland,
    /// An X server, Xwayland included.
    X11,
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
            Self::X11 => "x11",
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
    /// The connection to the X server.
    X11(Box<x11::Keeper>),
    /// The connection to the seat manager that lends the card.
    #[cfg(feature = "seat")]
    Seat(lender::Lender),
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
            Self::X11(keeper) => keeper.heard(),
            #[cfg(feature = "seat")]
            Self::Seat(lender) => lender.heard(),
            Self::Nothing => Heard::Nothing,
        }
    }

    /// Readable when [`heard`](Self::heard) may have something to tell.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Wayland(keeper) => Some(keeper.fd()),
            Self::X11(keeper) => Some(keeper.fd()),
            #[cfg(feature = "seat")]
            Self::Seat(lender) => Some(lender.fd()),
            Self::Nothing => None,
        }
    }
}

/// What is made of an fd that `place` gave as a lease: the card it is, and the pipeline of the connector that was `asked`
/// for, by number where that is known.
fn leased(
    fd: OwnedFd,
    place: &str,
    connector: &str,
    asked: Option<ConnectorId>,
) -> Result<(Arc<Card>, Pipeline), RequestError> {
    let given = || (place.to_string(), connector.to_string());
    let card = Card::from_fd(fd, format!("the lease on {connector}"))?;
    if card.driver().is_err() {
        let (place, connector) = given();
        return Err(RequestError::NotALease { place, connector });
    }
    card.enable_atomic()?;
    if card.connectors()?.is_empty() && card.crtcs()?.is_empty() {
        // Revoked, or its lessor gone, before anyone looked at it.
        let (socket, connector) = given();
        return Err(RequestError::Ended { socket, connector });
    }
    let pipeline = leased_pipeline(&card, asked)?;
    Ok((Arc::new(card), pipeline))
}

/// A name that others made up, fit for messages: it may go to a terminal.
fn plain(name: &str) -> String {
    name.replace(char::is_control, "?")
}

/// The pipeline on a card that is all ours of the connector that is wanted, and that connector's name.
fn headset_of(card: &Card, wanted: &Wanted) -> Result<(Pipeline, String), RequestError> {
    let all = card
        .connectors()?
        .into_iter()
        .map(|id| Connector::read(card, id, true))
        .collect::<Result<Vec<_>, _>>()?;
    let connected: Vec<&Connector> = all.iter().filter(|connector| connector.connected).collect();
    let candidates: Vec<Candidate> = connected.iter().map(|connector| Candidate::of(connector)).collect();
    let chosen = connected[choose(card.name(), &candidates, wanted)?];
    let pipeline = Pipeline::find(card, chosen, |object| {
        let others = all.iter().filter(|other| other.id != chosen.id);
        others.filter_map(|other| other.crtc).any(|crtc| object == crtc.into())
    })?;
    Ok((pipeline, chosen.name.clone()))
}
