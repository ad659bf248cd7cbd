//! `leasehold render`: one frame through the live path, offline.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Failure, mura, validation};
use crate::compositor::readback::Readback;
use crate::compositor::{Compositor, EyeImages, Options, Pose};
use crate::files;
use crate::kms::ModeRequest;
use crate::kms::buffer::PixelFormat;
use crate::vulkan::{Device, Image, Instance};

/// Composite one frame offline, just as the live loop would
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The headset's data: a directory with its config.json and mura maps
    #[arg(long, value_name = "DIR")]
    headset: PathBuf,
    /// The left eye's whole eye buffer, 8 or 16 bits, sRGB
    #[arg(long, value_name = "L.png")]
    left: PathBuf,
    /// The right eye's
    #[arg(long, value_name = "R.png")]
    right: PathBuf,
    /// Where to write the panel's codes, left eye on the left
    #[arg(long, value_name = "FRAME.png")]
    out: PathBuf,
    /// The head turned by so much since the app rendered: to the left, up, left ear down
    #[arg(long, value_name = "YAW,PITCH,ROLL", value_parser = rotation, allow_hyphen_values = true)]
    rotate_deg: Option<Pose>,
    /// Bits of a panel code
    #[arg(long, value_name = "8|10", default_value_t = 8, value_parser = bits)]
    bits: u32,
    /// Do not even out the panel's pixels
    #[arg(long)]
    no_mura: bool,
    #[command(flatten)]
    mura: mura::Arguments,
    /// Do not undo the lens
    #[arg(long)]
    no_lens: bool,
    /// Do not hide the steps between codes
    #[arg(long)]
    no_dither: bool,
    /// The panel's size, both eyes, as WxH [default: the headset's own]
    #[arg(long, value_name = "WxH")]
    mode: Option<ModeRequest>,
}

fn bits(text: &str) -> Result<u32, String> {
    match text {
        "8" => Ok(8),
        "10" => Ok(10),
        _ => Err("a panel code has 8 or 10 bits".to_string()),
    }
}

fn rotation(text: &str) -> Result<Pose, String> {
    let degrees: Result<Vec<f64>, _> = text.split(',').map(str::parse).collect();
    match degrees.as_deref() {
        Ok(&[yaw, pitch, roll]) if [yaw, pitch, roll].iter().all(|angle| angle.is_finite()) => {
            Ok(Pose::from_degrees(yaw, pitch, roll))
        }
        _ => Err(format!("'{text}' is not three angles in degrees, as in 5,0,-1.5")),
    }
}

/// Renders the frame.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut headset = files::read_headset(&arguments.headset)?;
    headset.mura = headset
        .mura
        .map(|mura| mura.weighed(arguments.mura.weights).at_brightness(arguments.mura.brightness));
    let headset = Arc::new(headset);
    let [left, right] = [files::read_pixels(&arguments.left)?, files::read_pixels(&arguments.right)?];
    if (left.width_px, left.height_px) != (right.width_px, right.height_px) {
        return Err(Failure::config(format!(
            "{} is {}x{} and {} is {}x{}: give two eye buffers of one size",
            arguments.left.display(),
            left.width_px,
            left.height_px,
            arguments.right.display(),
            right.width_px,
            right.height_px
        )));
    }
    let own = [headset.panel.eye_width * 2, headset.panel.eye_height];
    let [width_px, height_px] = arguments.mode.map_or(own, |mode| [mode.width_px, mode.height_px]);
    let format = if arguments.bits == 10 { PixelFormat::Xrgb2101010 } else { PixelFormat::Xrgb8888 };
    let options = Options {
        lens: !arguments.no_lens,
        mura: !arguments.no_mura,
        dither: !arguments.no_dither,
        ..Options::default()
    };
    let instance = Arc::new(Instance::new(validation::wanted())?);
    let device = Device::open(&instance)?;
    let compositor = Compositor::new(&device, &headset, width_px, height_px, format, options)?;
    for note in headset.notes.iter().chain(&compositor.mura_note().filter(|_| options.mura)) {
        tracing::info!("{note}");
    }
    let images = Arc::new(EyeImages::upload(&device, &left, &right)?);
    let target = Arc::new(Image::target(&device, compositor.target_format(), width_px, height_px)?);
    let mut pass = compositor.pass(&images, &target)?;
    pass.latch(Pose::AHEAD, arguments.rotate_deg.unwrap_or_default(), 0);
    pass.run()?;
    let picture = Readback::new(&device, &target, format)?.picture()?;
    files::write_panel(&arguments.out, &picture)?;
    validation::check()
}
