//! Object ids, each of its own type, so that a CRTC cannot be passed where a plane is meant.

use std::num::NonZeroU32;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $object_type:literal $noun:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NonZeroU32);

        impl $name {
            /// The id the kernel uses, or `None` for 0, with which the kernel says "no object".
            pub fn new(raw: u32) -> Option<Self> {
                NonZeroU32::new(raw).map(Self)
            }

            /// The number the kernel knows it by.
            pub fn raw(self) -> u32 {
                self.0.get()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, concat!($noun, " {}"), self.0)
            }
        }

        impl From<$name> for ObjectId {
            fn from(id: $name) -> Self {
                Self { raw: id.raw(), kind: $object_type }
            }
        }
    )*};
}

/// Any mode-setting object, with the type the kernel wants beside the id (`DRM_MODE_OBJECT_*`, `drm_mode.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectId {
    pub(super) raw: u32,
    pub(super) kind: u32,
}

impl ObjectId {
    /// The number the kernel knows it by.
    pub fn raw(self) -> u32 {
        self.raw
    }
}

ids! {
    /// A CRTC: what scans a picture out at a mode's timing.
    CrtcId 0xcccc_cccc "CRTC";
    /// A connector: the socket a monitor or headset hangs on.
    ConnectorId 0xc0c0_c0c0 "connector";
    /// A plane: a framebuffer's place on a CRTC.
    PlaneId 0xeeee_eeee "plane";
    /// A framebuffer: a piece of memory the display can scan out.
    FramebufferId 0xfbfb_fbfb "framebuffer";
    /// A property blob.
    BlobId 0xbbbb_bbbb "blob";
    /// A property.
    PropertyId 0xb0b0_b0b0 "property";
}

/// A lessee, as its lessor's kernel device numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LesseeId(NonZeroU32);

impl LesseeId {
    /// The id the kernel uses, or `None` for 0.
    pub fn new(raw: u32) -> Option<Self> {
        NonZeroU32::new(raw).map(Self)
    }

    /// The number the kernel knows it by.
    pub fn raw(self) -> u32 {
        self.0.get()
    }
}

impl std::fmt::Display for LesseeId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "lessee {}", self.0)
    }
}
