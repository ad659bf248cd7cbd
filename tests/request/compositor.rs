//! A compositor that does as a script says, on a thread of its own, and writes down what it is asked for.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leasehold::kms::{Card, Connector, Pipeline};
use tempfile::TempDir;
use wayland_protocols::wp::drm_lease::v1::server::wp_drm_lease_connector_v1::{self, WpDrmLeaseConnectorV1};
use wayland_protocols::wp::drm_lease::v1::server::wp_drm_lease_device_v1::{self, WpDrmLeaseDeviceV1};
use wayland_protocols::wp::drm_lease::v1::server::wp_drm_lease_request_v1::{self, WpDrmLeaseRequestV1};
use wayland_protocols::wp::drm_lease::v1::server::wp_drm_lease_v1::{self, WpDrmLeaseV1};
use wayland_server::backend::GlobalId;
use wayland_server::{Client, DataInit, Dispatch, Display, DisplayHandle, GlobalDispatch, New, Resource};

/// What a compositor has and does.
pub struct Script {
    pub devices: Vec<Device>,
    pub answer: Answer,
}

/// What follows a request for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `finished`: a denial.
    Finished,
    /// `withdrawn`, and then `finished`.
    WithdrawnAndFinished,
    /// `withdrawn`, and nothing else.
    Withdrawn,
    /// The fd, and `finished` with it.
    FdAndFinished,
    /// The fd.
    Fd,
    /// The fd, and `finished` once [`Compositor::end_leases`] is called.
    FdThenFinished,
    /// Nothing.
    Silence,
    /// Nothing, and nothing before it either: it does not read what it is sent.
    Deaf,
    /// The connection is closed.
    HangUp,
    /// The client is told that it did wrong.
    ProtocolError,
}

/// What is in a lease that is asked of a real card, whose connectors and CRTCs are paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lent {
    /// What was asked for.
    Asked,
    /// Everything of every connector, what was not asked for first.
    Everything,
    /// A connector that was not asked for.
    Another,
    /// What was asked for, with another plane in the place of the one that shows pictures.
    NoPrimary,
    /// What was asked for, with the CRTC of another connector.
    AnothersCrtc,
    /// Nothing (`drm_mode_create_lease_ioctl` takes an empty list).
    Nothing,
    /// What was asked for, revoked before it is handed over.
    Revoked,
}

/// A lease device.
#[derive(Clone)]
pub struct Device {
    names: Vec<(String, u32)>,
    card: Option<Arc<Card>>,
    lent: Lent,
    done: bool,
    vanishes: bool,
}

impl Device {
    /// One with connectors of these names, and no card behind them.
    pub fn offering(names: &[&str]) -> Self {
        let names = names.iter().zip(1..).map(|(name, id)| (name.to_string(), id)).collect();
        Self { names, card: None, lent: Lent::Asked, done: true, vanishes: false }
    }

    /// One with connectors of a real card, which it is master of.
    pub fn of(card: &Arc<Card>, connectors: Vec<Connector>) -> Self {
        let names = connectors.into_iter().map(|connector| (connector.name, connector.id.raw())).collect();
        Self { names, card: Some(card.clone()), lent: Lent::Asked, done: true, vanishes: false }
    }

    /// It lends something else.
    pub fn lending(self, lent: Lent) -> Self {
        Self { lent, ..self }
    }

    /// It never says that it has told all.
    pub fn silent(self) -> Self {
        Self { done: false, ..self }
    }

    /// Its global goes away as soon as it was bound.
    pub fn vanishing(self) -> Self {
        Self { vanishes: true, ..self }
    }
}

/// A compositor at work, until dropped.
pub struct Compositor {
    socket: String,
    asked: Arc<Mutex<Vec<(usize, String)>>>,
    stop: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    _folder: TempDir,
}

impl Compositor {
    /// Starts it.
    pub fn start(script: Script) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wayland");
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (asked, stop, end) = (Arc::default(), Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let state = State { script, asked: Arc::clone(&asked), globals: Vec::new(), leases: Vec::new() };
        let (stopping, ending) = (stop.clone(), end.clone());
        let thread = std::thread::spawn(move || state.run(&listener, &stopping, &ending));
        let socket = path.to_str().unwrap().to_string();
        Self { socket, asked, stop, end, thread: Some(thread), _folder: folder }
    }

    /// Its socket's path.
    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// Which connectors it was asked for, each with its device.
    pub fn asked(&self) -> Vec<(usize, String)> {
        self.asked.lock().unwrap().clone()
    }

    /// Ends the leases that it gave.
    pub fn end_leases(&self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

impl Drop for Compositor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        assert!(
            ended.is_some_and(|ended| ended.is_ok()) || std::thread::panicking(),
            "the compositor panicked"
        );
    }
}

struct State {
    script: Script,
    asked: Arc<Mutex<Vec<(usize, String)>>>,
    globals: Vec<GlobalId>,
    leases: Vec<WpDrmLeaseV1>,
}

/// A connector's device and its place there.
type Place = (usize, usize);

impl State {
    fn run(mut self, listener: &UnixListener, stop: &AtomicBool, end: &AtomicBool) {
        let mut display = Display::<Self>::new().unwrap();
        let handle = display.handle();
        self.globals = (0..self.script.devices.len())
            .map(|device| handle.create_global::<Self, WpDrmLeaseDeviceV1, usize>(1, device))
            .collect();
        let mut unheard = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            if let Ok((stream, _)) = listener.accept() {
                match self.script.answer {
                    Answer::Deaf => unheard.push(stream),
                    _ => drop(display.handle().insert_client(stream, Arc::new(())).unwrap()),
                }
            }
            if end.load(Ordering::Relaxed) {
                self.leases.drain(..).for_each(|lease| lease.finished());
            }
            display.dispatch_clients(&mut self).unwrap();
            display.flush_clients().unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn fd(&self, (device, place): Place) -> OwnedFd {
        let device = &self.script.devices[device];
        let Some(card) = &device.card else { return File::open("/dev/null").unwrap().into() };
        let (_, asked) = device.names[place];
        // Earlier leases may not be over yet; each connector has a CRTC to itself in the rig.
        let all = card.connectors().unwrap().into_iter().map(|id| Connector::read(card, id, false).unwrap());
        let (asked, others): (Vec<Pipeline>, Vec<Pipeline>) = all
            .map(|connector| Pipeline::find(card, &connector, |_| false).unwrap())
            .partition(|pipeline| pipeline.connector.raw() == asked);
        let objects = match (device.lent, &asked[0], &others[0]) {
            (Lent::Asked | Lent::Revoked, asked, _) => asked.objects(),
            (Lent::Everything, asked, other) => [other.objects(), asked.objects()].concat(),
            (Lent::Another, _, other) => other.objects(),
            (Lent::NoPrimary, asked, _) => {
                vec![asked.connector.into(), asked.crtc.into(), asked.overlays[0].into()]
            }
            (Lent::AnothersCrtc, asked, other) => {
                vec![asked.connector.into(), other.crtc.into(), other.primary.into()]
            }
            (Lent::Nothing, ..) => Vec::new(),
        };
        let (lessee, fd) = card.create_lease(&objects).unwrap();
        if device.lent == Lent::Revoked {
            card.revoke_lease(lessee).unwrap();
        }
        fd
    }

    fn answer(&mut self, handle: &DisplayHandle, client: &Client, lease: WpDrmLeaseV1, asked: Asked) {
        let Some((connector, place)) = asked.lock().unwrap().take() else { return lease.finished() };
        let (device, at) = place;
        let name = self.script.devices[device].names[at].0.clone();
        self.asked.lock().unwrap().push((device, name));
        let answer = self.script.answer;
        if matches!(answer, Answer::Withdrawn | Answer::WithdrawnAndFinished) {
            connector.withdrawn();
        }
        if matches!(answer, Answer::Fd | Answer::FdAndFinished | Answer::FdThenFinished) {
            lease.lease_fd(self.fd(place).as_fd());
        }
        match answer {
            Answer::Finished | Answer::WithdrawnAndFinished | Answer::FdAndFinished => lease.finished(),
            Answer::FdThenFinished => self.leases.push(lease),
            Answer::ProtocolError => connector.post_error(0_u32, "as the script says"),
            Answer::HangUp => handle
                .backend_handle()
                .kill_client(client.id(), wayland_server::backend::DisconnectReason::ConnectionClosed),
            Answer::Fd | Answer::Withdrawn | Answer::Silence | Answer::Deaf => {}
        }
    }
}

/// The connector that a request names, and where it is from.
type Asked = Arc<Mutex<Option<(WpDrmLeaseConnectorV1, Place)>>>;

impl GlobalDispatch<WpDrmLeaseDeviceV1, usize> for State {
    fn bind(
        state: &mut Self,
        handle: &DisplayHandle,
        client: &Client,
        resource: New<WpDrmLeaseDeviceV1>,
        device: &usize,
        init: &mut DataInit<'_, Self>,
    ) {
        let object = init.init(resource, *device);
        let description = &state.script.devices[*device];
        let fd = match &description.card {
            // A file of its own is no master, as the card has one.
            Some(card) => OwnedFd::from(File::open(format!("/dev/dri/{}", file_name(card.name()))).unwrap()),
            None => File::open("/dev/null").unwrap().into(),
        };
        object.drm_fd(fd.as_fd());
        for (place, (name, id)) in description.names.iter().enumerate() {
            let connector = client
                .create_resource::<WpDrmLeaseConnectorV1, Place, Self>(handle, 1, (*device, place))
                .unwrap();
            object.connector(&connector);
            connector.name(name.clone());
            connector.description("made up".to_string());
            connector.connector_id(*id);
            connector.done();
        }
        if description.done {
            object.done();
        }
        if description.vanishes {
            handle.disable_global::<Self>(state.globals[*device].clone());
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

impl Dispatch<WpDrmLeaseDeviceV1, usize> for State {
    fn request(
        _state: &mut Self,
        _client: &Client,
        device: &WpDrmLeaseDeviceV1,
        request: wp_drm_lease_device_v1::Request,
        _data: &usize,
        _handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        match request {
            wp_drm_lease_device_v1::Request::CreateLeaseRequest { id } => {
                init.init(id, Asked::default());
            }
            wp_drm_lease_device_v1::Request::Release => device.released(),
            _ => {}
        }
    }
}

impl Dispatch<WpDrmLeaseConnectorV1, Place> for State {
    fn request(
        _state: &mut Self,
        _client: &Client,
        _connector: &WpDrmLeaseConnectorV1,
        _request: wp_drm_lease_connector_v1::Request,
        _data: &Place,
        _handle: &DisplayHandle,
        _init: &mut DataInit<'_, Self>,
    ) {
    }
}

impl Dispatch<WpDrmLeaseRequestV1, Asked> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        _request: &WpDrmLeaseRequestV1,
        request: wp_drm_lease_request_v1::Request,
        asked: &Asked,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        match request {
            wp_drm_lease_request_v1::Request::RequestConnector { connector } => {
                let place = *connector.data::<Place>().unwrap();
                *asked.lock().unwrap() = Some((connector, place));
            }
            wp_drm_lease_request_v1::Request::Submit { id } => {
                let lease = init.init(id, ());
                state.answer(handle, client, lease, asked.clone());
            }
            _ => {}
        }
    }
}

impl Dispatch<WpDrmLeaseV1, ()> for State {
    fn request(
        state: &mut Self,
        _client: &Client,
        lease: &WpDrmLeaseV1,
        _request: wp_drm_lease_v1::Request,
        _data: &(),
        _handle: &DisplayHandle,
        _init: &mut DataInit<'_, Self>,
    ) {
        state.leases.retain(|given| given != lease);
    }
}
