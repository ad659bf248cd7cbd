//! A lease from an X server, over RandR 1.6; Xwayland hands such requests on to its compositor.
//!
//! A server lists a headset as an output that is not connected, so that no desktop grows onto it, with the property
//! `non-desktop` and its modes (`randrproto.txt`, section 7). A client names the CRTC as well as the output.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::randr::{self, ConnectionExt, Crtc, NotifyMask, Output};
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, Timestamp, Window};
use x11rb::protocol::{ErrorKind, Event};
use x11rb::reexports::x11rb_protocol::parse_display::{ConnectAddress, parse_display};
use x11rb::reexports::x11rb_protocol::xauth::get_auth;
use x11rb::rust_connection::{DefaultStream, PollMode, RustConnection, Stream};
use x11rb::utils::RawFdContainer;

use super::deadline::Deadline;
use super::wanted::{Candidate, choose};
use super::{Heard, Lease, RequestError, Source, Wanted, leased, plain};
use crate::headset::edid::EdidId;
use crate::kms::ConnectorId;
use crate::time::Span;

/// How long a server may take to notice that the holder of a lease has died, and how often it is asked meanwhile.
const FOR_THE_DEAD: Span = Span::from_ms(2_000);
const BETWEEN_REQUESTS: std::time::Duration = std::time::Duration::from_millis(50);

/// Asks the X server at `display`, else at `$DISPLAY`, for a lease on the output that is wanted. No answer is waited for
/// longer than `timeout` in all.
///
/// # Errors
/// When no X server is there or it leases nothing, what is wanted is not among its outputs, the lease is refused, or no
/// answer comes in time.
pub fn request(display: Option<&str>, wanted: &Wanted, timeout: Span) -> Result<Lease, RequestError> {
    Session::open(display, Deadline::after(timeout))?.lease(wanted)
}

/// The X server asked, and the headsets that it has, by name. Looks where [`request`] does.
///
/// # Errors
/// When no X server is there, it leases nothing, or it does not answer in time.
pub fn offers(display: Option<&str>, timeout: Span) -> Result<(String, Vec<String>), RequestError> {
    let session = Session::open(display, Deadline::after(timeout))?;
    let outputs = session.outputs(Look::Probe)?;
    let headsets = outputs.into_iter().filter(|one| one.candidate.non_desktop && !one.leased);
    Ok((session.place(), headsets.map(|headset| headset.candidate.name).collect()))
}

/// Keeps a lease's connection open. Dropping it gives the lease back.
#[derive(Debug)]
pub struct Keeper {
    session: Session,
    lease: randr::Lease,
    heard: Heard,
}

impl Keeper {
    /// What the server has said. Does not wait.
    pub fn heard(&mut self) -> Heard {
        while self.heard == Heard::Nothing {
            match self.session.connection.poll_for_event() {
                Ok(Some(event)) if ends(&event, self.lease) => self.heard = Heard::Finished,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => self.heard = Heard::HungUp,
            }
        }
        self.heard
    }

    /// Readable when [`heard`](Self::heard) may have something to tell.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.session.connection.stream().as_fd()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Without `terminate` the server would forget the lease and leave it to whoever has its fd.
        let freed = self.session.connection.randr_free_lease(self.lease, 1).map(drop);
        if let Err(error) = freed.and_then(|()| self.session.connection.flush()) {
            tracing::debug!(%error, "the X server was not told that the lease is over; closing its fd says so too");
        }
    }
}

/// Whether this is the notice that `lease` is over.
fn ends(event: &Event, lease: randr::Lease) -> bool {
    let Event::RandrNotify(notice) = event else { return false };
    if notice.sub_code != randr::Notify::LEASE {
        return false;
    }
    let told = notice.u.as_lc();
    told.lease == lease && told.created == 0
}

/// A connection to an X server that leases.
#[derive(Debug)]
struct Session {
    display: String,
    connection: RustConnection<PatientStream>,
    root: Window,
    deadline: Deadline,
}

/// What came of a request.
enum Made {
    Lease(randr::Lease, RawFdContainer),
    /// Somebody has the output or its CRTC.
    Taken,
    /// And why.
    Nothing(&'static str),
}

/// What is waited for.
const ANSWER: &str = "answer the request for a lease";

/// Whether a server is to look at its outputs again, which takes it tens of milliseconds each, or to tell what it knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Probe,
    Remember,
}

/// An output that could be leased.
struct Offered {
    output: Output,
    /// Whether somebody has it: a server shows such an output without modes and CRTCs.
    leased: bool,
    /// The CRTCs that can drive it.
    crtcs: Vec<Crtc>,
    /// The kernel's number for it, where the driver tells.
    connector: Option<ConnectorId>,
    candidate: Candidate,
}

impl Session {
    fn open(display: Option<&str>, deadline: Deadline) -> Result<Self, RequestError> {
        let display = match display.map(str::to_string).or_else(|| std::env::var("DISPLAY").ok()) {
            Some(name) if !name.is_empty() => name,
            _ => return Err(RequestError::NoDisplay),
        };
        let (connection, screen) = connect(&display, deadline)?;
        let root = connection.setup().roots[screen].root;
        let session = Self { display, connection, root, deadline };
        session.check_version()?;
        Ok(session)
    }

    fn check_version(&self) -> Result<(), RequestError> {
        const ASK: &str = "tell its version of RandR";
        let has_randr = self.connection.extension_information(randr::X11_EXTENSION_NAME);
        let version = match has_randr.map_err(|error| self.broke(ASK, error.into()))? {
            Some(_) => {
                let told = self.connection.randr_query_version(1, 6).map_err(ReplyError::from);
                let told = told.and_then(|cookie| cookie.reply()).map_err(|error| self.broke(ASK, error))?;
                (told.major_version, told.minor_version)
            }
            None => (0, 0),
        };
        if version >= (1, 6) {
            return Ok(());
        }
        let version = match version {
            (0, 0) => "none".to_string(),
            (major, minor) => format!("{major}.{minor}"),
        };
        Err(RequestError::NoRandrLeases { display: self.display.clone(), version })
    }

    /// What can be leased: every output that has modes, and headsets without them, whose EDID could not be read.
    fn outputs(&self, look: Look) -> Result<Vec<Offered>, RequestError> {
        self.read_outputs(look).map_err(|error| self.broke("list its outputs", error))
    }

    fn read_outputs(&self, look: Look) -> Result<Vec<Offered>, ReplyError> {
        let connection = &self.connection;
        if look == Look::Probe {
            connection.randr_get_screen_resources(self.root)?.reply()?;
        }
        let resources = connection.randr_get_screen_resources_current(self.root)?.reply()?;
        let mut offered = Vec::new();
        for &output in &resources.outputs {
            let info = connection.randr_get_output_info(output, resources.config_timestamp)?.reply()?;
            let non_desktop = number(&self.property(output, b"non-desktop")?) == Some(1);
            if info.modes.is_empty() && !non_desktop {
                continue;
            }
            let candidate = Candidate {
                name: plain(&String::from_utf8_lossy(&info.name)),
                non_desktop,
                id: EdidId::of_edid(&self.property(output, b"EDID")?),
            };
            let crtcs = self.to_spare(output, &info.crtcs, resources.config_timestamp)?;
            let leased = info.modes.is_empty() && info.crtcs.is_empty();
            let connector = number(&self.property(output, b"CONNECTOR_ID")?).and_then(ConnectorId::new);
            offered.push(Offered { output, leased, crtcs, connector, candidate });
        }
        Ok(offered)
    }

    /// An output's property as bytes; none where it has none.
    fn property(&self, output: Output, name: &[u8]) -> Result<Vec<u8>, ReplyError> {
        const LONGEST: u32 = 32 * 1024 / 4; // An EDID has 256 blocks at most.
        let atom = self.connection.intern_atom(true, name)?.reply()?.atom;
        if atom == u32::from(AtomEnum::NONE) {
            return Ok(Vec::new());
        }
        let property = self
            .connection
            .randr_get_output_property(output, atom, AtomEnum::ANY, 0, LONGEST, false, false)?
            .reply()?;
        Ok(property.data)
    }

    /// The CRTCs that can be asked for: what shows this output alone, a leased one among them, and then what shows
    /// nothing. Another would take a desktop's picture away.
    fn to_spare(&self, output: Output, crtcs: &[Crtc], time: Timestamp) -> Result<Vec<Crtc>, ReplyError> {
        let mut own = Vec::new();
        let mut idle = Vec::new();
        for &crtc in crtcs {
            match self.connection.randr_get_crtc_info(crtc, time)?.reply()?.outputs[..] {
                [] => idle.push(crtc),
                [only] if only == output => own.push(crtc),
                _ => {}
            }
        }
        own.extend(idle);
        Ok(own)
    }

    fn lease(self, wanted: &Wanted) -> Result<Lease, RequestError> {
        let (chosen, lease, fd) = self.obtain(wanted)?;
        let keeper = Keeper { session: self, lease, heard: Heard::Nothing };
        let name = chosen.candidate.name;
        let (card, pipeline) = leased(fd, &keeper.session.place(), &name, chosen.connector)?;
        let keeper = super::Keeper::X11(Box::new(keeper));
        Ok(Lease { card, pipeline, connector_name: name, source: Source::X11, keeper })
    }

    /// Has the server make the lease. What it holds for leased it is asked for again, for a while: it hears of a
    /// holder's death through udev, some time after.
    fn obtain(&self, wanted: &Wanted) -> Result<(Offered, randr::Lease, RawFdContainer), RequestError> {
        let until = self.deadline.at_most(FOR_THE_DEAD);
        let selected = self.connection.randr_select_input(self.root, NotifyMask::LEASE).map(drop);
        selected.map_err(|error| self.broke(ANSWER, error.into()))?;
        let mut look = Look::Probe;
        loop {
            let mut outputs = self.outputs(look)?;
            let candidates: Vec<Candidate> = outputs.iter().map(|one| one.candidate.clone()).collect();
            let chosen = outputs.swap_remove(choose(&self.place(), &candidates, wanted)?);
            let cause = match self.create(&chosen)? {
                Made::Lease(lease, fd) => return Ok((chosen, lease, fd)),
                Made::Taken if until.left().is_some() => {
                    std::thread::sleep(BETWEEN_REQUESTS);
                    look = Look::Remember;
                    continue;
                }
                Made::Taken => refusal(ErrorKind::Access),
                Made::Nothing(cause) => cause,
            };
            let (display, output) = (self.display.clone(), chosen.candidate.name.clone());
            return Err(RequestError::Refused { display, output, cause: cause.to_string() });
        }
    }

    /// Tries each CRTC in turn.
    fn create(&self, offered: &Offered) -> Result<Made, RequestError> {
        if offered.leased {
            return Ok(Made::Taken);
        }
        let mut last = Made::Nothing("no CRTC is free, turn a monitor off");
        for &crtc in &offered.crtcs {
            last = match self.try_create(crtc, offered.output) {
                Ok((lease, fd)) => return Ok(Made::Lease(lease, fd)),
                Err(ReplyError::X11Error(error)) if error.error_kind == ErrorKind::Access => Made::Taken,
                Err(ReplyError::X11Error(error)) => Made::Nothing(refusal(error.error_kind)),
                Err(error) => return Err(self.broke(ANSWER, error)),
            };
        }
        Ok(last)
    }

    fn try_create(&self, crtc: Crtc, output: Output) -> Result<(randr::Lease, RawFdContainer), ReplyError> {
        let connection = &self.connection;
        let lease = connection.generate_id().map_err(|error| match error {
            ReplyOrIdError::ConnectionError(error) => ReplyError::ConnectionError(error),
            ReplyOrIdError::X11Error(error) => ReplyError::X11Error(error),
            ReplyOrIdError::IdsExhausted => ConnectionError::UnknownError.into(),
        })?;
        let reply = connection.randr_create_lease(self.root, lease, &[crtc], &[output])?.reply()?;
        Ok((lease, reply.master_fd))
    }

    fn broke(&self, what: &'static str, error: ReplyError) -> RequestError {
        broke(&self.place(), what, self.deadline, error)
    }

    fn place(&self) -> String {
        place(&self.display)
    }
}

/// The number that a property is, in this machine's byte order as everything from a server is.
fn number(property: &[u8]) -> Option<u32> {
    property.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn place(display: &str) -> String {
    format!("the X server at {display}")
}

/// Why a server makes no lease (`ProcRRCreateLease` and `drmmode_create_lease` of the X server).
fn refusal(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Access => "it is leased already",
        ErrorKind::Match => "its driver or the kernel refused (BadMatch)",
        ErrorKind::Alloc => "it could not make one (BadAlloc)",
        ErrorKind::Value | ErrorKind::RandrBadOutput | ErrorKind::RandrBadCrtc => {
            "the output went away meanwhile"
        }
        ErrorKind::Request => "its driver has no leases (BadRequest)",
        _ => "it gave no reason",
    }
}

/// Connects to a server on this machine; the connection and the screen that `display` names.
fn connect(
    display: &str,
    deadline: Deadline,
) -> Result<(RustConnection<PatientStream>, usize), RequestError> {
    let no_server = |cause: String| RequestError::NoServer { display: display.to_string(), cause };
    let parsed = parse_display(Some(display)).map_err(|error| no_server(error.to_string()))?;
    // Only a Unix socket carries the lease's fd. A name without a host leads to one, and to TCP besides.
    let sockets = parsed.connect_instruction().filter(|address| matches!(address, ConnectAddress::Socket(_)));
    let mut refusal = RequestError::RemoteDisplay { display: display.to_string() };
    for socket in sockets {
        let (stream, (family, address)) = match DefaultStream::connect(&socket) {
            Ok(connected) => connected,
            Err(error) => {
                refusal = no_server(error.to_string());
                continue;
            }
        };
        // Who finds no key may be let in without one.
        let (name, key) = get_auth(family, &address, parsed.display).ok().flatten().unwrap_or_default();
        let (stream, screen) = (PatientStream { stream, deadline }, usize::from(parsed.screen));
        return RustConnection::connect_to_stream_with_auth_info(stream, screen, name, key)
            .map(|connection| (connection, screen))
            .map_err(|error| match error {
                ConnectError::IoError(error) => {
                    broke(&place(display), "let us in", deadline, ReplyError::from(error))
                }
                other => no_server(other.to_string()),
            });
    }
    Err(refusal)
}

/// What a broken or silent connection comes to.
fn broke(place: &str, what: &'static str, deadline: Deadline, error: ReplyError) -> RequestError {
    let socket = place.to_string();
    match error {
        ReplyError::ConnectionError(ConnectionError::IoError(error))
            if error.kind() == io::ErrorKind::TimedOut =>
        {
            RequestError::TimedOut { socket, what, seconds: deadline.seconds() }
        }
        other => RequestError::Connection { socket, cause: other.to_string() },
    }
}

/// A stream that waits for nothing longer than until its deadline: a server that was stopped answers nothing, and says
/// nothing of it.
#[derive(Debug)]
struct PatientStream {
    stream: DefaultStream,
    deadline: Deadline,
}

impl AsFd for PatientStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Stream for PatientStream {
    fn poll(&self, mode: PollMode) -> io::Result<()> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, mode.readable());
        flags.set(PollFlags::POLLOUT, mode.writable());
        loop {
            let left = self.deadline.left();
            let mut fds = [PollFd::new(self.stream.as_fd(), flags)];
            match poll(&mut fds, left.unwrap_or(nix::poll::PollTimeout::ZERO)) {
                Ok(0) if left.is_none() => return Err(io::ErrorKind::TimedOut.into()),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn read(&self, bytes: &mut [u8], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        self.stream.read(bytes, fds)
    }

    fn write(&self, bytes: &[u8], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        self.stream.write(bytes, fds)
    }
}
