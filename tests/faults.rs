//! The fault table: whatever becomes of a lessee, its panel goes dark, the lease is gone, the headset is offered again,
//! and the desktop has not noticed.

mod rig;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use leasehold::kms::plane::Plane;
use leasehold::kms::uevent::UeventSocket;
use leasehold::kms::{Card, CrtcId, PlaneId};
use leasehold::lease::process::{Fate, Process};
use leasehold::thread::priority::{Urgency, make_realtime};
use leasehold::time::{Instant, Span};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rig::desktop::Desktop;
use rig::supervisor::Supervisor;
use rig::wait::{PATIENCE, wait_until};
use rig::{CARD, Program, TINY, example, inside, pin, say, serve};
use serde_json::Value;

const ROUNDS: usize = 20;
/// Vblanks from the notice to the dark panel; and, where the holder lives, what no change may make worse than.
const GOAL: i64 = 2;
const CEILING: i64 = 8;
const WATCHDOG: Span = Span::from_ms(1000);
/// Of 480x270 at 90.015 Hz.
const PERIOD: Span = Span::from_ns(11_109_312);

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Segfault,
    Core,
    Stop,
    Exit,
    HangUp,
    Orphan,
    Unplug,
    Deaf,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::Kill,
        Self::Segfault,
        Self::Core,
        Self::Stop,
        Self::Exit,
        Self::HangUp,
        Self::Orphan,
        Self::Unplug,
        Self::Deaf,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Segfault => "SIGSEGV",
            Self::Core => "SIGSEGV, its core takes 1 s to write",
            Self::Stop => "SIGSTOP, watchdog of 1 s",
            Self::Exit => "exit without destroying the lease",
            Self::HangUp => "socket closed, lease fd kept",
            Self::Orphan => "exit, a child keeps socket and lease fd",
            Self::Unplug => "unplugged while lit",
            Self::Deaf => "SIGKILL beside a client that never reads",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Kill | Self::Segfault | Self::Core | Self::Deaf => "crashed",
            Self::Stop => "hung",
            Self::Exit | Self::HangUp | Self::Orphan => "exited",
            Self::Unplug => "unplugged",
        }
    }

    fn leaves_holder_alive(self) -> bool {
        matches!(self, Self::Core | Self::Stop | Self::HangUp | Self::Orphan | Self::Unplug)
    }

    /// Whether the kernel says so itself, in a uevent; else the lessor has to find out.
    fn is_announced(self) -> bool {
        !matches!(self, Self::Core | Self::Stop | Self::HangUp | Self::Orphan)
    }

    fn strike(self, lessee: &mut Program) {
        match self {
            Self::Kill | Self::Deaf => lessee.signal(Signal::SIGKILL),
            Self::Segfault | Self::Core => {
                // The standard library's handler takes the first for a full stack, and steps aside.
                while Process::of(lessee.pid().as_raw() as u32).fate() == Fate::Alive {
                    lessee.signal(Signal::SIGSEGV);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            }
            Self::Stop => lessee.signal(Signal::SIGSTOP),
            Self::Exit => lessee.order("exit"),
            Self::HangUp => lessee.order("hang-up"),
            Self::Orphan => lessee.order("orphan"),
            Self::Unplug => plug(false),
        }
    }
}

fn plug(inside: bool) {
    let state = if inside { "1" } else { "2" };
    std::fs::write("/sys/kernel/config/vkms/rig/connectors/conn2/status", state).unwrap();
}

/// How long each step of an end took, in rounds in which the machine had time for them.
#[derive(Default)]
struct Times {
    from_strike: Vec<Span>,
    from_notice: Vec<Span>,
    to_offer: Vec<Span>,
    rounds: usize,
}

impl Times {
    fn more_are_wanted(&self) -> bool {
        self.from_strike.len() < ROUNDS && self.rounds < 2 * ROUNDS
    }

    /// Takes note of a round; one in which the machine itself stood still says nothing of the lessor.
    fn add(&mut self, watched: &Watched, notice: Instant, struck: Instant, offered: Instant) {
        self.rounds += 1;
        if !watched.stood_still {
            self.from_strike.push(watched.off - struck);
            self.from_notice.push((watched.off - notice).max(Span::ZERO));
            self.to_offer.push(offered - struck);
        }
    }

    /// Prints the fault's line of the table, and whether even the worst round kept the bound: from the notice to the dark
    /// panel or, of an `untold` fault, from the fault itself.
    fn keep(&mut self, fault: &str, on_end: &str, untold: bool, bound: Span) -> bool {
        let (count, rounds) = (self.from_strike.len(), self.rounds);
        if count < ROUNDS / 2 {
            let line = format!(
                "{fault:42} | {on_end:6} | NOT TIMED: the machine stood still in most of {rounds} rounds"
            );
            say(&line);
            return true;
        }
        let column = |spans: &mut Vec<Span>| {
            spans.sort();
            let ms = |span: Span| span.as_us_f64() / 1e3;
            format!("{:6.1}, worst {:6.1}", ms(spans[count / 2]), ms(spans[count - 1]))
        };
        let columns = [&mut self.from_strike, &mut self.from_notice, &mut self.to_offer].map(column);
        say(&format!("{fault:42} | {on_end:6} | {} ms, {count} of {rounds}", columns.join(" | ")));
        let worst = if untold { self.from_strike[count - 1] } else { self.from_notice[count - 1] };
        if !untold && worst > PERIOD * GOAL {
            let vblanks = worst.as_us_f64() / PERIOD.as_us_f64();
            say(&format!("SHORT OF THE GOAL: {vblanks:.1} vblanks, and {GOAL} is the goal"));
        }
        worst <= bound
    }
}

/// Goes through one fault's rounds, and once more where the bound was not kept: the witness sees one CPU stand still, and
/// a machine may take away the other.
fn judge(fault: &str, on_end: &str, untold: bool, bound: Span, mut round: impl FnMut(&mut Times)) {
    const TRIES: usize = 3;
    let kept = (0..TRIES).any(|_| {
        let mut times = Times::default();
        while times.more_are_wanted() {
            round(&mut times);
        }
        times.keep(fault, on_end, untold, bound)
    });
    assert!(kept, "{fault}: not dark within {} us in any of {TRIES} tries", bound.as_us_f64());
}

/// Has cores written to a program that does not read them.
struct SlowCore(String);

const CORE_PATTERN: &str = "/proc/sys/kernel/core_pattern"; // core(5)

impl SlowCore {
    fn begin() -> Self {
        let before = std::fs::read_to_string(CORE_PATTERN).unwrap();
        std::fs::write(CORE_PATTERN, "|/bin/sleep 1").unwrap();
        Self(before)
    }
}

impl Drop for SlowCore {
    fn drop(&mut self) {
        std::fs::write(CORE_PATTERN, &self.0).unwrap();
    }
}

#[test]
fn every_fault_ends_in_a_dark_panel_that_is_offered_again() {
    inside("every_fault_ends_in_a_dark_panel_that_is_offered_again", TINY, || {
        let desktop = Desktop::light();
        let before = desktop.state();
        pin(Pid::this(), 0);
        make_realtime(Urgency::Lessor); // the watch is not to be late itself
        let witness = Witness::start();
        say(
            "fault                                      | on end | from the fault    | from its notice   | to the next offer",
        );
        for on_end in ["off", "black"] {
            let serve = serve(&["--watchdog", "1000", "--on-end", on_end]);
            pin(serve.pid(), 0);
            let fds = serve.open_fds();
            for fault in Fault::ALL {
                let _deaf = (fault == Fault::Deaf).then(deaf_client);
                let _core = (fault == Fault::Core).then(SlowCore::begin);
                let bound = match fault {
                    // Nobody is told of these.
                    Fault::Stop => WATCHDOG * 5 / 4,
                    Fault::Core => Span::from_ms(500),
                    _ if fault.leaves_holder_alive() => PERIOD * CEILING,
                    _ => PERIOD * GOAL,
                };
                let untold = matches!(fault, Fault::Stop | Fault::Core);
                judge(fault.name(), on_end, untold, bound, |times| {
                    round(fault, on_end, &serve, (&desktop.card, &witness), times);
                    assert_eq!(desktop.state(), before, "{fault:?} changed the desktop");
                });
            }
            std::thread::sleep(std::time::Duration::from_secs(3)); // the orphans' children end
            serve.settles_at(fds);
        }
    });
}

/// What becomes of the lessor itself. The lessee knows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LessorFault {
    /// Killed; another follows it, to which the lessee's death is left.
    Kill,
    /// Asked to end.
    Terminate,
}

impl LessorFault {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "lessor SIGKILL, restart, lessee SIGKILL",
            Self::Terminate => "lessor SIGTERM",
        }
    }
}

#[test]
fn a_lessor_that_ends_leaves_no_panel_lit_and_no_lease_unwatched() {
    inside("a_lessor_that_ends_leaves_no_panel_lit_and_no_lease_unwatched", TINY, || {
        let desktop = Desktop::light();
        let before = desktop.state();
        pin(Pid::this(), 0);
        make_realtime(Urgency::Lessor);
        let witness = Witness::start();
        let mut supervisor = Supervisor::new();
        for on_end in ["off", "black"] {
            let first = supervisor.start(&["--on-end", on_end]);
            first.event("offered");
            let mut serve = Some(first);
            for fault in [LessorFault::Kill, LessorFault::Terminate] {
                // A lessor that ends turns a living lessee's panel off.
                let bound = PERIOD * if fault == LessorFault::Terminate { CEILING } else { GOAL };
                judge(fault.name(), on_end, false, bound, |times| {
                    let (card, running) = (&desktop.card, serve.take().expect("one always runs"));
                    let next = lessor_round(fault, on_end, running, &mut supervisor, (card, &witness), times);
                    serve = Some(next);
                    assert_eq!(desktop.state(), before, "{fault:?} changed the desktop");
                });
            }
            let mut last = serve.expect("one always runs");
            last.signal(Signal::SIGTERM);
            assert!(last.wait().success());
            supervisor.hear_until("FDSTOREREMOVE=1");
            supervisor.hear_until("FDSTOREREMOVE=1");
        }
    });
}

/// The lessor that is at work after it.
fn lessor_round(
    fault: LessorFault,
    on_end: &str,
    mut serve: Program,
    supervisor: &mut Supervisor,
    (card, witness): (&Card, &Witness),
    times: &mut Times,
) -> Program {
    // One that ends by itself is not to keep the watch from looking while it does.
    pin(serve.pid(), if fault == LessorFault::Terminate { 1 } else { 0 });
    let (mut lessee, crtc, plane) = lit_lessee();
    let granted = serve.event("granted");
    std::thread::sleep(std::time::Duration::from_millis(40));
    assert!(!dark(card, crtc, plane, on_end), "{fault:?}: it never was lit");

    let uevents = UeventSocket::open().unwrap();
    let (struck, watched);
    if fault == LessorFault::Kill {
        serve.signal(Signal::SIGKILL);
        serve.wait();
        assert_eq!(supervisor.kept(), 2, "the card and the ledger");
        serve = supervisor.start(&["--on-end", on_end]);
        pin(serve.pid(), 0);
        let adopted = serve.event("granted");
        assert_eq!(adopted["reason"], "adopted");
        assert_eq!([&adopted["lessee"], &adopted["pid"]], [&granted["lessee"], &granted["pid"]]);
        let shown = Plane::shown(card, plane).unwrap();
        wait_until("the lessee goes on flipping", || Plane::shown(card, plane).unwrap() != shown);
        struck = Instant::now();
        lessee.signal(Signal::SIGKILL);
        watched = watch(&uevents, witness, struck, || dark(card, crtc, plane, on_end));
        let ended = serve.event("ended");
        assert_eq!(ended["reason"], "crashed", "{ended}");
        assert_eq!(ended["lessee"], granted["lessee"]);
    } else {
        struck = Instant::now();
        serve.signal(Signal::SIGTERM);
        // Off even where black is held: what shows the black goes with the lessor.
        watched = watch(&uevents, witness, struck, || dark(card, crtc, plane, "off"));
        assert_eq!(serve.event("ended")["reason"], "shutdown");
        assert!(serve.wait().success());
        supervisor.hear_until("FDSTOREREMOVE=1");
        supervisor.hear_until("FDSTOREREMOVE=1");
        assert_eq!(supervisor.kept(), 0, "the card is given back");
        let free = Card::open(Path::new(CARD)).unwrap();
        assert!(free.is_master(), "the card is not free");
        assert_eq!(free.lessees().unwrap(), []);
        drop(free);
        serve = supervisor.start(&["--on-end", on_end]);
    }
    let offered = serve.event("offered");
    let notice = match fault {
        LessorFault::Kill => watched.announced.unwrap_or(watched.off),
        LessorFault::Terminate => struck,
    };
    times.add(&watched, notice, struck, at(&offered));
    lessee.signal(Signal::SIGKILL);
    lessee.wait();
    serve
}

/// A lessee out of the lessor's way, and the CRTC and the plane that it has lit.
fn lit_lessee() -> (Program, CrtcId, PlaneId) {
    let lessee = Program::start(&mut example("bad_lessee"));
    pin(lessee.pid(), 1);
    let lit = lessee.line();
    let id = |name: &str| lit[name].as_u64().unwrap() as u32;
    let (crtc, plane) = (CrtcId::new(id("crtc")).unwrap(), PlaneId::new(id("plane")).unwrap());
    (lessee, crtc, plane)
}

/// When an event was, as the lessor tells it.
fn at(event: &Value) -> Instant {
    Instant::from_ns(event["at_ns"].as_i64().unwrap())
}

/// What was seen of an end.
struct Watched {
    /// When the kernel announced anything, if it did before the panel was dark.
    announced: Option<Instant>,
    off: Instant,
    /// Whether the machine stood still meanwhile.
    stood_still: bool,
}

/// Knows when the machine stood still, which nobody in it can help: a thread in real time that sleeps a millisecond at a
/// time, on the lessor's CPU.
struct Witness {
    last_still: Arc<AtomicI64>,
}

impl Witness {
    /// So late nobody else makes it: the lessor needs the CPU for less in one go.
    const STILL: Span = Span::from_ms(6);

    fn start() -> Self {
        let last_still = Arc::new(AtomicI64::new(0));
        let note = last_still.clone();
        std::thread::spawn(move || {
            make_realtime(Urgency::Lessor);
            let mut before = Instant::now();
            loop {
                std::thread::sleep(std::time::Duration::from_millis(1));
                let now = Instant::now();
                if now - before > Self::STILL {
                    note.store(now.as_ns(), Ordering::Relaxed);
                }
                before = now;
            }
        });
        Self { last_still }
    }

    fn stood_still_since(&self, start: Instant) -> bool {
        self.last_still.load(Ordering::Relaxed) > start.as_ns()
    }
}

/// Waits for darkness.
fn watch(uevents: &UeventSocket, witness: &Witness, struck: Instant, dark: impl Fn() -> bool) -> Watched {
    let mut announced = None;
    loop {
        assert!(Instant::now() - struck < PATIENCE, "it stays lit");
        if announced.is_none() && uevents.next().is_some() {
            announced = Some(Instant::now());
        }
        if dark() {
            let off = Instant::now();
            // The witness is to have looked, too.
            std::thread::sleep(std::time::Duration::from_millis(5));
            return Watched { announced, off, stood_still: witness.stood_still_since(struck) };
        }
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
}

fn round(fault: Fault, on_end: &str, serve: &Program, (card, witness): (&Card, &Witness), times: &mut Times) {
    let begun = Instant::now();
    let (mut lessee, crtc, plane) = lit_lessee();
    let granted = serve.event("granted");
    std::thread::sleep(std::time::Duration::from_millis(40));
    assert!(!dark(card, crtc, plane, on_end), "{fault:?}: it never was lit");

    let uevents = UeventSocket::open().unwrap();
    let struck = Instant::now();
    fault.strike(&mut lessee);
    let mut watched = watch(&uevents, witness, struck, || dark(card, crtc, plane, on_end));
    let ended = serve.event("ended");
    if ended["reason"] == "hung" && witness.stood_still_since(begun) {
        // Where the machine stood still, so did the lessee, and the watchdog may have come first.
        watched.stood_still = true;
    } else {
        assert_eq!(ended["reason"], fault.reason(), "{fault:?}: {ended}");
    }
    assert_eq!(ended["lessee"], granted["lessee"]);
    assert!(ended["revoked_us"].as_f64().unwrap() <= ended["blanked_us"].as_f64().unwrap(), "{ended}");
    if fault == Fault::Unplug {
        plug(true);
    }
    let offered = serve.event("offered");
    // The watch sees for itself that it goes dark, but it shares a CPU with what dies; the lessor's commit returned then.
    let blanked = Span::from_secs_f64(ended["blanked_us"].as_f64().unwrap() / 1e6);
    watched.off = watched.off.min(at(&ended) + blanked);
    // Dark before the kernel said anything is none too late.
    let notice = if fault.is_announced() { watched.announced.unwrap_or(watched.off) } else { at(&ended) };
    times.add(&watched, notice, struck, at(&offered));
    assert!(card.vblank(crtc).is_err() == (on_end == "off") || fault == Fault::Unplug, "{fault:?}");
    lessee.signal(Signal::SIGKILL);
    lessee.wait();
}

/// Whether nothing is shown: the CRTC is off, or on and without a picture.
fn dark(card: &Card, crtc: CrtcId, plane: PlaneId, on_end: &str) -> bool {
    // A CRTC that is off has no vblank count.
    let is_off = || card.vblank(crtc).is_err_and(|error| error.errno() == Some(Errno::EINVAL));
    match on_end {
        "black" => Plane::shown(card, plane).unwrap().is_none() || is_off(),
        _ => is_off(),
    }
}

/// Asks for more than fits any buffer and reads none of it.
fn deaf_client() -> std::os::unix::net::UnixStream {
    use std::io::Write;
    let mut stream = std::os::unix::net::UnixStream::connect("/run/user0/leasehold-0").unwrap();
    stream.set_nonblocking(true).unwrap();
    // wl_display.sync with ever new ids: object 1, opcode 0, 12 bytes.
    for id in 2u32..20_000 {
        let message = [1u32, 12 << 16, id].map(u32::to_ne_bytes).concat();
        if stream.write_all(&message).is_err() {
            break;
        }
    }
    stream
}
