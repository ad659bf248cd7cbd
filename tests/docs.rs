//! README and docs/ say what is so: their commands run, their configuration is read, their links lead somewhere.
//!
//! Every block between fences says what it is. A block of commands (`sh`) is run as it stands, in a folder where `DIR` is a
//! headset's data and `SHOTS` photographs of its panel; `sh rig` is run in the rig, where there is a headset; of `sh long`,
//! which nobody waits for in every run, the tests and targets that it names are looked for.

mod rig;
mod uhid;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use leasehold::headset::config::Config;
use leasehold::headset::simulated::board::TrackingBoard;
use leasehold::headset::simulated::files::files;
use leasehold::headset::{Headset, hid};
use leasehold::lease::policy::Policy;
use nix::sys::signal::Signal;
use rig::wait::{PATIENCE, wait_until};
use rig::{Program, VIVE, inside, leasehold};
use serde_json::Value;
use tempfile::TempDir;
use uhid::{Answer, Question, Uhid};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and docs/*.md: the file's name and its text.
fn documents() -> Vec<(PathBuf, String)> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let is_text = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let mut paths: Vec<PathBuf> = docs.filter(is_text).chain([root().join("README.md")]).collect();
    paths.sort();
    assert!(paths.len() > 5, "{paths:?}");
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// What stands between two fences.
struct Block {
    /// The file, and the number of the line that opens it.
    place: String,
    /// What it says of itself, `sh rig` say.
    kind: String,
    lines: Vec<String>,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for (path, text) in documents() {
        let mut open: Option<Block> = None;
        for (number, line) in (1..).zip(text.lines()) {
            match (line.strip_prefix("```"), &mut open) {
                (Some(kind), None) => {
                    let place = format!("{}:{number}", path.file_name().unwrap().display());
                    open = Some(Block { place, kind: kind.trim().to_owned(), lines: Vec::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.lines.push(line.to_owned()),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block has no end", path.display());
    }
    blocks
}

/// The blocks of one kind; at least one.
fn blocks_of(kind: &str) -> Vec<Block> {
    let blocks: Vec<Block> = blocks().into_iter().filter(|block| block.kind == kind).collect();
    assert!(!blocks.is_empty(), "no block is of kind {kind}");
    blocks
}

#[test]
fn every_block_says_what_it_is() {
    for Block { place, kind, .. } in blocks() {
        match kind.as_str() {
            "sh" | "sh rig" | "sh long" | "toml" | "json" | "text" | "mermaid" => {}
            // It is a part of the crate's own documentation, whose tests compile it.
            "rust,no_run" => assert!(place.starts_with("session.md:"), "{place} is compiled by nobody"),
            _ => panic!("{place}: say what it is; '{kind}' is nothing that is known"),
        }
    }
}

/// A folder with what the commands name: a headset's data, and photographs of its panel.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("DIR");
    let mut simulate = leasehold();
    simulate.args(["headset", "simulate", "--out"]).arg(dir).current_dir(&folder);
    assert!(simulate.output().unwrap().status.success());
    let shots = folder.path().join("SHOTS");
    std::fs::create_dir(&shots).unwrap();
    for (eye, code) in [("left", 64u8), ("left", 128), ("right", 64), ("right", 128)] {
        let light = ((f64::from(code) / 255.0).powf(2.2) * 60_000.0) as u16;
        let (width, height) = (1080, 1200);
        let file = std::fs::File::create(shots.join(format!("{eye}-{code:03}.png"))).unwrap();
        let mut encoder = png::Encoder::new(file, width, height);
        encoder.set_depth(png::BitDepth::Sixteen);
        encoder.set_color(png::ColorType::Grayscale);
        let samples = light.to_be_bytes().repeat((width * height) as usize);
        encoder.write_header().unwrap().write_image_data(&samples).unwrap();
    }
    folder
}

/// A line as a shell runs it, with our programs in its path.
fn shell(line: &str, folder: &Path) -> Command {
    let programs = Path::new(leasehold().get_program()).parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {line}")]).current_dir(folder).env("NO_COLOR", "1");
    shell.env("PATH", format!("{}:{path}", programs.display()));
    shell.env("XDG_CACHE_HOME", folder.join("cache"));
    shell
}

/// Whether a command goes on until somebody ends it.
fn is_endless(line: &str) -> bool {
    let verb = line.split_whitespace().nth(1);
    matches!(verb, Some("demo" | "serve")) && !line.contains("--seconds") && !line.contains("--frames")
}

fn assert_runs(place: &str, line: &str, folder: &Path) {
    rig::say(&format!("{place}: {line}"));
    let mut command = match line.strip_prefix("make ") {
        // What it would do; this test is a part of it.
        Some(target) => shell(&format!("make -n {target}"), root()),
        None => shell(line, folder),
    };
    if is_endless(line) {
        let mut program = Program::mute(&mut command);
        std::thread::sleep(Duration::from_secs(8));
        program.signal(Signal::SIGTERM);
        assert_eq!(program.ends_within(PATIENCE).code(), Some(0), "{place}: {line}");
    } else {
        let output = command.output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{place}: {line}: {complaints}");
    }
}

#[test]
fn commands_run_as_they_stand() {
    for Block { place, lines, .. } in blocks_of("sh") {
        let folder = folder();
        lines.iter().for_each(|line| assert_runs(&place, line, folder.path()));
    }
}

#[test]
fn commands_that_need_a_headset_run_where_there_is_one() {
    inside("commands_that_need_a_headset_run_where_there_is_one", VIVE, || {
        let mut board = TrackingBoard::of_files(&files(&Headset::simulated(11, 180, 200)));
        let (vendor, product) = (hid::TRACKING_BOARDS[0].vendor, hid::TRACKING_BOARDS[0].product);
        let _board = Uhid::plug_in(vendor.into(), product.into(), move |question| match question {
            Question::Set(report) => {
                board.set(report);
                Answer::Report(Vec::new())
            }
            Question::Get(number) => Answer::Report(board.get(number)),
        });
        for Block { place, lines, .. } in blocks_of("sh rig") {
            let folder = folder();
            // All but the last of them, each in a terminal of its own.
            let (last, before) = lines.split_last().unwrap();
            let started: Vec<Program> = before
                .iter()
                .map(|line| {
                    assert_eq!(line, "leasehold serve", "{place}: what is it that waits here?");
                    Program::mute(&mut shell(line, folder.path()))
                })
                .collect();
            if !started.is_empty() {
                let runtime = std::env::var_os("XDG_RUNTIME_DIR").unwrap();
                let socket = Path::new(&runtime).join("leasehold-0");
                wait_until("serve listens", || socket.exists());
            }
            assert_runs(&place, last, folder.path());
            for mut program in started {
                program.signal(Signal::SIGTERM);
                assert_eq!(program.ends_within(PATIENCE).code(), Some(0), "{place}");
            }
        }
    });
}

#[test]
fn long_commands_name_what_there_is() {
    for Block { place, lines, .. } in blocks_of("sh long") {
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            let after = |word: &str| words.iter().position(|other| *other == word).map(|at| words[at + 1]);
            match (after("--test"), after("run"), words[0]) {
                (Some(test), None, _) => {
                    let source = std::fs::read_to_string(root().join(format!("tests/{test}.rs"))).unwrap();
                    let function = format!("fn {}", words.last().unwrap());
                    assert!(source.contains(&function), "{place}: {line}");
                }
                (None, Some(target), "cargo") => {
                    let path = root().join(format!("fuzz/fuzz_targets/{target}.rs"));
                    assert!(path.exists(), "{place}: {line}");
                }
                // These two are run by tests/capi.rs.
                (None, None, "make") => {
                    let planned =
                        Command::new("make").arg("-n").args(&words[1..]).current_dir(root()).output();
                    assert!(planned.unwrap().status.success(), "{place}: {line}");
                }
                (None, None, "cc") => {
                    let source =
                        words.iter().find(|word| word.ends_with(".c")).expect("it compiles something");
                    assert!(root().join(source).exists(), "{place}: {line}");
                }
                (None, None, program) => assert!(root().join(program).exists(), "{place}: {line}"),
                _ => panic!("{place}: how is '{line}' to be tried?"),
            }
        }
    }
}

#[test]
fn configuration_is_read() {
    for Block { place, lines, .. } in blocks_of("toml") {
        // Its names need not exist here.
        let text = lines.join("\n").replace("\"anna\"", "1000").replace("\"vr\"", "44");
        Policy::parse(&text).unwrap_or_else(|error| panic!("{place}: {error}"));
    }
}

/// What a headset's config says of its maps is shown as a part of one.
#[test]
fn parts_of_configs_are_read() {
    let made_up = files(&Headset::simulated(1, 8, 8));
    let (_, config) = made_up.iter().find(|(name, _)| name == "config.json").unwrap();
    for Block { place, lines, .. } in blocks_of("json") {
        let mut config: Value = serde_json::from_slice(config).unwrap();
        let part: Value =
            serde_json::from_str(&lines.join("\n")).unwrap_or_else(|error| panic!("{place}: {error}"));
        for (name, block) in part.as_object().unwrap() {
            assert!(config.get(name).is_some(), "{place}: {name}");
            config[name] = block.clone();
        }
        let config = Config::parse(&serde_json::to_vec(&config).unwrap());
        let config = config.unwrap_or_else(|error| panic!("{place}: {error}"));
        assert!(config.maps.is_some() && config.notes.is_empty(), "{place}: {:?}", config.notes);
    }
}

/// Commands within a line: what stands between backticks outside of blocks.
fn spans(text: &str) -> Vec<String> {
    let outside = text.split("\n```").step_by(2);
    outside.flat_map(|part| part.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
}

#[test]
fn options_that_the_text_names_are_there() {
    let mut checked = 0;
    for (path, text) in documents() {
        for span in spans(&text) {
            let words = span.strip_prefix("leasehold ").unwrap_or(&span).split_whitespace();
            let is_verb = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
            let verbs: Vec<&str> = words.clone().take_while(is_verb).collect();
            let options: Vec<&str> = words.filter(|word| word.starts_with("--")).collect();
            let own = ["demo", "serve", "render", "doctor", "vblank", "report", "simulate", "headset"];
            if options.is_empty() || !verbs.first().is_some_and(|verb| own.contains(verb)) {
                continue;
            }
            let help = leasehold().args(&verbs).arg("--help").output().unwrap();
            let help = String::from_utf8_lossy(&help.stdout).into_owned();
            let is_known = |option: &&str| help.split([' ', '\n', ',', '=']).any(|word| word == *option);
            assert!(options.iter().all(is_known), "{}: `{span}`\n{help}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 5, "{checked}");
}

#[test]
fn links_lead_somewhere() {
    for (path, text) in documents() {
        let ends = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in ends.filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap();
            let there = path.with_file_name(file);
            assert!(file.is_empty() || there.exists(), "{}: {link}", path.display());
        }
    }
}

/// Whoever clones the project gets them all, and whoever reads waits for them.
#[test]
fn pictures_are_small_and_shown() {
    let shown: String = documents().into_iter().map(|(_, text)| text).collect();
    let folders = ["docs", "docs/pictures"].map(|folder| std::fs::read_dir(root().join(folder)).unwrap());
    let files = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let pictures: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "png")).collect();
    assert!(pictures.len() > 5, "{pictures:?}");
    for path in pictures {
        let bytes = path.metadata().unwrap().len();
        assert!(bytes < 150_000, "{} has {bytes} bytes", path.display());
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(shown.contains(&format!("{name})")), "nothing shows {}", path.display());
    }
}
