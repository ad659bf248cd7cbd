//! A window on the desktop, on a thread of its own. Nothing here makes anybody wait: where the desktop's server hangs,
//! the window does, and nobody else.

#[cfg(feature = "window")]
mod desktop;
mod scale;

/// What is done to the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// A key went down or came up.
    Key {
        /// The kernel's code for its place on the keyboard (`linux/input-event-codes.h`).
        code: u32,
        /// Whether it is down now.
        pressed: bool,
    },
    /// The pointer was dragged by so many pixels, to the right and downwards.
    Dragged {
        /// To the right.
        right: f64,
        /// Downwards.
        down: f64,
    },
    /// It has lost the keyboard: keys that are down will not be seen to come up.
    Away,
    /// The user has closed it.
    Closed,
}

/// Where what is in the window comes from. Called on the window's thread, some 60 times a second.
pub trait Source: Send + 'static {
    /// The newest picture, if there is one that was not asked for before: its pixels as `0xRRGGBB`, row by row from the top
    /// left, and width and height.
    fn next(&mut self, pixels: &mut Vec<u32>) -> Option<[u32; 2]>;
}

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// Built without.
    #[error("this program was built without windows: build it with the feature 'window'")]
    NotBuilt,
    /// There is no desktop to open it on, or it does not let us.
    #[error(
        "no window can be opened ({0}): set DISPLAY to an X server's, or start Xwayland on a Wayland desktop"
    )]
    Refused(String),
    /// Its thread could not be started.
    #[error("could not start the window's thread: {0}")]
    Thread(std::io::Error),
}

/// A window, open until it is dropped or the user closes it.
#[derive(Debug)]
pub struct Window {
    #[cfg(feature = "window")]
    _desktop: desktop::Desktop,
}

impl Window {
    /// Opens a window that shows what `source` has, and tells `listener` what is done to it. A process can open one
    /// in all its life.
    ///
    /// # Errors
    /// When there is no desktop, or it does not answer within some seconds.
    pub fn open(
        title: &str,
        source: impl Source,
        listener: impl FnMut(Event) + Send + 'static,
    ) -> Result<Self, WindowError> {
        #[cfg(feature = "window")]
        {
            let desktop = desktop::Desktop::open(title, Box::new(source), Box::new(listener))?;
            Ok(Self { _desktop: desktop })
        }
        #[cfg(not(feature = "window"))]
        {
            let _ = (title, source, listener);
            Err(WindowError::NotBuilt)
        }
    }
}
