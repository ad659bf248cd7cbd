//! `leasehold headset calibrate`: mura maps from photographs of the panel.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Failure, output};
use crate::files;
use crate::headset::calibration::{self, Calibration, Capture, CaptureName};
use crate::headset::config::map_block;
use crate::headset::simulated::files::NamedFile;
use crate::headset::{MuraMap, USER_DATA_HEAD};

/// Find a panel's mura maps in photographs of it that show flat grays
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The photographs, one pixel a panel pixel: left-064.png, left-128.png, left-128-2.png (a second shot), right-064.png
    #[arg(long, value_name = "DIR")]
    captures: PathBuf,
    /// Where to write the maps and the config that names them; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The headset's data, for a whole config [default: only the block that names the maps]
    #[arg(long, value_name = "DIR")]
    headset: Option<PathBuf>,
    /// The power with which the panel's light grows [default: found from the levels]
    #[arg(long, value_name = "G", value_parser = gamma)]
    gamma: Option<f64>,
}

fn gamma(text: &str) -> Result<f64, String> {
    let gamma = text.parse().ok().filter(|gamma| (1.0..=4.0).contains(gamma));
    gamma.ok_or_else(|| format!("'{text}' is not a number from 1 to 4"))
}

const EYES: [&str; 2] = ["left", "right"];

/// Finds the maps, and writes them.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let base = arguments.headset.as_deref().map(Base::read).transpose()?;
    if arguments.out.join(USER_DATA_HEAD).exists() {
        return Err(Failure::config(format!(
            "{} has the headset's own maps, and their list {USER_DATA_HEAD}: give another folder with --out",
            arguments.out.display()
        )));
    }
    let captures = read_captures(&arguments.captures)?;
    let size = one_size(&captures, base.as_ref())?;
    let serial = base.as_ref().map(|base| base.serial.as_str());
    let mut maps = Vec::new();
    for (eye, captures) in EYES.into_iter().zip(&captures) {
        let captures: Vec<Capture> = captures.values().cloned().collect();
        let found = calibration::fit(eye, &captures, arguments.gamma)?;
        output::line(sentence(eye, &found))?;
        let file = serial.map_or(format!("{eye}.mc"), |serial| format!("{serial}_{eye}.mc"));
        let (width, height) = size;
        maps.push(MuraMap { file, width, height, texels: found.texels, crc32: 0 });
    }
    let block = map_block(calibration::SCALE, calibration::OFFSET, [&maps[0].file, &maps[1].file]);
    let (config_name, config) = match &base {
        Some(base) => ("config.json", base.with_maps(block)),
        None => ("display_mc.json", json!({"display_mc": block})),
    };
    let mut written: Vec<NamedFile> = maps.iter().map(|map| (map.file.clone(), map.encode(serial))).collect();
    written.push((config_name.to_owned(), format!("{config:#}\n").into_bytes()));
    super::write_all(&arguments.out, &written)
}

fn sentence(eye: &str, found: &Calibration) -> String {
    let Calibration { gamma, sigma_codes, noise_codes, unseen, clipped, .. } = found;
    let mut sentence = format!(
        "{eye} eye: gamma {gamma:.2}, pixels off by {sigma_codes:.2} codes (sigma), known to {noise_codes:.2}"
    );
    if *unseen > 0 {
        sentence.push_str(&format!("; {unseen} pixels are seen at no level and left alone"));
    }
    if *clipped > 0 {
        sentence.push_str(&format!("; {clipped} pixels are off by more than a map can say"));
    }
    sentence
}

/// A headset's config that the maps are added to.
struct Base {
    config: Value,
    serial: String,
    eye: (u32, u32),
}

impl Base {
    fn read(path: &Path) -> Result<Self, Failure> {
        let headset = files::read_headset(path)?;
        let config = if path.is_dir() { path.join("config.json") } else { path.to_path_buf() };
        let config = serde_json::from_slice(&files::read(&config)?).expect("it was read as JSON just now");
        Ok(Self { config, serial: headset.serial, eye: (headset.panel.eye_width, headset.panel.eye_height) })
    }

    fn with_maps(&self, block: Value) -> Value {
        let mut config = self.config.clone();
        config["display_mc"] = block;
        config
    }
}

/// Each eye's captures, by name.
type Captures = [BTreeMap<String, Capture>; 2];

fn read_captures(folder: &Path) -> Result<Captures, Failure> {
    let failed = |source| files::FileError::Io { operation: "read", path: folder.into(), source };
    let mut captures = Captures::default();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(parsed) = CaptureName::parse(&name) else { continue };
        let CaptureName { eye, code } = parsed?;
        let capture = Capture::decode(&name, code, &files::read(&entry.path())?)?;
        captures[eye].insert(name, capture);
    }
    Ok(captures)
}

/// The size that all captures have, the headset's where there is one.
fn one_size(captures: &Captures, base: Option<&Base>) -> Result<(u32, u32), Failure> {
    let mut named = captures.iter().flatten().map(|(name, capture)| (name, capture.size));
    let (wanted, whose) = match (base, named.clone().next()) {
        (Some(base), _) => (base.eye, "the headset's eyes"),
        (None, Some((name, size))) => (size, name.as_str()),
        (None, None) => return Ok((0, 0)),
    };
    match named.find(|(_, size)| *size != wanted) {
        None => Ok(wanted),
        Some((name, (width, height))) => Err(Failure::config(format!(
            "capture {name} is {width}x{height} and {whose} {}x{}: align each capture to the panel, one pixel a panel pixel",
            wanted.0, wanted.1
        ))),
    }
}
