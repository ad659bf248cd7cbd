//! What a run was like, for people and for programs: while it goes on, and after it.
//!
//! The loop hands each frame's record to a ring. A [`Recording`] empties it into a [`Summary`] that no length of run makes
//! larger, and into a trace where one is wanted; a [`Report`] is made of that, and a page of the report.

mod distribution;
pub mod histogram;
pub mod json;
pub mod kept;
pub mod live;
pub mod moments;
pub mod page;
mod parse;
pub mod plot;
mod recording;
mod run;
pub mod series;
mod summary;
pub mod table;
pub mod trace;

pub use distribution::Distribution;
pub use parse::ReportError;
pub use recording::Recording;
pub use run::{Priority, Report, Setup};
pub use summary::Summary;
