//! A lessor that fits into any event loop: one fd to poll, one call when it can be read.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_int};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::Duration;

use leasehold::kms::ids::ObjectId;
use leasehold::kms::{Card, ConnectorId};
use leasehold::lease::lessor::Pause;
use leasehold::lease::policy::Policy;
use leasehold::lease::server::{Ready, Server};
use leasehold::lease::service::{Report, Service, Terms};
use leasehold::lease::wire::Wire;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::geteuid;

use crate::borrowed;
use crate::event::Event;
use crate::fault::note;

/// A card whose headsets are for lease.
pub struct Lessor {
    card: Arc<Card>,
    server: Server,
    service: Service,
    /// Readable when there is something to do: all fds below it, and the alarm.
    epoll: Epoll,
    /// Rings where the lessor has to act although nothing can be read.
    alarm: TimerFd,
    reports: VecDeque<Report>,
}

/// What can be read, as epoll hands it back.
const SOCKET: u64 = 0;
const CLIENTS: u64 = 1;
const SERVICE: u64 = 2;
const ALARM: u64 = 3;

impl Lessor {
    fn open(card: Card, socket: &str, kept: &[u32], policy: Option<&str>) -> Result<Self, String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let policy = match policy {
            Some(text) => Policy::parse(text).map_err(|error| said(&error))?,
            None => Policy::only_user(geteuid()),
        };
        card.enable_atomic().map_err(|error| said(&error))?;
        let card = Arc::new(card);
        let kept = objects(&card, kept)?;
        let server =
            Server::bind(socket, policy.could_allow_others_than(geteuid())).map_err(|error| said(&error))?;
        let wire = Wire::new::<Service>(server.display(), card.clone());
        let terms = Terms { policy, ..Terms::default() };
        let service = Service::start(card.clone(), wire, terms, kept, None).map_err(|error| said(&error))?;
        Self::embed(card, server, service).map_err(|errno| format!("could not make an epoll fd: {errno}"))
    }

    fn embed(card: Arc<Card>, server: Server, service: Service) -> Result<Self, Errno> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let alarm =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        let [socket, clients] = server.fds();
        for (fd, what) in [(socket, SOCKET), (clients, CLIENTS), (alarm.as_fd(), ALARM)]
            .into_iter()
            .chain(service.fds().map(|fd| (fd, SERVICE)))
        {
            epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, what))?;
        }
        let mut lessor = Self { card, server, service, epoll, alarm, reports: VecDeque::new() };
        lessor.settle()?;
        Ok(lessor)
    }

    /// Does all there is to do, without waiting.
    fn dispatch(&mut self) -> Result<(), Errno> {
        let mut readable = [EpollEvent::empty(); 8];
        let count = match self.epoll.wait(&mut readable, EpollTimeout::ZERO) {
            Err(Errno::EINTR) => 0,
            other => other?,
        };
        let is = |what| readable[..count].iter().any(|event| event.data() == what);
        let ready = Ready { socket: is(SOCKET), clients: is(CLIENTS), service: is(SERVICE) };
        self.server.dispatch(&mut self.service, ready);
        self.settle()
    }

    /// Sets the alarm and takes what happened.
    fn settle(&mut self) -> Result<(), Errno> {
        // A client that says what cannot be read costs the server its display; the next one has another fd.
        match self.epoll.add(self.server.fds()[1], EpollEvent::new(EpollFlags::EPOLLIN, CLIENTS)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
        match self.service.patience() {
            Some(left) => {
                // An alarm of zero is none.
                let left = left.to_duration().max(Duration::from_nanos(1));
                let once = Expiration::OneShot(TimeSpec::from_duration(left));
                self.alarm.set(once, TimerSetTimeFlags::empty())?;
            }
            None => self.alarm.unset()?,
        }
        self.reports.extend(self.service.take_reports());
        Ok(())
    }
}

/// The card's objects of these numbers, of whichever kind they are: the kernel gives no number twice.
fn objects(card: &Card, numbers: &[u32]) -> Result<Vec<ObjectId>, String> {
    let all = || -> Result<Vec<ObjectId>, leasehold::kms::KmsError> {
        let mut all: Vec<ObjectId> = card.connectors()?.into_iter().map(Into::into).collect();
        all.extend(card.crtcs()?.into_iter().map(ObjectId::from));
        all.extend(card.planes()?.into_iter().map(ObjectId::from));
        Ok(all)
    };
    let all = all().map_err(|error| error.to_string())?;
    let known = |&number: &u32| {
        let found = all.iter().find(|object| object.raw() == number).copied();
        found.ok_or_else(|| {
            format!("could not keep object {number}: {} has no such connector, CRTC or plane", card.name())
        })
    };
    numbers.iter().map(known).collect()
}

/// # Safety
/// `numbers` points to `count` readable numbers, or `count` is 0.
unsafe fn numbers<'a>(numbers: *const u32, count: usize) -> &'a [u32] {
    match numbers.is_null() || count == 0 {
        true => &[],
        // SAFETY: the caller's, as this function says.
        false => unsafe { std::slice::from_raw_parts(numbers, count) },
    }
}

/// # Safety
/// `text` is NULL or ends with a zero.
unsafe fn string<'a>(text: *const c_char) -> Result<Option<&'a str>, String> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's, as this function says.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| format!("{} is not UTF-8", text.to_string_lossy()))
}

/// Starts leasing out the headsets of a card, of which the caller is and stays master, on a Wayland socket of its own.
///
/// The fd is borrowed: the lessor works through a copy, and gives it the client capability for atomic mode setting.
/// `socket` names the socket in $XDG_RUNTIME_DIR. The connectors, CRTCs and planes in `kept` are the caller's own and in
/// no lease; nor are those that drive a monitor whenever the card is looked at. `policy` is TOML (docs/policy.md); NULL
/// allows the user that runs this.
///
/// # Safety
/// `card_fd` is an open fd, the texts end with a zero, and `kept` points to `kept_count` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_lessor_open(
    card_fd: c_int,
    socket: *const c_char,
    kept: *const u32,
    kept_count: usize,
    policy: *const c_char,
) -> *mut Lessor {
    // SAFETY: the caller's, as this function says.
    let (card, socket, kept, policy) =
        unsafe { (borrowed(card_fd), string(socket), numbers(kept, kept_count), string(policy)) };
    let open = || -> Result<Lessor, String> {
        let socket = socket?.ok_or("could not open a Wayland socket: it has no name")?;
        Lessor::open(card?, socket, kept, policy?)
    };
    note(open()).map_or(std::ptr::null_mut(), |lessor| Box::into_raw(Box::new(lessor)))
}

/// What to poll for reading; calls for leasehold_lessor_dispatch. The lessor's own, open until it is closed.
///
/// # Safety
/// `lessor` is of `leasehold_lessor_open` and not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_lessor_fd(lessor: *const Lessor) -> c_int {
    // SAFETY: the caller's, as this function says.
    unsafe { lessor.as_ref() }.map_or(-1, |lessor| lessor.epoll.0.as_raw_fd())
}

/// Does all there is to do, without waiting. To be called whenever the fd can be read.
///
/// # Safety
/// `lessor` is of `leasehold_lessor_open` and not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_lessor_dispatch(lessor: *mut Lessor) -> bool {
    // SAFETY: the caller's, as this function says.
    unsafe {
        with(lessor, |lessor| {
            lessor.dispatch().map_err(|errno| format!("could not wait for clients: {errno}"))
        })
    }
}

/// Takes the oldest event that nobody has taken. False where there is none.
///
/// # Safety
/// `lessor` is of `leasehold_lessor_open` and not closed; `event` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_lessor_next_event(lessor: *mut Lessor, event: *mut Event) -> bool {
    // SAFETY: the caller's, as this function says.
    let (lessor, event) = unsafe { (lessor.as_mut(), event.as_mut()) };
    match (lessor, event) {
        (Some(lessor), Some(event)) => {
            lessor.reports.pop_front().map(|report| *event = Event::from(&report)).is_some()
        }
        _ => false,
    }
}

/// What the caller keeps from here on, in place of what it kept before. What is leased stays leased.
///
/// # Safety
/// `lessor` is of `leasehold_lessor_open` and not closed, and `kept` points to `kept_count` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_lessor_keep(
    lessor: *mut Lessor,
    kept: *const u32,
    kept_count: usize,
) -> bool {
    // SAFETY: the caller's, as this function says.
    unsafe {
        let kept = numbers(kept, kept_count);
        with(lessor, |lessor| {
            let kept = objects(&lessor.card, kept)?;
            lessor.service.keep(kept).map_err(|error| error.to_string())?;
            lessor.settle().map_err(|errno| errno.to_string())
        })
    }
}

/// Ends the lease on a connector, if there is one.
///
/// # Safety
/// `lessor` is of `leasehold_lessor_open` and not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_lessor_reclaim(lessor: *mut Lessor, connector: u32) -> bool {
    // SAFETY: the caller's, as this function says.
    unsafe {
        with(lessor, |lessor| {
            let connector = ConnectorId::new(connector).ok_or("could not end a lease: 0 is no connector")?;
            lessor.service.reclaim(connector);
            lessor.settle().map_err(|errno| errno.to_string())
        })
    }
}

/// To be called before another session gets the card, or as soon as it has it: offers are taken back, and leases sleep
/// or, with `revoke`, end.
///
/// # Safety
/// `lessor` is of `leasehold_lessor_open` and not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_lessor_pause(lessor: *mut Lessor, revoke: bool) -> bool {
    // SAFETY: the caller's, as this function says.
    unsafe {
        with(lessor, |lessor| {
            lessor.service.pause(if revoke { Pause::Revoke } else { Pause::Suspend });
            lessor.settle().map_err(|errno| errno.to_string())
        })
    }
}

/// To be called when the caller is the card's master again.
///
/// # Safety
/// `lessor` is of `leasehold_lessor_open` and not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_lessor_resume(lessor: *mut Lessor) -> bool {
    // SAFETY: the caller's, as this function says.
    unsafe {
        with(lessor, |lessor| {
            lessor.service.resume();
            lessor.settle().map_err(|errno| errno.to_string())
        })
    }
}

/// Ends all leases, turns their panels off, takes the socket away and frees the lessor; NULL is none.
///
/// # Safety
/// `lessor` is of `leasehold_lessor_open`, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leasehold_lessor_close(lessor: *mut Lessor) {
    if !lessor.is_null() {
        // SAFETY: it came from Box::into_raw, and the caller gives it up.
        unsafe { Box::from_raw(lessor) }.service.shut_down();
    }
}

/// # Safety
/// `lessor` is NULL or a living lessor.
unsafe fn with(lessor: *mut Lessor, act: impl FnOnce(&mut Lessor) -> Result<(), String>) -> bool {
    // SAFETY: the caller's, as this function says.
    let lessor = unsafe { lessor.as_mut() };
    let lessor = lessor.ok_or_else(|| String::from("there is no lessor: NULL was given for it"));
    note(lessor.and_then(act)).is_some()
}
