//! Real-time scheduling for an ordinary user: from rtkit where it may, and a sentence where it may not. With the real
//! dbus-daemon, polkitd and rtkit-daemon, out of Debian; what starts them is this test, for the rig has no systemd.

mod rig;

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rig::wait::wait_until;
use rig::{CARD, TINY, debian_of, inside_tree, leasehold, say, threads};
use serde_json::Value;

const PACKAGES: [&str; 7] =
    ["dbus", "polkitd", "rtkit", "mesa-vulkan-drivers", "libvulkan1", "libgbm1", "libseat1"];
const HOME: &str = "/run/user/1000";
const SENTENCE: &str = "real-time scheduling was refused";

/// A service that is ended with the test.
struct Daemon(Child);

impl Daemon {
    /// Starts one and waits for its name on the bus.
    fn start(command: &mut Command, name: &str) -> Self {
        let daemon = Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")));
        wait_until(&format!("{name} is on the bus"), || has_owner(name));
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has_owner(name: &str) -> bool {
    let call = [
        "--system",
        "--print-reply",
        "--dest=org.freedesktop.DBus",
        "/",
        "org.freedesktop.DBus.NameHasOwner",
    ];
    let output = Command::new("dbus-send").args(call).arg(format!("string:{name}")).output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains("boolean true")
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

/// The bus, without what it would start by itself: whether rtkit runs is up to the test.
fn start_bus() -> Daemon {
    run("mount", &["-t", "tmpfs", "none", "/usr/share/dbus-1/system-services"]);
    std::fs::create_dir_all("/run/dbus").unwrap();
    let bus = Command::new("dbus-daemon").args(["--system", "--nofork", "--nopidfile"]).spawn().unwrap();
    wait_until("the bus is there", || Path::new("/run/dbus/system_bus_socket").exists());
    Daemon(bus)
}

fn start_polkit() -> Daemon {
    let mut polkit = Command::new("setpriv");
    polkit.args([
        "--reuid=polkitd",
        "--regid=polkitd",
        "--init-groups",
        "/usr/lib/polkit-1/polkitd",
        "--no-debug",
    ]);
    Daemon::start(&mut polkit, "org.freedesktop.PolicyKit1")
}

fn start_rtkit() -> Daemon {
    Daemon::start(&mut Command::new("/usr/libexec/rtkit-daemon"), "org.freedesktop.RealtimeKit1")
}

/// Lets user 1000 have what the users of a desktop have: a polkit that knows no sessions gives to nobody.
fn write_rule() {
    run("mount", &["-t", "tmpfs", "none", "/etc/polkit-1/rules.d"]);
    let rule = r#"polkit.addRule(function(action, subject) {
        if (action.id == "org.freedesktop.RealtimeKit1.acquire-real-time" && subject.user == "tester")
            return polkit.Result.YES;
    });"#;
    std::fs::write("/etc/polkit-1/rules.d/50-test.rules", rule).unwrap();
}

/// Makes user 1000, `tester` by name, who may open the card.
fn prepare_user() {
    for (file, line) in
        [("passwd", "tester:x:1000:1000::/run/user/1000:/bin/sh\n"), ("group", "tester:x:1000:\n")]
    {
        let (path, copy) = (format!("/etc/{file}"), format!("/run/{file}"));
        std::fs::write(&copy, std::fs::read_to_string(&path).unwrap() + line).unwrap();
        run("mount", &["--bind", &copy, &path]);
    }
    chown(CARD, Some(0), Some(44)).unwrap();
    std::fs::set_permissions(CARD, PermissionsExt::from_mode(0o660)).unwrap();
    std::fs::create_dir_all(HOME).unwrap();
    chown(HOME, Some(1000), Some(1000)).unwrap();
    // Where it lies, the user may have no rights.
    std::fs::copy(leasehold().get_program(), "/run/leasehold").unwrap();
}

/// The program as that user, with no right to real-time scheduling of its own.
fn as_user(arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=1000", "--regid=1000", "--groups=44", "prlimit", "--rtprio=0", "/run/leasehold"]);
    command.args(arguments).env("XDG_RUNTIME_DIR", HOME).env("HOME", HOME);
    command
}

/// What `doctor` says of real-time scheduling, if it finds anything.
fn doctors_finding() -> Option<String> {
    in_time(|| finding_of(&mut as_user(&["doctor", "--json"])), Option::as_deref)
}

/// The first of three answers that rtkit had the second for that it is given, or the third.
fn in_time<T>(ask: impl Fn() -> T, refusal: impl Fn(&T) -> Option<&str>) -> T {
    let is_late = |answer: &T| refusal(answer).is_some_and(|refusal| refusal.contains("did not answer"));
    let mut answer = ask();
    for _ in 0..2 {
        if is_late(&answer) {
            answer = ask();
        }
    }
    answer
}

fn finding_of(doctor: &mut Command) -> Option<String> {
    let output = doctor.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["code"] == "realtime-refused")?;
    Some(finding["why"].as_str().unwrap().to_string())
}

/// What a demo was given.
struct Given {
    /// What its report says of the loop's thread.
    scheduling: String,
    /// What its report says was refused of real-time scheduling.
    refusal: Option<String>,
    /// What `chrt` says of each of its threads while it ran, with the thread's name.
    threads: Vec<(String, String)>,
    vblanks: u64,
}

/// Shows something on the headset for some seconds.
fn demo() -> Given {
    in_time(show, |given| given.refusal.as_deref())
}

fn show() -> Given {
    let report = format!("{HOME}/report.json");
    let _ = std::fs::remove_file(&report);
    let shown = ["--from", "seat", "--scene", "flat:80", "--seconds", "6", "--report", &report];
    let mut demo = as_user(&["demo"]).args(shown).stdout(Stdio::null()).spawn().unwrap();
    wait_until("the loop has started", || threads(demo.id()).iter().any(|(_, name)| name == "vblank"));
    // It asks first thing, and is answered within a second.
    std::thread::sleep(Duration::from_secs(2));
    let threads = threads(demo.id()).into_iter().map(|(id, name)| (name, run("chrt", &["-p", &id])));
    let threads: Vec<(String, String)> = threads.collect();
    assert!(demo.wait().unwrap().success());
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let priority = &report["priority"];
    let mut refusals = priority["refusals"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
    Given {
        scheduling: priority["thread"].as_str().unwrap().to_string(),
        refusal: refusals.find(|text| text.contains(SENTENCE)).map(str::to_string),
        threads,
        vblanks: report["frames"]["vblanks"].as_u64().unwrap(),
    }
}

impl Given {
    /// Says that it was refused, how to get it, and all these words; and goes on.
    fn is_refused(&self, words: &[&str]) {
        let refusal = self.refusal.as_deref().expect("it says that it was refused");
        say(refusal);
        for word in ["rtprio 20", "limits.d", "LimitRTPRIO=20"].iter().chain(words) {
            assert!(refusal.contains(word), "'{word}' is not in {refusal}");
        }
        assert_eq!(self.scheduling, "normal");
        assert!(self.threads.iter().all(|(_, chrt)| !chrt.contains("SCHED_RR")), "{:?}", self.threads);
        assert!(self.vblanks > 100, "{}", self.vblanks);
    }

    fn is_granted(&self) {
        assert_eq!((self.scheduling.as_str(), &self.refusal), ("rr", &None));
        for name in ["vblank", "lease"] {
            let (_, chrt) = self.threads.iter().find(|(other, _)| other == name).expect(name);
            say(&format!("{name}: {}", chrt.trim().replace('\n', "; ")));
            assert!(chrt.contains("SCHED_RR|SCHED_RESET_ON_FORK"), "{chrt}");
            assert!(chrt.contains("priority: 20"), "{chrt}");
        }
        let others = self.threads.iter().filter(|(_, chrt)| !chrt.contains("SCHED_RR"));
        assert!(others.count() > 0, "all are in real time: {:?}", self.threads);
        assert!(self.vblanks > 100, "{}", self.vblanks);
    }
}

#[test]
fn rtkit_gives_an_ordinary_user_real_time() {
    let tree = || debian_of(&PACKAGES);
    inside_tree("rtkit_gives_an_ordinary_user_real_time", TINY, tree, || {
        prepare_user();
        demo().is_refused(&["rtkit could not be asked", "system_bus_socket"]);
        assert!(doctors_finding().expect("it is refused").contains("rtkit could not be asked"));

        // Whoever connects is let in by the kernel, and hears nothing.
        let _mute = UnixListener::bind("/run/mute").unwrap();
        std::fs::set_permissions("/run/mute", PermissionsExt::from_mode(0o777)).unwrap();
        let mut doctor = as_user(&["doctor", "--json"]);
        let finding = finding_of(doctor.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/mute"));
        assert!(finding.expect("it is refused").contains("rtkit did not answer within 1s"));

        let _bus = start_bus();
        demo().is_refused(&["rtkit could not be asked", "org.freedesktop.RealtimeKit1"]);

        let polkit = start_polkit();
        let rtkit = start_rtkit();
        demo().is_refused(&["rtkit refused"]);
        assert!(doctors_finding().expect("it is refused").contains("rtkit refused"));
        drop((rtkit, polkit));

        write_rule();
        let _polkit = start_polkit();
        let _rtkit = start_rtkit();
        demo().is_granted();
        assert_eq!(doctors_finding(), None);
    });
}
