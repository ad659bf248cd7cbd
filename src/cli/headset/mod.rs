//! `leasehold headset`: a headset's own data.

mod calibrate;
mod edid;
mod fetch;
mod show;

use std::path::{Path, PathBuf};

use super::{Failure, output};
use crate::files;
use crate::headset::simulated::files::NamedFile;
use crate::headset::simulated::{self, LensModel};
use crate::headset::{Headset, flash};
use crate::kms::ModeRequest;

/// The largest eye that is made up, in pixels each way: beyond every headset's, and its maps still fit in memory.
const MAX_SIMULATED: u32 = 4096;

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
    Fetch(fetch::Arguments),
    /// Write a complete made-up headset: config, mura maps, flash image, EDID
    Simulate {
        /// Where to write the files; made if it is not there
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Which one: the same seed always gives the same headset
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
        /// The panel's size in front of one eye
        #[arg(long, value_name = "WxH", default_value = "1080x1200")]
        eye: ModeRequest,
        /// The lenses: round as a Vive's, or high-order as a Vive Pro 2's
        #[arg(long, value_name = "KIND", default_value = "round")]
        lens: LensModel,
    },
    Calibrate(calibrate::Arguments),
}

/// Runs one of its verbs.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.verb {
        Verb::Show { path, json } => show::run(path, *json),
        Verb::Edid { files, json } => edid::run(files, *json),
        Verb::Unpack { flash, out } => unpack(flash, out),
        Verb::Fetch(arguments) => fetch::run(arguments),
        Verb::Simulate { out, seed, eye, lens } => simulate(*lens, *seed, *eye, out),
        Verb::Calibrate(arguments) => calibrate::run(arguments),
    }
}

fn unpack(area: &Path, out: &Path) -> Result<(), Failure> {
    let in_area = |failure: Failure| Failure::config(format!("{}: {failure}", area.display()));
    let files = flash::parse(&files::read(area)?).map_err(|error| in_area(error.into()))?;
    let files: Vec<NamedFile> = files.into_iter().map(|file| (file.name, file.bytes)).collect();
    write_all(out, &files)
}

/// Writes files into a folder, all or none, and prints their names.
fn write_all(out: &Path, files: &[NamedFile]) -> Result<(), Failure> {
    files::write_all(out, files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))?;
    files.iter().try_for_each(|(name, _)| output::line(name))
}

fn simulate(lens: LensModel, seed: u64, eye: ModeRequest, out: &Path) -> Result<(), Failure> {
    let ModeRequest { width_px, height_px, .. } = eye;
    // One of high order is told by the panel's first and last pixel.
    let least = if lens == LensModel::HighOrder { 2 } else { 1 };
    if ![width_px, height_px].iter().all(|size| (least..=MAX_SIMULATED).contains(size)) {
        return Err(Failure::usage(format!(
            "a simulated eye with such a lens has {least} to {MAX_SIMULATED} pixels across and down"
        )));
    }
    write_all(out, &simulated::files::files(&Headset::simulated_with(lens, seed, width_px, height_px)))
}
