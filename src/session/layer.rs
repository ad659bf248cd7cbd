//! Flat pictures over what the application renders, which are as sharp as the panel and never late: menus, a clock.
//!
//! [`Headset::layer`](super::Headset::layer) makes their images before the session begins, for as many as
//! [`Options::layers`](super::Options::layers) says; [`Frame::submit_under`](super::Frame::submit_under) lays them over
//! a frame.

pub use crate::compositor::layer::{Anchor, Layer, LayerImage, MAX_LAYERS, Quad};
