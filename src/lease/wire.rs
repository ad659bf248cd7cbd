//! `wp_drm_lease_v1`, the lessor's side of the wire: the global, its objects, and nothing about sockets. What clients
//! ask comes out as values; who gets what is the [lessor](super::lessor)'s business.
//!
//! Lives on any `wayland_server::Display`, be it a compositor's own. Clients are known by their objects alone, so whoever
//! inserts them gives them what `ClientData` it likes; a connection has ended when a lease object goes without having
//! been destroyed.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::{Gid, Uid};
use wayland_protocols::wp::drm_lease::v1::server::wp_drm_lease_connector_v1::{self, WpDrmLeaseConnectorV1};
use wayland_protocols::wp::drm_lease::v1::server::wp_drm_lease_device_v1::{self, WpDrmLeaseDeviceV1};
use wayland_protocols::wp::drm_lease::v1::server::wp_drm_lease_request_v1::{
    self, Error as Misuse, WpDrmLeaseRequestV1,
};
use wayland_protocols::wp::drm_lease::v1::server::wp_drm_lease_v1::{self, WpDrmLeaseV1};
use wayland_server::backend::{ClientId as Connection, InvalidId, ObjectId};
use wayland_server::{Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource};

use super::identity::Identity;
use super::lessor::{ClientId, Offer, OfferId, RequestId};
use super::limits::{self, Fault};
use crate::kms::{Card, ConnectorId, KmsError};

/// The state of a `wayland_server::Display` that leases are given out on. [`delegate_drm_lease`](crate::delegate_drm_lease)
/// implements all that this asks for.
pub trait LeaseState:
    GlobalDispatch<WpDrmLeaseDeviceV1, LeaseGlobal>
    + Dispatch<WpDrmLeaseDeviceV1, Tenant>
    + Dispatch<WpDrmLeaseConnectorV1, Standing>
    + Dispatch<WpDrmLeaseRequestV1, Draft>
    + Dispatch<WpDrmLeaseV1, Claim>
    + 'static
{
    /// The wire that was made for this display.
    fn wire(&mut self) -> &mut Wire;

    /// Who a client was when it connected, where that was [found out](Identity::of) then: later its process may be
    /// gone, and its number another's.
    fn identity(_client: &Client) -> Option<Arc<Identity>> {
        None
    }
}

/// Has a compositor's state, which must be a [`LeaseState`](crate::lease::wire::LeaseState), pass what clients ask on to
/// the wire.
#[macro_export]
macro_rules! delegate_drm_lease {
    ($state:ty) => {
        const _: () = {
            use $crate::lease::wire::{Claim, Draft, LeaseGlobal, Standing, Tenant, Wire, protocol::*};
    delegate_global_dispatch!($state: [WpDrmLeaseDeviceV1: LeaseGlobal] => Wire);
    delegate_dispatch!($state: [WpDrmLeaseDeviceV1: Tenant] => Wire);
    delegate_dispatch!($state: [WpDrmLeaseConnectorV1: Standing] => Wire);
    delegate_dispatch!($state: [WpDrmLeaseRequestV1: Draft] => Wire);
    delegate_dispatch!($state: [WpDrmLeaseV1: Claim] => Wire);
        };
    };
}

/// What [`delegate_drm_lease`](crate::delegate_drm_lease) speaks of.
#[doc(hidden)]
pub mod protocol {
    pub use wayland_protocols::wp::drm_lease::v1::server::{
        wp_drm_lease_connector_v1::WpDrmLeaseConnectorV1, wp_drm_lease_device_v1::WpDrmLeaseDeviceV1,
        wp_drm_lease_request_v1::WpDrmLeaseRequestV1, wp_drm_lease_v1::WpDrmLeaseV1,
    };
    pub use wayland_server::{delegate_dispatch, delegate_global_dispatch};
}

/// Who is at the other end of a connection, as the kernel vouches (`SO_PEERCRED`).
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
    /// Its connection broke or was closed, while it held a lease or waited for one.
    HungUp(ClientId),
}

/// All objects that clients have. Dead ones are taken out as they go.
#[derive(Debug)]
pub struct Wire {
    display: DisplayHandle,
    card: Arc<Card>,
    announce: Announce,
    offers: Vec<Offer>,
    devices: Vec<WpDrmLeaseDeviceV1>,
    connectors: Vec<WpDrmLeaseConnectorV1>,
    leases: BTreeMap<RequestId, WpDrmLeaseV1>,
    clients_seen: u64,
    requests_made: u64,
    incoming: Vec<Incoming>,
}

/// [`announce`] for the display's type of state, which is named nowhere else.
type Announce = fn(&DisplayHandle, &WpDrmLeaseDeviceV1, &Offer) -> Option<WpDrmLeaseConnectorV1>;

/// What the global is known by.
#[derive(Clone, Copy, Debug)]
pub struct LeaseGlobal;

/// Whose a lease device object is.
#[derive(Debug)]
pub struct Tenant {
    connection: Connection,
    peer: Peer,
}

/// Which offer a connector object stands for, and the device object it came from.
#[derive(Debug)]
pub struct Standing {
    device: ObjectId,
    offer: OfferId,
    connector: ConnectorId,
}

/// A request that is being put together.
#[derive(Debug)]
pub struct Draft {
    device: ObjectId,
    peer: Peer,
    wanted: Mutex<Vec<(ConnectorId, OfferId)>>,
}

/// Whose a lease object is, and on which request.
#[derive(Debug)]
pub struct Claim {
    request: RequestId,
    client: ClientId,
}

impl Wire {
    /// Adds a global for leases on `card` to `display`, whose state is `D`. Clients are also sent an fd of the card that
    /// can look and not touch.
    pub fn new<D: LeaseState>(display: DisplayHandle, card: Arc<Card>) -> Self {
        display.create_global::<D, WpDrmLeaseDeviceV1, LeaseGlobal>(1, LeaseGlobal);
        Self {
            display,
            card,
            announce: announce::<D>,
            offers: Vec::new(),
            devices: Vec::new(),
            connectors: Vec::new(),
            leases: BTreeMap::new(),
            clients_seen: 0,
            requests_made: 0,
            incoming: Vec::new(),
        }
    }

    /// Another on a display of its own, for a time when this one's clients are gone. What it numbers is numbered on.
    pub(super) fn anew<D: LeaseState>(&self, display: DisplayHandle) -> Self {
        let (clients_seen, requests_made) = (self.clients_seen, self.requests_made);
        Self { clients_seen, requests_made, ..Self::new::<D>(display, self.card.clone()) }
    }

    /// What clients did since this was last asked.
    pub fn take_incoming(&mut self) -> Vec<Incoming> {
        std::mem::take(&mut self.incoming)
    }

    /// Offers connectors to all clients, and to those that come.
    pub fn offer(&mut self, offers: &[Offer]) {
        for device in &self.devices {
            let made: Vec<_> =
                offers.iter().filter_map(|offer| (self.announce)(&self.display, device, offer)).collect();
            self.connectors.extend(made);
            device.done();
        }
        self.offers.extend_from_slice(offers);
    }

    /// Takes offers back.
    pub fn withdraw(&mut self, offers: &[Offer]) {
        let taken_back = |id: OfferId| offers.iter().any(|offer| offer.id == id);
        self.offers.retain(|offer| !taken_back(offer.id));
        self.connectors.retain(|connector| {
            let gone = connector.data::<Standing>().is_some_and(|standing| taken_back(standing.offer));
            if gone {
                connector.withdrawn();
            }
            !gone
        });
        for device in &self.devices {
            device.done();
        }
    }

    /// Hands a copy of a lease's fd over. It is gone from here once [flushed](Self::flush) and read by its client; one
    /// that is never read lives as long as the client's connection.
    pub fn grant(&mut self, request: RequestId, lease: BorrowedFd<'_>) {
        if let Some(object) = self.leases.get(&request) {
            object.lease_fd(lease);
        }
    }

    /// Says that a request is refused, or that a lease is over.
    pub fn finish(&mut self, request: RequestId) {
        if let Some(object) = self.leases.remove(&request) {
            object.finished();
        }
    }

    /// Sends what is waiting to be sent to any client of the display, without waiting for those that do not read.
    pub fn flush(&mut self) {
        if let Err(error) = self.display.flush_clients() {
            tracing::debug!(%error, "could not send to a Wayland client");
        }
    }

    /// Who a client is: whom it was last time, while it has a device object from then; else who it was when it was
    /// admitted, if that is known.
    fn tenant(&mut self, client: &Client, admitted: Option<Arc<Identity>>) -> Result<Tenant, InvalidId> {
        let connection = client.id();
        let known = self.devices.iter().filter_map(|device| device.data::<Tenant>());
        if let Some(tenant) = known.into_iter().find(|tenant| tenant.connection == connection) {
            return Ok(Tenant { connection, peer: tenant.peer.clone() });
        }
        let identity = match admitted {
            Some(identity) => identity,
            None => {
                let of = client.get_credentials(&self.display)?;
                let (uid, gid) = (Uid::from_raw(of.uid), Gid::from_raw(of.gid));
                Arc::new(Identity::new(of.pid.unsigned_abs(), uid, gid))
            }
        };
        self.clients_seen += 1;
        Ok(Tenant { connection, peer: Peer { client: ClientId(self.clients_seen), identity } })
    }
}

/// Sends a new connector object with all it has to say.
fn announce<D: LeaseState>(
    display: &DisplayHandle,
    device: &WpDrmLeaseDeviceV1,
    offer: &Offer,
) -> Option<WpDrmLeaseConnectorV1> {
    let standing = Standing { device: device.id(), offer: offer.id, connector: offer.connector };
    let client = device.client()?;
    let connector = client
        .create_resource::<WpDrmLeaseConnectorV1, Standing, D>(display, device.version(), standing)
        .ok()?;
    device.connector(&connector);
    connector.name(offer.name.clone());
    connector.description(format!("display on {}", offer.name));
    connector.connector_id(offer.connector.raw());
    connector.done();
    limits::enforce(display, &client, Some(WpDrmLeaseConnectorV1::interface()), limits::CONNECTORS);
    Some(connector)
}

/// An fd of the card that can look and not touch. Opening a card that has a master gives such a one; should this
/// process have lost mastership meanwhile, the fresh fd would have become master.
fn onlooker(card: &Card) -> Result<Card, KmsError> {
    let onlooker = card.reopen()?;
    if onlooker.is_master() {
        onlooker.drop_master()?;
    }
    Ok(onlooker)
}

impl<D: LeaseState> GlobalDispatch<WpDrmLeaseDeviceV1, LeaseGlobal, D> for Wire {
    fn bind(
        state: &mut D,
        display: &DisplayHandle,
        client: &Client,
        device: New<WpDrmLeaseDeviceV1>,
        _global: &LeaseGlobal,
        init: &mut DataInit<'_, D>,
    ) {
        let wire = state.wire();
        let tenant = match wire.tenant(client, D::identity(client)) {
            Ok(tenant) => tenant,
            Err(gone) => return init.post_error(device, Fault::Implementation as u32, gone.to_string()),
        };
        let device = init.init(device, tenant);
        if limits::enforce(display, client, Some(WpDrmLeaseDeviceV1::interface()), limits::DEVICES) {
            return;
        }
        match onlooker(&wire.card) {
            Ok(onlooker) => device.drm_fd(onlooker.as_fd()),
            Err(error) => return limits::cut_off(display, client, Fault::Implementation, &error.to_string()),
        }
        let offers = wire.offers.iter();
        let made: Vec<_> = offers.filter_map(|offer| (wire.announce)(display, &device, offer)).collect();
        wire.connectors.extend(made);
        device.done();
        wire.devices.push(device);
    }
}

impl<D: LeaseState> Dispatch<WpDrmLeaseDeviceV1, Tenant, D> for Wire {
    fn request(
        state: &mut D,
        client: &Client,
        device: &WpDrmLeaseDeviceV1,
        request: wp_drm_lease_device_v1::Request,
        tenant: &Tenant,
        display: &DisplayHandle,
        init: &mut DataInit<'_, D>,
    ) {
        match request {
            wp_drm_lease_device_v1::Request::CreateLeaseRequest { id } => {
                init.init(
                    id,
                    Draft { device: device.id(), peer: tenant.peer.clone(), wanted: Mutex::default() },
                );
                limits::enforce(display, client, Some(WpDrmLeaseRequestV1::interface()), limits::REQUESTS);
            }
            wp_drm_lease_device_v1::Request::Release => {
                state.wire().devices.retain(|known| known != device);
                device.released();
            }
            _ => {}
        }
    }

    fn destroyed(state: &mut D, _client: Connection, device: &WpDrmLeaseDeviceV1, _tenant: &Tenant) {
        state.wire().devices.retain(|known| known != device);
    }
}

impl<D: LeaseState> Dispatch<WpDrmLeaseConnectorV1, Standing, D> for Wire {
    fn request(
        _state: &mut D,
        _client: &Client,
        _connector: &WpDrmLeaseConnectorV1,
        _request: wp_drm_lease_connector_v1::Request,
        _standing: &Standing,
        _display: &DisplayHandle,
        _init: &mut DataInit<'_, D>,
    ) {
        // Its one request is destroy.
    }

    fn destroyed(
        state: &mut D,
        _client: Connection,
        connector: &WpDrmLeaseConnectorV1,
        _standing: &Standing,
    ) {
        state.wire().connectors.retain(|known| known != connector);
    }
}

impl<D: LeaseState> Dispatch<WpDrmLeaseRequestV1, Draft, D> for Wire {
    fn request(
        state: &mut D,
        client: &Client,
        object: &WpDrmLeaseRequestV1,
        request: wp_drm_lease_request_v1::Request,
        draft: &Draft,
        display: &DisplayHandle,
        init: &mut DataInit<'_, D>,
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
                let wire = state.wire();
                wire.requests_made += 1;
                let (request, peer) = (RequestId(wire.requests_made), draft.peer.clone());
                let lease = init.init(id, Claim { request, client: peer.client });
                if wanted.is_empty() {
                    object.post_error(Misuse::EmptyLease, "no connector was requested");
                } else if !limits::enforce(display, client, Some(WpDrmLeaseV1::interface()), limits::LEASES) {
                    wire.leases.insert(request, lease);
                    let offers = wanted.iter().map(|&(_, offer)| offer).collect();
                    wire.incoming.push(Incoming::Requested { request, peer, offers });
                }
            }
            _ => {}
        }
    }
}

impl<D: LeaseState> Dispatch<WpDrmLeaseV1, Claim, D> for Wire {
    fn request(
        state: &mut D,
        _client: &Client,
        _lease: &WpDrmLeaseV1,
        request: wp_drm_lease_v1::Request,
        claim: &Claim,
        _display: &DisplayHandle,
        _init: &mut DataInit<'_, D>,
    ) {
        let wire = state.wire();
        if let wp_drm_lease_v1::Request::Destroy = request
            && wire.leases.remove(&claim.request).is_some()
        {
            wire.incoming.push(Incoming::Returned(claim.request));
        }
    }

    fn destroyed(state: &mut D, _client: Connection, _lease: &WpDrmLeaseV1, claim: &Claim) {
        let wire = state.wire();
        // Neither finished nor destroyed by its client: the connection is gone, and all its objects with it.
        if wire.leases.remove(&claim.request).is_some() {
            wire.incoming.push(Incoming::HungUp(claim.client));
        }
    }
}
