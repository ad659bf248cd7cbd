//! `leasehold headset edid`: what EDIDs say.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Failure, SCHEMA, output};
use crate::files;
use crate::headset::edid::standard::StandardMode;
use crate::headset::edid::{Edid, EdidMode, PrimaryUse};

/// Shows each.
pub(super) fn run(paths: &[PathBuf], json: bool) -> Result<(), Failure> {
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
