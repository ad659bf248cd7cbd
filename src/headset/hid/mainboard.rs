//! What the headset's mainboard says of the panel and of who wears it.

use std::io;

use super::{FeatureReports, REPORT_BYTES};
use crate::headset::edid::EdidId;

/// Several kinds of this report share the number; the mainboard answers with the kind it last dealt with.
const INFO: u8 = 0x04;
/// Type and length of the report that switches the panel on and off.
const PANEL_POWER: [u8; 3] = [0x78, 0x29, 56];
/// How often it is asked, for all kinds to come.
const QUESTIONS: usize = 3;

/// The report that comes by itself, every 52 ms.
const SENSORS: u8 = 0x03;

/// What a mainboard told; None is what it did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mainboard {
    /// The EDID's numbers of the headset's own display.
    pub edid: Option<EdidId>,
    /// Whether the panel has power.
    pub panel_on: Option<bool>,
}

impl Mainboard {
    /// Asks a mainboard.
    ///
    /// # Errors
    /// Those of the first question; a mainboard that answered once has told something.
    pub fn ask(device: &mut impl FeatureReports) -> io::Result<Self> {
        let mut told = Self::default();
        for question in 0..QUESTIONS {
            let mut report = [0; REPORT_BYTES];
            report[0] = INFO;
            match device.get(&mut report) {
                Ok(length) => told.add(&report[..length]),
                Err(error) if question == 0 => return Err(error),
                Err(_) => break,
            }
            if told.edid.is_some() && told.panel_on.is_some() {
                break;
            }
        }
        Ok(told)
    }

    /// Takes in a report, its number first; what it does not tell stays as it was.
    pub fn add(&mut self, report: &[u8]) {
        self.edid = EdidId::of_hid_report(report).or(self.edid);
        self.panel_on = panel_power(report).or(self.panel_on);
    }
}

/// The two bytes that differ between the reports that switch the panel on and off; where they contradict each other,
/// nothing is known.
fn panel_power(report: &[u8]) -> Option<bool> {
    let [INFO, kind @ ..] = report else { return None };
    let switches = kind.strip_prefix(&PANEL_POWER)?;
    match [switches.first()?, switches.get(8)?] {
        [1, 1] => Some(true),
        [0, 0] => Some(false),
        _ => None,
    }
}

/// What the mainboard senses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sensors {
    /// How near a face is, without a unit: about 40 with nothing before the lenses, up to 1900 when worn.
    pub proximity: u16,
    /// Whether the button on the headset is pressed.
    pub button: bool,
}

impl Sensors {
    /// Reads a report that came by itself, its number first. None when it is of another kind.
    pub fn parse(report: &[u8]) -> Option<Self> {
        (*report.first()? == SENSORS).then_some(())?;
        let proximity = u16::from_le_bytes([*report.get(0x0e)?, *report.get(0x0f)?]);
        Some(Self { proximity, button: *report.get(0x08)? == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(start: &[u8]) -> Vec<u8> {
        let mut report = start.to_vec();
        report.resize(REPORT_BYTES, 0);
        report
    }

    #[test]
    fn each_kind_of_report_adds_what_it_tells() {
        let mut told = Mainboard::default();
        told.add(&report(&[4, 0x87, 0x29, 60, 0x22, 0xd2, 0x01, 0xaa]));
        assert_eq!(told, Mainboard { edid: "HVR:AA01".parse().ok(), panel_on: None });
        told.add(&report(&[4, 0x78, 0x29, 56, 1, 0, 0, 0, 0, 0, 2, 0, 1, 0x7a]));
        assert_eq!(told, Mainboard { edid: "HVR:AA01".parse().ok(), panel_on: Some(true) });
        told.add(&report(&[4, 0x78, 0x29, 56, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0x7c]));
        assert_eq!(told.panel_on, Some(false));
        let before = told;
        for nothing_new in
            [&[][..], &[4], &[4, 0x78, 0x29, 56, 1], &[4, 0x78, 0x29, 56, 1, 0, 0, 0, 0, 0, 2, 0, 0]]
        {
            told.add(nothing_new);
            assert_eq!(told, before);
        }
    }

    #[test]
    fn the_sensors_are_read_where_they_stand() {
        let mut bytes = report(&[3, 0, 0, 0, 0x10, 0x02, 0, 0, 1]);
        bytes[0x0e..0x10].copy_from_slice(&312u16.to_le_bytes());
        assert_eq!(Sensors::parse(&bytes), Some(Sensors { proximity: 312, button: true }));
        assert_eq!(Sensors::parse(&bytes[..15]), None);
        bytes[0] = 4;
        assert_eq!(Sensors::parse(&bytes), None);
        assert_eq!(Sensors::parse(&[]), None);
    }
}
