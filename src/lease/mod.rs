//! Leases on headsets: asking for one, giving one out, and taking it back whatever its holder does.
//!
//! A lessor is [`lessor`] (who may have what, pure), [`server`] (the Wayland protocol), [`reclaim`] (the kernel calls)
//! and [`service`], which joins the three; [`supervisor`] is who restarts it. A lessee starts at [`request`].

pub mod lessor;
pub mod process;
pub mod reclaim;
pub mod request;
pub mod server;
pub mod service;
pub mod supervisor;

pub use request::{Lease, RequestError};
