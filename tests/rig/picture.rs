//! Pictures as a test sees them, on a screen or on a panel.

use std::fs::File;
use std::path::Path;

/// A picture: red, green and blue.
#[derive(Clone)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// Row by row, from the top left.
    pub colours: Vec<[u8; 3]>,
}

/// Dither shifts codes from frame to frame.
const DITHER: u8 = 2;

fn differ(a: [u8; 3], b: [u8; 3]) -> bool {
    a.iter().zip(b).any(|(a, b)| a.abs_diff(b) > DITHER)
}

impl Picture {
    /// Reads a PPM of 8 bits a channel, as QEMU writes it.
    pub fn parse_ppm(bytes: &[u8]) -> Self {
        let mut lines = bytes.splitn(4, |&byte| byte == b'\n');
        let mut line = || lines.next().expect("three lines and the colours");
        assert_eq!(line(), b"P6");
        let size = String::from_utf8_lossy(line()).into_owned();
        let size: Vec<usize> = size.split(' ').map(|number| number.parse().expect("a number")).collect();
        assert_eq!(line(), b"255");
        let colours: Vec<[u8; 3]> = line().as_chunks().0.to_vec();
        assert_eq!(colours.len(), size[0] * size[1]);
        Self { width: size[0], height: size[1], colours }
    }

    /// Whether there is anything bright in it.
    pub fn is_lit(&self) -> bool {
        self.colours.iter().any(|colour| colour.iter().all(|&code| code > 200))
    }

    /// What part of it differs by more than dither does.
    pub fn differs_from(&self, other: &Self) -> f64 {
        self.places_that_differ(other).count() as f64 / self.colours.len().max(1) as f64
    }

    /// Where it differs by more than dither does: column and row.
    pub fn places_that_differ(&self, other: &Self) -> impl Iterator<Item = [usize; 2]> {
        let pairs = self.colours.iter().zip(&other.colours).enumerate();
        let width = self.width;
        pairs.filter(|(_, (a, b))| differ(**a, **b)).map(move |(at, _)| [at % width, at / width])
    }

    /// Writes it down, for a person to look at.
    pub fn write_png(&self, path: &Path) {
        let file = File::create(path).expect("the folder is there");
        let mut encoder = png::Encoder::new(file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().expect("the disk has room");
        writer.write_image_data(self.colours.as_flattened()).expect("the disk has room");
    }

    /// What part of it differs from a panel's codes, as large as they fit into the window.
    pub fn differs_from_panel(&self, codes: &[u8], [width, height]: [usize; 2]) -> f64 {
        assert_eq!(self.width * height, self.height * width, "the panel's proportions, for simplicity");
        let shown = (0..self.height).flat_map(|y| (0..self.width).map(move |x| (x, y)));
        let off = shown.zip(&self.colours).filter(|&((x, y), colour)| {
            let at = (y * height / self.height * width + x * width / self.width) * 3;
            differ(*colour, [codes[at], codes[at + 1], codes[at + 2]])
        });
        off.count() as f64 / self.colours.len() as f64
    }
}
