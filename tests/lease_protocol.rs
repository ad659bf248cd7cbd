//! `wp_drm_lease_v1` as clients see it: which events come, in what order, and what misuse is answered.

mod rig;

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use leasehold::kms::Card;
use leasehold::lease::limits::{
    CLIENTS_PER_USER, CONNECTORS, DEVICES, LEASES, OBJECTS, REQUESTS, UNREAD_BYTES,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use rig::{VIVE, inside, serve};
use wayland_client::backend::WaylandError;
use wayland_client::protocol::wl_callback::WlCallback;
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::{
    Connection, Dispatch, DispatchError, EventQueue, Proxy, QueueHandle, delegate_noop, event_created_child,
};
use wayland_protocols::wp::drm_lease::v1::client::wp_drm_lease_connector_v1::{
    Event as ConnectorEvent, WpDrmLeaseConnectorV1,
};
use wayland_protocols::wp::drm_lease::v1::client::wp_drm_lease_device_v1::{
    EVT_CONNECTOR_OPCODE, Event as DeviceEvent, WpDrmLeaseDeviceV1,
};
use wayland_protocols::wp::drm_lease::v1::client::wp_drm_lease_request_v1::WpDrmLeaseRequestV1;
use wayland_protocols::wp::drm_lease::v1::client::wp_drm_lease_v1::{Event as LeaseEvent, WpDrmLeaseV1};

/// A client that writes down what it hears.
struct Client {
    connection: Connection,
    queue: EventQueue<Heard>,
    heard: Heard,
}

#[derive(Default)]
struct Heard {
    events: Vec<&'static str>,
    devices: Vec<WpDrmLeaseDeviceV1>,
    connectors: Vec<WpDrmLeaseConnectorV1>,
    fds: Vec<OwnedFd>,
}

const SOCKET: &str = "/run/user0/leasehold-0";
const NO_MEMORY: u32 = 2; // wl_display.error
const OFFERED: [&str; 6] = ["connector", "name", "description", "connector_id", "done", "device.done"];

impl Client {
    fn connect() -> Self {
        Self::over(UnixStream::connect(SOCKET).unwrap())
    }

    fn over(stream: UnixStream) -> Self {
        let connection = Connection::from_socket(stream).unwrap();
        let mut queue = connection.new_event_queue();
        let mut heard = Heard::default();
        connection.display().get_registry(&queue.handle(), ());
        queue.roundtrip(&mut heard).unwrap();
        let mut client = Self { connection, queue, heard };
        client.hear();
        client
    }

    /// All that was said since this was last asked.
    fn hear(&mut self) -> Vec<&'static str> {
        self.queue.roundtrip(&mut self.heard).unwrap();
        std::mem::take(&mut self.heard.events)
    }

    /// Takes in what there is without a word of its own; whether the connection lives. Who writes to one that was closed
    /// may never read why.
    fn overhear(&mut self) -> bool {
        loop {
            if self.queue.dispatch_pending(&mut self.heard).is_err() {
                return false;
            }
            let Some(guard) = self.connection.prepare_read() else { continue };
            let mut fds = [PollFd::new(self.connection.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(50u16)).unwrap() == 0 {
                return true;
            }
            match guard.read() {
                Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
                Ok(_) => {}
            }
        }
    }

    fn ask(&self, connectors: &[&WpDrmLeaseConnectorV1]) -> WpDrmLeaseV1 {
        let handle = self.queue.handle();
        let request = self.heard.devices[0].create_lease_request(&handle, ());
        for connector in connectors {
            request.request_connector(connector);
        }
        request.submit(&handle, ())
    }

    /// Makes device objects until there are `count`.
    fn bind(&mut self, count: usize) {
        for _ in self.heard.devices.len()..count {
            self.connection.display().get_registry(&self.queue.handle(), ());
        }
        self.hear();
    }

    /// Has the server say `count` things that are not listened to; whether it is still there.
    fn pester(&self, count: usize) -> bool {
        for _ in 0..count {
            self.connection.display().sync(&self.queue.handle(), ());
        }
        match self.connection.flush() {
            Err(WaylandError::Io(error)) => error.kind() == std::io::ErrorKind::WouldBlock,
            other => other.is_ok(),
        }
    }

    /// The protocol error that the server ended this client with.
    fn error(&mut self) -> u32 {
        match self.queue.roundtrip(&mut self.heard) {
            Err(DispatchError::Backend(_)) => self.connection.protocol_error().unwrap().code,
            other => panic!("no error: {other:?}"),
        }
    }
}

#[test]
fn offers_and_withdrawals_come_in_order() {
    inside("offers_and_withdrawals_come_in_order", VIVE, || {
        let serve = serve(&[]);
        let stream = UnixStream::connect(SOCKET).unwrap();
        let _silent = Connection::from_socket(stream).unwrap();
        let (mut one, mut two) = (Client::connect(), Client::connect());
        assert!(!Card::from_fd(one.heard.fds.remove(0), "drm_fd").unwrap().is_master());
        let old = two.heard.connectors[0].clone();

        let lease = one.ask(&[&one.heard.connectors[0]]);
        assert_eq!(one.hear(), ["withdrawn", "device.done", "lease_fd"]);
        assert_eq!(two.hear(), ["withdrawn", "device.done"]);
        let refused = two.ask(&[&old]);
        assert_eq!(two.hear(), ["finished"]);
        assert_eq!(serve.event("denied")["reason"], "withdrawn");
        refused.destroy();

        lease.destroy();
        assert_eq!(one.hear(), OFFERED);
        assert_eq!(two.hear(), OFFERED);
        two.ask(&[&old]);
        assert_eq!(two.hear(), ["finished"], "an old offer stays withdrawn");
        let again = two.ask(&[two.heard.connectors.last().unwrap()]);
        assert_eq!(two.hear(), ["withdrawn", "device.done", "lease_fd"]);

        // The fd was the lease's only one, so the kernel ends it and the holder is told.
        two.heard.fds.clear();
        serve.event("granted");
        let ended = serve.event("ended");
        assert_eq!(ended["reason"], "released");
        assert_eq!(two.hear()[0], "finished");
        again.destroy();

        one.heard.devices[0].release();
        assert_eq!(one.hear().last(), Some(&"released"));
    });
}

#[test]
fn two_connectors_go_into_one_lease() {
    inside("two_connectors_go_into_one_lease", VIVE, || {
        let _serve = serve(&["--offer", "Virtual-1"]);
        let mut client = Client::connect();
        let connectors: Vec<_> = client.heard.connectors.iter().collect();
        assert_eq!(connectors.len(), 2);
        client.ask(&connectors);
        assert_eq!(client.hear(), ["withdrawn", "withdrawn", "device.done", "lease_fd"]);
        let lease = Card::from_fd(client.heard.fds.pop().unwrap(), "lease").unwrap();
        assert_eq!((lease.connectors().unwrap().len(), lease.crtcs().unwrap().len()), (2, 2));
    });
}

#[test]
fn misuse_ends_the_client_and_nothing_else() {
    inside("misuse_ends_the_client_and_nothing_else", VIVE, || {
        let _serve = serve(&[]);
        let mut wrong = Client::connect();
        let registry = wrong.connection.display().get_registry(&wrong.queue.handle(), ());
        wrong.hear();
        wrong.hear();
        assert_eq!(wrong.heard.devices.len(), 2, "{}", registry.id());
        wrong.ask(&[&wrong.heard.connectors[1]]);
        assert_eq!(wrong.error(), 0);

        let mut twice = Client::connect();
        let connector = twice.heard.connectors[0].clone();
        twice.ask(&[&connector, &connector]);
        assert_eq!(twice.error(), 1);

        let mut empty = Client::connect();
        empty.ask(&[]);
        assert_eq!(empty.error(), 2);

        let mut good = Client::connect();
        good.ask(&[&good.heard.connectors[0]]);
        assert_eq!(good.hear().last(), Some(&"lease_fd"));
    });
}

#[test]
fn a_user_who_is_not_allowed_is_denied() {
    inside("a_user_who_is_not_allowed_is_denied", VIVE, || {
        let serve = serve(&["--allow-uid", "nobody"]);
        let mut client = Client::connect();
        client.ask(&[&client.heard.connectors[0]]);
        assert_eq!(client.hear(), ["finished"]);
        let denied = serve.event("denied");
        assert_eq!(denied["reason"], "not-permitted");
        assert_eq!(denied["uid"], 0);
        assert_eq!(denied["pid"], std::process::id());
        assert_eq!(denied["connector"], "Virtual-2");
        let why = denied["why"].as_str().unwrap();
        assert!(why.starts_with("no rule allows Virtual-2 to user 0, group 0, executable /"), "{why}");
    });
}

#[test]
fn a_policy_file_decides_who_may() {
    inside("a_policy_file_decides_who_may", VIVE, || {
        let own = std::env::current_exe().unwrap();
        let policy = |rules: &str| {
            std::fs::write("/run/policy.toml", rules).unwrap();
            serve(&["--policy", "/run/policy.toml", "--socket", "leasehold-0"])
        };
        let deny = format!("[[rule]]\noutcome = 'deny'\nexecutable = '{}'\n", own.display());
        let serve = policy(&format!("{deny}[[rule]]\noutcome = 'allow'\n"));
        let mut client = Client::connect();
        client.ask(&[&client.heard.connectors[0]]);
        assert_eq!(client.hear(), ["finished"]);
        let why = serve.event("denied")["why"].to_string();
        assert!(why.contains(&format!("rule 1 (deny executable {})", own.display())), "{why}");
        drop((client, serve));

        let allow = deny.replace("deny", "allow");
        let _serve = policy(&format!("{allow}connectors = ['Virtual-2']\n"));
        let mut client = Client::connect();
        client.ask(&[&client.heard.connectors[0]]);
        assert_eq!(client.hear().last(), Some(&"lease_fd"));
    });
}

#[test]
fn a_client_that_takes_too_much_is_cut_off_and_no_other() {
    inside("a_client_that_takes_too_much_is_cut_off_and_no_other", VIVE, || {
        let serve = serve(&["--offer", "Virtual-1"]);
        let mut good = Client::connect();
        good.hear(); // so that what was sent to it before is closed
        let fds = serve.open_fds();

        let mut binder = Client::connect();
        binder.bind(DEVICES);
        binder.hear();
        binder.bind(DEVICES + 1);
        assert_eq!(binder.error(), NO_MEMORY);

        let mut drafter = Client::connect();
        let handle = drafter.queue.handle();
        let draft = |client: &Client| client.heard.devices[0].create_lease_request(&handle, ());
        (0..REQUESTS).for_each(|_| drop(draft(&drafter)));
        drafter.hear();
        draft(&drafter);
        assert_eq!(drafter.error(), NO_MEMORY);

        let mut asker = Client::connect();
        let connector = asker.heard.connectors[0].clone();
        (0..LEASES).for_each(|_| drop(asker.ask(&[&connector])));
        asker.hear();
        asker.ask(&[&connector]);
        assert_eq!(asker.error(), NO_MEMORY);
        assert_eq!(serve.event("ended")["reason"], "exited");

        let mut hoarder = Client::connect();
        hoarder.bind(DEVICES);
        hoarder.hear();
        while hoarder.overhear() {
            assert!(hoarder.heard.connectors.len() <= CONNECTORS);
            good.hear();
            let lease = good.ask(&good.heard.connectors.iter().rev().take(2).collect::<Vec<_>>());
            assert_eq!(good.hear().last(), Some(&"lease_fd"));
            lease.destroy();
            good.heard.fds.clear();
        }
        assert_eq!(hoarder.connection.protocol_error().unwrap().code, NO_MEMORY);

        let mut registrar = UnixStream::connect(SOCKET).unwrap();
        // In one go: what it is sent for each would fill the connection before it has too many. It may be cut off first.
        let asked: Vec<u8> = (0..OBJECTS as u32).flat_map(|id| get_registry(2 + id)).collect();
        let _ = registrar.write_all(&asked);
        assert_eq!(error_of(registrar), Some(NO_MEMORY));

        let mut crowd: Vec<Client> = (1..CLIENTS_PER_USER).map(|_| Client::connect()).collect();
        assert_eq!(error_of(UnixStream::connect(SOCKET).unwrap()), Some(NO_MEMORY));
        crowd.pop();
        Client::connect();
        drop(crowd);

        good.heard.fds.clear();
        good.hear();
        good.hear();
        serve.settles_at(fds);
    });
}

#[test]
fn a_client_that_does_not_read_blocks_nobody_and_keeps_no_lease() {
    inside("a_client_that_does_not_read_blocks_nobody_and_keeps_no_lease", VIVE, || {
        let serve = serve(&[]);
        let mut good = Client::connect();
        good.hear(); // so that what was sent to it before is closed
        let fds = serve.open_fds();

        let deaf = Client::connect();
        deaf.ask(&[&deaf.heard.connectors[0]]);
        deaf.pester(0);
        serve.event("granted");
        let mut pestered = 0;
        while deaf.pester(100) {
            pestered += 100;
            assert!(pestered < UNREAD_BYTES, "it is never cut off");
            good.hear();
        }
        assert_eq!(serve.event("ended")["reason"], "exited");
        serve.event("offered");
        serve.settles_at(fds);

        // One that is as full as can be: its lease's fd has to wait in the lessor, and goes with the client.
        let stream = UnixStream::connect(SOCKET).unwrap();
        let peephole = stream.try_clone().unwrap();
        let full = Client::over(stream);
        let mut unread = 0;
        loop {
            assert!(full.pester(8));
            good.hear();
            good.hear();
            let waiting = recv(
                peephole.as_raw_fd(),
                &mut [0; 2 * UNREAD_BYTES],
                MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT,
            )
            .unwrap();
            if waiting == unread {
                break;
            }
            unread = waiting;
        }
        good.hear();
        let before = serve.open_fds();
        full.ask(&[&full.heard.connectors[0]]);
        full.pester(0);
        serve.event("granted");
        // Two to watch it die, and the lease's that waits to be sent.
        serve.settles_at(before + 3);
        drop((full, peephole));
        assert_eq!(serve.event("ended")["reason"], "exited");
        serve.event("offered");
        serve.settles_at(fds);
        good.hear();
        good.ask(&[good.heard.connectors.last().unwrap()]);
        assert_eq!(good.hear().last(), Some(&"lease_fd"));
    });
}

/// `wl_display.get_registry`, as it is on the wire.
fn get_registry(id: u32) -> Vec<u8> {
    [1, 12 << 16 | 1, id].into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// The `wl_display.error` a server ended a connection with.
fn error_of(mut stream: UnixStream) -> Option<u32> {
    let mut bytes = Vec::new();
    // A connection that was closed with something unread ends in ECONNRESET.
    let _ = stream.read_to_end(&mut bytes);
    let words: Vec<u32> =
        bytes.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect();
    let mut rest = words.as_slice();
    while let [object, size_and_opcode, ..] = *rest {
        if (object, size_and_opcode & 0xffff) == (1, 0) {
            return rest.get(3).copied();
        }
        rest = rest.get((size_and_opcode >> 18) as usize..)?;
    }
    None
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
            heard.devices.push(registry.bind(name, 1, handle, ()));
        }
    }
}

impl Dispatch<WpDrmLeaseDeviceV1, ()> for Heard {
    fn event(
        heard: &mut Self,
        _device: &WpDrmLeaseDeviceV1,
        event: DeviceEvent,
        _data: &(),
        _connection: &Connection,
        _handle: &QueueHandle<Self>,
    ) {
        heard.events.push(match event {
            DeviceEvent::DrmFd { fd } => {
                heard.fds.push(fd);
                "drm_fd"
            }
            DeviceEvent::Connector { id } => {
                heard.connectors.push(id);
                "connector"
            }
            DeviceEvent::Done => "device.done",
            DeviceEvent::Released => "released",
            _ => "unknown",
        });
    }

    event_created_child!(Heard, WpDrmLeaseDeviceV1, [
        EVT_CONNECTOR_OPCODE => (WpDrmLeaseConnectorV1, ()),
    ]);
}

impl Dispatch<WpDrmLeaseConnectorV1, ()> for Heard {
    fn event(
        heard: &mut Self,
        _connector: &WpDrmLeaseConnectorV1,
        event: ConnectorEvent,
        _data: &(),
        _connection: &Connection,
        _handle: &QueueHandle<Self>,
    ) {
        heard.events.push(match event {
            ConnectorEvent::Name { .. } => "name",
            ConnectorEvent::Description { .. } => "description",
            ConnectorEvent::ConnectorId { .. } => "connector_id",
            ConnectorEvent::Done => "done",
            ConnectorEvent::Withdrawn => "withdrawn",
            _ => "unknown",
        });
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
        heard.events.push(match event {
            LeaseEvent::LeaseFd { leased_fd } => {
                heard.fds.push(leased_fd);
                "lease_fd"
            }
            LeaseEvent::Finished => "finished",
            _ => "unknown",
        });
    }
}

delegate_noop!(Heard: WpDrmLeaseRequestV1);
delegate_noop!(Heard: ignore WlCallback);
