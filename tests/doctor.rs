//! Machines broken on purpose, and whether `leasehold doctor` names what was broken. Each test prints its set-up and
//! the codes that doctor came up with: those of the ways `wayland` and `seat`, then its findings'.
//!
//! What no rig can break is judged from made-up facts in `src/cli/doctor/judge/tests.rs`.

mod rig;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use leasehold::kms::Card;
use leasehold::vulkan::{Device, Instance};
use nix::sys::signal::Signal;
use rig::wait::wait_until;
use rig::{CARD, COSMOS, Program, VIVE, example, inside, leasehold, serve};
use serde_json::{Value, json};
use wayland_server::{Display, ListeningSocket};

const VKMS: &str = "/sys/kernel/config/vkms";

/// What doctor said.
struct Report {
    exit_code: Option<i32>,
    json: Value,
}

impl Report {
    /// Runs doctor and prints a line of the table.
    fn of(setup: &str, doctor: &mut Command) -> Self {
        let output = doctor.output().expect("doctor starts");
        let json: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let report = Self { exit_code: output.status.code(), json };
        let findings = report.json["findings"].as_array().unwrap().iter();
        let codes: Vec<&str> = findings.map(|finding| finding["code"].as_str().unwrap()).collect();
        let (wayland, seat) = (report.path("wayland"), report.path("seat"));
        rig::say(&format!("{setup:<40} | {wayland:<20} | {seat:<18} | {}", codes.join(" ")));
        report
    }

    /// The code of a way.
    fn path(&self, name: &str) -> &str {
        let paths = self.json["paths"].as_array().unwrap();
        paths.iter().find(|path| path["name"] == name).unwrap()["code"].as_str().unwrap()
    }

    /// The one finding with this code, after having seen that it has a sentence and a remedy.
    fn finding(&self, code: &str) -> &Value {
        let findings = self.json["findings"].as_array().unwrap();
        let found: Vec<&Value> = findings.iter().filter(|finding| finding["code"] == code).collect();
        let [finding] = found[..] else { panic!("'{code}' is {} times in {findings:#?}", found.len()) };
        for field in ["about", "why", "remedy", "severity"] {
            assert!(!finding[field].as_str().unwrap().is_empty(), "{finding}");
        }
        finding
    }

    /// Fails unless the finding's sentence and remedy have all these words between them.
    fn says(&self, code: &str, words: &[&str]) {
        let finding = self.finding(code);
        for word in words {
            assert!(finding.to_string().contains(word), "'{word}' is not in {finding}");
        }
    }
}

fn doctor() -> Command {
    let mut command = leasehold();
    command.args(["doctor", "--json"]);
    command
}

/// Doctor as a user without any rights, found where such a user can find it.
fn doctor_as_nobody() -> Command {
    let program = Path::new("/tmp/leasehold");
    if !program.exists() {
        std::fs::write(program, "").unwrap();
        mount(&["--bind", leasehold().get_program().to_str().unwrap(), "/tmp/leasehold"]);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "prlimit", "--memlock=65536"]);
    command.arg(program).args(["doctor", "--json"]);
    command
}

fn mount(arguments: &[&str]) {
    assert!(Command::new("mount").args(arguments).status().unwrap().success(), "mount {arguments:?}");
}

/// Hides a folder of the kernel's behind one with these files.
fn pretend(folder: &str, files: &[(&str, &str)]) {
    mount(&["-t", "tmpfs", "none", folder]);
    for (file, text) in files {
        let path = Path::new(folder).join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// Plugs the headset's connector of a card in or out.
fn plug(connector: &str, is_in: bool) {
    std::fs::write(format!("{VKMS}/{connector}/status"), if is_in { "1" } else { "2" }).unwrap();
}

fn unplug() {
    plug("rig/connectors/conn2", false);
}

fn edid_override(card: &str) -> String {
    format!("/sys/kernel/debug/dri/{card}/Virtual-2/edid_override")
}

fn runtime_dir() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR").expect("the rig sets it").into()
}

#[test]
fn nothing_is_wrong_with_a_machine_in_order() {
    inside("nothing_is_wrong_with_a_machine_in_order", VIVE, || {
        let report = Report::of("in order, nobody drives the card", &mut doctor());
        assert_eq!((report.exit_code, report.path("seat")), (Some(0), "ready"));
        // The kernel's console has asked for no mode that it could not show itself.
        assert_eq!(report.json["cards"][0]["connectors"][1]["modes"][0], "2160x1200@89.527");
        let _serve = serve(&[]);
        let report = Report::of("in order, serve runs", &mut doctor());
        assert_eq!((report.exit_code, report.path("wayland")), (Some(0), "offered"));
        assert_eq!(report.finding("held")["severity"], "note");
        // The rig draws on its CPU, so there may be warnings.
        let findings = report.json["findings"].as_array().unwrap();
        assert!(findings.iter().all(|finding| finding["severity"] != "error"), "{findings:#?}");
    });
}

#[test]
fn no_card() {
    inside("no_card", VIVE, || {
        std::fs::write(format!("{VKMS}/rig/enabled"), "0").unwrap();
        let report = Report::of("the card is gone", &mut doctor());
        assert_eq!((report.exit_code, report.path("seat")), (Some(3), "no-card"));
        assert_eq!(report.json["cards"], json!([]));
    });
}

#[test]
fn no_rights_on_the_node() {
    inside("no_rights_on_the_node", VIVE, || {
        assert!(Command::new("chgrp").args(["video", CARD]).status().unwrap().success());
        std::fs::set_permissions(CARD, PermissionsExt::from_mode(0o660)).unwrap();
        let report = Report::of("nobody looks, card is root:video 0660", &mut doctor_as_nobody());
        assert_eq!((report.exit_code, report.path("seat")), (Some(3), "no-rights"));
        report.says("no-rights", &["65534", CARD, "0660", "group 'video'", "usermod -aG video"]);
    });
}

#[test]
fn another_master() {
    inside("another_master", VIVE, || {
        let card = Card::open(Path::new(CARD)).unwrap();
        assert!(card.is_master());
        let report = Report::of("this test is the card's master", &mut doctor());
        assert_eq!((report.exit_code, report.path("seat")), (Some(3), "held"));
        let me = format!(" {}", std::process::id());
        report.says("held", &[CARD, &me]);
        assert!(report.json["cards"][0]["master_held_by"].as_str().unwrap().ends_with(&me));
        assert!(card.is_master());
    });
}

#[test]
fn no_headset() {
    inside("no_headset", VIVE, || {
        unplug();
        let report = Report::of("the headset is unplugged", &mut doctor());
        assert_eq!((report.exit_code, report.path("seat")), (Some(3), "no-headset"));
        let serve = Program::start(leasehold().args(["serve", "--json"]));
        assert_eq!(serve.line()["event"], "ready");
        let report = Report::of("the headset is unplugged, serve runs", &mut doctor());
        assert_eq!((report.path("wayland"), report.path("seat")), ("no-headset", "no-headset"));
    });
}

#[test]
fn a_headset_on_the_usb_without_a_display() {
    inside("a_headset_on_the_usb_without_a_display", VIVE, || {
        unplug();
        let vive = [("usb/devices/1-1/idVendor", "0bb4\n"), ("usb/devices/1-1/idProduct", "2c87\n")];
        pretend("/sys/bus", &vive);
        let report = Report::of("unplugged, its USB part is there", &mut doctor());
        assert_eq!(report.path("seat"), "edid-wedged");
        // The rig's monitor has no EDID; a monitor that is gone leaves nothing to suspect.
        plug("rig/connectors/conn1", false);
        let report = Report::of("both unplugged, its USB part is there", &mut doctor());
        assert_eq!((report.exit_code, report.path("seat")), (Some(3), "display-missing"));
        report.says("display-missing", &["HTC Vive", "video cable"]);
    });
}

#[test]
fn a_wedged_edid() {
    inside("a_wedged_edid", VIVE, || {
        std::fs::write(edid_override("rig"), "reset").unwrap();
        unplug();
        plug("rig/connectors/conn2", true);
        let report = Report::of("the headset tells no EDID", &mut doctor());
        assert_eq!((report.exit_code, report.path("seat")), (Some(3), "edid-wedged"));
        report.says("edid-wedged", &["Virtual-2", "power supply"]);
    });
}

#[test]
fn a_wedged_edid_of_a_headset_that_was_seen_before() {
    inside("a_wedged_edid_of_a_headset_that_was_seen_before", VIVE, || {
        let mut command = leasehold();
        let lessor = Program::start(command.args(["serve", "--json"]).env("XDG_CACHE_HOME", "/tmp/cache"));
        assert_eq!(lessor.event("offered")["connector"], "Virtual-2");
        let remembered = Path::new("/tmp/cache/leasehold/edid/card0-Virtual-2");
        wait_until("serve remembers the EDID", || remembered.exists());
        drop(lessor);
        std::fs::write(edid_override("rig"), "reset").unwrap();
        unplug();
        let remembering = || {
            let mut doctor = doctor();
            doctor.env("XDG_CACHE_HOME", "/tmp/cache");
            doctor
        };
        let report = Report::of("unplugged, a Vive was seen there", &mut remembering());
        report.says("no-headset", &["Virtual-2 had HTC Vive at"]);
        plug("rig/connectors/conn2", true);
        let before = remembered.metadata().unwrap().modified().unwrap();
        let report = Report::of("it tells no EDID, a Vive was seen there", &mut remembering());
        assert_eq!((report.exit_code, report.path("seat")), (Some(3), "edid-wedged"));
        report.says("edid-wedged", &["Virtual-2", "and was HTC Vive at"]);
        assert_eq!(report.json["cards"][0]["connectors"][1]["last_headset"], "HTC Vive");
        assert_eq!(remembered.metadata().unwrap().modified().unwrap(), before, "doctor only reads");
    });
}

#[test]
fn everything_that_is_promised_is_there_and_true() {
    inside("everything_that_is_promised_is_there_and_true", VIVE, || {
        let serve = serve(&[]);
        let lessee = Program::start(&mut example("lessee"));
        lessee.line();
        let report = Report::of("a lessee has lit it", &mut doctor());
        assert_eq!(report.json["schema"], "leasehold.doctor/1");
        let [card] = &report.json["cards"].as_array().unwrap()[..] else { panic!("there is one card") };
        assert_eq!((&card["path"], &card["driver"]), (&json!(CARD), &json!("vkms")));
        assert_eq!(card["master_held_by"], format!("leasehold {}", serve.pid()));
        assert_eq!(card["vblank_clock"], "crtc-sequence");
        let [monitor, headset] = &card["connectors"].as_array().unwrap()[..] else { panic!("{card}") };
        let told = |connector: &Value, names: &[&str]| -> Vec<Value> {
            names.iter().map(|name| connector[name].clone()).collect()
        };
        let names = ["name", "connected", "non_desktop", "headset", "edid", "leased_to"];
        assert_eq!(
            told(monitor, &names),
            [json!("Virtual-1"), json!(true), json!(false), json!(null), json!(null), json!(null)]
        );
        assert!(monitor["modes"].as_array().unwrap().contains(&json!("1024x768@60.004")), "{monitor}");
        // As edid-decode prints them: "Manufacturer: HVR, Model: 43521", "Display Product Name: 'HTC-VIVE'".
        let edid = json!({ "vendor": "HVR", "product": 43521, "name": "HTC-VIVE" });
        let lessee = json!(format!("lessee {}", lessee.pid()));
        assert_eq!(
            told(headset, &names),
            [json!("Virtual-2"), json!(true), json!(true), json!("HTC Vive"), edid, lessee]
        );
        assert_eq!(headset["modes"][0], "2160x1200@89.527");
        let paths = report.json["paths"].as_array().unwrap();
        let order: Vec<&str> = paths.iter().map(|path| path["name"].as_str().unwrap()).collect();
        assert_eq!(order, ["wayland", "x11", "seat", "simulated"]);
        for path in paths {
            assert!(path["code"].is_string() && !path["why"].as_str().unwrap().is_empty(), "{path}");
            assert_eq!(path["usable"], path["name"] == "simulated", "{path}");
            assert_eq!(path["remedy"].is_string(), path["name"] != "simulated", "{path}");
        }
    });
}

#[test]
fn a_seat_that_might_lend_the_card() {
    inside("a_seat_that_might_lend_the_card", VIVE, || {
        if Command::new("seatd").arg("-v").output().is_err() {
            return rig::say("SKIPPED: a_seat_that_might_lend_the_card: seatd is not installed");
        }
        std::fs::set_permissions(CARD, PermissionsExt::from_mode(0o600)).unwrap();
        let mut seatd =
            Command::new("seatd").args(["-g", "video"]).env("SEATD_VTBOUND", "0").spawn().unwrap();
        let socket = Path::new("/run/seatd.sock");
        // It sets the socket's rights after making it.
        wait_until("seatd listens to its group", || socket.metadata().is_ok_and(|found| found.gid() != 0));
        let report = Report::of("seatd would not lend it to nobody", &mut doctor_as_nobody());
        report.says("no-rights", &["seatd runs, and this user may not ask it", "/run/seatd.sock"]);
        std::fs::set_permissions(socket, PermissionsExt::from_mode(0o666)).unwrap();
        Report::of("seatd would lend it", &mut doctor_as_nobody()).says("no-rights", &["seatd lends it"]);
        seatd.kill().unwrap();
        seatd.wait().unwrap();
    });
}

#[test]
fn a_sandbox_without_cards() {
    inside("a_sandbox_without_cards", VIVE, || {
        std::fs::write(format!("{VKMS}/rig/enabled"), "0").unwrap();
        std::fs::create_dir_all("/run/host").unwrap();
        std::fs::write("/run/host/container-manager", "systemd-nspawn\n").unwrap();
        let report = Report::of("a container shows no card", &mut doctor());
        assert_eq!((report.exit_code, report.path("seat")), (Some(3), "no-card"));
        // Where this test runs in a container itself, the rig shows that one's mark.
        let name = if Path::new("/.dockerenv").exists() { "Docker" } else { "systemd-nspawn" };
        report.says("no-card", &[name, "/dev/dri"]);
    });
}

#[test]
fn a_headset_the_kernel_does_not_know() {
    inside("a_headset_the_kernel_does_not_know", COSMOS, || {
        let report = Report::of("Vive Cosmos, nobody drives the card", &mut doctor());
        // It can be had by name.
        assert_eq!((report.exit_code, report.path("seat")), (Some(0), "ready"));
        report.says("non-desktop-unset", &["HTC Vive Cosmos", "Virtual-2", "--offer Virtual-2"]);
        let serve = Program::start(leasehold().args(["serve", "--json"]));
        assert_eq!(serve.line()["event"], "ready");
        let report = Report::of("Vive Cosmos, serve runs", &mut doctor());
        assert_eq!((report.exit_code, report.path("wayland")), (Some(3), "non-desktop-unset"));
        assert_eq!(report.finding("non-desktop-unset")["severity"], "error");
    });
}

#[test]
fn a_leased_headset() {
    inside("a_leased_headset", VIVE, || {
        let serve = serve(&[]);
        let lessee = Program::start(&mut example("lessee"));
        lessee.line();
        let report = Report::of("a lessee has it", &mut doctor());
        assert_eq!(
            (report.exit_code, report.path("wayland"), report.path("seat")),
            (Some(3), "leased", "held")
        );
        let (holder, master) = (format!("lessee {}", lessee.pid()), format!("leasehold {}", serve.pid()));
        report.says("leased", &["Virtual-2", &holder, "user 0"]);
        let card = &report.json["cards"][0];
        assert_eq!(card["master_held_by"], master);
        let connectors = card["connectors"].as_array().unwrap();
        let leased_to =
            |name| &connectors.iter().find(|connector| connector["name"] == name).unwrap()["leased_to"];
        assert_eq!((leased_to("Virtual-1"), leased_to("Virtual-2")), (&json!(null), &json!(holder)));
        // It looked at the lessee's own fds, and let go of them.
        assert!(serve.rest().iter().all(|event| event["event"] != "ended"), "doctor ended the lease");
        // Who may look at the card and not at its holders sees that it is lit.
        std::fs::set_permissions(CARD, PermissionsExt::from_mode(0o666)).unwrap();
        Report::of("a lessee has it, nobody looks", &mut doctor_as_nobody())
            .says("leased", &["lit", "as root"]);
        lessee.signal(Signal::SIGTERM);
        assert_eq!(serve.event("ended")["reason"], "released");
        serve.event("offered");
        assert_eq!(Report::of("the lessee gave it back", &mut doctor()).path("wayland"), "offered");
    });
}

#[test]
fn no_free_crtc() {
    inside("no_free_crtc", VIVE, || {
        std::fs::write(format!("{VKMS}/rig/enabled"), "0").unwrap();
        narrow_card();
        let edid = std::fs::read(rig::headsets().join(VIVE)).unwrap();
        std::fs::write(edid_override("narrow"), edid).unwrap();
        plug("narrow/connectors/2", true);
        let report = Report::of("one CRTC, which the console has", &mut doctor());
        assert_eq!((report.exit_code, report.path("seat")), (Some(3), "no-free-crtc"));
        report.says("no-free-crtc", &["Virtual-2", "HTC Vive", "monitor off"]);
    });
}

/// A card with two connectors and one CRTC, which the kernel's console lights the first connector with.
fn narrow_card() {
    let at = |path: &str| format!("{VKMS}/narrow/{path}");
    let link = |to: &str, from: &str| std::os::unix::fs::symlink(at(to), at(from)).unwrap();
    for folder in
        ["", "crtcs/crtc", "planes/primary", "encoders/1", "encoders/2", "connectors/1", "connectors/2"]
    {
        std::fs::create_dir(at(folder)).unwrap();
    }
    std::fs::write(at("planes/primary/type"), "1").unwrap();
    link("crtcs/crtc", "planes/primary/possible_crtcs/crtc");
    for n in 1..=2 {
        link("crtcs/crtc", &format!("encoders/{n}/possible_crtcs/crtc"));
        link(&format!("encoders/{n}"), &format!("connectors/{n}/possible_encoders/encoder"));
        plug(&format!("narrow/connectors/{n}"), n == 1);
    }
    std::fs::write(at("enabled"), "1").unwrap();
}

#[test]
fn nvidia_without_mode_setting() {
    inside("nvidia_without_mode_setting", VIVE, || {
        unplug();
        pretend("/sys/module", &[("nvidia_drm/parameters/modeset", "N\n")]);
        let report = Report::of("nvidia-drm.modeset=0", &mut doctor());
        assert_eq!((report.exit_code, report.path("seat")), (Some(3), "nvidia-modeset-off"));
        report.says("nvidia-modeset-off", &["nvidia-drm modeset=1"]);
        std::fs::write("/sys/module/nvidia_drm/parameters/modeset", "Y\n").unwrap();
        assert_eq!(Report::of("nvidia-drm.modeset=1", &mut doctor()).path("seat"), "no-headset");
    });
}

#[test]
fn a_compositor_that_does_not_lease() {
    inside("a_compositor_that_does_not_lease", VIVE, || {
        unplug();
        let socket = ListeningSocket::bind("wayland-0").unwrap();
        std::thread::spawn(move || {
            let mut display: Display<()> = Display::new().unwrap();
            loop {
                while let Some(stream) = socket.accept().unwrap() {
                    display.handle().insert_client(stream, Arc::new(())).unwrap();
                }
                display.dispatch_clients(&mut ()).unwrap();
                display.flush_clients().unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let report = Report::of("a compositor without leases", &mut doctor());
        assert_eq!((report.exit_code, report.path("wayland")), (Some(3), "no-leasing"));
        let me = std::process::id().to_string();
        report.says("no-leasing", &["wayland-0", "wp_drm_lease_device_v1", &me]);
    });
}

#[test]
fn a_compositor_that_hangs() {
    inside("a_compositor_that_hangs", VIVE, || {
        let serve = serve(&[]);
        serve.signal(Signal::SIGSTOP);
        let report = Report::of("serve is stopped", &mut doctor());
        assert_eq!((report.exit_code, report.path("wayland")), (Some(3), "no-answer"));
        report.says("no-answer", &["leasehold-0", &serve.pid().to_string(), "hangs"]);
        serve.signal(Signal::SIGCONT);
        assert_eq!(Report::of("serve goes on", &mut doctor()).path("wayland"), "offered");
    });
}

#[test]
fn a_lessor_that_would_deny() {
    inside("a_lessor_that_would_deny", VIVE, || {
        let _serve = serve(&["--allow-uid", "1000"]);
        let report = Report::of("serve --allow-uid 1000, root looks", &mut doctor());
        assert_eq!((report.exit_code, report.path("wayland")), (Some(3), "not-permitted"));
        report.says("not-permitted", &["no rule allows", "user 0", "--allow-uid"]);
    });
}

#[test]
fn sockets_that_lead_nowhere() {
    inside("sockets_that_lead_nowhere", VIVE, || {
        unplug();
        let report = Report::of("XDG_RUNTIME_DIR is not set", doctor().env_remove("XDG_RUNTIME_DIR"));
        assert_eq!((report.exit_code, report.path("wayland")), (Some(3), "no-runtime-dir"));
        assert_eq!(Report::of("no compositor", &mut doctor()).path("wayland"), "no-socket");
        drop(UnixListener::bind(runtime_dir().join("wayland-0")).unwrap());
        let report = Report::of("a compositor ended", &mut doctor());
        assert_eq!(report.path("wayland"), "socket-dead");
        report.says("socket-dead", &["wayland-0"]);
        let report = Report::of("another user's session", &mut doctor_as_nobody());
        assert_eq!(report.path("wayland"), "socket-not-permitted");
        let _other = UnixListener::bind(runtime_dir().join("wayland-7")).unwrap();
        Report::of("WAYLAND_DISPLAY is wrong", &mut doctor())
            .says("no-socket", &["WAYLAND_DISPLAY=wayland-7"]);
    });
}

#[test]
fn refused_realtime_and_memory() {
    inside("refused_realtime_and_memory", VIVE, || {
        let report = Report::of("no rtprio, memlock 64 KiB", &mut doctor_as_nobody());
        report.says("realtime-refused", &["priority 0", "20 is needed", "limits.d"]);
        report.says("memory-lock-refused", &["RLIMIT_MEMLOCK", "LimitMEMLOCK"]);
        assert_eq!(report.finding("realtime-refused")["severity"], "warning");
        let root = Report::of("root", &mut doctor()).json["findings"].to_string();
        assert!(!root.contains("realtime-refused") && !root.contains("memory-lock-refused"), "{root}");
    });
}

#[test]
fn no_vulkan_driver() {
    let report = Report::of("VK_DRIVER_FILES leads nowhere", doctor().env("VK_DRIVER_FILES", "/nonexistent"));
    report.says("no-vulkan-driver", &["VK_DRIVER_FILES"]);
    assert_eq!(report.finding("no-vulkan-driver")["severity"], "error");
    assert_eq!(report.json["vulkan"]["driver_ok"], false);
}

#[test]
fn what_the_vulkan_driver_lacks() {
    let opened = Instance::new(false).and_then(|instance| Device::open(&Arc::new(instance)));
    let device = match opened {
        Ok(device) => device,
        Err(error) => return rig::say(&format!("SKIPPED: what_the_vulkan_driver_lacks: {error}")),
    };
    let report = Report::of(&format!("Vulkan is {}", device.name()), &mut doctor());
    let findings = report.json["findings"].to_string();
    let can = device.capabilities();
    for (has, name) in [
        (can.dma_buf, "VK_EXT_external_memory_dma_buf"),
        (can.modifiers, "VK_EXT_image_drm_format_modifier"),
        (can.host_memory_alignment.is_some(), "VK_EXT_external_memory_host"),
        (device.queue_priority() == "realtime", "queue-priority"),
        (!device.is_cpu(), "vulkan-on-cpu"),
    ] {
        assert_eq!(findings.contains(name), !has, "{name} in {findings}");
    }
}

#[test]
fn colours_are_for_terminals() {
    let plain = leasehold().arg("doctor").env_remove("NO_COLOR").output().unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert!(plain.contains("Ways to a headset") && !plain.contains('\u{1b}'), "{plain:?}");
    let on_terminal = |set: &str| {
        let program = leasehold().get_program().to_str().unwrap().to_string();
        let command = format!("env -u NO_COLOR TERM=xterm {set} '{program}' doctor");
        // bsdutils' script gives it a terminal.
        Command::new("script").args(["-qc", &command, "/dev/null"]).output()
    };
    let shown = match on_terminal("") {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => return rig::say(&format!("SKIPPED: colours_are_for_terminals: script: {error}")),
    };
    assert!(shown.contains("\u{1b}[1mWays to a headset\u{1b}[0m"), "{shown:?}");
    let asked_for_none = on_terminal("NO_COLOR=1").unwrap();
    assert!(!String::from_utf8_lossy(&asked_for_none.stdout).contains('\u{1b}'));
}
