//! What the pictures are drawn on, and the PNGs that become of them.

use std::collections::BTreeSet;
use std::path::Path;

use font8x8::UnicodeFonts;

/// A colour: red, green, blue.
pub type Rgb = [u8; 3];

pub const PAPER: Rgb = [255; 3];
pub const INK: Rgb = [40; 3];
pub const LINE: Rgb = [205; 3];

/// Between two pictures that stand side by side.
const GAP: u32 = 8;
/// A letter's width and height.
pub const LETTER: u32 = 8;
/// Over a picture, for its title.
const TITLE: u32 = 2 * LETTER;

/// A picture that is being drawn.
pub struct Canvas {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<Rgb>,
}

impl Canvas {
    pub fn new(width: u32, height: u32, color: Rgb) -> Self {
        Self { width, height, pixels: vec![color; (width * height) as usize] }
    }

    pub fn of(width: u32, height: u32, pixel: impl Fn(u32, u32) -> Rgb) -> Self {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self { width, height, pixels: places.map(|(x, y)| pixel(x, y)).collect() }
    }

    pub fn set(&mut self, x: u32, y: u32, color: Rgb) {
        self.pixels[(y * self.width + x) as usize] = color;
    }

    pub fn fill(&mut self, [left, top]: [u32; 2], [width, height]: [u32; 2], color: Rgb) {
        for y in top..top + height {
            (left..left + width).for_each(|x| self.set(x, y, color));
        }
    }

    /// Writes a line of text from its top left corner on; what does not fit is cut off.
    pub fn write(&mut self, [left, top]: [u32; 2], text: &str) {
        for (letter, rows) in (0..).zip(text.chars().filter_map(|letter| font8x8::BASIC_FONTS.get(letter))) {
            for (y, row) in (top..).zip(rows) {
                let columns = (0..LETTER).filter(|column| row >> column & 1 == 1);
                let width = self.width;
                let places = columns.map(|column| left + letter * LETTER + column).filter(|x| *x < width);
                places.for_each(|x| self.set(x, y, INK));
            }
        }
    }

    /// Each pixel as a square of so many.
    pub fn enlarged(&self, times: u32) -> Self {
        Self::of(self.width * times, self.height * times, |x, y| {
            self.pixels[(y / times * self.width + x / times) as usize]
        })
    }

    /// So many times as narrow and as low, each pixel the mean of those that it stands for.
    pub fn shrunk(&self, times: u32) -> Self {
        Self::of(self.width / times, self.height / times, |x, y| {
            let mut sums = [0u32; 3];
            for (dx, dy) in (0..times).flat_map(|dy| (0..times).map(move |dx| (dx, dy))) {
                let pixel = self.pixels[((times * y + dy) * self.width + times * x + dx) as usize];
                sums.iter_mut().zip(pixel).for_each(|(sum, part)| *sum += u32::from(part));
            }
            sums.map(|sum| (sum / (times * times)) as u8)
        })
    }

    /// Each colour's lowest two bits off: nobody sees them, and the file is a third smaller.
    pub fn rounded(mut self) -> Self {
        self.pixels.as_flattened_mut().iter_mut().for_each(|part| *part &= 0xfc);
        self
    }

    /// Pictures of one height beside each other, each under its title.
    pub fn side_by_side(parts: &[(&str, Self)]) -> Self {
        let width = parts.iter().map(|(_, part)| part.width + GAP).sum::<u32>() - GAP;
        let mut all = Self::new(width, TITLE + parts[0].1.height, PAPER);
        let mut left = 0;
        for (title, part) in parts {
            all.write([left, (TITLE - LETTER) / 2], title);
            for (index, color) in (0..).zip(&part.pixels) {
                all.set(left + index % part.width, TITLE + index / part.width, *color);
            }
            left += part.width + GAP;
        }
        all
    }

    /// Writes it as a PNG: by a palette where that is enough, which is much smaller.
    pub fn save(&self, path: &Path) {
        let file = std::fs::File::create(path).expect("the picture can be written");
        let mut encoder = png::Encoder::new(file, self.width, self.height);
        encoder.set_compression(png::Compression::High);
        let palette: Vec<Rgb> = self.pixels.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let bytes = if palette.len() <= 256 {
            encoder.set_color(png::ColorType::Indexed);
            encoder.set_palette(palette.as_flattened().to_vec());
            encoder.set_filter(png::Filter::NoFilter);
            let index = |pixel| palette.binary_search(pixel).expect("it is made of them") as u8;
            self.pixels.iter().map(index).collect()
        } else {
            encoder.set_color(png::ColorType::Rgb);
            encoder.set_filter(png::Filter::Adaptive);
            self.pixels.as_flattened().to_vec()
        };
        let mut writer = encoder.write_header().expect("the size is not zero");
        writer.write_image_data(&bytes).expect("the picture can be written");
        writer.finish().expect("the picture can be written");
    }
}
