//! What an application asks for when it opens a headset.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Depth;
use crate::compositor::mirror::Viewer;
use crate::compositor::overlay::Board;
use crate::compositor::scanout::Method;
use crate::compositor::{self, Ahead, Limit, PoseSource};
use crate::headset::Brightness;
use crate::kms::ModeRequest;
use crate::lease::request::{Wanted, Way};

/// Which headset, and how it is to be driven.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the display comes from.
    pub from: From,
    /// Whether a simulated panel will do where every way was tried and there is no headset.
    pub simulated_if_none: bool,
    /// The connector that is wanted.
    pub connector: Wanted,
    /// The mode; without, the headset's preferred one.
    pub mode: Option<ModeRequest>,
    /// The headset's data, a folder; without, a lens of which nothing is known.
    pub headset: Option<PathBuf>,
    /// The only way in which pictures may get to a card; without, the best that works.
    pub scanout: Option<Method>,
    /// How many bits panel codes have on their way to the display.
    pub depth: Depth,
    /// What is done to frames on their way to the panel. How many layers there can be is said below.
    pub optics: compositor::Options,
    /// How much of the mura correction red, green and blue get; without, as the headset's data says, which is all of it.
    pub mura_weights: Option<[f64; 3]>,
    /// How bright the panel is set, where it is not as bright as when its mura was measured.
    pub panel_brightness: Option<Brightness>,
    /// How many layers can lie over a frame, at most [`MAX_LAYERS`](super::layer::MAX_LAYERS).
    pub layers: usize,
    /// Where the head looks.
    pub poses: Arc<dyn PoseSource>,
    /// Who sees what the headset shows too.
    pub viewer: Option<Viewer>,
    /// What the wearer can switch on over it.
    pub board: Option<Board>,
    /// What ends the session, other than the application itself.
    pub limit: Limit,
    /// Whether a headset whose lease is lost is waited for and taken again.
    pub reacquire: bool,
    /// Whether Vulkan is to be watched by its validation layer.
    pub validation: bool,
}

impl Default for Options {
    /// Any headset there is, in its preferred mode, looked at straight ahead, until the application ends; and a simulated
    /// panel where there is none.
    fn default() -> Self {
        Self {
            from: From::Lease(Way::Auto),
            simulated_if_none: true,
            connector: Wanted::headset(),
            mode: None,
            headset: None,
            scanout: None,
            depth: Depth::Auto,
            optics: compositor::Options::DEFAULT,
            mura_weights: None,
            panel_brightness: None,
            layers: 0,
            poses: Arc::new(Ahead),
            viewer: None,
            board: None,
            limit: Limit { frames: None, time: None, stop: Arc::new(AtomicBool::new(false)) },
            reacquire: false,
            validation: false,
        }
    }
}

/// Where a display comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// A lease that is to be had this way; where none is, the way is [`Way::Auto`] and that will do, a simulated panel.
    Lease(Way),
    /// A panel that is not there, and that the application shows in a window: see [`Options::viewer`].
    Window,
    /// A panel that is not there.
    Simulated,
}

impl std::str::FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "window" => Ok(Self::Window),
            "simulated" => Ok(Self::Simulated),
            _ => text.parse().map(Self::Lease).map_err(|_| {
                format!("'{text}' is no source: write auto, wayland, x11, seat, inherited, fd:N, window or simulated")
            }),
        }
    }
}
