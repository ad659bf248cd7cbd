//! What has become of a client's process: how a lessor tells a crash from an orderly exit.
//!
//! The kernel closes a dying process's files after it has noted its exit code and before its parent can reap it
//! (`do_exit`, kernel/exit.c), so when a connection breaks, `/proc/PID/stat` still knows how the process ended. A
//! parent that reaps at once may win that race; then there is no knowing.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

/// A process, told apart from a later one with the same number by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot; `None` if it was gone before anyone asked.
    started_ticks: Option<u64>,
}

/// How a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Alive,
    /// It has ended, with exit code 0.
    Exited,
    /// It was killed by a signal or ended with another exit code.
    Crashed,
    /// It is gone and was reaped; how it ended is not known.
    Gone,
}

impl Process {
    /// The process that has this number now.
    pub fn of(pid: u32) -> Self {
        Self { pid, started_ticks: Stat::read(pid).map(|stat| stat.started_ticks) }
    }

    /// How it stands now.
    pub fn fate(&self) -> Fate {
        match Stat::read(self.pid) {
            Some(stat) if Some(stat.started_ticks) == self.started_ticks => stat.fate(),
            _ => Fate::Gone,
        }
    }

    /// A window on it that costs one system call a look; `None` if it is gone.
    pub fn window(&self) -> Option<Window> {
        let file = File::open(format!("/proc/{}/stat", self.pid)).ok()?;
        let window = Window { file };
        window.stat().filter(|stat| Some(stat.started_ticks) == self.started_ticks).map(|_| window)
    }
}

/// An open `/proc/PID/stat`, which stays this process's whoever gets its number next.
#[derive(Debug)]
pub struct Window {
    file: File,
}

impl Window {
    /// Whether the process was killed, or is writing its core: it will never draw again, though the kernel may take
    /// long to clear its memory away and closes its files only then (`do_exit`, kernel/exit.c: `exit_mm` comes before
    /// `exit_files`). Whether it exits in order cannot be told as early: its first thread may go and leave others.
    pub fn is_dying(&self) -> bool {
        self.stat().is_some_and(|stat| stat.fate() == Fate::Crashed)
    }

    fn stat(&self) -> Option<Stat> {
        let mut text = [0; 1024]; // 52 numbers and a name of 16 bytes
        let length = self.file.read_at(&mut text, 0).ok()?;
        Stat::parse(std::str::from_utf8(&text[..length]).ok()?)
    }
}

/// The fields of `/proc/PID/stat` that matter (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    flags: u32,
    started_ticks: u64,
    /// As of wait(2); the kernel shows 0 to those who may not trace the process.
    exit_code: i32,
}

const EXITING: u32 = 0x4; // PF_EXITING, linux/sched.h
const DUMPING_CORE: u32 = 0x200; // PF_DUMPCORE

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field is the command in parentheses, which may itself hold spaces and parentheses.
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            state: field(3)?.chars().next()?,
            flags: field(9)?.parse().ok()?,
            started_ticks: field(22)?.parse().ok()?,
            exit_code: field(52)?.parse().ok()?,
        })
    }

    fn fate(&self) -> Fate {
        let ended = matches!(self.state, 'Z' | 'X') || self.flags & EXITING != 0;
        match (ended, self.exit_code) {
            _ if self.flags & DUMPING_CORE != 0 => Fate::Crashed,
            (false, _) => Fate::Alive,
            (true, 0) => Fate::Exited,
            (true, _) => Fate::Crashed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn fate_of(command: &str) -> Fate {
        let mut child = Command::new("sh").args(["-c", command]).spawn().unwrap();
        let process = Process::of(child.id());
        while process.fate() == Fate::Alive {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let fate = process.fate();
        child.wait().unwrap();
        assert_eq!(process.fate(), Fate::Gone);
        fate
    }

    #[test]
    fn tells_how_a_process_ended() {
        assert_eq!(Process::of(std::process::id()).fate(), Fate::Alive);
        assert_eq!(fate_of("exit 0"), Fate::Exited);
        assert_eq!(fate_of("exit 3"), Fate::Crashed);
        assert_eq!(fate_of("kill -9 $$"), Fate::Crashed);
    }

    #[test]
    fn a_window_shows_a_kill_and_no_orderly_exit() {
        for (signal, dying) in [("kill -9 $$", true), ("exit 0", false)] {
            let mut child = Command::new("sh")
                .args(["-c", &format!("read line; {signal}")])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let window = Process::of(child.id()).window().unwrap();
            assert!(!window.is_dying());
            drop(child.stdin.take());
            while Process::of(child.id()).fate() == Fate::Alive {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            assert_eq!(window.is_dying(), dying, "{signal}");
            child.wait().unwrap();
            assert!(!window.is_dying(), "there is nothing to see of one that is gone");
        }
        assert!(Process { pid: std::process::id(), started_ticks: Some(1) }.window().is_none());
    }

    #[test]
    fn a_command_with_parentheses_confuses_nobody() {
        let rest = (4..=52).map(|field| field.to_string()).collect::<Vec<_>>().join(" ");
        let stat = Stat::parse(&format!("7 (a) b (c) Z {rest}")).unwrap();
        assert_eq!(stat, Stat { state: 'Z', flags: 9, started_ticks: 22, exit_code: 52 });
        assert_eq!(Stat::parse("7 (a) Z 4"), None);
        assert_eq!(Stat::parse(""), None);
    }
}
