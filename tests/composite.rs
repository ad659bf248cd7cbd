//! The pass on the GPU against its formulas, with Vulkan's validation on: any message of it fails the test.

#![allow(clippy::disallowed_macros)] // a test that does not run says so where a person sees it

mod pass;

use std::path::Path;
use std::sync::Arc;

use glam::{DQuat, DVec3};
use leasehold::compositor::eye_images::Samples;
use leasehold::compositor::readback::{PanelPicture, Readback};
use leasehold::compositor::reference::{FlatLayer, Frame};
use leasehold::compositor::{
    Anchor, Compositor, EyeImages, Layer, LayerImage, Options, Pixels, Pose, Quad, Seen,
};
use leasehold::files::read_headset;
use leasehold::headset::{Channel, Headset, Illumination, Mura};
use leasehold::kms::buffer::PixelFormat;
use leasehold::vulkan::Image;
use pass::gpu::{assert_valid, device};
use pass::{composite, composite_with};

const EXACT: Options = Options { lens: false, mura: false, dither: false, ..Options::DEFAULT };
const CORRECTED: Options = Options { mura: true, ..EXACT };

/// A made-up headset, and the real one where its data is at hand.
fn headsets() -> Vec<Arc<Headset>> {
    let mut headsets = vec![Arc::new(Headset::simulated(3, 135, 150))];
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/headsets");
    let root = std::env::var_os("LEASEHOLD_HEADSETS").unwrap_or_else(|| beside.into());
    match read_headset(&Path::new(&root).join("vive-LHR-C5C0BC88")) {
        Ok(real) => headsets.push(Arc::new(real)),
        Err(error) => eprintln!("SKIPPED: the real headset: {error} (set LEASEHOLD_HEADSETS)"),
    }
    headsets
}

/// All codes in all neighbourhoods, differing from channel to channel.
fn noise(width_px: u32, height_px: u32, seed: u32) -> Pixels {
    let mut state = seed;
    let samples = (0..width_px * height_px * 4).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    Pixels { width_px, height_px, samples: Samples::Eight(samples.collect()) }
}

/// Calls `check` with every pixel's eye, place in that eye, and codes.
fn each_pixel(picture: &PanelPicture, mut check: impl FnMut(usize, [u32; 2], [u16; 3])) {
    let eye_width = picture.width_px / 2;
    for (index, codes) in picture.codes.chunks_exact(3).enumerate() {
        let (x, y) = (index as u32 % picture.width_px, index as u32 / picture.width_px);
        check((x / eye_width) as usize, [x % eye_width, y], [codes[0], codes[1], codes[2]]);
    }
}

#[test]
fn without_lens_mura_and_dither_an_image_comes_out_code_for_code() {
    for headset in headsets() {
        comes_out_code_for_code(&headset, EXACT);
    }
}

#[test]
fn a_headset_of_which_no_lens_is_known_shows_its_eye_images_as_they_are() {
    let headset = Arc::new(Headset::generic(135, 150));
    comes_out_code_for_code(&headset, Options { lens: true, ..EXACT });
}

fn comes_out_code_for_code(headset: &Arc<Headset>, options: Options) {
    let (width, height) = (headset.panel.eye_width, headset.panel.eye_height);
    let eyes = [noise(width, height, 1), noise(width, height, 2)];
    let picture = composite(headset, [&eyes[0], &eyes[1]], options, PixelFormat::Xrgb8888);
    each_pixel(&picture, |eye, [x, y], codes| {
        let Samples::Eight(samples) = &eyes[eye].samples else { unreachable!() };
        let at = (y * width + x) as usize * 4;
        let expected = [0, 1, 2].map(|channel| u16::from(samples[at + channel]));
        assert_eq!(codes, expected, "eye {eye}, pixel {x},{y}");
    });
}

#[test]
fn mura_adds_just_what_the_maps_say() {
    for headset in headsets() {
        let mura = headset.mura.as_ref().unwrap();
        for code in [16u8, 17, 64, 128, 200, 239] {
            let image = Pixels::flat(headset.panel.eye_width, headset.panel.eye_height, code);
            let picture = composite(&headset, [&image, &image], CORRECTED, PixelFormat::Xrgb8888);
            each_pixel(&picture, |eye, [x, y], codes| {
                let map = [&mura.left, &mura.right][eye];
                let texel = f64::from(map.texels[(y * map.width + x) as usize]);
                // To the nearest; the maps' offset puts what would be ties a hair above them.
                let exact = f64::from(code) + 255.0 * mura.scale * (texel / 255.0 + mura.offset);
                let expected = (exact + 0.5 + 1e-6).floor().clamp(0.0, 255.0) as u16;
                assert_eq!(codes, [expected; 3], "code {code}, eye {eye}, pixel {x},{y}, texel {texel}");
            });
        }
    }
}

#[test]
fn each_colour_gets_its_own_share_of_the_correction() {
    let picture = is_corrected_as_the_reference_does(|mura| mura.weighed(Some([0.0, 1.0, 0.5])), 100);
    each_pixel(&picture, |_, _, codes| assert_eq!(codes[0], 100));
}

/// From black on up, where the correction sets in later than on a bright panel.
#[test]
fn a_dimmed_panel_is_corrected_as_the_reference_does() {
    for level in [0, 4, 6, 9, 14, 20, 40, 100, 220] {
        is_corrected_as_the_reference_does(|mura| mura.at_brightness("0.25".parse().ok()), level);
    }
}

/// Compares a flat gray on a made-up headset whose correction was changed with the reference, pixel by pixel.
fn is_corrected_as_the_reference_does(change: impl Fn(Mura) -> Mura, level: u8) -> PanelPicture {
    let mut headset = Headset::simulated(3, 135, 150);
    headset.mura = headset.mura.map(change);
    let image = Pixels::flat(135, 150, level);
    let frame = Frame::new(&headset, [&image, &image], Options { lens: false, ..UNDITHERED });
    let picture = composite(&Arc::new(headset.clone()), [&image, &image], CORRECTED, PixelFormat::Xrgb8888);
    each_pixel(&picture, |eye, place, codes| {
        for channel in Channel::ALL {
            // Nothing is shown below no light and above all.
            let wanted = frame.code(eye, channel, place).clamp(0.0, 255.0);
            let off = f64::from(codes[channel.index()]) - wanted;
            assert!(off.abs() <= 0.502, "{channel:?} of eye {eye}, pixel {place:?}, code {level}: {off}");
        }
    });
    picture
}

#[test]
fn black_is_one_code_all_over_the_panel() {
    for headset in headsets() {
        let black = Pixels::flat(64, 64, 0);
        let expected = (headset.mura.as_ref().unwrap().black_code).round() as u16;
        let picture = composite(&headset, [&black, &black], Options::default(), PixelFormat::Xrgb8888);
        each_pixel(&picture, |eye, place, codes| {
            assert_eq!(codes, [expected; 3], "eye {eye}, pixel {place:?}");
        });
    }
}

/// Soft waves in all three channels.
fn waves([width_px, height_px]: [u32; 2], seed: f64) -> Pixels {
    let samples = (0..height_px).flat_map(|y| {
        (0..width_px).flat_map(move |x| {
            let wave = |period: f64| {
                let phase = (f64::from(x) + 0.7 * f64::from(y) + seed) / period;
                (32.0 + 90.0 * (1.0 + (phase * std::f64::consts::TAU).sin())) as u8
            };
            [wave(61.0), wave(83.0), wave(97.0), 255]
        })
    });
    Pixels { width_px, height_px, samples: Samples::Eight(samples.collect()) }
}

/// Holds a picture to what the reference says of its frame: all but a few pixels within a code.
fn is_the_reference(picture: &PanelPicture, frame: &Frame<'_>) {
    is_the_reference_line_by_line(picture, &mut frame.clone(), |_| frame.shown);
}

/// The same where each line is seen from a pose of its own, -1 the first line and 1 the last.
fn is_the_reference_line_by_line(
    picture: &PanelPicture,
    frame: &mut Frame<'_>,
    shown_at: impl Fn(f64) -> Pose,
) {
    let (mut checked, mut edge) = (0u32, 0u32);
    each_pixel(picture, |eye, place, codes| {
        // Every pixel of the small headset; of the large one, a grid that meets all columns and rows in the end.
        if picture.width_px > 1000 && (place[0] + 7 * place[1]) % 13 != 0 {
            return;
        }
        frame.shown = shown_at((2.0 * f64::from(place[1]) + 1.0) / f64::from(picture.height_px) - 1.0);
        for channel in Channel::ALL {
            let expected = frame.code(eye, channel, place);
            let off = (f64::from(codes[channel.index()]) - expected.clamp(0.0, 255.0)).abs();
            checked += 1;
            // On the very edge of what is seen, single precision may decide otherwise.
            edge += u32::from(off > 1.0);
        }
    });
    assert!(edge <= checked / 20_000, "{edge} of {checked} are off by more than a code");
}

const UNDITHERED: Options = Options { lens: true, mura: true, dither: false, ..Options::DEFAULT };

/// Eye buffers as large as a lens asks for.
fn eye_buffers(headset: &Headset) -> [Pixels; 2] {
    let size_px = [headset.panel.eye_width, headset.panel.eye_height].map(|pixels| pixels * 7 / 5);
    [waves(size_px, 0.0), waves(size_px, 31.0)]
}

#[test]
fn the_pass_is_the_reference_within_a_code() {
    for headset in headsets() {
        let [left, right] = &eye_buffers(&headset);
        let picture = composite(&headset, [left, right], UNDITHERED, PixelFormat::Xrgb8888);
        is_the_reference(&picture, &Frame::new(&headset, [left, right], UNDITHERED));
    }
}

#[test]
fn a_turned_head_a_fade_and_a_split_are_the_references_too() {
    for headset in headsets() {
        let [left, right] = &eye_buffers(&headset);
        let frame = Frame {
            rendered: Pose::from_degrees(3.0, -1.0, 2.0),
            shown: Pose::from_degrees(-4.0, 2.5, -1.0),
            fade: 0.25,
            correct_from: f64::from(headset.panel.eye_width) / 2.0,
            ..Frame::new(&headset, [left, right], UNDITHERED)
        };
        let picture = composite_with(&headset, [left, right], UNDITHERED, PixelFormat::Xrgb8888, |pass| {
            pass.set_fade(0.25);
            pass.set_split(true);
            pass.latch(frame.rendered, frame.shown, 7);
        });
        is_the_reference(&picture, &frame);
    }
}

/// Four rectangles: one that the head carries along, one in the room, aslant, one nobody sees from behind, and one that
/// is half there.
fn quads() -> [(Quad, f64); 4] {
    let turned = |yaw, pitch, roll| Pose::from_degrees(yaw, pitch, roll).orientation;
    let ahead = Quad::ahead(1.0, [0.6, 0.4]);
    [
        (
            Quad {
                anchor: Anchor::World,
                position_m: [-0.4, 0.2, -0.9],
                orientation: turned(35.0, -10.0, 20.0),
                ..ahead
            },
            1.0,
        ),
        (ahead, 1.0),
        (Quad { position_m: [0.2, 0.3, -0.7], orientation: turned(160.0, 0.0, 0.0), ..ahead }, 1.0),
        (Quad { position_m: [0.3, -0.2, -0.8], size_m: [0.5, 0.7], ..ahead }, 0.5),
    ]
}

/// A soft picture with see-through parts.
fn panel(seed: f64) -> Pixels {
    let mut pixels = waves([93, 71], seed);
    if let Samples::Eight(samples) = &mut pixels.samples {
        for (index, pixel) in samples.chunks_exact_mut(4).enumerate() {
            pixel[3] = (index % 93 * 255 / 92) as u8;
        }
    }
    pixels
}

#[test]
fn layers_lie_over_the_picture_where_geometry_puts_them() {
    for headset in headsets() {
        let [left, right] = &eye_buffers(&headset);
        let options = Options { layers: 4, ..UNDITHERED };
        let panels = [0.0, 13.0, 26.0, 39.0].map(panel);
        for lens in [true, false] {
            let options = Options { lens, ..options };
            let frame = Frame {
                shown: Pose::from_degrees(-4.0, 2.5, -1.0),
                fade: 0.5,
                layers: panels
                    .iter()
                    .zip(quads())
                    .map(|(panel, (quad, o))| FlatLayer::new(panel, quad, o))
                    .collect(),
                ..Frame::new(&headset, [left, right], options)
            };
            let layers: Vec<_> = panels
                .iter()
                .zip(quads())
                .map(|(panel, (quad, opacity))| {
                    let image = Arc::new(LayerImage::upload(device(), panel).unwrap());
                    Layer { image, quad, opacity }
                })
                .collect();
            let picture = composite_with(&headset, [left, right], options, PixelFormat::Xrgb8888, |pass| {
                pass.rehearse().unwrap();
                pass.set_fade(0.5);
                pass.set_layers(&layers).unwrap();
                pass.latch(frame.rendered, frame.shown, 7);
            });
            is_the_reference(&picture, &frame);
            // Taken away, they leave what was there without them.
            let without = composite_with(&headset, [left, right], options, PixelFormat::Xrgb8888, |pass| {
                pass.set_layers(&layers[..2]).unwrap();
                pass.latch(frame.rendered, frame.shown, 7);
                pass.run().unwrap();
                pass.set_layers(&[]).unwrap();
                pass.latch(frame.rendered, frame.shown, 7);
            });
            let plain = Frame { fade: 1.0, layers: Vec::new(), ..frame };
            is_the_reference(&without, &plain);
        }
    }
}

/// While the head turns by 200 degrees a second, aslant.
#[test]
fn layers_on_a_panel_that_lights_up_line_by_line_are_where_each_line_sees_them() {
    let (middle, axis) = (Pose::from_degrees(-4.0, 2.5, -1.0), DVec3::new(0.6, -0.64, 0.48));
    let half_a_turn = (200.0f64 / 90.0).to_radians() / 2.0;
    let shown_at = |line: f64| {
        let turn = DQuat::from_scaled_axis(axis * half_a_turn * line);
        Pose { orientation: (DQuat::from_array(middle.orientation) * turn).to_array() }
    };
    let seen = Seen::LineByLine([-1.0, 0.0, 1.0].map(shown_at));
    for headset in headsets() {
        let mut headset = Headset::clone(&headset);
        headset.panel.illumination = Illumination::Rolling;
        let headset = Arc::new(headset);
        let [left, right] = &eye_buffers(&headset);
        let options = Options { layers: 4, ..UNDITHERED };
        let panels = [0.0, 13.0, 26.0, 39.0].map(panel);
        let over = || panels.iter().zip(quads()).map(|(panel, (quad, opacity))| (panel, quad, opacity));
        let picture = composite_with(&headset, [left, right], options, PixelFormat::Xrgb8888, |pass| {
            let layer = |(panel, quad, opacity)| {
                let image = Arc::new(LayerImage::upload(device(), panel).unwrap());
                Layer { image, quad, opacity }
            };
            pass.set_layers(&over().map(layer).collect::<Vec<_>>()).unwrap();
            pass.latch(Pose::AHEAD, seen, 7);
        });
        let layers = over().map(|(panel, quad, opacity)| FlatLayer::new(panel, quad, opacity)).collect();
        let frame = Frame { layers, ..Frame::new(&headset, [left, right], options) };
        is_the_reference_line_by_line(&picture, &mut frame.clone(), shown_at);
        assert!(
            part_seen_from(&picture, &frame, middle) < 0.9,
            "seen from the middle line's pose alone it is no other"
        );
    }
}

/// Which part of a picture is what it would be if all lines were seen from `pose`.
fn part_seen_from(picture: &PanelPicture, frame: &Frame<'_>, pose: Pose) -> f64 {
    let frame = Frame { shown: pose, ..frame.clone() };
    let (mut alike, mut all) = (0u32, 0u32);
    each_pixel(picture, |eye, place, codes| {
        if (place[0] + 7 * place[1]) % 101 == 0 {
            let expected = frame.code(eye, Channel::Green, place).clamp(0.0, 255.0);
            alike += u32::from((f64::from(codes[1]) - expected).abs() <= 1.0);
            all += 1;
        }
    });
    f64::from(alike) / f64::from(all)
}

#[test]
fn dither_keeps_the_mean_and_ten_bits_are_finer_than_eight() {
    let headset = Arc::new(Headset::simulated(3, 135, 150));
    // Half way between two 8-bit codes.
    let level = (100.5 / 255.0 * 65535.0) as u16;
    let samples = [level, level, level, 65535].repeat(135 * 150);
    let image = Pixels { width_px: 135, height_px: 150, samples: Samples::Sixteen(samples) };
    let dithered = Options { dither: true, ..EXACT };
    let picture = composite(&headset, [&image, &image], dithered, PixelFormat::Xrgb8888);
    let mean = picture.codes.iter().map(|&code| f64::from(code)).sum::<f64>() / picture.codes.len() as f64;
    assert!((mean - 100.5).abs() < 0.05, "{mean}");
    assert!(picture.codes.iter().all(|code| (100..=101).contains(code)));
    let picture = composite(&headset, [&image, &image], EXACT, PixelFormat::Xrgb2101010);
    assert!(picture.codes.iter().all(|&code| code == 403), "{:?}", &picture.codes[..6]); // 100.5 / 255 * 1023 = 403.2
}

/// A picture of black, then one of code 100, then the same again, then black: what the panel is told each time.
#[test]
fn a_pixel_that_changes_is_driven_beyond_and_one_that_does_not_is_not() {
    let headset = Arc::new(Headset::simulated(3, 135, 150));
    let (width, height) = (headset.panel.eye_width, headset.panel.eye_height);
    for lens in [false, true] {
        let options = Options { lens, overdrive: true, ..EXACT };
        let compositor =
            Compositor::new(device(), &headset, width * 2, height, PixelFormat::Xrgb8888, options).unwrap();
        let eye = Pixels::flat(width, height, 100);
        let images = Arc::new(EyeImages::upload(device(), &eye, &eye).unwrap());
        let mut targets = (0..3).cycle().zip([0.0, 1.0, 1.0, 0.0]);
        let drawn: Vec<_> = (0..3)
            .map(|_| {
                Arc::new(Image::target(device(), compositor.target_format(), width * 2, height).unwrap())
            })
            .collect();
        let mut passes: Vec<_> =
            drawn.iter().map(|target| compositor.pass(&images, target).unwrap()).collect();
        let mut show = || {
            let (index, fade) = targets.next().unwrap();
            passes[index].set_fade(fade);
            passes[index].latch(Pose::AHEAD, Pose::AHEAD, 7);
            passes[index].run().unwrap();
            let picture =
                Readback::new(device(), &drawn[index], PixelFormat::Xrgb8888).unwrap().picture().unwrap();
            let middle = (height / 2 * width * 2 + width / 2) as usize * 3;
            picture.codes[middle..middle + 3].to_vec()
        };
        assert_eq!(show(), [0; 3]);
        // A tenth of what it rises, but for the one code that is left alone: 100 + 0.1 * 99 = 109.9.
        assert_eq!(show(), [110; 3]);
        // A twentieth of what it falls: 100 - 0.05 * 9 = 99.55.
        assert_eq!(show(), [100; 3]);
        assert_eq!(show(), [0; 3], "there is nothing below black");
        assert_valid();
    }
}

#[test]
fn overdrive_does_not_go_below_the_black_that_mura_correction_holds() {
    let headset = Arc::new(Headset::simulated(3, 135, 150));
    let (width, height) = (headset.panel.eye_width, headset.panel.eye_height);
    let options = Options { overdrive: true, ..CORRECTED };
    let compositor =
        Compositor::new(device(), &headset, width * 2, height, PixelFormat::Xrgb8888, options).unwrap();
    let eye = Pixels::flat(width, height, 100);
    let images = Arc::new(EyeImages::upload(device(), &eye, &eye).unwrap());
    let target = Arc::new(Image::target(device(), compositor.target_format(), width * 2, height).unwrap());
    let mut pass = compositor.pass(&images, &target).unwrap();
    for fade in [1.0, 0.0] {
        pass.set_fade(fade);
        pass.latch(Pose::AHEAD, Pose::AHEAD, 7);
        pass.run().unwrap();
    }
    let picture = Readback::new(device(), &target, PixelFormat::Xrgb8888).unwrap().picture().unwrap();
    assert!(picture.codes.iter().all(|&code| code == 3), "the panel's black is code 3 all over it");
    assert_valid();
}
