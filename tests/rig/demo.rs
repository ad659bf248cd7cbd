//! A demo whose lease is tampered with: what it says, what it reports, and what is seen of it from outside.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, SystemTime};

use leasehold::kms::plane::Plane;
use leasehold::kms::{Card, Connector, Pipeline, PlaneId};
use leasehold::lease::request::seat;
use leasehold::time::{Instant, Span};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{self, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use serde_json::Value;

use super::wait::{PATIENCE, wait_until};
use super::{CARD, leasehold, say};

/// Where the last one's report is.
pub const REPORT: &str = "/tmp/report.json";
const ERRORS: &str = "/tmp/demo.err";

/// A demo that runs; killed with the test if it has not ended before.
pub struct Demo {
    child: Child,
}

impl Demo {
    /// Starts one that takes its display `from` there.
    pub fn start(from: &str, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let _ = std::fs::remove_file(REPORT);
        let mut command: Command = leasehold();
        command.args(["demo", "--from", from, "--scene", "flat:80", "--report", REPORT]).args(more);
        command.env_remove("WAYLAND_DISPLAY").env_remove("DISPLAY").envs(environment.iter().copied());
        command.stdout(File::create("/tmp/demo.out").unwrap()).stderr(File::create(ERRORS).unwrap());
        Self { child: command.spawn().unwrap() }
    }

    /// Waits for its end. Asleep: who looked again and again would take the CPU that it ends on.
    pub fn wait(&mut self) -> ExitStatus {
        let process = process::Pid::from_raw(self.pid().as_raw()).expect("it has a number");
        let process = pidfd_open(process, PidfdFlags::empty()).unwrap();
        let patience = PollTimeout::try_from(PATIENCE.to_duration()).unwrap();
        let ended = poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], patience).unwrap();
        assert_eq!(ended, 1, "it hangs");
        self.child.wait().unwrap()
    }

    /// How long after that it said its last word: what it needs itself, before the kernel frees all that was its. To a
    /// tick of the kernel's clock, 10 ms in the rig.
    pub fn last_word(&self, since: SystemTime) -> Span {
        let said = std::fs::metadata(ERRORS).and_then(|file| file.modified()).expect("it has said something");
        Span::from_secs_f64(said.duration_since(since).unwrap_or_default().as_secs_f64())
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// What it said of its lease so far, a line each: what became of it is told as it happens.
    pub fn lines_said(&self) -> Vec<String> {
        let words = ["suspended: ", "resumed", "lost: ", "taken again"];
        let about = |line: &&str| words.iter().any(|word| line.contains(&format!("Virtual-2: {word}")));
        errors().lines().filter(about).map(str::to_string).collect()
    }

    /// How often it said that its lease is lost.
    pub fn losses_said(&self) -> usize {
        self.lines_said().iter().filter(|line| line.contains("lost: ")).count()
    }

    /// Waits until it has said so more often than that.
    pub fn loses_more_than(&self, count: usize) {
        wait_until("its lease is lost", || self.losses_said() > count);
    }

    /// Asks it to end.
    pub fn stop(&mut self) -> ExitStatus {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        self.wait()
    }

    /// The CPU time of all its threads so far.
    pub fn cpu(&self) -> Span {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        // utime and stime, fields 14 and 15 of proc_pid_stat(5), in hundredths of a second (USER_HZ).
        let ticks: i64 = fields[11..13].iter().map(|field| field.parse::<i64>().unwrap()).sum();
        Span::from_ms(10) * ticks
    }

    /// Holds it to no more than half a CPU while it has nothing to do. A second is enough where the machine is calm; the
    /// kernel counts by its clock's ticks, and takes those for the demo's in which the machine did something else.
    pub fn rests(&self) {
        let spent = || {
            let before = self.cpu();
            std::thread::sleep(Duration::from_millis(1000));
            self.cpu() - before
        };
        let least = (0..5).map(|_| spent()).find(|&spent| spent <= Span::from_ms(500));
        assert!(least.is_some(), "it spins: five times more than half a CPU");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            say(&format!("the demo said: {}", errors()));
        }
    }
}

/// What it has said so far.
pub fn errors() -> String {
    std::fs::read_to_string(ERRORS).unwrap_or_default()
}

/// What became of the lease, by the report: each event's name, its reason and when it was noticed.
pub fn events() -> Vec<(String, String, Instant)> {
    let text = std::fs::read_to_string(REPORT).unwrap_or_else(|error| panic!("{error}: {}", errors()));
    let report: Value = serde_json::from_str(&text).unwrap();
    let events = report["lease"]["events"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    events
        .map(|event| {
            (text(&event["event"]), text(&event["why"]), Instant::from_ns(event["at_ns"].as_i64().unwrap()))
        })
        .collect()
}

/// Looks at the headset's plane from outside.
pub struct Watcher {
    card: Card,
    plane: PlaneId,
}

impl Watcher {
    /// Opens the card, without keeping it from anyone.
    pub fn new() -> Self {
        let (card, _) = seat::look(Path::new(CARD)).unwrap();
        card.enable_atomic().unwrap();
        let all = card.connectors().unwrap().into_iter().map(|id| Connector::read(&card, id, false).unwrap());
        let headset = all.into_iter().find(|connector| connector.name == "Virtual-2").unwrap();
        let plane = Pipeline::find(&card, &headset, |_| false).unwrap().primary;
        Self { card, plane }
    }

    /// How many pictures come on within `span`.
    pub fn flips_in(&self, span: Span) -> usize {
        self.count(|_, passed| passed >= span)
    }

    /// Waits until pictures come on.
    pub fn presenting(&self) {
        self.count(|flips, passed| {
            assert!(passed < PATIENCE, "nothing is shown");
            flips >= 2
        });
    }

    /// How many pictures come on until that is enough of them, or of time.
    fn count(&self, is_enough: impl Fn(usize, Span) -> bool) -> usize {
        let (start, mut last, mut flips) = (Instant::now(), None, 0);
        while !is_enough(flips, Instant::now() - start) {
            let shown = Plane::shown(&self.card, self.plane).unwrap();
            flips += usize::from(shown.is_some() && last.is_some() && shown != last);
            last = shown;
            std::thread::sleep(Duration::from_millis(2));
        }
        flips
    }
}

/// A process's card, by a copy of the open file that it is master of.
pub fn master_card(pid: Pid) -> Card {
    let folder = format!("/proc/{pid}/fd");
    let process = rustix::process::Pid::from_raw(pid.as_raw()).unwrap();
    let process = pidfd_open(process, PidfdFlags::empty()).unwrap();
    let entries = std::fs::read_dir(&folder).unwrap();
    let numbers = entries
        .filter_map(|entry| entry.unwrap().file_name().to_str().and_then(|number| number.parse().ok()));
    let cards = numbers
        .filter(|number: &i32| {
            std::fs::read_link(format!("{folder}/{number}")).is_ok_and(|to| to == Path::new(CARD))
        })
        .filter_map(|number| pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok());
    cards.map(|fd| Card::shared(fd, "a master's card")).find(Card::is_master).expect("it is a master")
}
