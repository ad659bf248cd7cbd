//! `leasehold serve`: owns a card and leases its headsets out.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Uid, geteuid};

use super::Failure;
use crate::error::Class;
use crate::files;
use crate::kms::{Card, KmsError};
use crate::lease::lessor::Pause;
use crate::lease::policy::{Policy, user_named};
use crate::lease::reclaim;
use crate::lease::server::Server;
use crate::lease::service::{Report, Service, Terms};
use crate::lease::session::{Session, SessionError};
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
    let (card, mut session) = Session::own(&path)?;
    let card = Arc::new(card);
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
    let mut service = Service::start(card.clone(), wire, terms, Vec::new())?;
    publish(&mut service, arguments.json);
    hurry();
    let on_pause = match arguments.on_pause {
        OnPause::Suspend => Pause::Suspend,
        OnPause::Revoke => Pause::Revoke,
    };
    let mut seat: Result<(), SessionError> = session.follow(&mut service, on_pause);
    while seat.is_ok() && !wait(&server, &service, &mut session, &signals)? {
        seat = session.follow(&mut service, on_pause);
        server.dispatch(&mut service);
        publish(&mut service, arguments.json);
    }
    service.shut_down();
    publish(&mut service, arguments.json);
    if let Err(error) = session.give_back(&card) {
        tracing::warn!("the card goes back only as it is closed: {error}");
    }
    Ok(seat?)
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

/// Waits for something to do; whether that is to end.
fn wait(
    server: &Server,
    service: &Service,
    session: &mut Session,
    signals: &SignalFd,
) -> Result<bool, Failure> {
    let mut fds: Vec<PollFd<'_>> = server
        .fds()
        .into_iter()
        .chain(service.fds())
        .chain(session.fd())
        .chain([signals.as_fd()])
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    let timeout = service.deadline().map_or(PollTimeout::NONE, |deadline| {
        // A millisecond more than is left, for poll takes none too few.
        let left_ms = (deadline - Instant::now()).max(Span::ZERO).as_ns() / 1_000_000 + 1;
        PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut fds, timeout) {
        Ok(_) => Ok(fds.last().and_then(PollFd::any).unwrap_or(false)),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(Failure::new(Class::Bug, format!("could not wait for events: {}", errno.desc()))),
    }
}

fn publish(service: &mut Service, json: bool) {
    for report in service.take_reports() {
        tracing::info!("{report}");
        if json {
            print_line(&report);
        }
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
