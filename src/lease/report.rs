//! What a lessor tells of its work: to people a line, to programs an object.

use serde::Serialize;

use super::lessor::Holding;
use super::wire::Peer;
use crate::time::Instant;

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Happening {
    /// Clients can ask.
    Ready,
    /// A connector is on offer.
    Offered,
    /// A request was refused.
    Denied,
    /// A lease was handed over.
    Granted,
    /// A lease is over and its panel dark.
    Ended,
    /// An offer was taken back.
    Withdrawn,
    /// Another session has the card.
    Paused,
    /// The card is back.
    Resumed,
}

/// Something that happened, as `leasehold serve --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What.
    pub event: Happening,
    /// To which connector; a lease on two connectors makes two reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// The kernel's number for the lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lessee: Option<u32>,
    /// The client's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The user the client ran as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// One word for why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Why a request was refused, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// From noticing a lease's end until the kernel had ended it, in microseconds; missing while paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_us: Option<f64>,
    /// From noticing a lease's end until its panel was off or black, in microseconds; missing where it would not go and
    /// while paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blanked_us: Option<f64>,
    /// When it happened or, for an end, a grant and a withdrawal, when its cause was noticed: nanoseconds of
    /// `CLOCK_MONOTONIC`.
    pub at_ns: i64,
}

impl Report {
    /// Nothing but what and when.
    pub(super) fn new(event: Happening, at: Instant) -> Self {
        Self {
            event,
            connector: None,
            lessee: None,
            pid: None,
            uid: None,
            reason: None,
            why: None,
            revoked_us: None,
            blanked_us: None,
            at_ns: at.as_ns(),
        }
    }

    /// The same, now.
    pub(super) fn now(event: Happening) -> Self {
        Self::new(event, Instant::now())
    }

    /// With the lease it is about.
    pub(super) fn of(self, holding: &Holding) -> Self {
        Self { lessee: Some(holding.lessee.raw()), ..self }
    }

    /// With whose doing it is.
    pub(super) fn by(self, who: Option<&Peer>) -> Self {
        let who = who.map(|peer| &peer.identity);
        Self { pid: who.map(|who| who.process.pid), uid: who.map(|who| who.uid.as_raw()), ..self }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connector = self.connector.as_deref().unwrap_or("leasehold");
        write!(formatter, "{connector}: {}", format!("{:?}", self.event).to_lowercase())?;
        if let Some(lessee) = self.lessee {
            write!(formatter, ", lessee {lessee}")?;
        }
        if let (Some(pid), Some(uid)) = (self.pid, self.uid) {
            write!(formatter, ", process {pid} of user {uid}")?;
        }
        if let Some(reason) = self.reason {
            write!(formatter, " ({reason})")?;
        }
        if let Some(why) = &self.why {
            write!(formatter, ": {why}")?;
        }
        match self.blanked_us {
            Some(us) => write!(formatter, ", panel dark after {:.1} ms", us / 1e3),
            None => Ok(()),
        }
    }
}
