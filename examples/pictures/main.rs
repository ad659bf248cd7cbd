//! Draws the pictures of docs/optics.md and docs/mura.md anew: `cargo run --release --example pictures -- docs/pictures`.
//!
//! All of them are of a made-up headset.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use leasehold::compositor::eye_images::Samples;
use leasehold::compositor::readback::{PanelPicture, Readback};
use leasehold::compositor::{Compositor, EyeImages, Options, Pixels, Pose};
use leasehold::headset::{Channel, Headset, Lens};
use leasehold::kms::buffer::PixelFormat;
use leasehold::vulkan::{Device, Image, Instance};

const SEED: u64 = 1;

fn main() {
    let folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("docs/pictures"), PathBuf::from);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let device = Device::open(&Arc::new(Instance::new(false).expect("Vulkan"))).expect("a Vulkan device");
    let small = Headset::simulated(SEED, 432, 480);
    grid(&device, &small).write(&folder.join("grid.png"));
    fringes(&small.eyes[0].lens).write(&folder.join("fringes.png"));
    lens_residuals(&Headset::simulated(SEED, 1080, 1200).eyes[0].lens)
        .write(&folder.join("lens-residuals.png"));
    map(&small).write(&folder.join("mura-map.png"));
    gray(&device, &small).write(&folder.join("gray.png"));
    mura_residuals(&device, &small).write(&folder.join("mura-residuals.png"));
}

/// A picture that is being drawn: red, green, blue.
struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<[u8; 3]>,
}

const PAPER: [u8; 3] = [255; 3];
const LINE: [u8; 3] = [205, 205, 205];
/// Between two pictures that stand side by side.
const GAP: u32 = 8;

impl Canvas {
    fn new(width: u32, height: u32, color: [u8; 3]) -> Self {
        Self { width, height, pixels: vec![color; (width * height) as usize] }
    }

    fn of(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Self {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self { width, height, pixels: places.map(|(x, y)| pixel(x, y)).collect() }
    }

    fn set(&mut self, x: u32, y: u32, color: [u8; 3]) {
        self.pixels[(y * self.width + x) as usize] = color;
    }

    /// Each pixel as a square of so many.
    fn enlarged(&self, times: u32) -> Self {
        Self::of(self.width * times, self.height * times, |x, y| {
            self.pixels[(y / times * self.width + x / times) as usize]
        })
    }

    fn side_by_side(parts: &[Self]) -> Self {
        let width = parts.iter().map(|part| part.width + GAP).sum::<u32>() - GAP;
        let mut all = Self::new(width, parts[0].height, PAPER);
        let mut left = 0;
        for part in parts {
            for (index, color) in part.pixels.iter().enumerate() {
                all.set(left + index as u32 % part.width, index as u32 / part.width, *color);
            }
            left += part.width + GAP;
        }
        all
    }

    fn write(&self, path: &Path) {
        let file = std::fs::File::create(path).expect("the picture can be written");
        let mut encoder = png::Encoder::new(file, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header().expect("the size is not zero");
        writer.write_image_data(self.pixels.as_flattened()).expect("the picture can be written");
    }
}

/// What the app draws: white lines, and a colour for each quarter.
fn drawn([u, v]: [f64; 2]) -> [f64; 3] {
    let off = |place: f64| ((place * 16.0).fract() - 0.5).abs();
    let on_line = off(u) > 0.44 || off(v) > 0.44;
    match (on_line, u < 0.5, v < 0.5) {
        (true, ..) => [1.0; 3],
        (_, true, true) => [0.2, 0.22, 0.3],
        (_, false, true) => [0.22, 0.3, 0.2],
        (_, true, false) => [0.3, 0.22, 0.2],
        (_, false, false) => [0.28, 0.2, 0.3],
    }
}

fn to_code(value: f64) -> u8 {
    (value * 255.0).round().clamp(0.0, 255.0) as u8
}

/// The picture as the app draws it, averaged over each pixel.
fn eye_buffer(width: u32, height: u32) -> Canvas {
    Canvas::of(width, height, |x, y| {
        let mut sum = [0.0; 3];
        for sub in 0..16 {
            let place = |pixel: u32, sub: u32, size: u32| {
                (f64::from(pixel) + (f64::from(sub) + 0.5) / 4.0) / f64::from(size)
            };
            let color = drawn([place(x, sub % 4, width), place(y, sub / 4, height)]);
            sum.iter_mut().zip(color).for_each(|(sum, part)| *sum += part / 16.0);
        }
        sum.map(to_code)
    })
}

/// One frame through the pass.
fn composite(
    device: &Arc<Device>,
    headset: &Headset,
    image: &Pixels,
    options: Options,
    format: PixelFormat,
) -> PanelPicture {
    let (width, height) = (headset.panel.eye_width * 2, headset.panel.eye_height);
    let headset = Arc::new(headset.clone());
    let compositor = Compositor::new(device, &headset, width, height, format, options).expect("a pass");
    let images = Arc::new(EyeImages::upload(device, image, image).expect("memory for the images"));
    let target =
        Image::target(device, compositor.target_format(), width, height).expect("memory for the panel");
    let target = Arc::new(target);
    let mut pass = compositor.pass(&images, &target).expect("a pass");
    pass.latch(Pose::AHEAD, Pose::AHEAD, 0);
    pass.run().expect("the pass runs");
    Readback::new(device, &target, format)
        .and_then(|mut readback| readback.picture())
        .expect("it is read back")
}

/// The picture as the app draws it, and as the panel gets it.
fn grid(device: &Arc<Device>, headset: &Headset) -> Canvas {
    let (width, height) = (headset.panel.eye_width, headset.panel.eye_height);
    let fine = eye_buffer(width * 3, height * 3);
    let samples = fine.pixels.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect();
    let image = Pixels { width_px: width * 3, height_px: height * 3, samples: Samples::Eight(samples) };
    let options = Options { mura: false, ..Options::default() };
    let panel = composite(device, headset, &image, options, PixelFormat::Xrgb8888);
    let after = Canvas::of(width, height, |x, y| {
        let at = (y * panel.width_px + x) as usize * 3;
        [0, 1, 2].map(|channel| panel.codes[at + channel] as u8)
    });
    Canvas::side_by_side(&[eye_buffer(width, height), after])
}

/// Where on the panel the lens shows a channel of a place in the eye's image: Newton's way back through the formula.
fn panel_place(lens: &Lens, channel: Channel, uv: [f64; 2]) -> [f64; 2] {
    let mut lens = *lens;
    lens.cutoff_r2 = None;
    let mut place = uv;
    for _ in 0..20 {
        let Some(here) = lens.eye_uv(channel, place) else { break };
        let step = 1e-5;
        let [Some(right), Some(down)] = [[place[0] + step, place[1]], [place[0], place[1] + step]]
            .map(|place| lens.eye_uv(channel, place))
        else {
            break;
        };
        let [a, c] = [0, 1].map(|n| (right[n] - here[n]) / step);
        let [b, d] = [0, 1].map(|n| (down[n] - here[n]) / step);
        let [x, y] = [0, 1].map(|n| uv[n] - here[n]);
        let determinant = a * d - b * c;
        place = [place[0] + (d * x - b * y) / determinant, place[1] + (a * y - c * x) / determinant];
    }
    place
}

/// A corner of the panel; what the eye sees of it if all three colours are bent as green is; and as each is.
fn fringes(lens: &Lens) -> Canvas {
    const SIZE: [u32; 2] = [240, 240];
    let part = |x: u32, y: u32| [0.66 + 0.16 * f64::from(x) / 240.0, 0.66 + 0.16 * f64::from(y) / 240.0];
    let smooth = |color: &dyn Fn([f64; 2]) -> [f64; 3], [u, v]: [f64; 2]| {
        let mut sum = [0.0; 3];
        for sub in 0..9 {
            let near = |n: u32| (f64::from(n) - 1.0) / 3.0 * 0.16 / 240.0;
            let color = color([u + near(sub % 3), v + near(sub / 3)]);
            sum.iter_mut().zip(color).for_each(|(sum, part)| *sum += part / 9.0);
        }
        sum.map(to_code)
    };
    let on_panel = |uv: [f64; 2]| {
        Channel::ALL.map(|channel| lens.eye_uv(channel, uv).map_or(0.0, |uv| drawn(uv)[channel.index()]))
    };
    let through = |bent_as: fn(Channel) -> Channel| {
        move |uv: [f64; 2]| {
            Channel::ALL.map(|channel| {
                let drawn_from = lens.eye_uv(bent_as(channel), panel_place(lens, channel, uv));
                drawn_from.map_or(0.0, |uv| drawn(uv)[channel.index()])
            })
        }
    };
    let (as_green, each) = (through(|_| Channel::Green), through(|channel| channel));
    // The same part of the picture; on the panel it lies further out.
    let corner = panel_place(lens, Channel::Green, part(120, 120));
    let on_panel_part = |x: u32, y: u32| {
        let [dx, dy] = [x, y].map(|pixel| 0.11 * (f64::from(pixel) / 240.0 - 0.5));
        [corner[0] + dx, corner[1] + dy]
    };
    Canvas::side_by_side(&[
        Canvas::of(SIZE[0], SIZE[1], |x, y| smooth(&on_panel, on_panel_part(x, y))),
        Canvas::of(SIZE[0], SIZE[1], |x, y| smooth(&as_green, part(x, y))),
        Canvas::of(SIZE[0], SIZE[1], |x, y| smooth(&each, part(x, y))),
    ])
}

/// How far off two common shortcuts are, in pixels of an eye buffer of 1512x1680, at each panel pixel that is seen: a mesh
/// of 64x64 cells, and a texture of 128x128 places. White is a pixel and more.
fn lens_residuals(lens: &Lens) -> Canvas {
    const BUFFER: [f64; 2] = [1512.0, 1680.0];
    let mut whole = *lens;
    whole.cutoff_r2 = None;
    let exact = |uv: [f64; 2]| whole.eye_uv(Channel::Green, uv);
    let mix = |from: [f64; 2], to: [f64; 2], part: f64| [0, 1].map(|n| from[n] + (to[n] - from[n]) * part);
    // In cells, from the cell's corner.
    let corners = |cells: f64, [u, v]: [f64; 2]| {
        let [x, y] = [u * cells, v * cells];
        let at = |dx: f64, dy: f64| exact([(x.floor() + dx) / cells, (y.floor() + dy) / cells]);
        Some(([at(0.0, 0.0)?, at(1.0, 0.0)?, at(0.0, 1.0)?, at(1.0, 1.0)?], [x.fract(), y.fract()]))
    };
    let mesh = |uv: [f64; 2]| {
        let ([a, b, c, d], [x, y]) = corners(64.0, uv)?;
        // Two triangles a cell.
        let plane = |from: [f64; 2], right: [[f64; 2]; 2], down: [[f64; 2]; 2]| {
            [0, 1].map(|n| from[n] + x * (right[1][n] - right[0][n]) + y * (down[1][n] - down[0][n]))
        };
        let beyond = [0, 1].map(|n| b[n] + c[n] - d[n]);
        Some(if x + y < 1.0 { plane(a, [a, b], [a, c]) } else { plane(beyond, [c, d], [b, d]) })
    };
    let texture = |uv: [f64; 2]| {
        let ([a, b, c, d], [x, y]) = corners(127.0, uv)?;
        Some(mix(mix(a, b, x), mix(c, d, x), y))
    };
    let shown = |way: &dyn Fn([f64; 2]) -> Option<[f64; 2]>| {
        Canvas::of(360, 400, |x, y| {
            let uv = [(f64::from(x) + 0.5) / 360.0, (f64::from(y) + 0.5) / 400.0];
            let (Some(seen), Some(found)) = (lens.eye_uv(Channel::Green, uv), way(uv)) else {
                return [60, 60, 90];
            };
            let off = ((seen[0] - found[0]) * BUFFER[0]).hypot((seen[1] - found[1]) * BUFFER[1]);
            [to_code(off); 3]
        })
    };
    Canvas::side_by_side(&[shown(&mesh), shown(&texture), shown(&exact)])
}

/// A part of the left eye's map, its contrast raised.
fn map(headset: &Headset) -> Canvas {
    let map = &headset.mura.as_ref().expect("it has maps").left;
    let part = Canvas::of(216, 140, |x, y| {
        let texel = f64::from(map.texels[(y * map.width + x) as usize]);
        [to_code(0.5 + (texel - 127.0) * 3.0 / 255.0); 3]
    });
    part.enlarged(3)
}

/// By how many codes the pixel of the left panel is off.
fn error(headset: &Headset, x: u32, y: u32) -> f64 {
    let mura = headset.mura.as_ref().expect("it has maps");
    let texel = f64::from(mura.left.texels[(y * mura.left.width + x) as usize]);
    -255.0 * mura.scale * (texel / 255.0 + mura.offset)
}

/// A flat gray through the pass; the left eye's codes in 8-bit codes.
fn flat(
    device: &Arc<Device>,
    headset: &Headset,
    level: u8,
    mura: bool,
    format: PixelFormat,
) -> Vec<Vec<f64>> {
    let (width, height) = (headset.panel.eye_width, headset.panel.eye_height);
    let image = Pixels::flat(width, height, level);
    let picture = composite(
        device,
        headset,
        &image,
        Options { lens: false, mura, dither: false, ..Options::default() },
        format,
    );
    let top = f64::from((1u32 << picture.bits) - 1);
    let code =
        |x: u32, y: u32| f64::from(picture.codes[(y * picture.width_px + x) as usize * 3 + 1]) * 255.0 / top;
    (0..height).map(|y| (0..width).map(|x| code(x, y)).collect()).collect()
}

/// Code 48 on a panel whose pixels are off by what the map says: as it is, and corrected. Its light, contrast raised four times.
fn gray(device: &Arc<Device>, headset: &Headset) -> Canvas {
    const LEVEL: u8 = 48;
    let shown = |mura: bool| {
        let codes = flat(device, headset, LEVEL, mura, PixelFormat::Xrgb8888);
        let part = Canvas::of(160, 140, |x, y| {
            let code = codes[y as usize][x as usize] + error(headset, x, y);
            let light = (code / f64::from(LEVEL)).max(0.0).powf(2.2);
            [to_code(0.45 + (light - 1.0)); 3]
        });
        part.enlarged(2)
    };
    Canvas::side_by_side(&[shown(false), shown(true)])
}

/// How often a pixel is off by so much, from 4 codes too dark to 4 too bright: as it is in gray, corrected at 8 bits in blue
/// and at 10 in orange. A line is a code.
fn mura_residuals(device: &Arc<Device>, headset: &Headset) -> Canvas {
    const LEVEL: u8 = 128;
    const WIDTH: u32 = 641;
    const HEIGHT: u32 = 240;
    const BINS_A_CODE: f64 = 16.0;
    let mut plot = Canvas::new(WIDTH, HEIGHT, PAPER);
    for code in 0..=8 {
        (0..HEIGHT).for_each(|y| plot.set(code * 80, y, LINE));
    }
    (0..WIDTH).for_each(|x| plot.set(x, HEIGHT - 1, LINE));
    let series = [
        (false, PixelFormat::Xrgb8888, [120, 120, 120]),
        (true, PixelFormat::Xrgb8888, [40, 90, 200]),
        (true, PixelFormat::Xrgb2101010, [230, 120, 20]),
    ];
    for (mura, format, color) in series {
        let codes = flat(device, headset, LEVEL, mura, format);
        let mut bins = vec![0.0f64; (8.0 * BINS_A_CODE) as usize];
        for (y, row) in codes.iter().enumerate() {
            for (x, code) in row.iter().enumerate() {
                let off = code + error(headset, x as u32, y as u32) - f64::from(LEVEL);
                let bin = ((off + 4.0) * BINS_A_CODE).round();
                if bin >= 0.0 && bin < bins.len() as f64 {
                    bins[bin as usize] += 1.0;
                }
            }
        }
        let most = bins.iter().copied().fold(1.0, f64::max);
        for (bin, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let height = (count / most * f64::from(HEIGHT - 8)).ceil() as u32;
            for y in HEIGHT - height..HEIGHT {
                (0..3).for_each(|dx| plot.set((bin as u32 * 5 + dx).min(WIDTH - 1), y, color));
            }
        }
    }
    plot
}
