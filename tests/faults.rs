//! The fault table: whatever becomes of a lessee, its panel goes dark, the lease is gone, the headset is offered again,
//! and the desktop has not noticed.

mod rig;

use leasehold::kms::plane::Plane;
use leasehold::kms::uevent::UeventSocket;
use leasehold::kms::{Card, CrtcId, PlaneId};
use leasehold::thread::priority::{Urgency, make_realtime};
use leasehold::time::{Instant, Span};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rig::desktop::Desktop;
use rig::{Program, TINY, example, inside, pin, say, serve};

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
    Stop,
    Exit,
    HangUp,
    Orphan,
    Unplug,
    Deaf,
}

impl Fault {
    const ALL: [Self; 8] = [
        Self::Kill,
        Self::Segfault,
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
            Self::Kill | Self::Segfault | Self::Deaf => "crashed",
            Self::Stop => "hung",
            Self::Exit | Self::HangUp | Self::Orphan => "exited",
            Self::Unplug => "unplugged",
        }
    }

    fn leaves_holder_alive(self) -> bool {
        matches!(self, Self::Stop | Self::HangUp | Self::Unplug)
    }

    /// Whether the kernel says so itself, in a uevent; else the lessor has to find out.
    fn is_announced(self) -> bool {
        !matches!(self, Self::Stop | Self::HangUp | Self::Orphan)
    }

    fn strike(self, lessee: &mut Program) {
        match self {
            Self::Kill | Self::Deaf => lessee.signal(Signal::SIGKILL),
            Self::Segfault => {
                // The standard library's handler takes the first for a full stack, and steps aside.
                lessee.signal(Signal::SIGSEGV);
                std::thread::sleep(std::time::Duration::from_millis(5));
                lessee.signal(Signal::SIGSEGV);
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

/// How long each step of an end took.
#[derive(Default)]
struct Times {
    from_strike: Vec<Span>,
    from_notice: Vec<Span>,
    to_offer: Vec<Span>,
}

#[test]
fn every_fault_ends_in_a_dark_panel_that_is_offered_again() {
    inside("every_fault_ends_in_a_dark_panel_that_is_offered_again", TINY, || {
        let desktop = Desktop::light();
        let before = desktop.state();
        pin(Pid::this(), 0);
        make_realtime(Urgency::Lessor); // the watch is not to be late itself
        say(
            "fault                                      | on end | from the fault    | from its notice   | to the next offer",
        );
        for on_end in ["off", "black"] {
            let serve = serve(&["--watchdog", "1000", "--on-end", on_end]);
            pin(serve.pid(), 0);
            let fds = serve.open_fds();
            for fault in Fault::ALL {
                let _deaf = (fault == Fault::Deaf).then(deaf_client);
                let mut times = Times::default();
                for _ in 0..ROUNDS {
                    round(fault, on_end, &serve, &desktop.card, &mut times);
                    assert_eq!(desktop.state(), before, "{fault:?} changed the desktop");
                }
                print(fault, on_end, &mut times);
                if fault == Fault::Stop {
                    // Nobody is told of this one.
                    let worst = times.from_strike[ROUNDS - 1];
                    assert!(worst <= WATCHDOG * 5 / 4, "{fault:?}: dark {} us after it", worst.as_us_f64());
                } else {
                    let worst = times.from_notice[ROUNDS - 1];
                    if worst > PERIOD * GOAL {
                        let vblanks = worst.as_us_f64() / PERIOD.as_us_f64();
                        say(&format!("SHORT OF THE GOAL: {vblanks:.1} vblanks, and {GOAL} is the goal"));
                    }
                    // A holder that lives has a flip under way, which the kernel lets come on first.
                    let bound = PERIOD * if fault.leaves_holder_alive() { CEILING } else { GOAL };
                    assert!(worst <= bound, "{fault:?}: dark {} us after the notice", worst.as_us_f64());
                }
            }
            std::thread::sleep(std::time::Duration::from_secs(3)); // the orphans' children end
            assert_eq!(serve.open_fds(), fds, "serve keeps fds of leases that are over");
        }
    });
}

fn round(fault: Fault, on_end: &str, serve: &Program, card: &Card, times: &mut Times) {
    let mut lessee = Program::start(&mut example("bad_lessee"));
    pin(lessee.pid(), 1);
    let lit = lessee.line();
    let crtc = CrtcId::new(lit["crtc"].as_u64().unwrap() as u32).unwrap();
    let plane = PlaneId::new(lit["plane"].as_u64().unwrap() as u32).unwrap();
    let granted = serve.event("granted");
    std::thread::sleep(std::time::Duration::from_millis(40));
    assert!(!dark(card, crtc, plane, on_end), "{fault:?}: it never was lit");

    let uevents = UeventSocket::open().unwrap();
    let struck = Instant::now();
    fault.strike(&mut lessee);
    let (mut announced, mut off) = (None, None);
    while off.is_none() {
        assert!(Instant::now() - struck < Span::from_ms(5000), "{fault:?}: lit after 5 s");
        if announced.is_none() && uevents.next().is_some() {
            announced = Some(Instant::now());
        }
        if dark(card, crtc, plane, on_end) {
            off = Some(Instant::now());
        }
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    let ended = serve.event("ended");
    assert_eq!(ended["reason"], fault.reason(), "{fault:?}: {ended}");
    assert_eq!(ended["lessee"], granted["lessee"]);
    assert!(ended["revoked_us"].as_f64().unwrap() <= ended["blanked_us"].as_f64().unwrap(), "{ended}");
    if fault == Fault::Unplug {
        plug(true);
    }
    let offered = serve.event("offered");
    let noticed = Instant::from_ns(ended["at_ns"].as_i64().unwrap());
    // The watch sees for itself that it goes dark, but it shares a CPU with what dies; the lessor's commit returned then.
    let off_at = off.unwrap().min(noticed + Span::from_secs_f64(ended["blanked_us"].as_f64().unwrap() / 1e6));
    // Dark before the kernel said anything is none too late.
    let notice = if fault.is_announced() { announced.unwrap_or(off_at) } else { noticed };
    let (off, offered) = (off_at, Instant::from_ns(offered["at_ns"].as_i64().unwrap()));
    times.from_strike.push(off - struck);
    times.from_notice.push((off - notice).max(Span::ZERO));
    times.to_offer.push(offered - struck);
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

fn print(fault: Fault, on_end: &str, times: &mut Times) {
    let mut column = |spans: &mut Vec<Span>| {
        spans.sort();
        let ms = |span: Span| span.as_us_f64() / 1e3;
        format!("{:6.1}, worst {:6.1}", ms(spans[ROUNDS / 2]), ms(spans[ROUNDS - 1]))
    };
    let columns = [&mut times.from_strike, &mut times.from_notice, &mut times.to_offer].map(&mut column);
    say(&format!("{:42} | {on_end:6} | {} ms", fault.name(), columns.join(" | ")));
}
