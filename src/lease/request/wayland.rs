//! A lease from a Wayland compositor, or from `leasehold serve`, over `wp_drm_lease_v1`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use wayland_client::backend::WaylandError;
use wayland_client::protocol::wl_callback::{self, WlCallback};
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::{
    Connection, Dispatch, DispatchError, EventQueue, Proxy, QueueHandle, delegate_noop, event_created_child,
};
use wayland_protocols::wp::drm_lease::v1::client::wp_drm_lease_connector_v1::{self, WpDrmLeaseConnectorV1};
use wayland_protocols::wp::drm_lease::v1::client::wp_drm_lease_device_v1::{
    self, EVT_CONNECTOR_OPCODE, WpDrmLeaseDeviceV1,
};
use wayland_protocols::wp::drm_lease::v1::client::wp_drm_lease_request_v1::WpDrmLeaseRequestV1;
use wayland_protocols::wp::drm_lease::v1::client::wp_drm_lease_v1::{self, WpDrmLeaseV1};

use super::deadline::Deadline;
use super::wanted::{Candidate, choose};
use super::{Heard, Lease, RequestError, Source, Wanted, leased, plain};
use crate::kms::{Card, Connector, ConnectorId};
use crate::time::Span;

/// Where to look when the user names no socket.
const USUAL_SOCKETS: [&str; 2] = ["wayland-0", "leasehold-0"];

/// Asks for a lease on the connector that is wanted. `socket` is a name in `$XDG_RUNTIME_DIR` or a path; without one,
/// `$WAYLAND_DISPLAY`, else the usual names are tried. No answer is waited for longer than `timeout` in all.
///
/// # Errors
/// When no compositor is there or it leases nothing, what is wanted is not on offer, the lease is denied, or no answer
/// comes in time.
pub fn request(socket: Option<&str>, wanted: &Wanted, timeout: Span) -> Result<Lease, RequestError> {
    let mut session = Session::open(socket, Deadline::after(timeout))?;
    session.learn_offers()?;
    session.lease(wanted)
}

/// What is on offer: the socket asked and the connectors' names, none of which is leased. Looks where [`request`] does.
///
/// # Errors
/// When no compositor is there, it leases nothing, or it does not answer in time.
pub fn offers(socket: Option<&str>, timeout: Span) -> Result<(String, Vec<String>), RequestError> {
    let mut session = Session::open(socket, Deadline::after(timeout))?;
    session.learn_offers()?;
    let names = session.client.offered().map(|(_, connector)| connector.name.clone()).collect();
    Ok((session.socket, names))
}

/// As [`request`], once there is something to ask for; `None` when `give_up` says so first, which is asked now and then.
/// `timeout` is for each answer that the compositor owes.
///
/// # Errors
/// As [`request`], but what is not on offer is waited for.
pub fn request_when_offered(
    socket: Option<&str>,
    wanted: &Wanted,
    timeout: Span,
    give_up: &dyn Fn() -> bool,
) -> Result<Option<Lease>, RequestError> {
    let mut session = Session::open(socket, Deadline::after(timeout))?;
    session.learn_offers()?;
    while session.choice(wanted).is_err() {
        if give_up() {
            return Ok(None);
        }
        let known = session.client.offers;
        let soon = Deadline::after(ASKED_EVERY);
        match session.wait_until(soon, "offer anything new", |client| client.offers != known) {
            Err(RequestError::TimedOut { .. }) => {}
            other => other?,
        }
    }
    session.deadline = Deadline::after(timeout);
    session.lease(wanted).map(Some)
}

/// How often the one who waits may give up.
const ASKED_EVERY: Span = Span::from_ms(50);

/// Keeps a lease's connection open. Dropping it gives the lease back.
#[derive(Debug)]
pub struct Keeper {
    session: Session,
    lease: WpDrmLeaseV1,
}

impl Keeper {
    /// What the compositor has said. Does not wait.
    pub fn heard(&mut self) -> Heard {
        // Nothing is sent: once that has failed, what the other side said last would stay unread.
        let pumped = self.session.take_in();
        if self.session.client.finished {
            Heard::Finished
        } else if pumped.is_ok() {
            Heard::Nothing
        } else {
            Heard::HungUp
        }
    }

    /// Readable when [`heard`](Self::heard) may have something to tell.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.session.connection.as_fd()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.lease.destroy();
        // Should this not get out, the closing of the connection says the same.
        let _ = self.session.connection.flush();
    }
}

/// A connection and all that came over it.
#[derive(Debug)]
struct Session {
    /// Its path, for messages.
    socket: String,
    connection: Connection,
    queue: EventQueue<Client>,
    client: Client,
    deadline: Deadline,
}

#[derive(Debug, Default)]
struct Client {
    /// Whether all globals are known.
    listed: bool,
    devices: Vec<Device>,
    /// How often a device or connector has said all it had to say.
    offers: u64,
    lease_fd: Option<OwnedFd>,
    finished: bool,
}

#[derive(Debug)]
struct Device {
    object: WpDrmLeaseDeviceV1,
    /// The number of its global.
    global: u32,
    card: Option<Card>,
    connectors: Vec<Offered>,
    done: bool,
}

#[derive(Debug)]
struct Offered {
    object: WpDrmLeaseConnectorV1,
    name: String,
    id: Option<ConnectorId>,
}

impl Session {
    fn open(socket: Option<&str>, deadline: Deadline) -> Result<Self, RequestError> {
        let mut tried = Vec::new();
        for path in candidates(socket)? {
            let path_text = path.display().to_string();
            match UnixStream::connect(&path) {
                Ok(stream) => return Self::start(path_text, stream, deadline),
                Err(error) => tried.push(format!("{path_text} ({error})")),
            }
        }
        Err(RequestError::NoSocket { tried: tried.join(" or ") })
    }

    fn start(socket: String, stream: UnixStream, deadline: Deadline) -> Result<Self, RequestError> {
        let connection = Connection::from_socket(stream)
            .map_err(|error| RequestError::Connection { socket: socket.clone(), cause: error.to_string() })?;
        let queue = connection.new_event_queue();
        Ok(Self { socket, connection, queue, client: Client::default(), deadline })
    }

    /// Waits until every lease device has said all it has. One that keeps silent, as a compositor's card does while it
    /// is not master of it, gets half of the time if there are others.
    fn learn_offers(&mut self) -> Result<(), RequestError> {
        const OFFER: &str = "offer its displays";
        let handle = self.queue.handle();
        self.connection.display().get_registry(&handle, ());
        self.connection.display().sync(&handle, ());
        self.wait("list its globals", |client| client.listed)?;
        if self.client.devices.is_empty() {
            return Err(RequestError::NoLeasing { socket: self.socket.clone() });
        }
        let all = |client: &Client| client.devices.iter().all(|device| device.done);
        match self.wait_until(self.deadline.halfway(), OFFER, all) {
            Err(RequestError::TimedOut { .. }) => {
                self.wait(OFFER, |client| client.devices.iter().any(|device| device.done))
            }
            other => other,
        }
    }

    /// Which connector to ask for.
    fn choice(&self, wanted: &Wanted) -> Result<(&Device, &Offered), RequestError> {
        let offered: Vec<(&Device, &Offered)> = self.client.offered().collect();
        let candidates: Vec<Candidate> =
            offered.iter().map(|(device, connector)| candidate(device, connector)).collect();
        Ok(offered[choose(&self.socket, &candidates, wanted)?])
    }

    fn lease(mut self, wanted: &Wanted) -> Result<Lease, RequestError> {
        let (device, connector) = self.choice(wanted)?;
        let (asked, connector_name, id) = (connector.object.clone(), connector.name.clone(), connector.id);
        let handle = self.queue.handle();
        let request = device.object.create_lease_request(&handle, ());
        request.request_connector(&asked);
        let lease = request.submit(&handle, ());
        self.wait("answer the request for a lease", |client| client.finished || client.lease_fd.is_some())?;
        let (socket, connector) = (self.socket.clone(), connector_name.clone());
        let fd = match (self.client.lease_fd.take(), self.client.finished) {
            (Some(fd), false) => fd,
            (Some(_), true) => return Err(RequestError::Ended { socket, connector }),
            // A connector is withdrawn from everyone else at a grant, too: here it was not granted to us.
            (None, _) if self.client.connector(&asked).is_none() => {
                return Err(RequestError::Withdrawn { socket, connector });
            }
            (None, _) => return Err(RequestError::Denied { socket, connector }),
        };
        let (card, pipeline) = leased(fd, &self.socket, &connector_name, id)?;
        self.hear_no_more_offers();
        let keeper = super::Keeper::Wayland(Keeper { session: self, lease });
        Ok(Lease { card, pipeline, connector_name, source: Source::Wayland, keeper })
    }

    /// Whoever has a lease wants no news of other connectors, nor an fd to look at them.
    fn hear_no_more_offers(&mut self) {
        for device in self.client.devices.drain(..) {
            for connector in &device.connectors {
                connector.object.destroy();
            }
            device.object.release();
        }
        self.send();
    }

    /// Sends and receives until `reached`, or all the time is up.
    fn wait(&mut self, what: &'static str, reached: impl Fn(&Client) -> bool) -> Result<(), RequestError> {
        self.wait_until(self.deadline, what, reached)
    }

    fn wait_until(
        &mut self,
        deadline: Deadline,
        what: &'static str,
        reached: impl Fn(&Client) -> bool,
    ) -> Result<(), RequestError> {
        loop {
            self.pump()?;
            if reached(&self.client) {
                return Ok(());
            }
            let Some(timeout) = deadline.left() else {
                let (socket, seconds) = (self.socket.clone(), deadline.seconds());
                return Err(RequestError::TimedOut { socket, what, seconds });
            };
            let mut fds = [PollFd::new(self.connection.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.broke(&errno.desc())),
            }
        }
    }

    /// Sends what waits to be sent, and takes in what has come, without waiting.
    fn pump(&mut self) -> Result<(), RequestError> {
        self.send();
        self.take_in()
    }

    fn send(&self) {
        match self.connection.flush() {
            Ok(()) => {}
            Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            // What the other side said last may still be unread: a protocol error, the end of a lease.
            Err(error) => tracing::debug!(%error, "could not send to the compositor"),
        }
    }

    fn take_in(&mut self) -> Result<(), RequestError> {
        let read = self.connection.prepare_read().map_or(Ok(0), |guard| guard.read());
        let dispatched = self.queue.dispatch_pending(&mut self.client);
        match (read, dispatched) {
            (Err(WaylandError::Io(error)), Ok(_)) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            (Ok(_), Ok(_)) => Ok(()),
            (Err(error), _) | (_, Err(DispatchError::Backend(error))) => Err(self.broke(&error)),
            (_, Err(error)) => Err(self.broke(&error)),
        }
    }

    fn broke(&self, cause: &dyn std::fmt::Display) -> RequestError {
        RequestError::Connection { socket: self.socket.clone(), cause: cause.to_string() }
    }
}

/// The sockets to try, in order.
fn candidates(socket: Option<&str>) -> Result<Vec<PathBuf>, RequestError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let names: Vec<String> = match socket.map(str::to_string).or_else(|| set("WAYLAND_DISPLAY")) {
        Some(name) => vec![name],
        None => USUAL_SOCKETS.map(str::to_string).to_vec(),
    };
    if names.iter().all(|name| name.starts_with('/')) {
        return Ok(names.into_iter().map(PathBuf::from).collect());
    }
    let folder = set("XDG_RUNTIME_DIR").ok_or(RequestError::NoRuntimeDir)?;
    Ok(names.iter().map(|name| PathBuf::from(&folder).join(name)).collect())
}

/// What can be told of a connector. The protocol says nothing of what hangs on it, but the device's fd, which is not
/// master, lets anyone look.
fn candidate(device: &Device, connector: &Offered) -> Candidate {
    let looked = device.card.as_ref().zip(connector.id);
    let seen = looked.and_then(|(card, id)| Connector::read(card, id, false).ok());
    let told = seen.as_ref().map(Candidate::of);
    Candidate {
        name: connector.name.clone(),
        non_desktop: told.as_ref().is_some_and(|told| told.non_desktop),
        id: told.and_then(|told| told.id),
    }
}

impl Client {
    /// What is on offer by devices that have said all they have.
    fn offered(&self) -> impl Iterator<Item = (&Device, &Offered)> {
        let devices = self.devices.iter().filter(|device| device.done);
        devices.flat_map(|device| device.connectors.iter().map(move |connector| (device, connector)))
    }

    fn device(&mut self, object: &WpDrmLeaseDeviceV1) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.object == *object)
    }

    fn connector(&mut self, object: &WpDrmLeaseConnectorV1) -> Option<&mut Offered> {
        let mut connectors = self.devices.iter_mut().flat_map(|device| &mut device.connectors);
        connectors.find(|connector| connector.object == *object)
    }
}

impl Dispatch<WlRegistry, ()> for Client {
    fn event(
        client: &mut Self,
        registry: &WlRegistry,
        event: wl_registry::Event,
        _data: &(),
        _connection: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        match event {
            wl_registry::Event::Global { name: global, interface, .. }
                if interface == WpDrmLeaseDeviceV1::interface().name =>
            {
                let object = registry.bind(global, 1, handle, ());
                let connectors = Vec::new();
                client.devices.push(Device { object, global, card: None, connectors, done: false });
            }
            // Its card was unplugged: it will say no more.
            wl_registry::Event::GlobalRemove { name } => {
                client.devices.retain(|device| device.global != name);
            }
            _ => {}
        }
    }
}

impl Dispatch<WlCallback, ()> for Client {
    fn event(
        client: &mut Self,
        _callback: &WlCallback,
        _event: wl_callback::Event,
        _data: &(),
        _connection: &Connection,
        _handle: &QueueHandle<Self>,
    ) {
        client.listed = true;
    }
}

impl Dispatch<WpDrmLeaseDeviceV1, ()> for Client {
    fn event(
        client: &mut Self,
        object: &WpDrmLeaseDeviceV1,
        event: wp_drm_lease_device_v1::Event,
        _data: &(),
        _connection: &Connection,
        _handle: &QueueHandle<Self>,
    ) {
        client.offers += u64::from(matches!(event, wp_drm_lease_device_v1::Event::Done));
        let Some(device) = client.device(object) else { return };
        match event {
            wp_drm_lease_device_v1::Event::DrmFd { fd } => {
                // It may be the compositor's own, which is to stay as it is.
                device.card = Some(Card::shared(fd, "the compositor's card"));
            }
            wp_drm_lease_device_v1::Event::Connector { id } => {
                device.connectors.push(Offered { object: id, name: String::new(), id: None });
            }
            wp_drm_lease_device_v1::Event::Done => device.done = true,
            _ => {}
        }
    }

    event_created_child!(Client, WpDrmLeaseDeviceV1, [
        EVT_CONNECTOR_OPCODE => (WpDrmLeaseConnectorV1, ()),
    ]);
}

impl Dispatch<WpDrmLeaseConnectorV1, ()> for Client {
    fn event(
        client: &mut Self,
        object: &WpDrmLeaseConnectorV1,
        event: wp_drm_lease_connector_v1::Event,
        _data: &(),
        _connection: &Connection,
        _handle: &QueueHandle<Self>,
    ) {
        client.offers += u64::from(matches!(event, wp_drm_lease_connector_v1::Event::Done));
        match event {
            wp_drm_lease_connector_v1::Event::Name { name } => {
                if let Some(connector) = client.connector(object) {
                    connector.name = plain(&name);
                }
            }
            wp_drm_lease_connector_v1::Event::ConnectorId { connector_id } => {
                if let Some(connector) = client.connector(object) {
                    connector.id = ConnectorId::new(connector_id);
                }
            }
            wp_drm_lease_connector_v1::Event::Withdrawn => {
                for device in &mut client.devices {
                    device.connectors.retain(|connector| connector.object != *object);
                }
                object.destroy();
            }
            _ => {}
        }
    }
}

impl Dispatch<WpDrmLeaseV1, ()> for Client {
    fn event(
        client: &mut Self,
        _lease: &WpDrmLeaseV1,
        event: wp_drm_lease_v1::Event,
        _data: &(),
        _connection: &Connection,
        _handle: &QueueHandle<Self>,
    ) {
        match event {
            wp_drm_lease_v1::Event::LeaseFd { leased_fd } => client.lease_fd = Some(leased_fd),
            wp_drm_lease_v1::Event::Finished => client.finished = true,
            _ => {}
        }
    }
}

delegate_noop!(Client: WpDrmLeaseRequestV1);
