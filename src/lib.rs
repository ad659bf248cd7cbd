//! Puts frames on a VR headset under Linux, exactly and on time, and always gives the display back.

pub mod cli;
pub mod error;
pub mod headset;
pub mod kms;
pub mod lease;
pub mod thread;
pub mod time;
