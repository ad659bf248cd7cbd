//! Leases on headsets: asking for one, giving one out, and taking it back whatever its holder does.
//!
//! A lessor is [`lessor`] (who may have what, pure), [`server`] (the Wayland protocol), [`reclaim`] (the kernel calls)
//! and [`service`], which joins the three. A lessee starts at [`request`].

pub mod identity;
pub mod lessor;
pub mod policy;
pub mod process;
pub mod reclaim;
pub mod request;
pub mod server;
pub mod service;

pub use request::{Lease, RequestError};
