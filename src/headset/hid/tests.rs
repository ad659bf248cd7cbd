use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::headset::Headset;
use crate::headset::flash;
use crate::headset::simulated::board::TrackingBoard;
use crate::headset::simulated::files::files;
use user_data::{HEAD_BYTES, Reading, head};

/// What a headset does with one question instead of answering it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    Short(usize),
    Silent,
    WrongNumber,
    Unplugged,
    Damaged,
}

/// A headset in memory.
#[derive(Debug)]
struct Twin {
    board: TrackingBoard,
    /// What happens at the n-th question.
    troubles: HashMap<usize, Trouble>,
    questions: usize,
    gone: bool,
}

impl Twin {
    fn new(config: Vec<u8>, user_data: Vec<u8>) -> Self {
        Self::of(TrackingBoard::new(config, user_data))
    }

    fn of(board: TrackingBoard) -> Self {
        Self { board, troubles: HashMap::new(), questions: 0, gone: false }
    }

    /// Of a made-up headset with small eyes.
    fn simulated(seed: u64) -> Self {
        Self::of(TrackingBoard::of_files(&files(&Headset::simulated(seed, 18, 20))))
    }
}

impl FeatureReports for Twin {
    fn get(&mut self, report: &mut [u8]) -> io::Result<usize> {
        let mut answer = self.board.get(report[0]);
        let trouble = self.troubles.get(&self.questions).copied();
        self.questions += 1;
        match trouble {
            _ if self.gone => return Err(io::Error::from_raw_os_error(libc::ENODEV)),
            None => {}
            Some(Trouble::Short(length)) => answer.truncate(length),
            Some(Trouble::Silent) => return Err(io::Error::from_raw_os_error(libc::EIO)),
            Some(Trouble::WrongNumber) => answer[0] ^= 0x40,
            Some(Trouble::Damaged) => answer[5] ^= 0x40,
            Some(Trouble::Unplugged) => {
                self.gone = true;
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
        }
        report[..answer.len()].copy_from_slice(&answer);
        Ok(answer.len())
    }

    fn set(&mut self, report: &[u8]) -> io::Result<()> {
        if self.gone {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        assert_eq!((report[0], report.len()), (0x08, 9));
        self.board.set(report);
        Ok(())
    }

    fn pause(&mut self, _: Span) {}
}

fn all(twin: &mut Twin) -> Result<Vec<u8>, HidError> {
    let end = twin.board.user_data.len() as u64;
    let (mut bytes, mut reading) = (Vec::new(), Reading::new(twin, 0, end));
    while let Some(piece) = reading.next_piece()? {
        bytes.extend(piece);
    }
    Ok(bytes)
}

#[test]
fn a_headset_gives_its_config_and_its_user_data() {
    let mut twin = Twin::simulated(1);
    let json = config::read(&mut twin).unwrap();
    assert_eq!(json, config::inflate(&twin.board.config).unwrap());
    let head = head(&mut twin).unwrap();
    assert_eq!(head.files, flash::directory(&twin.board.user_data).unwrap());
    assert!(head.bytes.len() as u64 >= HEAD_BYTES && twin.board.user_data.starts_with(&head.bytes));
    assert_eq!(all(&mut twin).unwrap(), twin.board.user_data);
}

#[test]
fn a_directory_that_189_bytes_do_not_hold_is_read_on() {
    let names: Vec<String> = (0..9).map(|n| format!("a file with a rather long name, number {n}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"contents"[..])).collect();
    let mut twin = Twin::new(Vec::new(), flash::pack(&files));
    assert_eq!(head(&mut twin).unwrap().files.len(), 9);
}

#[test]
fn one_bad_answer_is_asked_for_again() {
    for trouble in
        [Trouble::Short(0), Trouble::Short(1), Trouble::Short(40), Trouble::Silent, Trouble::WrongNumber]
    {
        for at in [0, 1, 3] {
            let mut twin = Twin { troubles: HashMap::from([(at, trouble)]), ..Twin::simulated(2) };
            assert_eq!(
                config::read(&mut twin).unwrap(),
                config::inflate(&twin.board.config).unwrap(),
                "{trouble:?} {at}"
            );
            let mut twin = Twin { troubles: HashMap::from([(at, trouble)]), ..Twin::simulated(2) };
            assert_eq!(all(&mut twin).unwrap(), twin.board.user_data, "{trouble:?} {at}");
        }
    }
    let mut twin = Twin { troubles: HashMap::from([(2, Trouble::Damaged)]), ..Twin::simulated(2) };
    assert_eq!(config::read(&mut twin).unwrap(), config::inflate(&twin.board.config).unwrap());
}

#[test]
fn three_in_a_row_and_one_that_is_final_end_it() {
    let fails = |troubles: &[(usize, Trouble)]| {
        let mut twin = Twin { troubles: troubles.iter().copied().collect(), ..Twin::simulated(2) };
        (all(&mut twin).expect_err("it does not answer"), twin.questions)
    };
    let silent = [2, 3, 4].map(|at| (at, Trouble::Silent));
    let (error, questions) = fails(&silent);
    assert!(matches!(error, HidError::NoAnswer { .. }), "{error}");
    assert_eq!((error.class(), questions), (Class::Retry, 5));
    assert!(matches!(fails(&[2, 3, 4].map(|at| (at, Trouble::Short(9)))).0, HidError::BadAnswer { .. }));
    let (error, questions) = fails(&[(2, Trouble::Unplugged)]);
    assert!(error.to_string().contains("unplugged"), "{error}");
    assert_eq!(questions, 3, "what is gone is not asked again");
}

#[test]
fn what_cannot_be_a_config_is_refused() {
    let deflated = |bytes: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let refusal = |config: Vec<u8>| config::read(&mut Twin::new(config, Vec::new())).unwrap_err().to_string();
    assert!(refusal(Vec::new()).contains("zlib"));
    assert!(refusal(b"{\"device\": 1}".to_vec()).contains("zlib"));
    let whole = deflated(b"{}");
    assert!(refusal(whole[..whole.len() - 2].to_vec()).contains("damaged"));
    // A bomb: 40 MiB in 40 KiB.
    assert!(refusal(deflated(&vec![b' '; 40 << 20])).contains("1048576 bytes inflated"));
    assert!(refusal(vec![0; config::MAX_SENT + 100]).contains("65536 bytes as it is sent"));
    assert_eq!(config::read(&mut Twin::new(deflated(b"{}"), Vec::new())).unwrap(), b"{}");
}

/// Sets the number at an offset of an area and lets the directory's checksum fit again.
fn lie(area: &mut [u8], at: usize, value: u32) {
    area[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let end = (u32::from_le_bytes([area[4], area[5], area[6], area[7]]) as usize).clamp(0x18, area.len());
    let crc32 = crc32fast::hash(&area[0x0c..end]);
    area[8..12].copy_from_slice(&crc32.to_le_bytes());
}

#[test]
fn a_directory_that_lies_is_refused_before_anything_is_read() {
    let refusal = |at: usize, value: u32| {
        let mut twin = Twin::simulated(4);
        lie(&mut twin.board.user_data, 0x0c, u32::MAX); // the length of it all, which the flash's own size bounds
        lie(&mut twin.board.user_data, at, value);
        let text = head(&mut twin).expect_err("it lies").to_string();
        assert!(twin.questions < 2000, "{} questions", twin.questions);
        text
    };
    assert!(refusal(0x04, 0xffff_fff0).contains("the directory would end at byte 4294967280"));
    assert!(refusal(0x04, 70_000).contains("would end at byte 70000"));
    assert!(refusal(0x18 + 4, 0x7fff_ffff).contains("file"));
    assert!(refusal(0x18 + 8, 0x7fff_ffff).contains("beyond byte 3997696"));
    assert!(refusal(0x14, 0xffff_0000).contains("name"));
    let mut erased = Twin::new(Vec::new(), Vec::new());
    assert!(head(&mut erased).unwrap_err().to_string().contains("[ff, ff, ff, ff]"));
    let mut none = Twin::simulated(4);
    none.board.flash = 0;
    assert!(head(&mut none).is_err());
}

proptest! {
    #[test]
    fn any_answers_are_survived(
        config in prop::collection::vec(any::<u8>(), 0..300),
        area in prop::collection::vec(any::<u8>(), 0..300),
        flash: u32,
    ) {
        let mut area = area;
        let _ = config::read(&mut Twin::new(config, Vec::new()));
        let mut twin = Twin::new(Vec::new(), area.clone());
        twin.board.flash = flash;
        let _ = head(&mut twin);
        area.resize(area.len().max(64), 0);
        area[..4].copy_from_slice(b"res\x85");
        lie(&mut area, 0x04, 60);
        twin.board.user_data = area;
        let _ = head(&mut twin);
    }

    #[test]
    fn whatever_goes_wrong_the_bytes_are_right_or_there_are_none(
        troubles in prop::collection::hash_map(0usize..60, (0u8..5, 0usize..64), 0..12),
    ) {
        let trouble = |(kind, length)| match kind {
            0 => Trouble::Short(length),
            1 => Trouble::Silent,
            2 => Trouble::WrongNumber,
            3 => Trouble::Unplugged,
            _ => Trouble::Short(0),
        };
        let troubles: HashMap<_, _> = troubles.into_iter().map(|(at, kind)| (at, trouble(kind))).collect();
        let mut twin = Twin { troubles, ..Twin::simulated(3) };
        if let Ok(json) = config::read(&mut twin) {
            prop_assert_eq!(json, config::inflate(&twin.board.config).unwrap());
        }
        if let Ok(bytes) = all(&mut twin) {
            prop_assert_eq!(bytes, twin.board.user_data);
        }
    }
}
