//! What `edid-decode`, a program of other people, reads in an EDID.

use std::io::Write;
use std::process::{Command, Stdio};

use leasehold::headset::edid::{Edid, PrimaryUse};

/// Identity and modes, as both readers tell them.
#[derive(Debug, Default)]
pub struct Reading {
    pub vendor: String,
    pub product: u16,
    pub serial: Option<String>,
    pub name: Option<String>,
    pub worn: Option<PrimaryUse>,
    /// Those spelled out.
    pub modes: Vec<Mode>,
    /// Those named by number.
    pub standard_modes: Vec<Mode>,
}

/// Width, height, whether interlaced, and refreshes a second.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    size: (u32, u32, bool),
    hz: f64,
}

impl Reading {
    /// Asks `edid-decode`; None where it is not installed.
    pub fn by_edid_decode(edid: &[u8]) -> Option<Self> {
        let mut command = Command::new("edid-decode");
        let mut child = command
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut stdin = child.stdin.take().expect("it is a pipe");
        stdin.write_all(edid).expect("edid-decode reads its input");
        drop(stdin);
        let output = child.wait_with_output().expect("edid-decode ends");
        let mut reading = Self::default();
        let (mut serial_number, mut serial_text) = (None, None);
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            // What precedes a block is in hexadecimal, what follows the first space or colon is a value.
            let Some((label, value)) = line.trim().split_once(':') else { continue };
            let value = value.trim();
            let text = || Some(value.trim_matches('\'').trim().to_string()).filter(|text| !text.is_empty());
            match label {
                "Manufacturer" => reading.vendor = value.to_string(),
                "Model" => reading.product = value.parse().expect("a number"),
                "Serial Number" => serial_number = text(),
                "Display Product Serial Number" => serial_text = text(),
                "Display Product Name" => reading.name = reading.name.or_else(text),
                "Display Product Primary Use Case" => reading.worn = worn(value),
                _ => reading.read_mode(label, value),
            }
        }
        reading.serial = serial_text.or(serial_number);
        Some(reading)
    }

    /// What we read; panics where we refuse.
    pub fn ours(edid: &[u8]) -> Self {
        let edid = Edid::parse(edid).unwrap_or_else(|error| panic!("{error}"));
        let modes = edid
            .modes
            .iter()
            .map(|mode| Mode { size: (mode.width, mode.height, mode.interlaced), hz: mode.hz() });
        let standard_modes = edid.standard_modes.iter().map(|mode| mode.timing);
        let standard_modes = standard_modes
            .map(|timing| Mode { size: (timing.width, timing.height, timing.interlaced), hz: timing.hz() });
        Self {
            vendor: edid.vendor.clone(),
            product: edid.product,
            serial: edid.serial.clone(),
            name: edid.name.clone(),
            worn: edid.primary_use.filter(|primary_use| primary_use.is_head_mounted()),
            modes: modes.collect(),
            standard_modes: standard_modes.collect(),
        }
    }

    /// Panics where two readers do not tell the same. Who lists a mode twice is not asked.
    pub fn assert_agrees(&self, other: &Self, of: &str) {
        assert_eq!((&self.vendor, self.product), (&other.vendor, other.product), "{of}");
        assert_eq!((&self.name, &self.serial), (&other.name, &other.serial), "{of}");
        assert_eq!(self.worn, other.worn, "{of}");
        let in_all = |modes: &[Mode], others: &[Mode]| {
            for mode in modes {
                let same =
                    |other: &Mode| mode.size == other.size && (mode.hz - other.hz).abs() <= TOLERANCE_HZ;
                assert!(others.iter().any(same), "{of}: {mode:?} is not in {others:?}");
            }
        };
        for (ours, theirs) in [(&self.modes, &other.modes), (&self.standard_modes, &other.standard_modes)] {
            in_all(ours, theirs);
            in_all(theirs, ours);
        }
    }

    /// `DTD 1:  2160x1200   89.527296 Hz ...` or the same after another label.
    fn read_mode(&mut self, label: &str, value: &str) {
        let mut words = value.split_whitespace();
        let (Some(size), Some(hz), Some("Hz")) = (words.next(), words.next(), words.next()) else { return };
        let Some((width, height)) = size.split_once('x') else { return };
        let lines = height.trim_end_matches('i');
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{label}: {value}"));
        let size = (number(width), number(lines), height.ends_with('i'));
        let mode = Mode { size, hz: hz.parse().unwrap_or_else(|_| panic!("{label}: {value}")) };
        if label.starts_with("DTD") { &mut self.modes } else { &mut self.standard_modes }.push(mode);
    }
}

/// Six digits are printed.
const TOLERANCE_HZ: f64 = 2e-6;

fn worn(value: &str) -> Option<PrimaryUse> {
    let value = value.to_lowercase();
    match () {
        () if value.contains("virtual reality") => Some(PrimaryUse::VirtualReality),
        () if value.contains("augmented reality") => Some(PrimaryUse::AugmentedReality),
        () => None,
    }
}
