//! Runs tests inside a rig: a real kernel with a card that has a desktop monitor (`Virtual-1`) and a headset
//! (`Virtual-2`), on a machine that has neither.
//!
//! A test wrapped in [`inside`] starts the rig, which runs this very test binary again with nothing but that test; there
//! the body runs, as root, with the card to itself. `LEASEHOLD_RIG` names the rig's `run` program and
//! `LEASEHOLD_HEADSETS` the folder of headsets' data; without it, made-up data of the same layout has to do.

#![allow(dead_code, reason = "each test binary uses another part")]

#[path = "../edid/checksum.rs"]
pub mod checksum;
pub mod demo;
pub mod desktop;
#[path = "../edid/layout.rs"]
pub mod layout;
mod made_up;
pub mod mesa;
pub mod picture;
pub mod qemu;
pub mod supervisor;
pub mod wait;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use leasehold::kms::uevent::{Uevent, UeventSocket};
use leasehold::kms::{Card, CrtcId};
use leasehold::time::{Instant, Span};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use wait::{PATIENCE, wait_until};

/// The EDID of a real headset: 2160x1200 at 89.527 Hz, which the kernel calls non-desktop.
pub const VIVE: &str = "vive-LHR-C5C0BC88/edid.bin";

/// The EDID of a panel so small that a CPU can draw for it at 90 Hz: 480x270.
pub const TINY: &str = "tiny/480x270-90hz.bin";

/// The EDID of a headset that the kernel does not know for one: 2880x1700 at 90 Hz.
pub const COSMOS: &str = "edid/HVRAA03_EB681E7683EC.bin";

/// What 99 pictures of 100 have to be drawn within by a demo at 90 Hz that nothing is done to, 0.6 of a period: where a CPU
/// comes back late each time that drawing waits for it, it takes several times as long, and no loop keeps the rate.
pub const DRAWN_US: f64 = 0.6 * 1e6 / 90.0146;

/// Where the rig's card is.
pub const CARD: &str = "/dev/dri/card0";

/// One rig at a time: they would take each other's CPU and spoil the timing.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// For one test in a rig: many times what the longest takes.
const TIME_LIMIT_S: &str = "900";

const INSIDE: &str = "LEASEHOLD_INSIDE_RIG";

/// Runs `body` inside the rig with the headset of that EDID; `test` is the calling test's own name. Without a rig says
/// so and passes.
pub fn inside(test: &str, edid: &str, body: impl FnOnce()) {
    inside_of(Machine::uml(), test, edid, || Ok(None), body);
}

/// As [`inside`], with the rig on one CPU of its host. There a system call takes it a fifth of the time, for none has to be
/// handed over between CPUs, of which an idle one is slow to wake: what is timed against a vblank is the program.
pub fn inside_on_one_cpu(test: &str, edid: &str, body: impl FnOnce()) {
    inside_of(Machine { on_one_cpu: true, ..Machine::uml() }, test, edid, || Ok(None), body);
}

/// As [`inside`], with the host's files out of sight and those of `tree` in their place; where there is no tree, the
/// sentence says why. This test, `leasehold` and the examples come along.
pub fn inside_tree(
    test: &str,
    edid: &str,
    tree: impl FnOnce() -> Result<PathBuf, String>,
    body: impl FnOnce(),
) {
    inside_of(Machine::uml(), test, edid, || tree().map(Some), body);
}

fn inside_of(
    machine: Machine,
    test: &str,
    edid: &str,
    tree: impl FnOnce() -> Result<Option<PathBuf>, String>,
    body: impl FnOnce(),
) {
    if is_inside() {
        body();
        ran(test);
        return;
    }
    run_in(Ok(machine), test, edid, tree);
}

/// Says, inside a rig, that `test` ran to its end.
pub fn ran(test: &str) {
    say(&ran_to_its_end(test));
}

fn ran_to_its_end(test: &str) -> String {
    format!("{test}: ran in the rig to its end")
}

/// A rig's program and what it is to be told beside the usual.
pub struct Machine {
    run: PathBuf,
    arguments: Vec<String>,
    on_one_cpu: bool,
}

impl Machine {
    /// User Mode Linux: starts in a second and runs at full speed.
    pub fn uml() -> Self {
        Self { run: program(), arguments: Vec::new(), on_one_cpu: false }
    }
}

/// Runs `test` of this test binary in a rig, and returns what it printed. Without a rig, or without a tree, says so and
/// returns nothing.
pub fn run_in(
    machine: Result<Machine, String>,
    test: &str,
    edid: &str,
    tree: impl FnOnce() -> Result<Option<PathBuf>, String>,
) -> Option<String> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let skip = |why: &str| {
        say(&format!("SKIPPED: {test} because {why}"));
        None
    };
    let edid = headsets().join(edid);
    let machine = match machine {
        Ok(machine) => machine,
        Err(why) => return skip(&why),
    };
    if !machine.run.exists() {
        return skip(&format!("there is no {} (set LEASEHOLD_RIG)", machine.run.display()));
    }
    let tree = match tree() {
        Ok(tree) => tree,
        Err(why) => return skip(&why),
    };
    let out = out_folder(test);
    let mut binary = std::env::current_exe().expect("a test knows its binary");
    // Whatever hangs in there is not to hang here, and to be seen.
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=10", TIME_LIMIT_S])
        .args(machine.on_one_cpu.then_some(["taskset", "1"]).iter().flatten())
        .arg(&machine.run)
        .args(&machine.arguments)
        .arg("-e")
        .arg(&edid)
        .arg("-o")
        .arg(&out);
    if let Some(tree) = &tree {
        command.arg("-r").arg(tree);
        binary = take_along(&binary, &out);
    }
    command.arg(format!(
        "mkdir -m 700 /run/user0; export XDG_RUNTIME_DIR=/run/user0 {INSIDE}=1 LEASEHOLD_HEADSETS='{}' {}; \
         exec '{}' --exact {test} --nocapture --include-ignored",
        headsets().canonicalize().expect("the headsets are there").display(),
        settings(),
        binary.display()
    ));
    let (passed, text) = run_to_the_verdict(&mut command);
    say(&text);
    assert!(passed, "{test} failed inside the rig:\n{text}");
    // A test that returned before it came here would pass too.
    assert!(text.contains(&ran_to_its_end(test)), "the rig did not run {test}:\n{text}");
    Some(text)
}

/// Runs a rig; whether the test in it passed, and what it printed. Once the test has ended, a rig's kernel that hangs as it
/// goes down says nothing of the test.
fn run_to_the_verdict(command: &mut Command) -> (bool, String) {
    const TO_GO_DOWN: Duration = Duration::from_secs(60);
    let mut rig = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the rig starts");
    let output = BufReader::new(rig.stdout.take().expect("it is piped"));
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        output.split(b'\n').map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
    });
    let (mut text, mut verdict, mut hangs) = (String::new(), None, false);
    loop {
        match lines.recv_timeout(TO_GO_DOWN) {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line);
                if let Some(result) = line.strip_prefix("test result: ") {
                    verdict = Some(result.starts_with("ok"));
                }
                text.push_str(line.trim_end());
                text.push('\n');
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if verdict.is_some() && !hangs => {
                hangs = true;
                say("the test has ended, and its rig has not: it is killed");
                let _ = kill(Pid::from_raw(rig.id() as i32), Signal::SIGTERM);
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    let ended_well = rig.wait().is_ok_and(|status| status.success());
    (verdict == Some(true) && (ended_well || hangs), text)
}

/// A Debian tree with other people's lessors and lessees, made if it is not there yet, or why it cannot be had.
pub fn debian() -> Result<PathBuf, String> {
    tree_of(&mut Command::new(tree_script()))
}

/// As [`debian`], of these packages.
pub fn debian_of(packages: &[&str]) -> Result<PathBuf, String> {
    tree_of(Command::new(tree_script()).arg(packages.join(",")))
}

fn tree_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/others/tree")
}

fn tree_of(script: &mut Command) -> Result<PathBuf, String> {
    let outcome = script.output().map_err(|error| error.to_string())?;
    let (said, complained) =
        (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    if outcome.status.success() {
        return Ok(PathBuf::from(said.trim()));
    }
    let why = format!("{complained}{said}");
    Err(format!("tests/others/tree could not make a Debian tree: {}", why.trim()))
}

/// Where a test inside and outside the rig can write; the same path in both, where the guest sees the host's files.
fn out_folder(test: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(test)
}

/// A number that a test is steered by.
pub fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The numbers that a test may be steered by; nothing else of the environment gets into the rig.
fn settings() -> String {
    let numbers = std::env::vars().filter(|(name, value)| {
        let steers = name.starts_with("LEASEHOLD_FUZZ_")
            || name.starts_with("LEASEHOLD_PACING_")
            || name == "LEASEHOLD_TURNS";
        steers && value.bytes().all(|byte| byte.is_ascii_digit())
    });
    numbers.map(|(name, value)| format!("{name}={value} ")).collect()
}

/// Copies our programs to where a guest with its own files sees them, laid out as they were; where the test's own
/// binary then is.
fn take_along(binary: &Path, out: &Path) -> PathBuf {
    let deps = Path::new("deps").join(binary.file_name().expect("a binary has a name"));
    let profile = profile_folder();
    for program in [Path::new("leasehold"), Path::new("examples/lessee"), &deps] {
        let copy = out.join(program);
        std::fs::create_dir_all(copy.parent().expect("it is in a folder"))
            .expect("the target folder can be written");
        std::fs::copy(profile.join(program), copy)
            .unwrap_or_else(|error| panic!("{}: {error}: run 'cargo build --examples'", program.display()));
    }
    // The rig mounts the output folder under /run in such a guest.
    Path::new("/run").join(out.strip_prefix("/").expect("cargo's paths are absolute")).join(deps)
}

/// The folder with our programs, `target/release` say, or its copy in a guest.
fn profile_folder() -> PathBuf {
    let binary = std::env::current_exe().expect("a test knows its binary");
    binary.ancestors().nth(2).expect("target/PROFILE/deps/TEST").to_path_buf()
}

/// Whether this process is in the rig.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// The rig's own program. Ours makes its kernel where there is none yet.
pub fn program() -> PathBuf {
    let program = from_environment("LEASEHOLD_RIG", "../shared/rig/uml/run");
    let is_named = std::env::var_os("LEASEHOLD_RIG").is_some();
    if is_named || program.exists() { program } else { from_environment("LEASEHOLD_RIG", "tests/rig/run") }
}

/// The folder of headset data: of real ones where it is at hand, else of made-up ones.
pub fn headsets() -> PathBuf {
    let real = from_environment("LEASEHOLD_HEADSETS", "../shared/headsets");
    if real.exists() { real } else { made_up::headsets() }
}

fn from_environment(variable: &str, default: &str) -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join(default);
    std::env::var_os(variable).map_or_else(default, PathBuf::from)
}

/// The `leasehold` program.
pub fn leasehold() -> Command {
    Command::new(profile_folder().join("leasehold"))
}

/// One of the programs in `examples/`.
pub fn example(name: &str) -> Command {
    let path = profile_folder().join("examples").join(name);
    assert!(path.exists(), "{} is not built: run 'cargo build --examples'", path.display());
    Command::new(path)
}

/// A program that prints JSON lines, ended with the test if not before.
pub struct Program {
    child: Child,
    lines: Receiver<Value>,
    orders: Option<ChildStdin>,
}

impl Program {
    /// Starts one that prints no JSON, or none that is of interest.
    pub fn mute(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::null()).spawn().expect("the program starts");
        Self { child, lines: channel().1, orders: None }
    }

    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        let orders = child.stdin.take();
        Self { child, lines, orders }
    }

    /// Writes a line to its input.
    pub fn order(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("its input is a pipe");
        writeln!(orders, "{order}").expect("it reads its input");
    }

    /// The next line it prints.
    pub fn line(&self) -> Value {
        self.lines.recv_timeout(PATIENCE.to_duration()).expect("the program prints a line")
    }

    /// The next line with this `event`; the others before it are passed over.
    pub fn event(&self, event: &str) -> Value {
        loop {
            let line = self.line();
            if line["event"] == event {
                return line;
            }
        }
    }

    /// All lines it has printed and nobody has taken.
    pub fn rest(&self) -> Vec<Value> {
        self.lines.try_iter().collect()
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// How many fds it has open.
    pub fn open_fds(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it runs").count()
    }

    /// Waits until it has that many fds open: what belongs to a client that is gone it closes when it hears of that, which
    /// may be after it has told of the lease's end.
    pub fn settles_at(&self, fds: usize) {
        let what = format!("{fds} fds open, after all else is gone");
        wait_until(&what, || self.open_fds() == fds);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it is a child")
    }

    /// Waits for its end, which is to come within `patience`.
    pub fn ends_within(&mut self, patience: Span) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                return status;
            }
            assert!(Instant::now() - start < patience, "it hangs");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `leasehold serve`, ready and with its first offer made.
pub fn serve(arguments: &[&str]) -> Program {
    let program = Program::start(leasehold().args(["serve", "--json"]).args(arguments));
    assert_eq!(program.line()["event"], "ready");
    assert_eq!(program.line()["event"], "offered");
    program
}

/// Plugs the headset of the rig whose card is vkms in or out.
pub fn plug_vkms(is_in: bool) {
    let state = if is_in { "1" } else { "2" };
    std::fs::write("/sys/kernel/config/vkms/rig/connectors/conn2/status", state).unwrap();
}

/// Keeps all threads of a process on one CPU.
///
/// The rig's kernel cannot be interrupted for tens of milliseconds while it tears a process down; whoever is to be
/// timed then keeps off that process's CPU.
pub fn pin(pid: Pid, cpu: u32) {
    let arguments = ["-a", "-p", "-c", &cpu.to_string(), &pid.to_string()];
    let taskset = || Command::new("taskset").args(arguments).output().expect("taskset is part of util-linux");
    // It fails where a thread ends between its being listed and its being pinned.
    let tries: Vec<_> = (0..10).map(|_| taskset()).take_while(|output| !output.status.success()).collect();
    assert!(tries.len() < 10, "{}", String::from_utf8_lossy(&tries[9].stderr));
}

/// The threads of a process, by id and name.
pub fn threads(process: u32) -> Vec<(String, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs").flatten();
    let named = tasks.filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        Some((task.file_name().to_string_lossy().into_owned(), name.trim().to_string()))
    });
    named.collect()
}

/// Kills a lessee; when that was, when the kernel announced the lease's end, and when the CRTC was seen off.
pub fn kill_and_watch(program: &Program, card: &Card, crtc: CrtcId) -> (Instant, Instant, Instant) {
    let uevents = UeventSocket::open().unwrap();
    let killed = Instant::now();
    program.signal(Signal::SIGKILL);
    let (mut announced, mut dark) = (None, None);
    while announced.is_none() || dark.is_none() {
        assert!(Instant::now() - killed < PATIENCE, "announced {announced:?}, dark {dark:?}");
        if announced.is_none() && uevents.next() == Some(Uevent::Lease) {
            announced = Some(Instant::now());
        }
        // One call where reading ACTIVE takes dozens: a CRTC that is off has no vblank count.
        if dark.is_none() && card.vblank(crtc).is_err_and(|error| error.errno() == Some(Errno::EINVAL)) {
            dark = Some(Instant::now());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    (killed, announced.unwrap(), dark.unwrap())
}

/// Sorts, and prints the middle and the worst.
pub fn report(what: &str, spans: &mut [Span]) {
    spans.sort();
    let (p50, worst) = (spans[spans.len() / 2], spans[spans.len() - 1]);
    say(&format!(
        "{what}: p50 {:.0} us, worst {:.0} us of {}",
        p50.as_us_f64(),
        worst.as_us_f64(),
        spans.len()
    ));
}

/// Prints a line past the test harness's capture, so that figures and skips are seen.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}

/// A picture with all codes and an edge everywhere, for the lens to bend.
pub fn write_picture(path: &Path, seed: u32) {
    let (width, height) = (378u32, 420u32);
    let bytes: Vec<u8> = (0..width * height)
        .flat_map(|index| {
            let (x, y) = (index % width, index / width);
            [
                (x * 255 / width) as u8,
                (y * 255 / height) as u8,
                ((x / 16 + y / 16 + seed) % 2 * 200 + 16) as u8,
            ]
        })
        .collect();
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
}

/// The codes of a PNG.
pub fn decode(path: &Path) -> Vec<u8> {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut bytes).unwrap();
    bytes
}
