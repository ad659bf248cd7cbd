//! What the demo shows: pictures computed once, by the direction each eye-buffer pixel looks in.

use std::path::{Path, PathBuf};

use glam::DVec3;

use crate::compositor::eye_images::{Pixels, Samples};
use crate::files::{FileError, read_pixels};
use crate::session::View;

/// A scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Lines every ten degrees, to see what the lens does.
    Grid,
    /// A tiled room; the head sways in it.
    Room,
    /// One gray all over.
    Flat(u8),
    /// Two PNG files.
    Images(PathBuf, PathBuf),
}

impl std::str::FromStr for Scene {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "grid" => Ok(Self::Grid),
            None if text == "room" => Ok(Self::Room),
            Some(("flat", code)) => {
                code.parse().map(Self::Flat).map_err(|_| format!("'{code}' is not a code from 0 to 255"))
            }
            Some(("images", files)) => match files.split_once(',') {
                Some((left, right)) => Ok(Self::Images(left.into(), right.into())),
                None => Err("name two files: images:LEFT.png,RIGHT.png".to_string()),
            },
            _ => {
                Err(format!("'{text}' is no scene: write grid, room, flat:CODE or images:LEFT.png,RIGHT.png"))
            }
        }
    }
}

impl Scene {
    /// Whether the head moves in it.
    pub fn sways(&self) -> bool {
        *self == Self::Room
    }

    /// What paints it for the left and the right eye. Files are read now, and not again.
    ///
    /// # Errors
    /// When a file cannot be used as a picture, or the second is not of the first one's size.
    pub fn painter(self) -> Result<impl FnMut(&[View; 2]) -> [Pixels; 2] + Send + 'static, FileError> {
        let files = match &self {
            Self::Images(left, right) => Some(read_pair(left, right)?),
            _ => None,
        };
        Ok(move |views: &[View; 2]| files.clone().unwrap_or_else(|| self.paint(views)))
    }

    fn paint(&self, views: &[View; 2]) -> [Pixels; 2] {
        [0, 1].map(|eye| {
            let view = &views[eye];
            match self {
                Self::Flat(code) => Pixels::flat(view.panel_px[0], view.panel_px[1], *code),
                Self::Grid => look(view, |x, y| grid(eye, x, y)),
                Self::Room | Self::Images(..) => {
                    let place = view.eye_to_head.map(|row| row[3]);
                    look(view, |x, y| room(place.into(), DVec3::new(x, y, -1.0)))
                }
            }
        })
    }
}

fn read_pair(left: &Path, right: &Path) -> Result<[Pixels; 2], FileError> {
    let images = [read_pixels(left)?, read_pixels(right)?];
    let [first, second] = [0, 1].map(|eye: usize| (images[eye].width_px, images[eye].height_px));
    if first == second {
        return Ok(images);
    }
    let why = format!("it is {second:?} pixels large, the left eye's {first:?}");
    Err(FileError::Picture { path: right.to_path_buf(), why })
}

/// Asks for the colour at each pixel's tangents: x to the right, y up.
fn look(view: &View, colour: impl Fn(f64, f64) -> [u8; 3]) -> Pixels {
    let (tangents, [width_px, height_px]) = (&view.tangents, view.recommended_px);
    let mut samples = Vec::with_capacity(width_px as usize * height_px as usize * 4);
    for row in 0..height_px {
        let v = (f64::from(row) + 0.5) / f64::from(height_px);
        let y = tangents.up + v * (tangents.down - tangents.up);
        for column in 0..width_px {
            let u = (f64::from(column) + 0.5) / f64::from(width_px);
            let x = tangents.left + u * (tangents.right - tangents.left);
            let [red, green, blue] = colour(x, y);
            samples.extend([red, green, blue, 255]);
        }
    }
    Pixels { width_px, height_px, samples: Samples::Eight(samples) }
}

/// Lines every ten degrees, the axes bright, and a ring in the eye's own colour at 30 degrees.
fn grid(eye: usize, x: f64, y: f64) -> [u8; 3] {
    let (across, up) = (x.atan().to_degrees(), y.atan().to_degrees());
    let near = |angle: f64, width: f64| (angle / 10.0 - (angle / 10.0).round()).abs() * 10.0 < width;
    let from_axis = x.hypot(y).atan().to_degrees();
    if (from_axis - 30.0).abs() < 0.5 {
        [[255, 96, 64], [64, 160, 255]][eye]
    } else if across.abs() < 0.4 || up.abs() < 0.4 {
        [255; 3]
    } else if near(across, 0.2) || near(up, 0.2) {
        [160; 3]
    } else {
        [24; 3]
    }
}

/// A room of 4 by 3 by 6 metres with tiles of half a metre, seen from 1.6 metres above its floor.
fn room(eye: DVec3, direction: DVec3) -> [u8; 3] {
    let low = DVec3::new(-2.0, -1.6, -4.0);
    let high = DVec3::new(2.0, 1.4, 2.0);
    // How far to the wall on each axis, in units of the direction.
    let wall = DVec3::select(direction.cmpgt(DVec3::ZERO), high, low);
    let reach = (wall - eye) / direction;
    let distance = reach.to_array().into_iter().filter(|reach| reach.is_finite()).fold(f64::MAX, f64::min);
    let point = eye + direction * distance;
    let (tile_a, tile_b, colour) = if distance == reach.y && direction.y < 0.0 {
        (point.x, point.z, [196.0, 148.0, 96.0])
    } else if distance == reach.y {
        (point.x, point.z, [224.0, 224.0, 216.0])
    } else if distance == reach.x {
        (point.y, point.z, [96.0, 144.0, 176.0])
    } else {
        (point.x, point.y, [176.0, 112.0, 112.0])
    };
    let part = |value: f64| (value * 2.0).rem_euclid(1.0);
    let joint = part(tile_a).min(part(tile_b)) < 0.06;
    let light = (1.6 / (1.0 + 0.25 * (point - eye).length())).min(1.0) * if joint { 0.45 } else { 1.0 };
    colour.map(|part| (part * light) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headset::Headset;

    #[test]
    fn scenes_are_named_as_the_command_line_says() {
        assert_eq!("grid".parse(), Ok(Scene::Grid));
        assert_eq!("flat:7".parse(), Ok(Scene::Flat(7)));
        assert_eq!("images:a.png,b.png".parse(), Ok(Scene::Images("a.png".into(), "b.png".into())));
        for wrong in ["", "flat", "flat:256", "images:a.png", "cube", "grid:1"] {
            assert!(wrong.parse::<Scene>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn both_eyes_see_the_same_room_from_two_places() {
        let headset = Headset::simulated(1, 108, 120);
        let views = [0, 1].map(|eye: usize| View::of(&headset.eyes[eye], [108, 120]));
        let [left, right] = Scene::Room.painter().unwrap()(&views);
        assert_eq!((left.width_px, left.height_px), (151, 168));
        assert_ne!(left, right);
    }
}
