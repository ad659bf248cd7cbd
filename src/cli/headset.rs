//! `leasehold headset`: what a headset is, from its own data.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Failure, not_yet, output};
use crate::files::{self, FileError};
use crate::headset::edid::standard::StandardMode;
use crate::headset::edid::{Edid, EdidMode, PrimaryUse};
use crate::headset::{Channel, Eye, Headset, Illumination, Mura, MuraMap, flash};

const SCHEMA: &str = "leasehold.headset/1";

/// Tell what a headset is, from its own data
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show what a headset's configuration and mura maps say
    Show {
        /// The directory with config.json and the maps it names, or that file itself
        #[arg(value_name = "DIR|config.json")]
        path: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show what EDIDs say: who made the display, its modes, and whether it is a headset
    Edid {
        /// Files with an EDID's bytes, as /sys/class/drm has them
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Unpack the files in a headset's user-data area, each checksum verified
    Unpack {
        /// The area's bytes
        #[arg(value_name = "FLASH.bin")]
        flash: PathBuf,
        /// Where to write the files; made if it is not there
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    #[command(hide = true)]
    Fetch(ToCome),
    #[command(hide = true)]
    Simulate(ToCome),
    #[command(hide = true)]
    Calibrate(ToCome),
}

#[derive(Debug, clap::Args)]
struct ToCome {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Runs one of its verbs.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.verb {
        Verb::Show { path, json } => show(path, *json),
        Verb::Edid { files, json } => edid(files, *json),
        Verb::Unpack { flash, out } => unpack(flash, out),
        Verb::Fetch(_) => Err(not_yet("headset fetch")),
        Verb::Simulate(_) => Err(not_yet("headset simulate")),
        Verb::Calibrate(_) => Err(not_yet("headset calibrate")),
    }
}

fn show(path: &Path, json: bool) -> Result<(), Failure> {
    let headset = files::read_headset(path)?;
    if json { output::json(&headset_json(&headset)) } else { output::line(headset_text(&headset)) }
}

fn headset_json(headset: &Headset) -> Value {
    let panel = &headset.panel;
    json!({
        "schema": SCHEMA,
        "serial": headset.serial,
        "model": headset.model,
        "eyes": headset.eyes.map(|eye| eye_json(&eye, panel.eye_width, panel.eye_height)),
        "panel": {"black_clamp": panel.black_clamp, "illumination": illumination_name(panel.illumination)},
        "mura": headset.mura.iter().flat_map(mura_json).collect::<Vec<_>>(),
        "notes": headset.notes,
    })
}

/// Lists by colour are in the order red, green, blue.
fn eye_json(eye: &Eye, width: u32, height: u32) -> Value {
    json!({
        "width": width,
        "height": height,
        "lens": {
            "type": eye.lens.kind_name(),
            "centers": eye.lens.channels.map(|channel| channel.center),
            "coeffs": Channel::ALL.map(|channel| eye.lens.coefficients(channel)),
        },
        "cutoff_r2": eye.lens.cutoff_r2,
        "fov_deg": eye.tangents.degrees(),
    })
}

fn mura_json(mura: &Mura) -> [Value; 2] {
    [&mura.left, &mura.right].map(|map| {
        json!({
            "file": map.file,
            "crc32": format!("{:#010x}", map.crc32),
            "width": map.width,
            "height": map.height,
            "scale": mura.scale,
            "offset": mura.offset,
            "sigma_codes": map.sigma_codes(mura.scale),
        })
    })
}

fn illumination_name(illumination: Illumination) -> &'static str {
    match illumination {
        Illumination::Global => "global",
        Illumination::Rolling => "rolling",
    }
}

fn headset_text(headset: &Headset) -> String {
    let panel = &headset.panel;
    let mut lines = vec![
        format!("{} {}", headset.model, headset.serial),
        format!(
            "  panel: {}x{} an eye, {} illumination, black at {:.4}",
            panel.eye_width,
            panel.eye_height,
            illumination_name(panel.illumination),
            panel.black_clamp
        ),
    ];
    for (side, eye) in ["left", "right"].iter().zip(&headset.eyes) {
        let [left, right, up, down] = eye.tangents.degrees();
        lines.push(format!(
            "  {side} eye: lens {}, sees {left:.1} to {right:.1} degrees across and {down:.1} to {up:.1} up",
            eye.lens.kind_name()
        ));
    }
    let map_line = |scale: f64, map: &MuraMap| {
        format!("  mura: {} ({:#010x}), sigma {:.2} codes", map.file, map.crc32, map.sigma_codes(scale))
    };
    if let Some(mura) = &headset.mura {
        lines.extend([&mura.left, &mura.right].map(|map| map_line(mura.scale, map)));
    }
    lines.extend(headset.notes.iter().map(|note| format!("  note: {note}")));
    lines.join("\n")
}

fn edid(paths: &[PathBuf], json: bool) -> Result<(), Failure> {
    let read: Vec<(String, Result<Edid, Failure>)> =
        paths.iter().map(|path| (path.display().to_string(), read_edid(path))).collect();
    if json {
        let files: Vec<Value> = read.iter().map(|(file, edid)| edid_json(file, edid)).collect();
        output::json(&json!({"schema": SCHEMA, "files": files}))?;
    } else {
        for (file, edid) in &read {
            output::line(edid_text(file, edid))?;
        }
    }
    match read.iter().filter(|(_, edid)| edid.is_err()).count() {
        0 => Ok(()),
        bad => Err(Failure::config(format!(
            "{bad} of {} files could not be read as an EDID: the reason stands beside each",
            paths.len()
        ))),
    }
}

fn read_edid(path: &Path) -> Result<Edid, Failure> {
    Ok(Edid::parse(&files::read(path)?)?)
}

fn edid_json(file: &str, edid: &Result<Edid, Failure>) -> Value {
    match edid {
        Err(failure) => json!({"file": file, "error": failure.to_string()}),
        Ok(edid) => json!({
            "file": file,
            "vendor": edid.vendor,
            "product": edid.product,
            "name": edid.name,
            "serial": edid.serial,
            "non_desktop": edid.non_desktop,
            "non_desktop_by": edid.non_desktop_by.name(),
            "primary_use": edid.primary_use.map(PrimaryUse::name),
            "modes": edid.modes.iter().map(mode_json).collect::<Vec<_>>(),
            "standard_modes": edid.standard_modes.iter().map(standard_mode_json).collect::<Vec<_>>(),
            "notes": edid.notes,
        }),
    }
}

fn mode_json(mode: &EdidMode) -> Value {
    json!({
        "width": mode.width,
        "height": mode.height,
        "hz": mode.hz(),
        "clock_khz": mode.clock_khz,
        "htotal": mode.htotal,
        "vtotal": mode.vtotal,
        "from": mode.from.name(),
    })
}

/// The modes that the EDID names by number, apart from those it spells out.
fn standard_mode_json(mode: &StandardMode) -> Value {
    let StandardMode { name, timing } = mode;
    json!({"width": timing.width, "height": timing.height, "hz": timing.hz(), "name": name.to_string()})
}

fn edid_text(file: &str, edid: &Result<Edid, Failure>) -> String {
    let edid = match edid {
        Ok(edid) => edid,
        Err(failure) => return format!("{file}: {failure}"),
    };
    let known = edid.headset().map_or("a headset", |headset| headset.name);
    let kind = match (edid.is_headset(), edid.non_desktop) {
        (true, true) => known.to_string(),
        (true, false) => format!("{known}, which the kernel takes for a monitor"),
        (false, true) => "no headset, and no desktop monitor either".to_string(),
        (false, false) => "no headset that is known".to_string(),
    };
    let mut lines = vec![format!(
        "{file}: {}{:04x} {} {}: {kind} (non-desktop by: {})",
        edid.vendor,
        edid.product,
        edid.name.as_deref().unwrap_or("unnamed"),
        edid.serial.as_deref().unwrap_or("without serial"),
        edid.non_desktop_by.name()
    )];
    let line = |width: u32, height: u32, interlaced: bool, hz: f64, from: &str| {
        format!("  {width}x{height}{}@{hz:.3} ({from})", if interlaced { "i" } else { "" })
    };
    lines.extend(
        edid.modes
            .iter()
            .map(|mode| line(mode.width, mode.height, mode.interlaced, mode.hz(), mode.from.name())),
    );
    lines.extend(edid.standard_modes.iter().map(|StandardMode { name, timing }| {
        line(timing.width, timing.height, timing.interlaced, timing.hz(), &name.to_string())
    }));
    lines.extend(edid.notes.iter().map(|note| format!("  note: {note}")));
    lines.join("\n")
}

fn unpack(area: &Path, out: &Path) -> Result<(), Failure> {
    let in_area = |failure: Failure| Failure::config(format!("{}: {failure}", area.display()));
    let files = flash::parse(&files::read(area)?).map_err(|error| in_area(error.into()))?;
    std::fs::create_dir_all(out).map_err(|source| FileError::Io {
        operation: "create",
        path: out.into(),
        source,
    })?;
    for file in &files {
        files::write(&out.join(&file.name), |writer| writer.write_all(&file.bytes))?;
        output::line(&file.name)?;
    }
    Ok(())
}
