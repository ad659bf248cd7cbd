//! What a lessor tells of, as plain values.

use std::ffi::c_char;

use leasehold::lease::report;
use leasehold::lease::service::Report;

/// What an event is about.
#[repr(C)]
#[derive(Clone, Copy)]
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

/// Something that happened to a connector. A lease on two connectors makes two events. Texts end with a zero and are cut
/// where they would not fit; what is unknown is empty.
#[repr(C)]
pub struct Event {
    /// What.
    pub happening: Happening,
    /// The kernel's number for the lease, 0 where it is about none.
    pub lessee: u32,
    /// The client's process, 0 where it is about no client.
    pub pid: u32,
    /// The user whom the client ran as, UINT32_MAX where it is about no client.
    pub uid: u32,
    /// When it happened or, for an end, a grant and a withdrawal, when its cause was noticed.
    pub at_ns: i64,
    /// From noticing a lease's end until the kernel had ended it; -1 where it is about none.
    pub revoked_ns: i64,
    /// From noticing a lease's end until its panel was dark; -1 where it is about none or would not go.
    pub blanked_ns: i64,
    /// The connector, "DP-1" say.
    pub connector: [c_char; 32],
    /// One word for why: for an end released, exited, crashed, hung, unplugged, revoked or shutdown.
    pub reason: [c_char; 32],
    /// Why a request was refused, in a sentence.
    pub why: [c_char; 256],
}

impl From<&Report> for Event {
    fn from(report: &Report) -> Self {
        let span_ns = |us: Option<f64>| us.map_or(-1, |us| (us * 1e3).round() as i64);
        Self {
            happening: report.event.into(),
            lessee: report.lessee.unwrap_or(0),
            pid: report.pid.unwrap_or(0),
            uid: report.uid.unwrap_or(u32::MAX),
            at_ns: report.at_ns,
            revoked_ns: span_ns(report.revoked_us),
            blanked_ns: span_ns(report.blanked_us),
            connector: text(report.connector.as_deref()),
            reason: text(report.reason),
            why: text(report.why.as_deref()),
        }
    }
}

impl From<report::Happening> for Happening {
    fn from(happening: report::Happening) -> Self {
        match happening {
            report::Happening::Ready => Self::Ready,
            report::Happening::Offered => Self::Offered,
            report::Happening::Denied => Self::Denied,
            report::Happening::Granted => Self::Granted,
            report::Happening::Ended => Self::Ended,
            report::Happening::Withdrawn => Self::Withdrawn,
            report::Happening::Paused => Self::Paused,
            report::Happening::Resumed => Self::Resumed,
        }
    }
}

/// As much of a text as fits before the final zero, in whole characters.
fn text<const LENGTH: usize>(text: Option<&str>) -> [c_char; LENGTH] {
    let text = text.unwrap_or_default();
    let longest = text.len().min(LENGTH - 1);
    let end = (0..=longest).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    let mut field = [0; LENGTH];
    for (place, byte) in field.iter_mut().zip(text[..end].bytes()) {
        *place = byte as c_char;
    }
    field
}
