//! What a package installs: man pages and completions with all verbs and all their options, and a unit that systemd takes.

mod rig;

use std::path::Path;
use std::process::Command;

use rig::{example, leasehold};

/// The page of a command and of each below it, as `leasehold-headset-fetch`, with the options that it has to tell of.
fn pages(command: &clap::Command, name: &str) -> Vec<(String, Vec<String>)> {
    let options = command.get_arguments().filter(|option| !option.is_hide_set());
    let options = options.filter_map(|option| option.get_long()).map(str::to_string).collect();
    let below = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let below = below.flat_map(|verb| pages(verb, &format!("{name}-{}", verb.get_name())));
    [(name.to_string(), options)].into_iter().chain(below).collect()
}

fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    assert!(example("manual").arg(folder.path()).status().unwrap().success());
    folder
}

#[test]
fn every_verb_has_a_page_that_names_its_options() {
    let folder = written();
    let pages = pages(&leasehold::cli::command(), "leasehold");
    assert!(pages.iter().any(|(name, options)| name == "leasehold-serve" && options.len() > 5), "{pages:?}");
    for (name, options) in pages {
        let page = std::fs::read_to_string(folder.path().join(format!("{name}.1"))).expect(&name);
        // roff would take a bare hyphen for a dash.
        let text = page.replace("\\-", "-");
        for option in options {
            assert!(text.contains(&format!("--{option}")), "{name}.1 does not tell of --{option}");
        }
    }
}

/// What bash would complete these words to.
fn completed(folder: &Path, words: &[&str]) -> String {
    let script = format!(
        "source '{}/leasehold.bash' && COMP_WORDS=({}) COMP_CWORD={} && _leasehold leasehold '{}' '{}' && \
         echo \"${{COMPREPLY[@]}}\"",
        folder.display(),
        words.join(" "),
        words.len() - 1,
        words[words.len() - 1],
        words[words.len() - 2],
    );
    let outcome = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
    String::from_utf8(outcome.stdout).unwrap().trim().to_string()
}

#[test]
fn bash_completes_verbs_and_options() {
    let folder = written();
    assert_eq!(completed(folder.path(), &["leasehold", "vbl"]), "vblank");
    assert_eq!(completed(folder.path(), &["leasehold", "serve", "--on-p"]), "--on-pause");
}

#[test]
fn there_is_nothing_without_a_folder() {
    let outcome = example("manual").output().unwrap();
    assert_eq!(outcome.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("usage: manual FOLDER"));
    let outcome = example("manual").arg("/proc/nowhere").output().unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("/proc/nowhere"));
}

#[test]
fn systemd_has_nothing_to_say_against_the_unit() {
    let unit =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/leasehold.service")).unwrap();
    let program = leasehold().get_program().to_str().unwrap().to_string();
    assert!(unit.contains("/usr/bin/leasehold"));
    let complaint = complaint_about(&unit.replace("/usr/bin/leasehold", &program));
    assert_eq!(complaint, "");
    // It would say so.
    assert_ne!(complaint_about("[Service]\nExecStart=/bin/true\nWatchdogSecs=10\n"), "");
}

/// What `systemd-analyze verify` says about a unit; that it exits with 0 says little.
fn complaint_about(unit: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leasehold.service");
    std::fs::write(&path, unit).unwrap();
    let mut command = Command::new("systemd-analyze");
    let outcome = command.args(["verify", "--man=no"]).arg(&path).output();
    let outcome = outcome.expect("systemd-analyze is there: tests/install systemd");
    String::from_utf8(outcome.stderr).unwrap()
}

/// What the library is made of with these features, by name.
fn crates(features: &[&str]) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = ["tree", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{lib}"];
    let output = Command::new(cargo)
        .args(tree)
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_string).collect()
}

#[test]
fn the_bus_comes_with_rtkit_alone() {
    let has_bus = |features: &[&str]| crates(features).iter().any(|name| name == "dbus");
    assert!(has_bus(&["--features", "rtkit"]));
    assert!(!has_bus(&[]) && !has_bus(&["--features", "seat"]) && !has_bus(&["--no-default-features"]));
}

#[test]
fn a_lessor_alone_brings_nothing_that_draws() {
    let draw = ["ash", "gbm", "naga", "png", "softbuffer", "winit", "x11rb"];
    let (lessor, all) = (crates(&["--no-default-features"]), crates(&[]));
    for name in draw {
        assert!(
            all.iter().any(|known| known == name),
            "{name} is in no build: this test looks for the wrong names"
        );
        assert!(!lessor.iter().any(|known| known == name), "{name}");
    }
}
