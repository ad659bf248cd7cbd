//! Plots as SVG, from numbers to text. Pure; nothing here knows what the numbers mean.
//!
//! ```
//! use leasehold::report::plot::{Axis, Chart, Tone};
//!
//! let margin = [(0.0, 1.9), (1.0, 2.1), (2.0, 2.0)];
//! let chart = Chart::new("Margin", Axis::linear("seconds"), Axis::linear("ms before the vblank"))
//!     .line(Tone::Blue, "half of all frames", margin)
//!     .rule(Tone::Red, 0.0, "the vblank");
//! assert!(chart.standalone().starts_with("<svg "));
//! ```
//!
//! Each plot is had in two ways: `standalone` is a file of its own that carries its style, for documents; `inline` is a
//! part of a page that has [`STYLE`] once. Both follow the reader's light or dark scheme. Values that are no numbers are
//! left out, and break a line.

mod axis;
mod bars;
mod chart;
mod svg;
mod timeline;

pub use axis::Axis;
pub use bars::Bars;
pub use chart::Chart;
pub use svg::escape;
pub use timeline::{Row, Timeline};

/// The style that inline plots need once in their page.
pub const STYLE: &str = include_str!("plot.css");

/// A colour by its part in a plot; the style says which it is in light and in dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// What the plot is about.
    Blue,
    /// What that is held against.
    Amber,
    /// A third.
    Violet,
    /// A fourth.
    Green,
    /// What went wrong, and limits.
    Red,
    /// What is there for orientation.
    Gray,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Amber => "amber",
            Self::Violet => "violet",
            Self::Green => "green",
            Self::Red => "red",
            Self::Gray => "gray",
        }
    }
}
