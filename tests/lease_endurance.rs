//! A lessor over a long time: crash after crash, and clients that talk rubbish, leave nothing behind.

mod babbler;
mod rig;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use babbler::{Babbler, Dice};
use leasehold::lease::RequestError;
use leasehold::lease::limits;
use leasehold::lease::request::{Wanted, wayland};
use leasehold::time::{Instant, Span};
use nix::sys::signal::Signal;
use rig::wait::PATIENCE;
use rig::{Program, VIVE, example, inside, leasehold, say};

const SOCKET: &str = "/run/user0/leasehold-0";

/// What a program takes up.
#[derive(Clone, Copy, Debug)]
struct Footprint {
    fds: usize,
    resident_kib: u64,
    /// Open files of the card, all processes' together; a lessee that lives is one.
    card_files: usize,
}

impl Footprint {
    fn of(program: &Program) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).expect("it runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        let resident = resident.trim().trim_end_matches(" kB");
        // The list of lessees is for the master alone (drm_ioctl.c), and that is the program. This one is for root.
        let files = std::fs::read_to_string("/sys/kernel/debug/dri/0/clients").expect("root runs this");
        Self {
            fds: program.open_fds(),
            resident_kib: resident.parse().expect("a number"),
            card_files: files.lines().count() - 1,
        }
    }

    /// The least of some: what it was about to close, or has open for a moment, is not its own.
    fn at_rest(program: &Program) -> Self {
        let look = |_| {
            std::thread::sleep(Duration::from_millis(20));
            Self::of(program)
        };
        (0..10).map(look).min_by_key(|footprint| footprint.fds).expect("there are ten")
    }
}

impl std::fmt::Display for Footprint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { fds, resident_kib, card_files } = self;
        write!(formatter, "{fds} fds, {resident_kib} KiB, {card_files} files of the card")
    }
}

/// `leasehold serve`, with its offer made; it logs errors only, since thousands of lines would be what takes time.
fn serve() -> Program {
    let program = Program::start(leasehold().args(["serve", "--json"]).env("RUST_LOG", "error"));
    program.event("offered");
    program
}

#[test]
fn a_thousand_killed_holders_leave_nothing_behind() {
    inside("a_thousand_killed_holders_leave_nothing_behind", VIVE, || {
        const WARM_UP: usize = 100;
        const KILLS: usize = 1000;
        // The heap grows in steps of this much (M_TOP_PAD, mallopt(3)): one may fall into the test. A leak of 300 bytes
        // a lease makes two.
        const SLACK_KIB: u64 = 132;
        let serve = serve();
        let (start, mut before) = (Instant::now(), Footprint::of(&serve));
        let mut next = Program::start(&mut example("holder"));
        for cycle in 0..KILLS {
            if cycle == WARM_UP {
                before = Footprint::at_rest(&serve);
            }
            // Starting a process is what takes time here, so the next one starts while this one dies.
            let mut holder = std::mem::replace(&mut next, Program::start(&mut example("holder")));
            assert_eq!(holder.line()["waiting"], true);
            holder.signal(Signal::SIGUSR1);
            assert_eq!(holder.line()["connector"], "Virtual-2");
            holder.signal(Signal::SIGKILL);
            assert_eq!(serve.event("ended")["reason"], "crashed", "cycle {cycle}");
            assert_eq!(serve.line()["event"], "offered", "cycle {cycle}");
            holder.wait();
        }
        serve.settles_at(before.fds);
        let after = Footprint::of(&serve);
        let seconds = (Instant::now() - start).as_secs_f64();
        say(&format!(
            "{KILLS} holders killed in {seconds:.0} s: after {WARM_UP}: {before}; at the end: {after}"
        ));
        assert_eq!(after.card_files, 1, "a lessee is left");
        assert!(
            after.resident_kib <= before.resident_kib + SLACK_KIB,
            "memory grows: {before}, then {after}"
        );
    });
}

#[test]
fn rubbish_on_the_socket_harms_nobody_else() {
    inside("rubbish_on_the_socket_harms_nobody_else", VIVE, || {
        // With the one that behaves, short of what a user may have connected.
        const CROWD: usize = limits::CLIENTS_PER_USER - 8;
        let seconds = number("LEASEHOLD_FUZZ_SECONDS").unwrap_or(60);
        let seed = number("LEASEHOLD_FUZZ_SEED").unwrap_or_else(|| Instant::now().as_ns() as u64);
        say(&format!("LEASEHOLD_FUZZ_SEED={seed} LEASEHOLD_FUZZ_SECONDS={seconds}"));
        let mut dice = Dice::new(seed);
        let serve = serve();
        let before = Footprint::at_rest(&serve);
        let mut tally = Tally::default();
        let mut crowd: Vec<Babbler> = Vec::new();
        let end = Instant::now() + Span::from_ms(1000 * seconds as i64);
        while Instant::now() < end {
            if crowd.len() < CROWD && dice.percent(30) {
                crowd.push(Babbler::connect(Path::new(SOCKET), &mut dice).expect("serve accepts"));
                tally.babblers += 1;
            }
            if !crowd.is_empty() {
                let index = dice.below(crowd.len() as u32) as usize;
                tally.said += 1;
                if !crowd[index].babble(&mut dice) || dice.percent(2) {
                    crowd.swap_remove(index);
                }
            }
            if tally.said % 200 == 0 {
                tally.behave();
                tally.listen(&serve);
            }
        }
        drop(crowd);
        let after = settle(&serve, before);
        tally.listen(&serve);
        say(&format!("{tally:?}\nbefore: {before}\nafter: {after}"));
        assert!(tally.granted > 0, "no babbler ever got as far as a lease");
        assert_eq!((after.fds, after.card_files), (before.fds, before.card_files));
        let (_, offers) = wayland::offers(Some(SOCKET), PATIENCE).unwrap();
        assert_eq!(offers, ["Virtual-2"]);
        let lease = wayland::request(Some(SOCKET), &Wanted::Headset, PATIENCE).unwrap();
        assert_eq!(lease.card.connectors().unwrap(), [lease.pipeline.connector]);
        drop(lease);
        serve.event("ended");
    });
}

/// The interface's name in `wl_registry.bind` is a string of length 0, which is to say none at all.
#[test]
fn a_bind_without_an_interface_ends_connections_and_no_lease() {
    inside("a_bind_without_an_interface_ends_connections_and_no_lease", VIVE, || {
        let serve = serve();
        let mut lessee = Program::start(&mut example("bad_lessee"));
        lessee.line();
        serve.event("granted");
        let mut client = UnixStream::connect(SOCKET).unwrap();
        let get_registry = [1, 12 << 16 | 1, 2];
        let bind = [2, 24 << 16, 1, 0, 1, 3];
        let words = get_registry.into_iter().chain(bind);
        client.write_all(&words.flat_map(u32::to_ne_bytes).collect::<Vec<u8>>()).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("the client is dismissed");
        let (_, offers) = wayland::offers(Some(SOCKET), PATIENCE).expect("serve lives");
        assert_eq!(offers, [""; 0], "the lease is not over");
        lessee.signal(Signal::SIGKILL);
        assert_eq!(serve.event("ended")["reason"], "crashed");
        serve.event("offered");
        let (_, offers) = wayland::offers(Some(SOCKET), PATIENCE).expect("serve lives");
        assert_eq!(offers, ["Virtual-2"]);
        lessee.wait();
    });
}

/// Fds that no request asked for stay open in serve for as long as their client does; connections cost one each.
#[test]
fn a_client_that_fills_the_table_of_fds_harms_nobody_else() {
    inside("a_client_that_fills_the_table_of_fds_harms_nobody_else", VIVE, || {
        let serve = serve();
        let before = Footprint::at_rest(&serve);
        let hoard = Babbler::hoard(Path::new(SOCKET), 1100);
        std::thread::sleep(Duration::from_millis(200));
        let with_hoard = Footprint::of(&serve);
        say(&format!("with a client that sent 1100 fds: {with_hoard}"));
        assert!(with_hoard.fds < before.fds + 10);
        wayland::offers(Some(SOCKET), PATIENCE).expect("a good client is served");

        // As if there were no place left all the same.
        let_open(&serve, with_hoard.fds);
        let mut caller = UnixStream::connect(SOCKET).unwrap();
        caller.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let ticks = ticks(&serve);
        assert_eq!(caller.read(&mut [0]).expect("it is turned away"), 0);
        let _patient = UnixStream::connect(SOCKET).unwrap();
        std::thread::sleep(Duration::from_secs(1));
        let busy = self::ticks(&serve) - ticks;
        say(&format!("{busy} of 100 ticks busy in a second"));
        assert!(busy < 20, "serve spins");
        let_open(&serve, 1024);
        wayland::offers(Some(SOCKET), PATIENCE).expect("a good client is served again");
        drop(hoard);
        assert_eq!(settle(&serve, before).fds, before.fds);
    });
}

/// Sets how many fds it may have open.
fn let_open(program: &Program, fds: usize) {
    let limit = format!("--nofile={fds}:");
    let arguments = ["--pid", &program.pid().to_string(), &limit];
    let status = Command::new("prlimit").args(arguments).status().expect("prlimit is part of util-linux");
    assert!(status.success());
}

/// The CPU time it has used, in hundredths of a second (proc_pid_stat(5), fields 14 and 15).
fn ticks(program: &Program) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.pid())).expect("it runs");
    let fields = stat.rsplit(')').next().expect("a name in parentheses").split_ascii_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// Waits until `serve` has seen everyone off; not for ever.
fn settle(serve: &Program, before: Footprint) -> Footprint {
    let start = Instant::now();
    loop {
        let now = Footprint::of(serve);
        if (now.fds, now.card_files) == (before.fds, before.card_files) || Instant::now() - start > PATIENCE {
            return now;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What went on.
#[derive(Debug, Default)]
struct Tally {
    babblers: usize,
    said: usize,
    /// Leases that the server gave out, to anyone.
    granted: usize,
    /// Clients that behaved and were told what is on offer.
    served: usize,
    /// Those among them that got a lease in the crowd.
    leased: usize,
    slowest: Span,
}

impl Tally {
    /// Comes as a good client, who is answered whatever the others do. Only the headset may be taken.
    fn behave(&mut self) {
        let start = Instant::now();
        match wayland::request(Some(SOCKET), &Wanted::Headset, PATIENCE) {
            Ok(lease) => {
                assert_eq!(lease.connector_name, "Virtual-2");
                self.leased += 1;
            }
            Err(
                RequestError::NothingOffered { .. }
                | RequestError::Denied { .. }
                | RequestError::Withdrawn { .. },
            ) => {}
            Err(error) => panic!("a good client was not served: {error}"),
        }
        self.served += 1;
        self.slowest = self.slowest.max(Instant::now() - start);
    }

    fn listen(&mut self, serve: &Program) {
        self.granted += serve.rest().iter().filter(|line| line["event"] == "granted").count();
    }
}
