//! Why there is no session, or none any more.

use crate::display::DisplayError;
use crate::error::{Class, Classified};
use crate::files::FileError;
use crate::lease::request::RequestError;
use crate::vulkan::VulkanError;

/// A session that could not begin, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No display could be had.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The display does not do its work.
    #[error(transparent)]
    Display(#[from] DisplayError),
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A thread could not be started.
    #[error("could not start the {name} thread: {source}")]
    Thread {
        /// Which thread.
        name: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

impl Classified for SessionError {
    fn class(&self) -> Class {
        match self {
            Self::Request(error) => error.class(),
            Self::Display(error) => error.class(),
            Self::File(error) => error.class(),
            Self::Thread { .. } => Class::Retry,
        }
    }
}

impl From<VulkanError> for SessionError {
    fn from(error: VulkanError) -> Self {
        Self::Display(error.into())
    }
}
