//! `leasehold serve`: owns a card and leases its headsets out.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Uid, geteuid};

use super::Failure;
use crate::error::Class;
use crate::files::{self, edid_cache};
use crate::kms::{Card, KmsError};
use crate::lease::ledger::Ledger;
use crate::lease::lessor::Pause;
use crate::lease::policy::{Policy, user_named};
use crate::lease::reclaim;
use crate::lease::request::seat;
use crate::lease::server::{Ready, Server};
use crate::lease::service::{Happening, Report, Service, Terms};
use crate::lease::session::Session;
use crate::lease::supervisor::{Supervisor, SupervisorError};
use crate::lease::wire::Wire;
use crate::thread::priority::{Urgency, make_realtime};
use crate::time::{Instant, Span};

/// Own a card as DRM master and lease its headsets out over Wayland; no window system needed
///
/// Runs until SIGTERM or SIGINT, then ends all leases, turns their panels off and gives the card back.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The card [default: the first with a connector]
    #[arg(long, value_name = "PATH")]
    card: Option<PathBuf>,
    /// The Wayland socket's name in $XDG_RUNTIME_DIR
    #[arg(long, value_name = "NAME", default_value = "leasehold-0")]
    socket: String,
    /// Offer this connector even if the kernel does not call it non-desktop; repeatable
    #[arg(long, value_name = "CONNECTOR")]
    offer: Vec<String>,
    /// Who may have a lease, whatever the policy says; repeatable [default: the user that runs this]
    #[arg(long, value_name = "UID|NAME")]
    allow_uid: Vec<String>,
    /// Who may have a lease by user, group, program or systemd unit: a TOML file, see docs/policy.md
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// What a headset shows once its lease has ended
    #[arg(long, value_name = "off|black", default_value = "off")]
    on_end: OnEnd,
    /// End a lease whose holder has shown no new frame for so long
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(50..))]
    watchdog: Option<u32>,
    /// What becomes of leases while another session has the card: the user switches terminals
    ///
    /// Noticed where the card comes from a seat, see docs/lessor.md.
    #[arg(long, value_name = "suspend|revoke", default_value = "suspend")]
    on_pause: OnPause,
    /// Print one JSON object a line for each event
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnEnd {
    Off,
    Black,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnPause {
    Suspend,
    Revoke,
}

/// Serves until a signal ends it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let policy = policy(arguments)?;
    let path = match &arguments.card {
        Some(path) => path.clone(),
        None => first_card()?,
    };
    let mut supervisor = Supervisor::from_environment()?;
    let Estate { card, mut session, ledger } = Estate::take_over(&mut supervisor, &path)?;
    // Before the socket exists, so that no signal comes between the two and leaves the socket behind.
    let signals = ending_signals()?;
    let shared = policy.could_allow_others_than(geteuid());
    let mut server = Server::bind(&arguments.socket, shared)?;
    let wire = Wire::new::<Service>(server.display(), card.clone());
    let terms = Terms {
        offer: arguments.offer.clone(),
        policy,
        on_end: match arguments.on_end {
            OnEnd::Off => reclaim::OnEnd::Off,
            OnEnd::Black => reclaim::OnEnd::Black,
        },
        watchdog: arguments.watchdog.map(|ms| Span::from_ms(ms.into())),
    };
    let mut service = Service::start(card.clone(), wire, terms, Vec::new(), Some(ledger))?;
    publish(&mut service, arguments.json);
    hurry();
    tell(supervisor.ready());
    let on_pause = match arguments.on_pause {
        OnPause::Suspend => Pause::Suspend,
        OnPause::Revoke => Pause::Revoke,
    };
    let mut seat = session.follow(&mut service, on_pause);
    let mut sign_of_life = Instant::now();
    while seat.is_ok()
        && let Some(ready) = wait(&server, &service, &mut session, &signals, supervisor.watchdog_period())?
    {
        seat = session.follow(&mut service, on_pause);
        server.dispatch(&mut service, ready);
        publish(&mut service, arguments.json);
        if let Some(period) = supervisor.watchdog_period()
            && Instant::now() >= sign_of_life
        {
            tell(supervisor.alive());
            // Best given twice as often as it is waited for (sd_watchdog_enabled(3)).
            sign_of_life = Instant::now() + period / 2;
        }
    }
    tell(supervisor.stopping());
    service.shut_down();
    publish(&mut service, arguments.json);
    for name in [CARD, LEDGER] {
        tell(supervisor.forget(name));
    }
    if let Err(error) = session.give_back(&card) {
        tracing::warn!("the card goes back only as it is closed: {error}");
    }
    Ok(seat?)
}

/// What the supervisor keeps for the next lessor, should this one die: the card, which stays master and lessor of its
/// lessees, and who those are.
const CARD: &str = "card";
const LEDGER: &str = "ledger";

/// What a lessor works with, its own or that of one that died.
struct Estate {
    card: Arc<Card>,
    session: Session,
    ledger: Ledger,
}

impl Estate {
    /// Takes over what the supervisor kept; else opens the card and an empty ledger, and gives both to the supervisor to
    /// keep.
    fn take_over(supervisor: &mut Supervisor, path: &Path) -> Result<Self, Failure> {
        let mut kept: BTreeMap<String, OwnedFd> = supervisor.stored().into_iter().collect();
        let inherited = kept.remove(CARD).and_then(|fd| seat::own_again(fd, path));
        let (card, session) = match inherited {
            Some(card) => (card, Session::default()),
            None => Session::own(path)?,
        };
        let ledger = match kept.remove(LEDGER) {
            Some(memory) => Ledger::kept(memory),
            None => Ledger::new()?,
        };
        let estate = Self { card: Arc::new(card), session, ledger };
        // What a seat lends goes back to it with this process.
        let keeping = if estate.session.is_lent() {
            &[][..]
        } else {
            &[(CARD, estate.card.as_fd()), (LEDGER, estate.ledger.as_fd())]
        };
        for &(name, fd) in keeping {
            tell(supervisor.forget(name).and_then(|()| supervisor.store(name, fd)));
        }
        Ok(estate)
    }
}

/// A lessor works without its supervisor, and says that it is alone.
fn tell(told: Result<(), SupervisorError>) {
    if let Err(error) = told {
        tracing::warn!("{error}");
    }
}

/// A lessee runs in real time, and so does its death: a lessor of ordinary priority would watch the frozen panel of a
/// crashed one until the last of it was cleared away.
fn hurry() {
    for refusal in make_realtime(Urgency::Lessor).refusals {
        tracing::debug!("a crashed lessee's panel may go dark late: {refusal}");
    }
}

/// Who may have a lease: whoever the file allows and the users on the command line; this one where neither is given.
fn policy(arguments: &Arguments) -> Result<Policy, Failure> {
    let policy = match &arguments.policy {
        Some(path) => files::read_policy(path)?,
        None if arguments.allow_uid.is_empty() => Policy::only_user(geteuid()),
        None => Policy::default(),
    };
    let users = arguments.allow_uid.iter().map(|name| user(name)).collect::<Result<Vec<_>, _>>()?;
    Ok(users.into_iter().fold(policy, Policy::allow_user))
}

fn user(name: &str) -> Result<Uid, Failure> {
    user_named(name).ok_or_else(|| {
        Failure::config(format!(
            "--allow-uid '{name}' is no user here: give a number or a name 'getent passwd' knows"
        ))
    })
}

/// The first card that has connectors: some only compute.
fn first_card() -> Result<PathBuf, KmsError> {
    let mut refused = KmsError::NoCard;
    for path in Card::paths()? {
        match Card::open(&path).and_then(|card| card.connectors()) {
            Ok(connectors) if !connectors.is_empty() => return Ok(path),
            Ok(_) => {}
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn ending_signals() -> Result<SignalFd, Failure> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.add(Signal::SIGINT);
    let refused =
        |errno: Errno| Failure::new(Class::Bug, format!("could not wait for signals: {}", errno.desc()));
    set.thread_block().map_err(refused)?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(refused)
}

/// Waits for something to do; what there is, or `None` to end.
fn wait(
    server: &Server,
    service: &Service,
    session: &mut Session,
    signals: &SignalFd,
    watchdog_period: Option<Span>,
) -> Result<Option<Ready>, Failure> {
    let mut fds: Vec<PollFd<'_>> = server
        .fds()
        .into_iter()
        .chain(service.fds())
        .chain([signals.as_fd()])
        .chain(session.fd())
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    let left = service.patience().into_iter().chain(watchdog_period.map(|period| period / 4)).min();
    let timeout = left.map_or(PollTimeout::NONE, |left| {
        // A millisecond more than is left, for poll takes none too few.
        PollTimeout::try_from(left.as_ns() / 1_000_000 + 1).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut fds, timeout) {
        Ok(_) => {
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
            let [socket, clients, uevents, deaths, signal, ..] = ready[..] else {
                unreachable!("these five are always asked, a seat where there is one")
            };
            Ok((!signal).then_some(Ready { socket, clients, service: uevents || deaths }))
        }
        Err(Errno::EINTR) => Ok(Some(Ready::default())),
        Err(errno) => Err(Failure::new(Class::Bug, format!("could not wait for events: {}", errno.desc()))),
    }
}

fn publish(service: &mut Service, json: bool) {
    let reports = service.take_reports();
    if reports.iter().any(|report| report.event == Happening::Offered) {
        remember_edids();
    }
    for report in reports {
        tracing::info!("{report}");
        if json {
            print_line(&report);
        }
    }
}

/// How long after an offer the headsets' EDIDs are remembered.
const EDIDS_LATER: Duration = Duration::from_secs(2);

/// Remembers the headsets' EDIDs, so that one is known by name when its EDID no longer answers. Later, and on a thread of
/// ordinary priority: whoever waited for the offer asks for it now. One thread at a time, however often a headset comes back.
fn remember_edids() {
    static WAITING: AtomicBool = AtomicBool::new(false);
    if WAITING.swap(true, Ordering::Relaxed) {
        return;
    }
    let looking = std::thread::Builder::new().name("edids".to_string()).spawn(|| {
        std::thread::sleep(EDIDS_LATER);
        WAITING.store(false, Ordering::Relaxed);
        edid_cache::look_around()
    });
    if let Err(error) = looking {
        WAITING.store(false, Ordering::Relaxed);
        tracing::debug!(%error, "no EDIDs were remembered");
    }
}

/// One line on stdout. Whoever read it may be gone; the leases are not theirs to end.
fn print_line(report: &Report) {
    let written = serde_json::to_string(report)
        .map_err(std::io::Error::from)
        .and_then(|line| writeln!(std::io::stdout(), "{line}"));
    if let Err(error) = written {
        tracing::debug!(%error, "nobody reads the events");
    }
}
