//! `headset fetch` from a headset made of software, which answers as a real one's recorded data says, and from made-up ones
//! that fail in every way there is.

mod data;
mod rig;
mod uhid;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use data::{read, real};
use leasehold::headset::simulated::board::TrackingBoard;
use leasehold::headset::simulated::files::{NamedFile, files};
use leasehold::headset::{Headset, USER_DATA_HEAD};
use leasehold::hid;
use leasehold::time::Instant;
use rig::wait::wait_until;
use rig::{VIVE, inside, leasehold, say};
use serde_json::{Value, json};
use uhid::{Answer, Question, Uhid};

/// A headset's tracking board, and how often it was asked for a piece of its user data.
struct Board {
    uhid: Uhid,
    pieces: Arc<AtomicUsize>,
}

impl Board {
    /// Plugs in a board that `trouble` can keep from answering: it gets the count of questions and the answer.
    fn plug_in(
        mut board: TrackingBoard,
        mut trouble: impl FnMut(usize, Vec<u8>) -> Answer + Send + 'static,
    ) -> Self {
        let pieces = Arc::<AtomicUsize>::default();
        let (counted, mut questions) = (pieces.clone(), 0);
        let uhid = Uhid::plug_in(0x28de, 0x2000, move |question| match question {
            Question::Set(report) => {
                board.set(report);
                Answer::Report(Vec::new())
            }
            Question::Get(number) => {
                counted.fetch_add(usize::from(number == 0x09), Relaxed);
                questions += 1;
                trouble(questions, board.get(number))
            }
        });
        wait_for_nodes(1);
        Self { uhid, pieces }
    }

    fn healthy(board: TrackingBoard) -> Self {
        Self::plug_in(board, |_, answer| Answer::Report(answer))
    }

    fn pieces(&self) -> usize {
        self.pieces.swap(0, Relaxed)
    }

    fn unplug(self) {
        drop(self.uhid);
        wait_for_nodes(0);
    }
}

/// The kernel makes and removes the node a little after the device.
fn wait_for_nodes(count: usize) {
    let there = || hid::nodes().iter().filter(|node| node.id.vendor == 0x28de && node.path.exists()).count();
    wait_until("so many headsets have a node", || there() == count);
}

/// A made-up headset with eyes of 180x200 pixels, whose maps are a few hundred pieces.
fn made_up() -> Vec<NamedFile> {
    files(&Headset::simulated(11, 180, 200))
}

/// Folders of one test, for what is fetched and for the cache.
struct Folders {
    root: tempfile::TempDir,
}

impl Folders {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn out(&self) -> PathBuf {
        self.root.path().join("out")
    }

    fn command(&self, out: &Path) -> std::process::Command {
        let mut command = leasehold();
        command.args(["headset", "fetch", "--json", "--out"]).arg(out);
        command.env("XDG_CACHE_HOME", self.root.path().join("cache")).env("NO_COLOR", "1");
        command
    }

    /// Fetches; where each file came from.
    fn fetched(&self, out: &Path) -> (BTreeMap<String, String>, Value) {
        let output = self.command(out).output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{complaints}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let files = told["files"].as_array().unwrap();
        (files.iter().map(|file| (text(&file["file"]), text(&file["from"]))).collect(), told)
    }

    /// Fails to fetch: with this exit code, one sentence that has these words, and nothing written.
    fn refused(&self, code: i32, words: &str) {
        let output = self.command(&self.out()).output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{complaints}");
        let errors: Vec<&str> =
            complaints.lines().filter(|line| line.trim_start().starts_with("ERROR ")).collect();
        let [error] = errors[..] else { panic!("not one error: {complaints}") };
        assert!(error.contains(words), "'{error}' does not say '{words}'");
        assert!(!self.out().exists(), "{:?}", fs::read_dir(self.out()).unwrap().collect::<Vec<_>>());
        say(&format!("refused: {}", error.trim()));
    }
}

/// Fails unless the folder has just these files of the headset, byte for byte.
fn assert_whole(out: &Path, files: &[NamedFile], maps: [&str; 2]) {
    let mut names: Vec<String> =
        fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected =
        vec![maps[0].to_owned(), maps[1].to_owned(), "config.json".to_owned(), USER_DATA_HEAD.to_owned()];
    expected.sort();
    assert_eq!(names, expected);
    for (name, bytes) in files.iter().filter(|(name, _)| expected.contains(name)) {
        assert!(read(&out.join(name)) == *bytes, "{name} differs");
    }
}

const MAPS: [&str; 2] = ["SIM-000000000000000B_left.mc", "SIM-000000000000000B_right.mc"];

#[test]
fn a_vives_data_are_fetched_byte_for_byte_and_only_once() {
    let name = "a_vives_data_are_fetched_byte_for_byte_and_only_once";
    let Some(vive) = real("vive-LHR-C5C0BC88") else { return };
    inside(name, VIVE, || {
        let file = |name: &str| (name.to_owned(), read(&vive.join(name)));
        let maps = ["Green_46GA1637000440_mura_analyzes.mc", "Green_46HA1639002552_mura_analyzes.mc"];
        let mut files: Vec<NamedFile> =
            ["config.json", "config.zlib", "userdata.bin", maps[0], maps[1]].map(file).into();
        files.push((USER_DATA_HEAD.to_owned(), read(&vive.join("userdata-head.bin"))));
        let board = Board::healthy(TrackingBoard::of_files(&files));
        let mainboard = Mainboard::plug_in();
        let folders = Folders::new();

        let started = Instant::now();
        let (from, told) = folders.fetched(&folders.out());
        say(&format!("{} pieces in {:.1} s", board.pieces(), (Instant::now() - started).as_secs_f64()));
        assert_whole(&folders.out(), &files, maps);
        assert_eq!((from[maps[0]].as_str(), from[maps[1]].as_str()), ("headset", "headset"));
        assert_eq!(told["mainboard"], json!({"edid": "HVR:AA01", "panel_on": true, "proximity": 312}));
        assert_eq!(told["files"][0]["crc32"], "0x62ae36c6");

        let (from, _) = folders.fetched(&folders.out());
        assert_eq!((from[maps[0]].as_str(), from[maps[1]].as_str(), board.pieces()), ("there", "there", 3));
        let elsewhere = folders.root.path().join("elsewhere");
        let (from, _) = folders.fetched(&elsewhere);
        assert_eq!((from[maps[0]].as_str(), from[maps[1]].as_str(), board.pieces()), ("cache", "cache", 3));
        assert_whole(&elsewhere, &files, maps);

        drop(mainboard);
        board.unplug();
        let shown = leasehold().args(["headset", "show", "--json"]).arg(folders.out()).output().unwrap();
        assert!(shown.status.success());
    });
}

/// A Vive's mainboard, with its panel on and a face before it, until dropped.
struct Mainboard {
    ended: Arc<AtomicBool>,
    sensors: Option<JoinHandle<()>>,
}

impl Mainboard {
    fn plug_in() -> Self {
        let padded = |start: &[u8]| {
            let mut report = start.to_vec();
            report.resize(64, 0);
            report
        };
        let kinds = [
            padded(&[4, 0x87, 0x29, 60, 0x22, 0xd2, 0x01, 0xaa]),
            padded(&[4, 0x78, 0x29, 56, 1, 0, 0, 0, 0, 0, 2, 0, 1, 0x7a]),
        ];
        let mut asked = 0;
        let uhid = Uhid::plug_in(0x0bb4, 0x2c87, move |_| {
            asked += 1;
            Answer::Report(kinds[asked % 2].clone())
        });
        let mut report = padded(&[3]);
        report[0x0e..0x10].copy_from_slice(&312u16.to_le_bytes());
        let ended = Arc::<AtomicBool>::default();
        let sensors = std::thread::spawn({
            let ended = ended.clone();
            move || {
                while !ended.load(Relaxed) {
                    uhid.send(&report);
                    std::thread::sleep(Duration::from_millis(52));
                }
            }
        });
        Self { ended, sensors: Some(sensors) }
    }
}

impl Drop for Mainboard {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        let _ = self.sensors.take().map(JoinHandle::join);
    }
}

/// Once in the config, which has to be read from its start again, and often in the maps.
fn now_and_then(question: usize) -> bool {
    question == 6 || question > 60 && question.is_multiple_of(5)
}

#[test]
fn what_goes_wrong_for_a_while_changes_nothing() {
    inside("what_goes_wrong_for_a_while_changes_nothing", VIVE, || {
        let files = made_up();
        let board = || TrackingBoard::of_files(&files);
        let fetch = |what: &str, board: Board| {
            let folders = Folders::new();
            let started = Instant::now();
            folders.fetched(&folders.out());
            let seconds = (Instant::now() - started).as_secs_f64();
            say(&format!("{what}: {} pieces in {seconds:.1} s", board.pieces()));
            assert_whole(&folders.out(), &files, MAPS);
            board.unplug();
        };
        fetch("healthy", Board::healthy(board()));
        fetch(
            "short reads",
            Board::plug_in(board(), |n, mut answer| {
                answer.truncate(if now_and_then(n) { n % 64 } else { 64 });
                Answer::Report(answer)
            }),
        );
        fetch(
            "errors",
            Board::plug_in(
                board(),
                |n, answer| {
                    if now_and_then(n) { Answer::Error } else { Answer::Report(answer) }
                },
            ),
        );
        fetch(
            "two stalls",
            Board::plug_in(board(), |n, answer| {
                if n == 40 || n == 200 { Answer::Silence } else { Answer::Report(answer) }
            }),
        );
        let mut damaged = false;
        fetch(
            "one wrong byte in a map",
            Board::plug_in(board(), move |n, mut answer| {
                if n > 150 && answer[0] == 0x09 && !std::mem::replace(&mut damaged, true) {
                    answer[9] ^= 1;
                }
                Answer::Report(answer)
            }),
        );
        let mut damaged = false;
        fetch(
            "one wrong byte in the config",
            Board::plug_in(board(), move |_, mut answer| {
                if answer[0] == 0x11 && !std::mem::replace(&mut damaged, true) {
                    answer[9] ^= 1;
                }
                Answer::Report(answer)
            }),
        );
    });
}

#[test]
fn a_fetch_that_is_cut_off_leaves_nothing_and_goes_on_where_it_was() {
    inside("a_fetch_that_is_cut_off_leaves_nothing_and_goes_on_where_it_was", VIVE, || {
        let files = made_up();
        let board = || TrackingBoard::of_files(&files);
        let folders = Folders::new();
        let cut_off = Board::plug_in(
            board(),
            |n, answer| if n == 250 { Answer::Unplug } else { Answer::Report(answer) },
        );
        folders.refused(1, "unplugged");
        let first = cut_off.pieces();
        cut_off.unplug();
        folders.refused(3, "no headset with data of its own");

        let stalled =
            Board::plug_in(
                board(),
                |n, answer| if n >= 200 { Answer::Silence } else { Answer::Report(answer) },
            );
        folders.refused(1, "asked 3 times and got no answer");
        let second = stalled.pieces();
        stalled.unplug();

        // Never whole, however late it is killed.
        let killed = Board::plug_in(
            board(),
            |n, answer| if n >= 200 { Answer::Silence } else { Answer::Report(answer) },
        );
        let mut fetch =
            folders.command(&folders.out()).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        wait_until("some pieces are there", || killed.pieces.load(Relaxed) >= 30);
        fetch.kill().unwrap();
        fetch.wait().unwrap();
        assert!(!folders.out().exists());
        killed.unplug();

        let healthy = Board::healthy(board());
        folders.fetched(&folders.out());
        let last = healthy.pieces();
        assert_whole(&folders.out(), &files, MAPS);
        let whole = files.iter().find(|(name, _)| name == "userdata.bin").unwrap().1.len() / 63;
        say(&format!("{first} pieces, {second} and {last} of about {whole}"));
        assert!(first > 50 && second > 50 && last + 100 < whole, "{first}, {second}, {last} of {whole}");
        healthy.unplug();
    });
}

#[test]
fn what_cannot_be_right_is_refused_in_a_sentence() {
    inside("what_cannot_be_right_is_refused_in_a_sentence", VIVE, || {
        let files = made_up();
        let refused = |words: &str, change: &dyn Fn(&mut TrackingBoard)| {
            let mut board = TrackingBoard::of_files(&files);
            change(&mut board);
            let board = Board::healthy(board);
            Folders::new().refused(1, words);
            board.unplug();
        };
        refused("the checksum of file \"SIM-000000000000000B_left.mc\"", &|board| board.user_data[700] ^= 1);
        refused("the checksum of the directory", &|board| board.user_data[0x20] ^= 1);
        refused("beyond byte 3997696", &|board| lie(&mut board.user_data, 0x18 + 8, 0x7000_0000));
        refused("the directory would end at byte 4294967280", &|board| {
            lie(&mut board.user_data, 4, 0xffff_fff0)
        });
        refused("it starts with [ff, ff, ff, ff]", &|board| board.user_data.clear());
        refused("not valid JSON", &|board| board.config = deflated(b"{\"device\": "));
        refused("device.eye_target_width_in_pixels", &|board| board.config = deflated(b"{}"));
        refused("no zlib stream", &|board| board.config = b"{}".to_vec());
        refused("1048576 bytes inflated", &|board| board.config = deflated(&vec![b' '; 20 << 20]));
        refused("65536 bytes as it is sent", &|board| board.config = vec![7; 100_000]);
        // A config whose maps are another headset's.
        refused("another headset's, or lost", &|board| {
            board.config = TrackingBoard::of_files(&crate::files(&Headset::simulated(12, 180, 200))).config;
        });
        // Maps of another size than the eye.
        refused("should be 60x70", &|board| {
            let text = String::from_utf8(named(&files, "config.json").to_vec()).unwrap();
            let text =
                text.replace("_pixels\": 180", "_pixels\": 60").replace("_pixels\": 200", "_pixels\": 70");
            board.config = deflated(text.as_bytes());
        });

        let null = leasehold()
            .args(["headset", "fetch", "--hidraw", "/dev/null", "--out", "/tmp/none"])
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&null.stderr).contains("no hidraw node"));
        let _one = Board::healthy(TrackingBoard::of_files(&files));
        let _other = Uhid::plug_in(0x28de, 0x2000, |_| Answer::Report(vec![0x10; 64]));
        wait_for_nodes(2);
        Folders::new().refused(1, "2 headsets are plugged in");
    });
}

fn named<'a>(files: &'a [NamedFile], name: &str) -> &'a [u8] {
    &files.iter().find(|(there, _)| there == name).unwrap().1
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Sets the number at an offset of an area, and lets the directory's checksum fit again.
fn lie(area: &mut [u8], at: usize, value: u32) {
    area[0x0c..0x10].fill(0xff); // the length of it all
    area[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let end = (u32::from_le_bytes([area[4], area[5], area[6], area[7]]) as usize).min(area.len());
    let crc32 = crc32fast::hash(&area[0x0c..end]);
    area[8..12].copy_from_slice(&crc32.to_le_bytes());
}
