//! The smallest client of `wp_drm_lease_v1`, the same for every lessor, so that only the lessors differ.

#![allow(dead_code, reason = "each test binary uses another part")]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use leasehold::time::{Instant, Span};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use wayland_client::backend::WaylandError;
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::{
    Connection, Dispatch, EventQueue, Proxy, QueueHandle, delegate_noop, event_created_child,
};
use wayland_protocols::wp::drm_lease::v1::client::wp_drm_lease_connector_v1::{
    Event as ConnectorEvent, WpDrmLeaseConnectorV1,
};
use wayland_protocols::wp::drm_lease::v1::client::wp_drm_lease_device_v1::{
    EVT_CONNECTOR_OPCODE, WpDrmLeaseDeviceV1,
};
use wayland_protocols::wp::drm_lease::v1::client::wp_drm_lease_request_v1::WpDrmLeaseRequestV1;
use wayland_protocols::wp::drm_lease::v1::client::wp_drm_lease_v1::{Event as LeaseEvent, WpDrmLeaseV1};

use crate::rig::wait::wait_for;

/// A connection that knows what is on offer.
pub struct Client {
    connection: Connection,
    queue: EventQueue<Heard>,
    heard: Heard,
}

#[derive(Default)]
struct Heard {
    global: Option<(u32, WlRegistry)>,
    device: Option<WpDrmLeaseDeviceV1>,
    offers: Vec<WpDrmLeaseConnectorV1>,
    lease: Option<OwnedFd>,
    refused: bool,
}

impl Client {
    /// Connects, once whoever was just started listens, and waits for its first offer.
    pub fn connect(socket: &str) -> Self {
        Self::connect_to(&format!("{}/{socket}", std::env::var("XDG_RUNTIME_DIR").unwrap()))
    }

    /// As [`connect`](Self::connect), to a socket by its path.
    pub fn connect_to(path: &str) -> Self {
        let stream = wait_for(&format!("somebody listens at {path}"), || UnixStream::connect(path).ok());
        let connection = Connection::from_socket(stream).unwrap();
        let mut queue = connection.new_event_queue();
        let mut heard = Heard::default();
        connection.display().get_registry(&queue.handle(), ());
        queue.roundtrip(&mut heard).unwrap();
        assert!(heard.device.is_some(), "{path} leases nothing");
        let mut client = Self { connection, queue, heard };
        client.wait_for_offer();
        client
    }

    /// Waits until a connector is on offer.
    pub fn wait_for_offer(&mut self) {
        self.wait("an offer", |heard| !heard.offers.is_empty());
    }

    /// Waits until none is.
    pub fn wait_for_withdrawal(&mut self) {
        self.wait("a withdrawal", |heard| heard.offers.is_empty());
    }

    /// Leases what is on offer, gives it back, and says how long it took from asking to having the fd.
    pub fn lease_and_return(&mut self) -> Span {
        let handle = self.queue.handle();
        let request = self.heard.device.as_ref().unwrap().create_lease_request(&handle, ());
        request.request_connector(&self.heard.offers[0]);
        let asked = Instant::now();
        let lease = request.submit(&handle, ());
        self.wait("a lease", |heard| heard.lease.is_some() || heard.refused);
        let took = Instant::now() - asked;
        let fd = self.heard.lease.take().expect("the lease is granted");
        // The object before the fd: a lease whose fd closes first counts as lost, not as returned.
        lease.destroy();
        self.connection.flush().unwrap();
        drop(fd);
        took
    }

    /// Asks for what it believes to be on offer, without hearing first whether it still is; whether that is refused.
    pub fn is_refused(&mut self) -> bool {
        let handle = self.queue.handle();
        let request = self.heard.device.as_ref().unwrap().create_lease_request(&handle, ());
        request.request_connector(&self.heard.offers[0]);
        let lease = request.submit(&handle, ());
        self.wait("an answer", |heard| heard.lease.is_some() || heard.refused);
        lease.destroy();
        self.heard.refused
    }

    /// Whether one that comes now is offered anything. Asks by binding the lease device again: a compositor may leave
    /// an offer standing while the connector is leased, and say nothing when the lease is over; sway does both.
    pub fn is_offered_to_newcomers(&mut self) -> bool {
        let (name, registry) = self.heard.global.clone().expect("connect saw it");
        for old in self.heard.offers.drain(..) {
            old.destroy();
        }
        let device = registry.bind(name, 1, &self.queue.handle(), ());
        if let Some(old) = self.heard.device.replace(device) {
            old.release();
        }
        self.queue.roundtrip(&mut self.heard).unwrap();
        !self.heard.offers.is_empty()
    }

    fn wait(&mut self, what: &str, reached: impl Fn(&Heard) -> bool) {
        loop {
            self.queue.dispatch_pending(&mut self.heard).unwrap();
            if reached(&self.heard) {
                return;
            }
            self.connection.flush().unwrap();
            let Some(guard) = self.connection.prepare_read() else { continue };
            let mut fds = [PollFd::new(self.connection.as_fd(), PollFlags::POLLIN)];
            assert!(poll(&mut fds, PollTimeout::from(15_000_u16)).unwrap() > 0, "{what} does not come");
            match guard.read() {
                Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                read => drop(read.unwrap()),
            }
        }
    }
}

impl Dispatch<WlRegistry, ()> for Heard {
    fn event(
        heard: &mut Self,
        registry: &WlRegistry,
        event: wl_registry::Event,
        _data: &(),
        _connection: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        if let wl_registry::Event::Global { name, interface, .. } = event
            && interface == WpDrmLeaseDeviceV1::interface().name
        {
            heard.device = Some(registry.bind(name, 1, handle, ()));
            heard.global = Some((name, registry.clone()));
        }
    }
}

impl Dispatch<WpDrmLeaseDeviceV1, ()> for Heard {
    fn event(
        _heard: &mut Self,
        _device: &WpDrmLeaseDeviceV1,
        _event: <WpDrmLeaseDeviceV1 as Proxy>::Event,
        _data: &(),
        _connection: &Connection,
        _handle: &QueueHandle<Self>,
    ) {
        // A connector is on offer once it is done itself, and the card's fd is of no use here.
    }

    event_created_child!(Heard, WpDrmLeaseDeviceV1, [
        EVT_CONNECTOR_OPCODE => (WpDrmLeaseConnectorV1, ()),
    ]);
}

impl Dispatch<WpDrmLeaseConnectorV1, ()> for Heard {
    fn event(
        heard: &mut Self,
        connector: &WpDrmLeaseConnectorV1,
        event: ConnectorEvent,
        _data: &(),
        _connection: &Connection,
        _handle: &QueueHandle<Self>,
    ) {
        match event {
            ConnectorEvent::Done => heard.offers.push(connector.clone()),
            ConnectorEvent::Withdrawn => {
                heard.offers.retain(|offered| offered != connector);
                connector.destroy();
            }
            _ => {}
        }
    }
}

impl Dispatch<WpDrmLeaseV1, ()> for Heard {
    fn event(
        heard: &mut Self,
        _lease: &WpDrmLeaseV1,
        event: LeaseEvent,
        _data: &(),
        _connection: &Connection,
        _handle: &QueueHandle<Self>,
    ) {
        match event {
            LeaseEvent::LeaseFd { leased_fd } => heard.lease = Some(leased_fd),
            LeaseEvent::Finished => heard.refused = true,
            _ => {}
        }
    }
}

delegate_noop!(Heard: WpDrmLeaseRequestV1);
