//! `leasehold demo`: a scene on a headset.

use std::path::PathBuf;

use super::{Failure, mura, output, signals, validation};
use crate::compositor::scanout::Method;
use crate::compositor::{self, Latch, Limit};
use crate::demo::{self, Scene, Settings};
use crate::files;
use crate::kms::ModeRequest;
use crate::lease::request::Wanted;
use crate::report;
use crate::session::{Depth, Ending, Options};
use crate::time::{Instant, Span};

/// Show a scene on the headset, until --seconds, --frames, Escape or a signal ends it
#[derive(Debug, clap::Args)]
#[command(after_help = demo::controls::help())]
pub struct Arguments {
    /// Where the display comes from: wayland, x11, seat, inherited (the fd that LEASEHOLD_LEASE_FD names), fd:N,
    /// window, simulated, or auto, which tries them in turn
    #[arg(long, value_name = "SOURCE", default_value = "auto")]
    from: String,
    /// The connector, by name (DP-1) or by its display's EDID (HVR:AA01) [default: the only headset]
    #[arg(long, value_name = "NAME")]
    connector: Option<Wanted>,
    /// The mode, as WxH or WxH@HZ [default: the headset's preferred one]
    #[arg(long, value_name = "MODE")]
    mode: Option<ModeRequest>,
    /// The headset's data: a directory with its config.json and mura maps
    #[arg(long, value_name = "DIR")]
    headset: Option<PathBuf>,
    /// Have pictures get to the card in this way or none: dma-buf, host-memory or copy [default: the best that works]
    #[arg(long, value_name = "WAY")]
    scanout: Option<Method>,
    /// Bits of a panel code: 8, 10, or auto, which is 10 where the display's EDID says so and the card takes them
    #[arg(long, value_name = "BITS", default_value = "auto")]
    bits: Depth,
    /// Read the head's pose before a picture is given to the GPU (before-submit), or after, while it waits for the pose
    /// (after-submit)
    #[arg(long, value_name = "WHEN", default_value = "before-submit")]
    latch: Latch,
    #[command(flatten)]
    mura: mura::Arguments,
    /// Do not hide the steps between codes
    #[arg(long)]
    no_dither: bool,
    /// Drive pixels beyond where they are to be while they change, against black smear on OLED panels
    #[arg(long)]
    overdrive: bool,
    /// What to show: grid, room, flat:CODE or images:LEFT.png,RIGHT.png
    #[arg(long, value_name = "SCENE", default_value = "room")]
    scene: Scene,
    /// How long to show it
    #[arg(long, value_name = "S", value_parser = super::seconds)]
    seconds: Option<Span>,
    /// How many frames to show
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// Wait for the headset when its lease is lost or it is unplugged, and take it again
    #[arg(long)]
    reacquire: bool,
    /// Keep the app's thread busy for so long each frame, to overload it on purpose
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..60_000))]
    app_ms: u32,
    /// Write the last frame on the panel here, as a PNG of panel codes
    #[arg(long, value_name = "FILE.png")]
    capture: Option<PathBuf>,
    /// Write what the run was like here
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Print the report instead of a summary
    #[arg(long)]
    json: bool,
    /// Write what happened when, frame by frame, here: a trace for Perfetto (ui.perfetto.dev) or chrome://tracing
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    /// Show what the headset shows in a window on the desktop too
    #[arg(long)]
    mirror: bool,
}

/// Runs the demo.
pub fn run(arguments: Arguments, process_start: Instant) -> Result<(), Failure> {
    let from = arguments.from.parse().map_err(|error: String| Failure::usage(error))?;
    let options = Options {
        from,
        connector: arguments.connector.unwrap_or_else(Wanted::headset),
        mode: arguments.mode,
        headset: arguments.headset,
        scanout: arguments.scanout,
        depth: arguments.bits,
        optics: compositor::Options {
            latch: arguments.latch,
            dither: !arguments.no_dither,
            overdrive: arguments.overdrive,
            ..Default::default()
        },
        mura_weights: arguments.mura.weights,
        panel_brightness: arguments.mura.brightness,
        limit: Limit { frames: arguments.frames, time: arguments.seconds, stop: signals::stop_flag()? },
        reacquire: arguments.reacquire,
        validation: validation::wanted(),
        ..Options::default()
    };
    let settings = Settings {
        options,
        scene: arguments.scene,
        mirror: arguments.mirror,
        bare_terminal: ["WAYLAND_DISPLAY", "DISPLAY"].iter().all(|name| std::env::var_os(name).is_none()),
        app_burn: Span::from_ms(arguments.app_ms.into()),
        capture: arguments.capture.is_some(),
        trace: arguments.trace,
        process_start,
    };
    let outcome = demo::run(settings).map_err(|error| Failure::from(error).with_silent_headsets())?;
    if let (Some(path), Some(picture)) = (&arguments.capture, &outcome.picture) {
        files::write_panel(path, picture)?;
    }
    let json = report::json::tidy(&outcome.report);
    if let Some(path) = &arguments.report {
        files::write(path, |file| writeln!(file, "{json}"))?;
    }
    outcome.traced?;
    output::line(if arguments.json { json } else { outcome.report.summary() })?;
    free(outcome.rest);
    validation::check()?;
    outcome.error.map_or(Ok(()), |error| Err(error.into()))
}

/// The process ends next, and the kernel frees memory faster than a driver tidies it up; only where Vulkan is watched
/// does anyone look whether it is tidy.
fn free(rest: Ending) {
    if validation::wanted() {
        drop(rest);
    } else {
        std::mem::forget(rest);
    }
}
