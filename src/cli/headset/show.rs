//! `leasehold headset show`: what a headset's configuration and mura maps say.

use std::path::Path;

use serde_json::{Value, json};

use super::{Failure, SCHEMA, output};
use crate::files;
use crate::headset::{Channel, Eye, Headset, Illumination, Mura, MuraMap};

/// Shows it.
pub(super) fn run(path: &Path, json: bool) -> Result<(), Failure> {
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
