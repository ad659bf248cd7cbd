//! The command line from outside: what it prints, what it refuses in which words, and its exit codes.

mod rig;

use std::path::Path;
use std::process::Command;

use rig::{Program, VIVE, example, inside, leasehold, serve};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What a run came to.
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Outcome {
    fn of(command: &mut Command) -> Self {
        let output = command.env("NO_COLOR", "1").output().expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what it prints is text");
        let outcome =
            Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
        outcome
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// Fails unless the command line itself was refused, in these words.
    fn refused_usage(&self, words: &str) {
        assert_eq!(self.code, Some(2), "{}", self.stderr);
        assert!(self.stderr.contains(words), "{}", self.stderr);
    }

    /// Fails unless the run ended with `code` and one line on stderr that has all these words.
    fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        // The Vulkan loader has errors of its own to tell, with a colon.
        let errors: Vec<&str> =
            self.stderr.lines().filter(|line| line.trim_start().starts_with("ERROR ")).collect();
        let [line] = errors[..] else { panic!("not one error: {}", self.stderr) };
        for word in words {
            assert!(line.contains(word), "'{line}' does not say '{word}'");
        }
    }
}

fn run(arguments: &[&str]) -> Outcome {
    Outcome::of(leasehold().args(arguments))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is plain")
}

/// A made-up headset with eyes of 4x2 pixels and maps of another size where wanted.
fn made_up_headset(map_width: u32) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let lens = json!({"center_x": 0.1, "center_y": -0.01, "type": "DISTORT_DPOLY3",
                      "coeffs": [-0.2, -0.02, -0.05]});
    let eye = json!({"distortion": lens, "distortion_red": lens, "distortion_blue": lens,
                     "grow_for_undistort": 0.6, "undistort_r2_cutoff": 1.1,
                     "intrinsics": [[1.2, 0, -0.1], [0, 1.08, -0.01], [0, 0, -1]]});
    let config = json!({
        "device_serial_number": "LHR-00000000", "model_number": "Made up",
        "device": {"eye_target_width_in_pixels": 4, "eye_target_height_in_pixels": 2},
        "display_gc": {"black_clamp": 0.0117},
        "display_mc": {"type": 1, "scale": 0.125, "offset": -0.498, "left": "l.mc", "right": "r.mc"},
        "tracking_to_eye_transform": [eye, eye],
    });
    std::fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
    for name in ["l.mc", "r.mc"] {
        write_gray(&directory.path().join(name), map_width, 2);
    }
    directory
}

fn write_gray(path: &Path, width: u32, height: u32) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![127; (width * height) as usize]).unwrap();
}

/// An EDID of one block, with one mode of the standard's; its checksum fits.
fn made_up_edid() -> Vec<u8> {
    let mut bytes = vec![0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x22, 0xd2, 0x01, 0xaa];
    bytes.resize(127, 0);
    bytes[35] = 0x20;
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    bytes.push(sum.wrapping_neg());
    bytes
}

#[test]
fn a_damaged_edid_is_told_beside_a_good_one() {
    let directory = tempfile::tempdir().unwrap();
    let (good, bad) = (directory.path().join("good.bin"), directory.path().join("bad.bin"));
    let mut bytes = made_up_edid();
    std::fs::write(&good, &bytes).unwrap();
    bytes[127] ^= 1;
    std::fs::write(&bad, &bytes).unwrap();

    let outcome = run(&["headset", "edid", text(&bad), text(&good), "--json"]);
    outcome.refused(1, &["1 of 2 files"]);
    let json = outcome.json();
    assert_eq!(json["schema"], "leasehold.headset/1");
    let [first, second] = &json["files"].as_array().unwrap()[..] else { panic!("{json}") };
    assert!(first["error"].as_str().unwrap().contains("checksum"), "{first}");
    assert_eq!(first["file"], text(&bad));
    assert_eq!((&second["vendor"], &second["product"]), (&json!("HVR"), &json!(0xaa01)));
    assert_eq!((&second["non_desktop"], &second["non_desktop_by"]), (&json!(true), &json!("quirk")));
    assert_eq!((&second["primary_use"], &second["notes"]), (&json!(null), &json!([])));
    let vga =
        json!([{"width": 640, "height": 480, "hz": 25_175_000.0 / (800.0 * 525.0), "name": "DMT 0x04"}]);
    assert_eq!(second["standard_modes"], vga);
    assert_eq!(run(&["headset", "edid", text(&good)]).code, Some(0));
}

#[test]
fn a_headset_is_shown_with_its_maps() {
    let directory = made_up_headset(4);
    let outcome = run(&["headset", "show", text(directory.path()), "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let json = outcome.json();
    assert_eq!((&json["serial"], &json["model"]), (&json!("LHR-00000000"), &json!("Made up")));
    assert_eq!(json["panel"], json!({"black_clamp": 0.0117, "illumination": "global"}));
    let lens = &json["eyes"][1]["lens"];
    assert_eq!((&lens["type"], &lens["centers"][2]), (&json!("DISTORT_DPOLY3"), &json!([0.1, -0.01])));
    assert_eq!(lens["coeffs"][0], json!([-0.2, -0.02, -0.05]));
    let crc32 = crc32fast::hash(&std::fs::read(directory.path().join("l.mc")).unwrap());
    let map = &json["mura"][0];
    assert_eq!((&map["file"], &map["crc32"]), (&json!("l.mc"), &json!(format!("{crc32:#010x}"))));
    assert_eq!((&map["width"], &map["height"], &map["sigma_codes"]), (&json!(4), &json!(2), &json!(0.0)));
    assert!(run(&["headset", "show", text(directory.path())]).stdout.contains("Made up LHR-00000000"));
}

#[test]
fn headset_data_that_does_not_fit_is_refused_by_name() {
    let directory = made_up_headset(3);
    run(&["headset", "show", text(directory.path())]).refused(1, &["l.mc", "3x2", "4x2"]);
    let config = directory.path().join("config.json");
    let whole = std::fs::read(&config).unwrap();
    std::fs::write(&config, &whole[..whole.len() / 2]).unwrap();
    run(&["headset", "show", text(&config)]).refused(1, &[text(&config), "not valid JSON"]);
    run(&["headset", "show", "/nonexistent"]).refused(1, &["/nonexistent"]);
}

#[test]
fn a_simulated_headset_is_taken_by_every_verb() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (directory.path().join("one"), directory.path().join("other"));
    let simulate = |seed: &str, out: &Path| {
        run(&["headset", "simulate", "--seed", seed, "--eye", "54x60", "--out", text(out)])
    };
    let written = simulate("7", &one);
    let names = "SIM-0000000000000007_left.mc SIM-0000000000000007_right.mc userdata-head.bin userdata.bin edid.bin \
                 config.zlib config.json";
    assert_eq!(written.stdout.split_whitespace().collect::<Vec<_>>().join(" "), names, "{}", written.stderr);
    simulate("7", &other);
    for name in names.split(' ') {
        assert!(std::fs::read(one.join(name)).unwrap() == std::fs::read(other.join(name)).unwrap(), "{name}");
    }
    let shown = run(&["headset", "show", text(&one), "--json"]).json();
    assert_eq!((&shown["serial"], &shown["notes"]), (&json!("SIM-0000000000000007"), &json!([])));
    assert_eq!(run(&["headset", "edid", text(&one.join("edid.bin"))]).code, Some(0));
    let unpacked = directory.path().join("unpacked");
    run(&["headset", "unpack", text(&one.join("userdata.bin")), "--out", text(&unpacked)]);
    let left = "SIM-0000000000000007_left.mc";
    assert!(std::fs::read(unpacked.join(left)).unwrap() == std::fs::read(one.join(left)).unwrap());
    let (eye, frame) = (directory.path().join("eye.png"), directory.path().join("frame.png"));
    rig::write_picture(&eye, 1);
    let (eye, headset) = (text(&eye), text(&one));
    let rendered =
        run(&["render", "--headset", headset, "--left", eye, "--right", eye, "--out", text(&frame)]);
    assert_eq!(rendered.code, Some(0), "{}", rendered.stderr);
    let demo = run(&[
        "demo",
        "--from",
        "simulated",
        "--mode",
        "108x60",
        "--headset",
        headset,
        "--frames",
        "2",
        "--json",
    ]);
    assert_eq!(demo.json()["headset"]["serial"], "SIM-0000000000000007", "{}", demo.stderr);
    run(&["headset", "simulate", "--eye", "5000x60", "--out", text(&one)]).refused(2, &["1 to 4096 pixels"]);
}

#[test]
fn a_lens_of_high_order_is_made_up_shown_and_rendered_with() {
    let directory = tempfile::tempdir().unwrap();
    let [out, eye, frame] = ["headset", "eye.png", "frame.png"].map(|name| directory.path().join(name));
    let simulate = |size: &str, lens: &str| {
        run(&["headset", "simulate", "--eye", size, "--lens", lens, "--out", text(&out)])
    };
    assert_eq!(simulate("54x60", "high-order").code, Some(0));
    let shown = run(&["headset", "show", text(&out), "--json"]).json();
    assert_eq!(shown["eyes"][1]["lens"]["type"], "strengthen_high_order");
    assert_eq!(shown["notes"], json!([]));
    rig::write_picture(&eye, 1);
    let render = |option: &str, value: &str| {
        let (headset, eye) = (text(&out), text(&eye));
        let pictures = ["--left", eye, "--right", eye, "--out", text(&frame)];
        run(&[&["render", "--headset", headset, &format!("{option}={value}")][..], &pictures].concat())
    };
    assert_eq!(render("--mura-weights", "1,1,0").code, Some(0));
    for weights in ["1,1", "1,1,3", "1,1,x", "1,1,-1", "1,1,1,1", "NaN,1,1"] {
        render("--mura-weights", weights).refused_usage("three numbers from 0 to 2");
    }
    assert_eq!(render("--panel-brightness", "0.5").code, Some(0));
    for brightness in ["0", "-0.5", "1.01", "NaN", "inf", "half", ""] {
        render("--panel-brightness", brightness).refused_usage("a number above 0 and up to 1");
    }
    simulate("1x60", "high-order").refused(2, &["2 to 4096 pixels"]);
    simulate("54x60", "square").refused_usage("round or high-order");
}

#[test]
fn maps_of_another_headset_are_refused_by_checksum_and_by_serial() {
    let directory = tempfile::tempdir().unwrap();
    let (own, other) = (directory.path().join("own"), directory.path().join("other"));
    for (seed, out) in [("7", &own), ("8", &other)] {
        run(&["headset", "simulate", "--seed", seed, "--eye", "54x60", "--out", text(out)]);
    }
    let (left, others) =
        (own.join("SIM-0000000000000007_left.mc"), other.join("SIM-0000000000000008_left.mc"));
    let whole = std::fs::read(&left).unwrap();
    let show = || run(&["headset", "show", text(&own)]);
    // Under its own name it is not looked at, and mura is off.
    std::fs::rename(&left, own.join("away")).unwrap();
    std::fs::copy(&others, own.join("SIM-0000000000000008_left.mc")).unwrap();
    assert!(show().stdout.contains("Mura is off"));
    std::fs::copy(&others, &left).unwrap();
    show().refused(
        1,
        &["SIM-0000000000000007_left.mc", "made for SIM-0000000000000008", "SIM-0000000000000007's"],
    );
    // A maker's map names no headset; then the headset's own list knows it.
    write_gray(&left, 54, 60);
    show().refused(1, &["SIM-0000000000000007_left.mc", "its checksum is", "the headset's own has"]);
    std::fs::write(&left, &whole).unwrap();
    assert_eq!(show().code, Some(0));
    let list = own.join("userdata-head.bin");
    std::fs::copy(other.join("userdata-head.bin"), &list).unwrap();
    show().refused(1, &["SIM-0000000000000007_left.mc", "the headset has none of that name"]);
    std::fs::write(&list, b"no list").unwrap();
    show().refused(1, &["userdata-head.bin"]);
}

#[test]
fn maps_are_calibrated_from_photographs_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let [own, captures, out] = ["own", "captures", "out"].map(|name| directory.path().join(name));
    run(&["headset", "simulate", "--seed", "9", "--eye", "54x60", "--out", text(&own)]);
    std::fs::create_dir(&captures).unwrap();
    let calibrate = |more: &[&str]| {
        let captures = ["headset", "calibrate", "--captures", text(&captures), "--out", text(&out)];
        run(&[&captures[..], more].concat())
    };
    calibrate(&[]).refused(1, &["the left eye has no capture"]);
    // A noiseless panel whose every other column is a code too bright.
    for (eye, code) in [("left", 64u8), ("left", 128), ("right", 64), ("right", 128)] {
        let light = |column: u32| ((f64::from(code) + f64::from(column % 2)) / 255.0).powf(2.2) * 60_000.0;
        let samples: Vec<u8> =
            (0..54 * 60).flat_map(|pixel| (light(pixel % 54) as u16).to_be_bytes()).collect();
        let file = std::fs::File::create(captures.join(format!("{eye}-{code:03}.png"))).unwrap();
        let mut encoder = png::Encoder::new(file, 54, 60);
        encoder.set_depth(png::BitDepth::Sixteen);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&samples).unwrap();
    }
    let outcome = calibrate(&["--headset", text(&own)]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("left eye: gamma 2.18, pixels off by 0.50 codes"), "{}", outcome.stdout);
    let shown = run(&["headset", "show", text(&out), "--json"]).json();
    let sigma = shown["mura"][1]["sigma_codes"].as_f64().unwrap();
    assert!((sigma - 0.5).abs() < 0.02, "{shown}");
    calibrate(&["--headset", text(&own), "--gamma", "9"]).refused_usage("1 to 4");
    std::fs::write(captures.join("left-12.png"), b"").unwrap();
    calibrate(&[]).refused(1, &["left-12.png", "three digits"]);
    std::fs::rename(captures.join("left-12.png"), captures.join("left-012.png")).unwrap();
    calibrate(&[]).refused(1, &["left-012.png", "8- or 16-bit gray"]);
    write_gray(&captures.join("left-012.png"), 7, 7);
    calibrate(&[]).refused(1, &["7x7", "54x60"]);
    std::fs::remove_file(captures.join("left-012.png")).unwrap();
    assert_eq!(calibrate(&[]).code, Some(0));
    assert!(out.join("display_mc.json").exists());
}

#[test]
fn damaged_user_data_unpacks_to_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (area, out) = (directory.path().join("area.bin"), directory.path().join("out"));
    std::fs::write(&area, [0xff; 64]).unwrap();
    run(&["headset", "unpack", text(&area), "--out", text(&out)]).refused(1, &[text(&area), "whole area"]);
    assert!(!out.exists());
}

#[test]
fn a_disk_that_fills_up_leaves_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let [out, area] = ["out", "area"].map(|name| directory.path().join(name));
    run(&["headset", "simulate", "--seed", "7", "--eye", "54x60", "--out", text(&area)]);
    std::fs::create_dir(&out).unwrap();
    let mine = out.join("config.json");
    std::fs::write(&mine, "mine").unwrap();
    // No file may have more than 2048 bytes: some of each set fit, and some do not.
    let cramped = |arguments: &[&str]| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$@\"", "sh"]).arg(leasehold().get_program());
        Outcome::of(shell.args(arguments))
    };
    let simulate = ["headset", "simulate", "--seed", "8", "--eye", "54x60", "--out", text(&out)];
    cramped(&simulate).refused(1, &["could not write", "left.mc", "File too large"]);
    let user_data = area.join("userdata.bin");
    let unpack = ["headset", "unpack", text(&user_data), "--out", text(&out)];
    cramped(&unpack).refused(1, &["could not write", "left.mc", "File too large"]);
    assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1, "nothing else is left");
    // Nor does a set come half where something stands in its way.
    std::fs::create_dir(out.join("userdata.bin")).unwrap();
    run(&simulate).refused(1, &["userdata.bin", "move it away"]);
    assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn the_doctor_says_that_there_is_no_card() {
    if Path::new("/dev/dri").exists() {
        rig::say("SKIPPED: the_doctor_says_that_there_is_no_card: this machine has /dev/dri");
        return;
    }
    let outcome = Outcome::of(leasehold().args(["doctor", "--json"]).env_remove("DISPLAY"));
    outcome.refused(3, &["no display card"]);
    let json = outcome.json();
    assert_eq!((&json["schema"], &json["cards"]), (&json!("leasehold.doctor/1"), &json!([])));
    let codes: Vec<_> =
        json["paths"].as_array().unwrap().iter().map(|path| (&path["name"], &path["code"])).collect();
    assert_eq!(
        codes[1..],
        [
            (&json!("x11"), &json!("no-display")),
            (&json!("seat"), &json!("no-card")),
            (&json!("simulated"), &json!("always")),
        ]
    );
    assert!(json["vulkan"]["driver_ok"].is_boolean());
    run(&["vblank"]).refused(3, &["no display card"]);
    run(&["vblank", "--card", "/dev/null"]).refused(1, &["/dev/null is not a display card"]);
}

#[test]
fn what_is_missing_around_it_is_named() {
    Outcome::of(leasehold().args(["demo", "--from", "wayland"]).env_remove("XDG_RUNTIME_DIR"))
        .refused(1, &["XDG_RUNTIME_DIR"]);
    let x11 =
        |display: &str| Outcome::of(leasehold().args(["demo", "--from", "x11"]).env("DISPLAY", display));
    x11("").refused(1, &["DISPLAY is not set", "':0'"]);
    x11("nonsense").refused(1, &["no X server at nonsense"]);
    x11(":987").refused(1, &["no X server at :987", "XAUTHORITY"]);
    x11("elsewhere:0").refused(1, &["elsewhere:0", "over the network"]);
    let inherited = |fd: &str| {
        Outcome::of(leasehold().args(["demo", "--from", "inherited"]).env("LEASEHOLD_LEASE_FD", fd))
    };
    inherited("").refused(1, &["LEASEHOLD_LEASE_FD is not set"]);
    inherited("three").refused(1, &["LEASEHOLD_LEASE_FD is 'three'"]);
    inherited("77").refused(1, &["fd 77 was not passed"]);
    let directory = made_up_headset(4);
    let (eye, out) = (directory.path().join("eye.png"), directory.path().join("frame.png"));
    write_gray(&eye, 4, 2);
    let render =
        ["render", "--headset", text(directory.path()), "--left", text(&eye), "--right", text(&eye), "--out"];
    Outcome::of(leasehold().args(render).arg(&out).env("VK_DRIVER_FILES", "/nonexistent"))
        .refused(1, &["mesa-vulkan-drivers"]);
    assert!(!out.exists());
}

#[test]
fn vblank_and_doctor_watch_a_leased_headset() {
    inside("vblank_and_doctor_watch_a_leased_headset", VIVE, || {
        // Before anyone drives the card, and without staying its master.
        assert_eq!(path(&run(&["doctor", "--json"]).json(), "seat")["code"], "ready");
        run(&["vblank", "--connector", "Virtual-2"]).refused(3, &["Virtual-1 (", "Virtual-2 (not lit)"]);
        run(&["vblank", "--connector", "DP-9"]).refused(3, &["DP-9", "Virtual-2 (not lit)"]);

        let serve = serve(&[]);
        let offered = run(&["doctor", "--json"]);
        assert_eq!(offered.code, Some(0), "{}", offered.stderr);
        assert_eq!(path(&offered.json(), "wayland")["code"], "offered");

        let lessee = Program::start(&mut example("lessee"));
        lessee.line();
        let watch = || {
            let watched = run(&["vblank", "--connector", "Virtual-2", "--seconds", "4", "--json"]);
            assert_eq!(watched.code, Some(0), "{}", watched.stderr);
            let found = watched.json();
            rig::say(&found.to_string());
            found
        };
        // The rig is itself a program that its host stalls now and then: what was not seen was counted, but for what was at
        // the beginning and at the end.
        let all_of_four_seconds = |found: &Value| {
            let (missed, seen) = (&found["missed_sequences"], &found["wake_late_us"]["count"]);
            let vblanks = missed.as_u64().unwrap() + seen.as_u64().unwrap();
            vblanks.abs_diff(358) <= 10 && seen.as_u64().unwrap() > 40
        };
        let found = std::iter::repeat_with(watch).take(3).find(all_of_four_seconds).expect("358 vblanks");
        let hz = found["measured_hz"].as_f64().unwrap();
        assert!((hz - 89.527).abs() < 0.02, "{hz}");
        assert_eq!((&found["clock"], &found["connector"]), (&json!("crtc-sequence"), &json!("Virtual-2")));

        let doctor = run(&["doctor", "--json"]);
        doctor.refused(3, &["no headset can be had"]);
        let json = doctor.json();
        let card = &json["cards"][0];
        assert_eq!((&card["driver"], &card["vblank_clock"]), (&json!("vkms"), &json!("crtc-sequence")));
        assert!(card["master_held_by"].as_str().unwrap().contains(&format!("leasehold {}", serve.pid())));
        let connectors = card["connectors"].as_array().unwrap();
        let headset = connectors.iter().find(|connector| connector["name"] == "Virtual-2").unwrap();
        assert_eq!((&headset["non_desktop"], &headset["headset"]), (&json!(true), &json!("HTC Vive")));
        assert_eq!(headset["modes"][0], "2160x1200@89.527");
        assert_eq!(path(&json, "seat")["code"], "held");
        rig::say(&run(&["doctor"]).stdout);
    });
}

fn path<'a>(doctor: &'a Value, name: &str) -> &'a Value {
    doctor["paths"].as_array().unwrap().iter().find(|path| path["name"] == name).unwrap()
}
