//! A Wayland socket for leases and nothing else: what `leasehold serve` listens on. A compositor has a display of its
//! own, and needs the [wire](super::wire) alone.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SndBuf;
use nix::sys::stat::{Mode as Permissions, umask};
use nix::unistd::Uid;
use wayland_server::backend::{ClientData, ClientId, DisconnectReason};
use wayland_server::{BindError, Client, Display, DisplayHandle, ListeningSocket};

use super::identity::Identity;
use super::limits::{self, Fault};
use super::service::Service;
use super::wire::{LeaseState, Wire};
use crate::error::{Class, Classified};
use crate::time::Instant;

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

/// The socket and its clients.
#[derive(Debug)]
pub struct Server {
    socket: ListeningSocket,
    display: Display<Service>,
    clients: Vec<Client>,
    /// Closed to make room for a newcomer where there is none, so that it can be turned away.
    spare: Option<OwnedFd>,
}

/// What can be read. All false is as well: then what has waited is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The first of the [server's fds](Server::fds).
    pub socket: bool,
    /// The second of them.
    pub clients: bool,
    /// Any of the [service's](Service::fds).
    pub service: bool,
}

/// What a client is known by here.
#[derive(Debug)]
struct Connection {
    identity: Arc<Identity>,
    /// Whether it has ended. wayland-server takes a client away only once one of them has something to say; until then
    /// all fds that wait to be sent to it would stay open.
    over: AtomicBool,
}

impl Server {
    /// Opens the socket `name` in `$XDG_RUNTIME_DIR`. Only the user who runs this can connect, or everyone with `shared`:
    /// who connects is asked of the kernel either way.
    ///
    /// # Errors
    /// When there is no folder for sockets, the name is in use or no file name, or this user may not write there.
    pub fn bind(name: &str, shared: bool) -> Result<Self, SocketError> {
        let socket = listen(name, shared)?;
        limits::refuse_fds(&socket);
        let display = Display::new()
            .map_err(|error| SocketError::Bind { name: name.into(), cause: error.to_string() })?;
        let spare = socket.as_fd().try_clone_to_owned().ok();
        Ok(Self { socket, display, clients: Vec::new(), spare })
    }

    /// The display that the socket's clients are on: what to make the service's [wire](Wire) for.
    pub fn display(&self) -> DisplayHandle {
        self.display.handle()
    }

    /// What to poll for reading: where newcomers knock, and where clients speak.
    pub fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.socket.as_fd(), self.display.as_fd()]
    }

    /// Reads what clients sent, takes in new ones, and has the service act on it, without waiting.
    pub fn dispatch(&mut self, service: &mut Service, ready: Ready) {
        let noticed = Instant::now();
        // What a client said before it closed its lease comes before the kernel's word that it did.
        if ready.clients || ready.service {
            self.listen_to_clients(service);
        }
        // After those who left, so that their places are free.
        if ready.socket {
            self.admit_all(service);
        }
        service.dispatch(noticed, ready.service);
        // Some may have been cut off on the way, or could take no more.
        while self.take_away_the_dead(service) {
            service.dispatch(noticed, false);
        }
    }

    fn listen_to_clients(&mut self, service: &mut Service) {
        let heard = catch_unwind(AssertUnwindSafe(|| match &self.clients[..] {
            // To ask which of them spoke takes longer than to listen to the only one.
            [client] => drop(self.display.backend().dispatch_single_client(service, client.id())),
            _ => {
                if let Err(error) = self.display.dispatch_clients(service) {
                    tracing::error!(%error, "could not read from the Wayland clients");
                }
            }
        }));
        if heard.is_err() {
            self.start_over(service);
        }
        for client in &self.clients {
            limits::enforce(&self.display.handle(), client, None, limits::OBJECTS);
        }
    }

    /// Drops all clients and their display, and serves on. wayland-backend 0.3.17 panics on a `wl_registry.bind` whose
    /// interface has no name, and its display is of no use after that; leases outlive their connections.
    fn start_over(&mut self, service: &mut Service) {
        tracing::error!("a Wayland client sent what could not be read: all clients are dropped");
        self.clients.clear();
        match Display::new() {
            Ok(display) => {
                let wire = service.wire_mut().anew::<Service>(display.handle());
                service.replace_wire(wire);
                self.display = display;
            }
            Err(error) => tracing::error!(%error, "could not serve Wayland clients any longer"),
        }
    }

    fn admit_all(&mut self, service: &mut Service) {
        // No more in one go than may be connected at all: those who only come and go are not to keep this from the rest.
        for _ in 0..limits::CLIENTS {
            match self.socket.accept().map(|stream| stream.map(|stream| self.admit(stream, service))) {
                Ok(None) => break,
                Ok(Some(Ok(()))) => {}
                Ok(Some(Err(error))) => tracing::warn!(%error, "could not take in a Wayland client"),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a Wayland client");
                    self.turn_away();
                    break;
                }
            }
        }
    }

    /// Turns a newcomer away for whom there is no fd left. While it waited, the socket could be read for ever.
    fn turn_away(&mut self) {
        drop(self.spare.take());
        drop(self.socket.accept());
        self.spare = self.socket.as_fd().try_clone_to_owned().ok();
    }

    fn admit(&mut self, stream: UnixStream, service: &mut Service) -> std::io::Result<()> {
        let identity = Arc::new(Identity::of(&stream)?);
        let uid = identity.uid;
        setsockopt(&stream, SndBuf, &limits::UNREAD_BYTES)?;
        let full = self.is_full_for(uid).and_then(|_| {
            // Others may have hung up since they were last listened to, before this one came.
            self.listen_to_clients(service);
            self.is_full_for(uid)
        });
        let connection = Connection { identity, over: AtomicBool::new(false) };
        let client = self.display.handle().insert_client(stream, Arc::new(connection))?;
        if let Some(why) = full {
            limits::cut_off(&self.display.handle(), &client, Fault::NoMemory, &why);
        }
        self.clients.push(client);
        Ok(())
    }

    /// Why this user can have no further connection, if so.
    fn is_full_for(&self, uid: Uid) -> Option<String> {
        let known = self.clients.iter().filter_map(Client::get_data::<Connection>);
        let living: Vec<_> = known.filter(|known| !known.is_over()).collect();
        let fellows = living.iter().filter(|known| known.identity.uid == uid).count();
        (living.len() >= limits::CLIENTS || fellows >= limits::CLIENTS_PER_USER)
            .then(|| format!("too many clients, {fellows} of them of user {uid}"))
    }

    /// Closes the connections that are over, with all objects and unsent fds; whether there were any.
    fn take_away_the_dead(&mut self, service: &mut Service) -> bool {
        let over = |client: &Client| client.get_data::<Connection>().is_none_or(Connection::is_over);
        let (dead, living): (Vec<_>, Vec<_>) = std::mem::take(&mut self.clients).into_iter().partition(over);
        self.clients = living;
        for client in &dead {
            // Nothing can be read from it, so all that this does is to take it away, unless that was done before.
            let _ = self.display.backend().dispatch_single_client(service, client.id());
        }
        !dead.is_empty()
    }
}

impl Connection {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

impl ClientData for Connection {
    fn disconnected(&self, _client: ClientId, _reason: DisconnectReason) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl LeaseState for Service {
    fn wire(&mut self) -> &mut Wire {
        self.wire_mut()
    }

    fn identity(client: &Client) -> Option<Arc<Identity>> {
        client.get_data::<Connection>().map(|connection| connection.identity.clone())
    }
}

crate::delegate_drm_lease!(Service);

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
