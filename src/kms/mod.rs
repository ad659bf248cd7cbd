//! All that is an ioctl: cards, connectors, modes, planes, commits, buffers, events. Knows no Vulkan.

pub mod buffer;
pub mod card;
pub mod commit;
pub mod connector;
pub mod error;
pub mod event;
#[cfg(feature = "headset")]
pub mod gbm_memory;
pub mod ids;
mod ioctl;
pub mod mode;
pub mod pipeline;
pub mod plane;
pub mod property;
pub mod uevent;
pub mod vblank;

pub use card::Card;
pub use connector::Connector;
pub use error::KmsError;
pub use ids::{ConnectorId, CrtcId, FramebufferId, LesseeId, PlaneId};
pub use ioctl::Mapping;
pub(crate) use ioctl::take_inherited;
pub use mode::{Mode, ModeRequest};
pub use pipeline::Pipeline;
pub use vblank::Vblank;
