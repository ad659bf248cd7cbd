//! What a display is for, by its own word and the kernel's.

/// What makes a display non-desktop. Where several do, the kernel's table is named first, then Microsoft's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NonDesktopBy {
    /// The kernel's table of headsets ([`KNOWN_HEADSETS`](crate::headset::quirks::KNOWN_HEADSETS)).
    Quirk,
    /// Microsoft's vendor-specific block.
    MsVsdb,
    /// The primary use of a DisplayID 2.0 section.
    DisplayId,
    /// Nothing: it passes for a desktop monitor.
    None,
}

impl NonDesktopBy {
    /// The reason as JSON names it: `quirk`, `ms_vsdb`, `displayid` or `none`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quirk => "quirk",
            Self::MsVsdb => "ms_vsdb",
            Self::DisplayId => "displayid",
            Self::None => "none",
        }
    }
}

/// What a display says that it is used for. Microsoft's block ("EDID extension for head-mounted and specialized monitors",
/// learn.microsoft.com) and DisplayID 2.x (table 2-3) number uses alike as far as headsets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrimaryUse {
    /// Worn on the head, and nothing else is seen.
    VirtualReality,
    /// Worn on the head, over the view of the world.
    AugmentedReality,
    /// Not worn; its number, 0 where the display does not tell.
    Other(u8),
}

impl PrimaryUse {
    pub(in crate::headset) fn new(number: u8) -> Self {
        match number {
            7 => Self::VirtualReality,
            8 => Self::AugmentedReality,
            other => Self::Other(other),
        }
    }

    /// Whether it is worn on the head.
    pub fn is_head_mounted(self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// The use as JSON names it: `virtual_reality`, `augmented_reality` or `other`.
    pub fn name(self) -> &'static str {
        match self {
            Self::VirtualReality => "virtual_reality",
            Self::AugmentedReality => "augmented_reality",
            Self::Other(_) => "other",
        }
    }
}
