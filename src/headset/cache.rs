//! What is remembered of the headset on a connector, so that it is known by name when its EDID no longer answers.
//!
//! Headsets that sleep, or whose cable sits badly, leave their connector without an EDID, and then nothing tells the
//! kernel or the user what hangs there. Where memories are kept: [`crate::files::edid_cache`].

use std::time::{Duration, SystemTime};

use super::edid::{Edid, EdidError};

/// A headset that answered once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What its EDID said.
    pub edid: Edid,
    /// When it last did.
    pub at: SystemTime,
}

/// What hangs on a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occupant {
    /// A headset, by the EDID it gives now.
    Headset(Box<Edid>),
    /// A display that is no headset.
    Other(Box<Edid>),
    /// Something without an EDID that can be read, or nothing: what was there last, if that was a headset.
    Silent(Option<Box<Memory>>),
}

/// What to do with a connector's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Replace it by the EDID that is there now.
    Remember,
    /// Forget it: another display has taken the headset's place.
    Forget,
    /// Leave it as it is.
    Keep,
}

impl Memory {
    /// A memory from the bytes that were kept.
    ///
    /// # Errors
    /// When they are no EDID.
    pub fn parse(bytes: &[u8], at: SystemTime) -> Result<Self, EdidError> {
        Ok(Self { edid: Edid::parse(bytes)?, at })
    }

    /// Whether this is that very headset, on whatever connector.
    pub fn is_of(&self, edid: &Edid) -> bool {
        let identity = |edid: &Edid| (edid.vendor.clone(), edid.product, edid.serial.clone());
        identity(&self.edid) == identity(edid)
    }

    /// For people, with what to do about it.
    pub fn sentence(&self, connector: &str) -> String {
        format!(
            "{connector}: EDID does not answer; it was {self}: switch the headset on, or plug its cable in again"
        )
    }
}

impl std::fmt::Display for Memory {
    /// Which headset, and when it last answered.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} at {}", self.edid.title(), date(self.at))
    }
}

impl Occupant {
    /// Judges what a connector's EDID says now (empty where there is none) beside what is remembered. The kernel's own
    /// word for headsets, `non_desktop`, makes one too.
    pub fn judge(edid: &[u8], non_desktop: bool, memory: Option<Memory>) -> (Self, Change) {
        match Edid::parse(edid) {
            Ok(edid) if edid.is_headset() || non_desktop => (Self::Headset(Box::new(edid)), Change::Remember),
            Ok(edid) => (Self::Other(Box::new(edid)), Change::Forget),
            Err(_) => (Self::Silent(memory.map(Box::new)), Change::Keep),
        }
    }

    /// What to call it: the headset that is there or was last; none for anything else.
    pub fn headset_title(&self) -> Option<String> {
        match self {
            Self::Headset(edid) => Some(edid.title()),
            Self::Silent(Some(memory)) => Some(memory.edid.title()),
            Self::Other(_) | Self::Silent(None) => None,
        }
    }

    /// What to tell about a headset that does not answer; none where there is none.
    pub fn silence(&self, connector: &str) -> Option<String> {
        match self {
            Self::Silent(Some(memory)) => Some(memory.sentence(connector)),
            _ => None,
        }
    }
}

/// The plain file name of a connector's memory, as in `/sys/class/drm`: `card0-DP-1`. None where a name is not plain.
pub fn file_name(card: &str, connector: &str) -> Option<String> {
    let plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    (plain(card) && plain(connector)).then(|| format!("{card}-{connector}"))
}

/// To the minute, in UTC: no time zone is known here.
fn date(at: SystemTime) -> String {
    let minutes = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() / 60;
    let (year, month, day) = civil(minutes / (24 * 60));
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60 % 24, minutes % 60)
}

/// Year, month and day of a day since 1970-01-01. Counts in years that start in March, so that the leap day comes last,
/// and in eras of 400 years, which all have the same number of days.
fn civil(day: u64) -> (u64, u64, u64) {
    const ERA: u64 = 400 * 365 + 97;
    const BEFORE_1970: u64 = 719_468; // from 0000-03-01
    let day = day + BEFORE_1970;
    let (era, day) = (day / ERA, day % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // from March; five months have 153 days
    let (month, day) = (month, day - (153 * month + 2) / 5 + 1);
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headset::edid::tests::base_block;

    const NOTHING: [[u8; 18]; 4] = {
        let mut dummy = [0; 18];
        dummy[3] = 0x10;
        [dummy; 4]
    };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// The made-up maker's display, as a Vive.
    fn vive() -> Vec<u8> {
        let mut block = base_block(NOTHING, 0);
        let before: u8 = block[8..12].iter().fold(0, |sum, byte| sum.wrapping_add(*byte));
        block[8..12].copy_from_slice(&[0x22, 0xd2, 0x01, 0xaa]);
        let after = block[8..12].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        block[127] = block[127].wrapping_add(before).wrapping_sub(after);
        block
    }

    #[test]
    fn a_headset_is_remembered_and_named_when_it_falls_silent() {
        let (occupant, change) = Occupant::judge(&vive(), false, None);
        assert_eq!((occupant.headset_title().as_deref(), change), (Some("HTC Vive"), Change::Remember));
        let memory = Memory::parse(&vive(), at(1_700_000_000)).expect("it was an EDID");
        for silent in [&[][..], &vive()[..127], &[0xff; 128]] {
            let (occupant, change) = Occupant::judge(silent, false, Some(memory.clone()));
            assert_eq!(change, Change::Keep);
            let sentence = occupant.silence("DP-1").expect("there was one");
            let expected = "DP-1: EDID does not answer; it was HTC Vive at 2023-11-14 22:13 UTC";
            assert!(sentence.starts_with(expected), "{sentence}");
        }
        assert_eq!(Occupant::judge(&[], true, None).0.silence("DP-1"), None);
    }

    #[test]
    fn a_monitor_in_its_place_makes_it_forgotten_unless_the_kernel_calls_it_a_headset() {
        let memory = Memory::parse(&vive(), at(0)).ok();
        let monitor = base_block(NOTHING, 0);
        let (occupant, change) = Occupant::judge(&monitor, false, memory);
        assert_eq!((occupant.headset_title(), change), (None, Change::Forget));
        let (occupant, change) = Occupant::judge(&monitor, true, None);
        assert_eq!((occupant.headset_title().as_deref(), change), (Some("ABC1234"), Change::Remember));
    }

    #[test]
    fn file_names_cannot_leave_their_folder() {
        assert_eq!(file_name("card0", "HDMI-A-1").as_deref(), Some("card0-HDMI-A-1"));
        for (card, connector) in [("card0", "../x"), ("..", "DP-1"), ("", "DP-1"), ("card0", "")] {
            assert_eq!(file_name(card, connector), None);
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let day = |seconds: u64| date(at(seconds));
        assert_eq!(day(0), "1970-01-01 00:00 UTC");
        assert_eq!(day(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(day(1_709_251_199), "2024-02-29 23:59 UTC");
        assert_eq!(day(1_709_251_200), "2024-03-01 00:00 UTC");
        assert_eq!(day(4_107_542_400), "2100-03-01 00:00 UTC");
        assert_eq!(date(SystemTime::UNIX_EPOCH - Duration::from_secs(5)), "1970-01-01 00:00 UTC");
    }
}
