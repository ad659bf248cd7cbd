//! What can go wrong when talking to a card.

use nix::errno::Errno;

use crate::error::{Class, Classified};

/// A call to the kernel's display interface that failed.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// An ioctl or a read failed.
    #[error("could not {operation} {object}: {}{}", .errno.desc(), remedy(*.errno))]
    Call {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// What it was tried on.
        object: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A property that this driver does not have on this object.
    #[error("{object} has no property '{property}': its driver is too old for atomic mode setting")]
    NoProperty {
        /// The object that lacks it.
        object: String,
        /// The property's name.
        property: &'static str,
    },
    /// There is no display card at all.
    #[error("no DRM card found in /dev/dri: load your GPU's kernel driver, or run with --from simulated")]
    NoCard,
    /// A lease or card without an object that is needed.
    #[error("{place} has no {object}: {remedy}")]
    Missing {
        /// What lacks it.
        place: String,
        /// What it lacks.
        object: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The event stream held something that is not an event.
    #[error(transparent)]
    Event(#[from] super::event::MalformedEvent),
}

impl KmsError {
    pub(crate) fn call(operation: &'static str, object: impl std::fmt::Display, errno: Errno) -> Self {
        Self::Call { operation, object: object.to_string(), errno }
    }

    pub(crate) fn io(operation: &'static str, object: impl std::fmt::Display, error: std::io::Error) -> Self {
        Self::call(operation, object, Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    }

    /// The kernel's error number, where the kernel was asked.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Call { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}

impl Classified for KmsError {
    fn class(&self) -> Class {
        match self {
            Self::Call { errno, .. } => match errno {
                Errno::EINTR | Errno::EAGAIN | Errno::EBUSY | Errno::ENOMEM => Class::Retry,
                // A revoked lessee no longer sees its objects; one whose lessor is gone or paused is no master
                // (drivers/gpu/drm/drm_lease.c, drm_auth.c).
                Errno::ENOENT | Errno::EACCES => Class::LeaseLost,
                Errno::ENODEV | Errno::EIO => Class::DeviceLost,
                Errno::EOPNOTSUPP | Errno::EPERM | Errno::ENXIO => Class::Config,
                _ => Class::Bug,
            },
            Self::NoProperty { .. } | Self::NoCard | Self::Missing { .. } => Class::Config,
            Self::Event(_) => Class::Bug,
        }
    }
}

fn remedy(errno: Errno) -> &'static str {
    match errno {
        Errno::EACCES => {
            " (another program holds the display, or you have no rights on it: \
             close the desktop session or lease from it, and see that you are in group 'video' or at the seat)"
        }
        Errno::ENOENT => " (the object is not there, or the lease on it has ended)",
        Errno::EBUSY => " (it is in use: wait for the lease on it to end)",
        Errno::ENODEV => " (the device is gone: plug it in again)",
        Errno::EOPNOTSUPP => " (the driver has no mode setting; NVIDIA needs nvidia-drm.modeset=1)",
        _ => "",
    }
}
