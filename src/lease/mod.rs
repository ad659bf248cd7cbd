//! Leases on headsets: asking for one, giving one out, and taking it back whatever its holder does.
//!
//! A lessor is [`lessor`] (who may have what, pure), [`wire`] (the Wayland protocol), [`reclaim`] (the kernel calls) and
//! [`service`], which joins the three. A compositor puts them on its own display; [`server`] is a socket and a display
//! for those who have none, and [`session`] gets them a card. [`limits`] says what one client may take, [`supervisor`] is
//! who starts a lessor anew. A lessee starts at [`request`]; [`liveness`] tells it what has become of its lease, and
//! [`watch`] hears of it first.

pub mod deaths;
pub mod identity;
pub mod ledger;
pub mod lessor;
pub mod limits;
pub mod liveness;
pub mod policy;
pub mod process;
pub mod reclaim;
pub mod report;
#[cfg(feature = "headset")]
pub mod request;
#[cfg(feature = "seat")]
mod seat;
pub mod server;
pub mod service;
#[cfg(feature = "headset")]
pub mod session;
pub mod supervisor;
#[cfg(feature = "headset")]
pub mod watch;
pub mod watchdog;
pub mod wire;

#[cfg(feature = "headset")]
pub use request::{Lease, RequestError};
