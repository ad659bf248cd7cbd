//! `leasehold headset fetch`: a connected headset's own data.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Failure, SCHEMA, output};
use crate::fetch::map_cache::MapCache;
use crate::fetch::{Fetch, Fetched, Progress};
use crate::headset::hid::mainboard::{Mainboard, Sensors};
use crate::hid::headsets::{mainboards, tracking_board};
use crate::time::{Instant, Span};

/// Read the config and the mura maps out of a connected headset; goes on where it was cut off
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The node of the headset's tracking board [default: the only one there is]
    #[arg(long, value_name = "PATH")]
    hidraw: Option<PathBuf>,
    /// Where to write the files; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Leave the mura maps out, which take a minute
    #[arg(long)]
    no_maps: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Fetches it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (mut board, node) = tracking_board(arguments.hidraw.as_deref())?;
    tracing::info!("reading the headset at {}", node.display());
    let told = Told::by_the_mainboard();
    told.iter().for_each(|told| tracing::info!("its mainboard says: {}", told.sentence()));
    let cache = MapCache::of_user();
    if cache.is_none() {
        tracing::info!("neither XDG_CACHE_HOME nor HOME is set: a map that is cut off will not be kept");
    }
    let fetch = Fetch { out: &arguments.out, maps: !arguments.no_maps, cache };
    let mut shown = Shown::new();
    let files = fetch.run(&mut board, &mut |progress| shown.update(progress, Instant::now()));
    shown.end();
    let files = files?;
    if arguments.json {
        return output::json(&json(&node, &files, told));
    }
    files.iter().try_for_each(|file| output::line(format!("{} ({})", file.name, origin(file))))
}

fn origin(file: &Fetched) -> &'static str {
    match file.origin {
        crate::fetch::Origin::Headset => "read from the headset",
        crate::fetch::Origin::Cache => "read from it before",
        crate::fetch::Origin::There => "there already",
    }
}

fn json(node: &Path, files: &[Fetched], told: Option<Told>) -> Value {
    let files: Vec<Value> = files
        .iter()
        .map(|file| {
            let crc32 = format!("{:#010x}", crc32fast::hash(&file.bytes));
            json!({"file": file.name, "bytes": file.bytes.len(), "crc32": crc32, "from": file.origin.name()})
        })
        .collect();
    json!({"schema": SCHEMA, "hidraw": node, "files": files, "mainboard": told.map(|told| told.json())})
}

/// What the headset's mainboard told.
#[derive(Clone, Copy, Debug)]
struct Told {
    mainboard: Mainboard,
    sensors: Option<Sensors>,
}

impl Told {
    /// Asks the mainboard. None where there is none or it does not answer; where there are several, nobody knows whose is
    /// whose.
    fn by_the_mainboard() -> Option<Self> {
        let mut boards = mainboards();
        if boards.len() > 1 {
            tracing::info!("{} mainboards are plugged in: none is asked", boards.len());
            return None;
        }
        let (mut board, node) = boards.pop()?;
        let mainboard = Mainboard::ask(&mut board)
            .inspect_err(|error| tracing::info!("could not ask the mainboard at {}: {error}", node.display()))
            .ok()?;
        // They come every 52 ms, and a busy machine may bring them late.
        let next = |_| board.next_input(Span::from_ms(1000)).ok().flatten();
        let sensors = (0..4).map_while(next).find_map(|report| Sensors::parse(&report));
        Some(Self { mainboard, sensors })
    }

    fn sentence(&self) -> String {
        let edid = self.mainboard.edid.map_or("EDID not told".to_owned(), |id| format!("EDID {id}"));
        let panel = match self.mainboard.panel_on {
            Some(true) => "panel on",
            Some(false) => "panel off",
            None => "panel power not told",
        };
        let proximity = self
            .sensors
            .map_or("proximity not told".to_owned(), |sensors| format!("proximity {}", sensors.proximity));
        format!("{edid}, {panel}, {proximity}")
    }

    fn json(&self) -> Value {
        json!({
            "edid": self.mainboard.edid.map(|id| id.to_string()),
            "panel_on": self.mainboard.panel_on,
            "proximity": self.sensors.map(|sensors| sensors.proximity),
        })
    }
}

/// How far it is, on stderr: a bar on a terminal, a line each tenth of a map elsewhere.
#[derive(Debug)]
struct Shown {
    terminal: bool,
    drawn: Option<Instant>,
    tenth: Option<u64>,
    map: String,
}

impl Shown {
    fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), drawn: None, tenth: None, map: String::new() }
    }

    fn update(&mut self, progress: Progress<'_>, now: Instant) {
        let Progress { name, done, total } = progress;
        if self.map != name {
            self.end();
            *self = Self { terminal: self.terminal, drawn: None, tenth: None, map: name.to_owned() };
        }
        let is_due = self.drawn.is_none_or(|drawn| now - drawn > Span::from_ms(100)) || done == total;
        if self.terminal && is_due {
            self.drawn = Some(now);
            let width = 30;
            let filled = (done * width / total.max(1)) as usize;
            let bar = "#".repeat(filled) + &"-".repeat(width as usize - filled);
            // Nobody is to fail for a bar that cannot be drawn.
            let _ = write!(std::io::stderr(), "\r{name} [{bar}] {:3} %", done * 100 / total.max(1));
        }
        let tenth = done * 10 / total.max(1);
        if !self.terminal && self.tenth != Some(tenth) {
            self.tenth = Some(tenth);
            tracing::info!("{name}: {done} of {total} bytes");
        }
    }

    /// Leaves the bar's line.
    fn end(&mut self) {
        if self.drawn.take().is_some() {
            let _ = writeln!(std::io::stderr());
        }
    }
}
