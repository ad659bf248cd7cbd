//! What a run went through, which goes on with the next where a lost lease is followed by another.

use crate::display::Found;
use crate::lease::liveness::Loss;
use crate::pacing::Recorder;
use crate::time::Instant;

/// What happened to the frames of a run and of those that it carries on.
#[derive(Debug)]
pub struct History {
    /// The frames.
    pub recorder: Recorder,
    /// How many frames were handed over.
    pub frames: u64,
    /// When the first frame came on.
    pub first_flip: Option<Instant>,
    /// What became of the lease, in order.
    pub events: Vec<Event>,
}

impl Default for History {
    fn default() -> Self {
        // It counts; frames are kept by whoever reads their records.
        Self { recorder: Recorder::new(0), frames: 0, first_flip: None, events: Vec::new() }
    }
}

/// Something that became of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was noticed.
    pub at: Instant,
    /// What it was.
    pub what: What,
}

/// What can become of a lease while frames are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It sleeps, and nothing can be shown.
    Suspended,
    /// It woke, and the display was found like this.
    Resumed(Found),
    /// It is no more.
    Lost(Loss),
    /// Another was taken, and its first frame came on.
    Reacquired,
}

impl What {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Resumed(Found::AsItWas) => "resumed",
            Self::Resumed(_) => "relit",
            Self::Lost(_) => "lost",
            Self::Reacquired => "reacquired",
        }
    }

    /// The reason, by its name in reports, where there are several.
    pub fn why(self) -> Option<&'static str> {
        match self {
            Self::Resumed(Found::SwitchedOff) => Some("switched_off"),
            Self::Resumed(Found::InAnotherMode) => Some("in_another_mode"),
            Self::Lost(loss) => Some(loss.name()),
            Self::Suspended | Self::Resumed(Found::AsItWas) | Self::Reacquired => None,
        }
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Suspended => formatter.write_str("suspended: its lessor is not at the display"),
            Self::Resumed(Found::AsItWas) => formatter.write_str("resumed"),
            Self::Resumed(Found::SwitchedOff) => {
                formatter.write_str("resumed; it was switched off meanwhile and has to be lit again")
            }
            Self::Resumed(Found::InAnotherMode) => {
                formatter.write_str("resumed; its mode was changed meanwhile and has to be set again")
            }
            Self::Lost(loss) => write!(formatter, "lost: {loss}"),
            Self::Reacquired => formatter.write_str("taken again, and lit"),
        }
    }
}
