//! What a run was like, for people and for programs.

mod distribution;
pub mod plot;
mod run;

pub use distribution::Distribution;
pub use run::{Priority, Report, Setup};
