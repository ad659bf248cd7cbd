//! Where pictures are shown: a leased card, or a simulated panel.

pub mod leased;
pub mod simulated;
pub mod source;
pub mod window;

use crate::error::{Class, Classified};
use crate::kms::{KmsError, Vblank};
use crate::lease::liveness::Loss;
use crate::time::{Instant, Span};
use crate::vulkan::VulkanError;

/// What a display is, fixed once it is lit.
#[derive(Clone, Debug)]
pub struct Description {
    /// How it was come by: `wayland`, `seat`, `fd`, `simulated`.
    pub source: &'static str,
    /// The connector's name.
    pub connector: String,
    /// Width in pixels, both eyes.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// Refresh that the mode's numbers say.
    pub nominal_hz: f64,
    /// From one vblank to the next, by the mode's numbers.
    pub period: Span,
    /// From the first pixel of a frame to the end of its last visible line.
    pub active_scanout: Span,
    /// How long before a vblank's stamp the display takes a new picture for the last time: the mode's blanking where
    /// hardware does it at the end of the visible lines, none where a timer of the driver's does at the stamp.
    pub blanking: Span,
    /// Where vblank times come from; a driver may turn out to have less than was thought.
    pub clock: Clock,
    /// Ids of the objects that the lease holds; empty without a lease.
    pub leased_objects: Vec<u32>,
}

/// Where vblank times come from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The kernel's 64-bit count with nanoseconds.
    CrtcSequence,
    /// The stamps of flip events, 32 bits and microseconds.
    FlipEvent,
    /// A timer; no hardware says when.
    Timer,
}

impl Clock {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::CrtcSequence => "crtc-sequence",
            Self::FlipEvent => "flip-event",
            Self::Timer => "timer",
        }
    }
}

/// A display that shows one of a fixed set of pictures from each vblank on.
pub trait Display: std::fmt::Debug + Send {
    /// What it is.
    fn description(&self) -> &Description;

    /// Shows a picture from the next vblank on. The first call lights the display. One flip is under way at most:
    /// [`wait_for_flip`](Self::wait_for_flip) comes between two calls.
    ///
    /// # Errors
    /// [`DisplayError::LeaseLost`] when the lease has ended, [`DisplayError::Suspended`] while it sleeps, and whatever
    /// else the card refuses a picture for.
    fn show(&mut self, picture: usize) -> Result<(), DisplayError>;

    /// Whether it shows pictures again after it said [`DisplayError::Suspended`], and what it was found like; `None`
    /// while it does not. What was handed over before is forgotten. Does not wait.
    ///
    /// # Errors
    /// [`DisplayError::LeaseLost`] when the lease has ended, and when the card does not tell what has become of it.
    fn resume(&mut self) -> Result<Option<Found>, DisplayError>;

    /// Waits until the picture last given is the one shown; the vblank at which it came on. `None` at `until`.
    ///
    /// # Errors
    /// As [`show`](Self::show); that no flip has come is none.
    fn wait_for_flip(&mut self, until: Instant) -> Result<Option<Vblank>, DisplayError>;
}

/// What a display is like after it was in other hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// As it was left: the next picture comes on at a vblank.
    AsItWas,
    /// Off: the next picture lights it.
    SwitchedOff,
    /// In another mode: the next picture sets the right one.
    InAnotherMode,
}

/// A display that does not do its work.
#[derive(Debug, thiserror::Error)]
pub enum DisplayError {
    /// The card refused something.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// The GPU refused something.
    #[error(transparent)]
    Vulkan(#[from] VulkanError),
    /// The lease is no more.
    #[error("the lease on {connector} ended: {why}; start again to ask for it anew")]
    LeaseLost {
        /// The headset's connector.
        connector: String,
        /// What has become of it.
        why: Loss,
    },
    /// The lease sleeps: nothing can be shown until [`Display::resume`] says so.
    #[error("{connector} cannot be used now: whoever leases it out is not at the display, come back to it")]
    Suspended {
        /// The headset's connector.
        connector: String,
    },
    /// It is not refreshed as often as its mode says.
    #[error(
        "{connector} runs at {measured_hz:.3} Hz, and its mode says {nominal_hz:.3} Hz: \
         what is drawn for the one ghosts at the other; ask for another mode, and tell the makers of the driver"
    )]
    WrongRate {
        /// The headset's connector.
        connector: String,
        /// Refresh that the mode's numbers say.
        nominal_hz: f64,
        /// Refresh by the kernel's vblank stamps.
        measured_hz: f64,
    },
    /// Nobody would watch over the lease.
    #[error("could not start the thread that watches over a lease: {0}")]
    Unwatched(std::io::Error),
    /// No flip for so long that something is wrong.
    #[error("{connector} has not shown a new frame for {waited_ms} ms: the driver does not send flip events")]
    NoFlip {
        /// The headset's connector.
        connector: String,
        /// How long was waited.
        waited_ms: i64,
    },
    /// Panel codes of 10 bits are wanted, and somebody on their way cannot do with them.
    #[error(
        "{connector} gets no panel codes of 10 bits: {why}; ask for 8, or for as many as there can be (auto)"
    )]
    TooFewBits {
        /// The headset's connector.
        connector: String,
        /// Who cannot.
        why: &'static str,
    },
    /// No mode of the wanted size and rate.
    #[error("{connector} has no mode {wanted}; it has {available}")]
    NoMode {
        /// The headset's connector.
        connector: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        available: String,
    },
}

impl Classified for DisplayError {
    fn class(&self) -> Class {
        match self {
            Self::Kms(error) => error.class(),
            Self::Vulkan(error) => error.class(),
            Self::LeaseLost { .. } => Class::LeaseLost,
            Self::NoFlip { .. } => Class::DeviceLost,
            Self::Suspended { .. } | Self::Unwatched(_) => Class::Retry,
            Self::NoMode { .. } | Self::WrongRate { .. } | Self::TooFewBits { .. } => Class::Config,
        }
    }
}
