//! `wp_drm_lease_v1` on a Wayland socket, the lessor's side of the wire. What clients ask comes out as values; who gets
//! what is the [lessor](super::lessor)'s business.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::stat::{Mode as Permissions, umask};
use wayland_protocols::wp::drm_lease::v1::server::wp_drm_lease_connector_v1::{self, WpDrmLeaseConnectorV1};
use wayland_protocols::wp::drm_lease::v1::server::wp_drm_lease_device_v1::{self, WpDrmLeaseDeviceV1};
use wayland_protocols::wp::drm_lease::v1::server::wp_drm_lease_request_v1::{
    self, Error as Misuse, WpDrmLeaseRequestV1,
};
use wayland_protocols::wp::drm_lease::v1::server::wp_drm_lease_v1::{self, WpDrmLeaseV1};
use wayland_server::backend::{ClientData, DisconnectReason, ObjectId, protocol::ProtocolError};
use wayland_server::{
    BindError, Client, DataInit, Dispatch, Display, DisplayHandle, GlobalDispatch, ListeningSocket, New,
    Resource,
};

use super::identity::Identity;
use super::lessor::{ClientId, Offer, OfferId, RequestId};
use crate::error::{Class, Classified};
use crate::kms::{Card, ConnectorId, KmsError};

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The user has no folder for sockets.
    #[error("{0}: set XDG_RUNTIME_DIR to a folder of the user's own, /run/user/UID as a rule")]
    RuntimeDir(String),
    /// The name is in use or cannot be one.
    #[error("could not open Wayland socket '{name}': {cause}")]
    Bind {
        /// The socket's name.
        name: String,
        /// What is wrong, and what to do about it.
        cause: String,
    },
}

impl Classified for SocketError {
    fn class(&self) -> Class {
        Class::Config
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The connection.
    pub client: ClientId,
    /// Who opened it.
    pub identity: Arc<Identity>,
}

/// What a client did.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// It asked for a lease.
    Requested {
        /// The request.
        request: RequestId,
        /// Whose it is.
        peer: Peer,
        /// What it named.
        offers: Vec<OfferId>,
    },
    /// It destroyed its lease object.
    Returned(RequestId),
    /// Its connection broke or was closed.
    HungUp(ClientId),
}

/// The socket, its clients and their objects.
#[derive(Debug)]
pub struct Server {
    socket: ListeningSocket,
    display: Display<Wire>,
    wire: Wire,
    incoming: Receiver<Incoming>,
    clients_seen: u64,
}

/// All objects that clients have. Dead ones are taken out as they go.
#[derive(Debug)]
struct Wire {
    card: PathBuf,
    offers: Vec<Offer>,
    devices: Vec<WpDrmLeaseDeviceV1>,
    connectors: Vec<WpDrmLeaseConnectorV1>,
    leases: BTreeMap<RequestId, WpDrmLeaseV1>,
    requests_made: u64,
    outbox: Sender<Incoming>,
}

/// What a connection is known by.
#[derive(Debug)]
struct Connection {
    peer: Peer,
    outbox: Sender<Incoming>,
}

/// Which offer a connector object stands for, and the device object it came from.
#[derive(Debug)]
struct Standing {
    device: ObjectId,
    offer: OfferId,
    connector: ConnectorId,
}

/// A request that is being put together.
#[derive(Debug)]
struct Draft {
    device: ObjectId,
    wanted: Mutex<Vec<(ConnectorId, OfferId)>>,
}

impl Server {
    /// Opens the socket `name` in `$XDG_RUNTIME_DIR` for leases on the card at `card`. Only the user who runs this can
    /// connect, or everyone with `shared`: who connects is asked of the kernel either way.
    pub fn bind(name: &str, card: PathBuf, shared: bool) -> Result<Self, SocketError> {
        let socket = listen(name, shared)?;
        let refused =
            |cause: &dyn std::fmt::Display| SocketError::Bind { name: name.into(), cause: cause.to_string() };
        let display = Display::new().map_err(|error| refused(&error))?;
        display.handle().create_global::<Wire, WpDrmLeaseDeviceV1, ()>(1, ());
        let (outbox, incoming) = mpsc::channel();
        let wire = Wire {
            card,
            offers: Vec::new(),
            devices: Vec::new(),
            connectors: Vec::new(),
            leases: BTreeMap::new(),
            requests_made: 0,
            outbox,
        };
        Ok(Self { socket, display, wire, incoming, clients_seen: 0 })
    }

    /// What to poll for reading; any of them calls for [`dispatch`](Self::dispatch).
    pub fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.socket.as_fd(), self.display.as_fd()]
    }

    /// Takes in new clients and reads what the others sent, without waiting.
    pub fn dispatch(&mut self) -> Vec<Incoming> {
        loop {
            match self.socket.accept() {
                Ok(Some(stream)) => self.admit(stream),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a Wayland client");
                    break;
                }
            }
        }
        if let Err(error) = self.display.dispatch_clients(&mut self.wire) {
            tracing::error!(%error, "could not read from the Wayland clients");
        }
        self.incoming.try_iter().collect()
    }

    fn admit(&mut self, stream: UnixStream) {
        self.clients_seen += 1;
        let admitted = Identity::of(&stream).map_err(std::io::Error::from).and_then(|identity| {
            let peer = Peer { client: ClientId(self.clients_seen), identity: Arc::new(identity) };
            let data = Connection { peer, outbox: self.wire.outbox.clone() };
            self.display.handle().insert_client(stream, Arc::new(data))
        });
        if let Err(error) = admitted {
            tracing::warn!(%error, "could not take in a Wayland client");
        }
    }

    /// Offers connectors to all clients, and to those that come.
    pub fn offer(&mut self, offers: &[Offer]) {
        let handle = self.display.handle();
        for device in &self.wire.devices {
            let made: Vec<_> = offers.iter().filter_map(|offer| announce(&handle, device, offer)).collect();
            self.wire.connectors.extend(made);
            device.done();
        }
        self.wire.offers.extend_from_slice(offers);
    }

    /// Takes offers back.
    pub fn withdraw(&mut self, offers: &[Offer]) {
        let taken_back = |id: OfferId| offers.iter().any(|offer| offer.id == id);
        self.wire.offers.retain(|offer| !taken_back(offer.id));
        self.wire.connectors.retain(|connector| {
            let gone = connector.data::<Standing>().is_some_and(|standing| taken_back(standing.offer));
            if gone {
                connector.withdrawn();
            }
            !gone
        });
        for device in &self.wire.devices {
            device.done();
        }
    }

    /// Hands a lease over. No copy of the fd stays here, once [flushed](Self::flush).
    pub fn grant(&mut self, request: RequestId, lease: OwnedFd) {
        if let Some(object) = self.wire.leases.get(&request) {
            object.lease_fd(lease.as_fd());
        }
    }

    /// Says that a request is refused, or that a lease is over.
    pub fn finish(&mut self, request: RequestId) {
        if let Some(object) = self.wire.leases.remove(&request) {
            object.finished();
        }
    }

    /// Sends what is waiting to be sent.
    pub fn flush(&mut self) {
        if let Err(error) = self.display.flush_clients() {
            tracing::debug!(%error, "could not send to a Wayland client");
        }
    }
}

fn listen(name: &str, shared: bool) -> Result<ListeningSocket, SocketError> {
    let folder = std::env::var_os("XDG_RUNTIME_DIR")
        .filter(|folder| !folder.is_empty())
        .ok_or_else(|| SocketError::RuntimeDir("XDG_RUNTIME_DIR is not set".into()))?;
    let folder = PathBuf::from(folder);
    if !folder.is_absolute() || !folder.is_dir() {
        let what = format!("XDG_RUNTIME_DIR is '{}', which is not a folder", folder.display());
        return Err(SocketError::RuntimeDir(what));
    }
    let refused = |cause: String| SocketError::Bind { name: name.to_string(), cause };
    if name.is_empty() || name.contains('/') {
        return Err(refused("a socket's name is one file name, as in leasehold-0".into()));
    }
    // The mode has to be right from the start, so it is the umask's doing and not a later chmod's.
    let hidden = if shared { Permissions::empty() } else { Permissions::from_bits_truncate(0o077) };
    let before = umask(hidden | Permissions::from_bits_truncate(0o111));
    let socket = ListeningSocket::bind(name);
    umask(before);
    socket.map_err(|error| {
        refused(match error {
            BindError::AlreadyInUse => {
                "another program listens there: end it, or choose a name with --socket".into()
            }
            BindError::PermissionDenied => format!("no rights to write in {}", folder.display()),
            BindError::RuntimeDirNotSet => "XDG_RUNTIME_DIR is not set".into(),
            BindError::Io(error) => error.to_string(),
        })
    })
}

/// Sends a new connector object with all it has to say.
fn announce(
    handle: &DisplayHandle,
    device: &WpDrmLeaseDeviceV1,
    offer: &Offer,
) -> Option<WpDrmLeaseConnectorV1> {
    let standing = Standing { device: device.id(), offer: offer.id, connector: offer.connector };
    let client = device.client()?;
    let connector = client
        .create_resource::<WpDrmLeaseConnectorV1, Standing, Wire>(handle, device.version(), standing)
        .ok()?;
    device.connector(&connector);
    connector.name(offer.name.clone());
    connector.description(format!("display on {}", offer.name));
    connector.connector_id(offer.connector.raw());
    connector.done();
    Some(connector)
}

/// An fd of the card that can look and not touch. Opening a card that has a master gives such a one; should this
/// process have lost mastership meanwhile, the fresh fd would have become master.
fn onlooker(card: &std::path::Path) -> Result<Card, KmsError> {
    let onlooker = Card::open(card)?;
    if onlooker.is_master() {
        onlooker.drop_master()?;
    }
    Ok(onlooker)
}

impl ClientData for Connection {
    fn disconnected(&self, _client: wayland_server::backend::ClientId, _reason: DisconnectReason) {
        // The receiver outlives all clients but at the very end, when nobody wants to know any more.
        let _ = self.outbox.send(Incoming::HungUp(self.peer.client));
    }
}

impl GlobalDispatch<WpDrmLeaseDeviceV1, ()> for Wire {
    fn bind(
        wire: &mut Self,
        handle: &DisplayHandle,
        client: &Client,
        device: New<WpDrmLeaseDeviceV1>,
        _data: &(),
        init: &mut DataInit<'_, Self>,
    ) {
        let device = init.init(device, ());
        match onlooker(&wire.card) {
            Ok(onlooker) => device.drm_fd(onlooker.as_fd()),
            Err(error) => {
                tracing::warn!(%error, "could not open the card for a client");
                client.kill(handle, out_of_order(&device, &error));
                return;
            }
        }
        let made: Vec<_> = wire.offers.iter().filter_map(|offer| announce(handle, &device, offer)).collect();
        wire.connectors.extend(made);
        device.done();
        wire.devices.push(device);
    }
}

/// The error that ends a client which cannot be served, for no fault of its own.
fn out_of_order(device: &WpDrmLeaseDeviceV1, error: &KmsError) -> ProtocolError {
    const IMPLEMENTATION: u32 = 3; // wl_display.error
    ProtocolError {
        code: IMPLEMENTATION,
        object_id: device.id().protocol_id(),
        object_interface: WpDrmLeaseDeviceV1::interface().name.into(),
        message: error.to_string(),
    }
}

impl Dispatch<WpDrmLeaseDeviceV1, ()> for Wire {
    fn request(
        wire: &mut Self,
        _client: &Client,
        device: &WpDrmLeaseDeviceV1,
        request: wp_drm_lease_device_v1::Request,
        _data: &(),
        _handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        match request {
            wp_drm_lease_device_v1::Request::CreateLeaseRequest { id } => {
                init.init(id, Draft { device: device.id(), wanted: Mutex::default() });
            }
            wp_drm_lease_device_v1::Request::Release => {
                wire.devices.retain(|known| known != device);
                device.released();
            }
            _ => {}
        }
    }

    fn destroyed(
        wire: &mut Self,
        _client: wayland_server::backend::ClientId,
        device: &WpDrmLeaseDeviceV1,
        _data: &(),
    ) {
        wire.devices.retain(|known| known != device);
    }
}

impl Dispatch<WpDrmLeaseConnectorV1, Standing> for Wire {
    fn request(
        _wire: &mut Self,
        _client: &Client,
        _connector: &WpDrmLeaseConnectorV1,
        _request: wp_drm_lease_connector_v1::Request,
        _standing: &Standing,
        _handle: &DisplayHandle,
        _init: &mut DataInit<'_, Self>,
    ) {
        // Its one request is destroy.
    }

    fn destroyed(
        wire: &mut Self,
        _client: wayland_server::backend::ClientId,
        connector: &WpDrmLeaseConnectorV1,
        _standing: &Standing,
    ) {
        wire.connectors.retain(|known| known != connector);
    }
}

impl Dispatch<WpDrmLeaseRequestV1, Draft> for Wire {
    fn request(
        wire: &mut Self,
        client: &Client,
        object: &WpDrmLeaseRequestV1,
        request: wp_drm_lease_request_v1::Request,
        draft: &Draft,
        _handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        let mut wanted = draft.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        match request {
            wp_drm_lease_request_v1::Request::RequestConnector { connector } => {
                let Some(standing) = connector.data::<Standing>() else { return };
                if standing.device != draft.device {
                    object.post_error(Misuse::WrongDevice, "the connector is of another lease device");
                } else if wanted.iter().any(|&(known, _)| known == standing.connector) {
                    object.post_error(Misuse::DuplicateConnector, "the connector was requested already");
                } else {
                    wanted.push((standing.connector, standing.offer));
                }
            }
            wp_drm_lease_request_v1::Request::Submit { id } => {
                wire.requests_made += 1;
                let request = RequestId(wire.requests_made);
                let lease = init.init(id, request);
                let Some(connection) = client.get_data::<Connection>() else { return };
                if wanted.is_empty() {
                    object.post_error(Misuse::EmptyLease, "no connector was requested");
                    return;
                }
                wire.leases.insert(request, lease);
                let offers = wanted.iter().map(|&(_, offer)| offer).collect();
                // The receiver lives beside this object.
                let _ =
                    wire.outbox.send(Incoming::Requested { request, peer: connection.peer.clone(), offers });
            }
            _ => {}
        }
    }
}

impl Dispatch<WpDrmLeaseV1, RequestId> for Wire {
    fn request(
        wire: &mut Self,
        _client: &Client,
        _lease: &WpDrmLeaseV1,
        request: wp_drm_lease_v1::Request,
        id: &RequestId,
        _handle: &DisplayHandle,
        _init: &mut DataInit<'_, Self>,
    ) {
        if let wp_drm_lease_v1::Request::Destroy = request {
            // The receiver lives beside this object.
            let _ = wire.outbox.send(Incoming::Returned(*id));
        }
    }

    fn destroyed(
        wire: &mut Self,
        _client: wayland_server::backend::ClientId,
        _lease: &WpDrmLeaseV1,
        id: &RequestId,
    ) {
        wire.leases.remove(id);
    }
}
