//! Draws the pictures in the documentation anew: `cargo run --release --example pictures`, into another folder with that as
//! its argument.
//!
//! All of them are of a made-up headset.

mod canvas;

use std::path::PathBuf;
use std::sync::Arc;

use canvas::{Canvas, INK, LETTER, LINE, PAPER};
use leasehold::compositor::eye_images::Samples;
use leasehold::compositor::readback::{PanelPicture, Readback};
use leasehold::compositor::{Compositor, EyeImages, Options, Pixels, Pose};
use leasehold::demo::Scene;
use leasehold::headset::{Channel, Headset, Lens};
use leasehold::kms::buffer::PixelFormat;
use leasehold::session::View;
use leasehold::vulkan::{Device, Image, Instance};

const SEED: u64 = 1;

fn main() {
    let folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("docs/pictures"), PathBuf::from);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let device = Device::open(&Arc::new(Instance::new(false).expect("Vulkan"))).expect("a Vulkan device");
    let (small, large) = (Headset::simulated(SEED, 432, 480), Headset::simulated(SEED, 1080, 1200));
    let pictures = [
        ("panel", panel(&device, &large)),
        ("grid", grid(&device, &small)),
        ("fringes", fringes(&small.eyes[0].lens)),
        ("lens-residuals", lens_residuals(&large.eyes[0].lens)),
        ("mura-map", map(&small)),
        ("gray", gray(&device, &small)),
        ("mura-residuals", mura_residuals(&device, &small)),
    ];
    for (name, picture) in pictures {
        picture.save(&folder.join(format!("{name}.png")));
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
    [left, right]: [&Pixels; 2],
    options: Options,
    format: PixelFormat,
) -> PanelPicture {
    let (width, height) = (headset.panel.eye_width * 2, headset.panel.eye_height);
    let headset = Arc::new(headset.clone());
    let compositor = Compositor::new(device, &headset, width, height, format, options).expect("a pass");
    let images = Arc::new(EyeImages::upload(device, left, right).expect("memory for the images"));
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

/// The demo's room on the panel, at a third of the panel's size. Drawn twice as finely as the demo does, and without mura,
/// whose noise no picture of this size shows.
fn panel(device: &Arc<Device>, headset: &Headset) -> Canvas {
    let size = [headset.panel.eye_width, headset.panel.eye_height];
    let views = headset.eyes.each_ref().map(|eye| {
        let view = View::of(eye, size);
        View { recommended_px: view.recommended_px.map(|size| size * 2), ..view }
    });
    let [left, right] = Scene::Room.painter().expect("it reads no file")(&views);
    let options = Options { mura: false, dither: false, ..Options::default() };
    let panel = composite(device, headset, [&left, &right], options, PixelFormat::Xrgb8888);
    let whole = Canvas::of(panel.width_px, panel.height_px, |x, y| {
        let at = (y * panel.width_px + x) as usize * 3;
        [0, 1, 2].map(|channel| panel.codes[at + channel] as u8)
    });
    whole.shrunk(3).rounded()
}

/// The picture as the app draws it, and as the panel gets it.
fn grid(device: &Arc<Device>, headset: &Headset) -> Canvas {
    let (width, height) = (headset.panel.eye_width, headset.panel.eye_height);
    let fine = eye_buffer(width * 3, height * 3);
    let samples = fine.pixels.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect();
    let image = Pixels { width_px: width * 3, height_px: height * 3, samples: Samples::Eight(samples) };
    let options = Options { mura: false, ..Options::default() };
    let panel = composite(device, headset, [&image; 2], options, PixelFormat::Xrgb8888);
    let after = Canvas::of(width, height, |x, y| {
        let at = (y * panel.width_px + x) as usize * 3;
        [0, 1, 2].map(|channel| panel.codes[at + channel] as u8)
    });
    Canvas::side_by_side(&[("drawn by the app", eye_buffer(width, height)), ("sent to the panel", after)])
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
        ("on the panel", Canvas::of(SIZE[0], SIZE[1], |x, y| smooth(&on_panel, on_panel_part(x, y)))),
        ("seen, all bent as green", Canvas::of(SIZE[0], SIZE[1], |x, y| smooth(&as_green, part(x, y)))),
        ("seen, each bent as it is", Canvas::of(SIZE[0], SIZE[1], |x, y| smooth(&each, part(x, y)))),
    ])
}

/// How far off two common shortcuts are, in pixels of an eye buffer of 1512x1680, at each panel pixel that is seen: a mesh
/// of 64x64 cells, and a texture of 128x128 places. White is a pixel and more.
fn lens_residuals(lens: &Lens) -> Canvas {
    const BUFFER: [f64; 2] = [1512.0, 1680.0];
    // So few that they fit into a palette.
    const SHADES: f64 = 63.0;
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
            [to_code((off * SHADES).round() / SHADES); 3]
        })
    };
    Canvas::side_by_side(&[
        ("a mesh of 64x64 cells", shown(&mesh)),
        ("a texture of 128x128 places", shown(&texture)),
        ("the formula", shown(&exact)),
    ])
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
        [&image; 2],
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
    Canvas::side_by_side(&[("as it comes", shown(false)), ("corrected, 8 bits", shown(true))])
}

/// How often a pixel is off by so much, from 4 codes too dark to 4 too bright: as it is, and corrected at 8 bits and at 10.
fn mura_residuals(device: &Arc<Device>, headset: &Headset) -> Canvas {
    const LEVEL: u8 = 128;
    const MOST: i32 = 4;
    // A texel is worth an eighth of a code, and nothing is off by less.
    const BINS_A_CODE: i32 = 8;
    const BIN: u32 = 9;
    const WIDTH: u32 = (2 * MOST * BINS_A_CODE + 1) as u32 * BIN;
    const ROW: u32 = 110;
    const BAR: u32 = 90;
    let series = [
        ("as it comes", false, PixelFormat::Xrgb8888, [120, 120, 120]),
        ("corrected, 8 bits", true, PixelFormat::Xrgb8888, [40, 90, 200]),
        ("corrected, 10 bits", true, PixelFormat::Xrgb2101010, [230, 120, 20]),
    ];
    let place = |bin: i32| (bin + MOST * BINS_A_CODE) as u32 * BIN;
    let bottom = series.len() as u32 * ROW;
    let mut plot = Canvas::new(WIDTH, bottom + 3 * LETTER, PAPER);
    for code in -MOST..=MOST {
        let middle = place(code * BINS_A_CODE) + BIN / 2;
        plot.fill([middle, 0], [1, bottom + 3], LINE);
        let label = if code == 0 { "0".to_owned() } else { format!("{code:+}") };
        let left = (middle + LETTER / 2).saturating_sub(label.len() as u32 * LETTER / 2 + LETTER / 2);
        plot.write([left.min(WIDTH - label.len() as u32 * LETTER), bottom + 4], &label);
    }
    plot.write([0, bottom + 7 + LETTER], "codes off, dark to bright");
    for ((title, mura, format, color), row) in series.into_iter().zip(1..) {
        let codes = flat(device, headset, LEVEL, mura, format);
        let mut bins = vec![0u32; (2 * MOST * BINS_A_CODE + 1) as usize];
        for (y, row) in codes.iter().enumerate() {
            for (x, code) in row.iter().enumerate() {
                let off = code + error(headset, x as u32, y as u32) - f64::from(LEVEL);
                let bin = (off * f64::from(BINS_A_CODE)).round() as i32 + MOST * BINS_A_CODE;
                if let Some(count) = usize::try_from(bin).ok().and_then(|bin| bins.get_mut(bin)) {
                    *count += 1;
                }
            }
        }
        let most = bins.iter().copied().max().unwrap_or(1).max(1);
        for (left, count) in (0..).map(|bin| bin * BIN).zip(&bins) {
            let height = (count * BAR).div_ceil(most);
            plot.fill([left + 1, row * ROW - height], [BIN - 2, height], color);
        }
        plot.fill([0, row * ROW], [WIDTH, 1], INK);
        plot.write([LETTER, row * ROW - ROW + LETTER], title);
    }
    plot
}
