//! What one client may take of a lessor, so that a careless or hostile one starves nobody else. Who goes over a limit
//! is sent `wl_display.error` and cut off; all others are served on.
//!
//! The fds are what runs out first. One that was sent and not yet read counts against the sender, and once those are
//! more than `RLIMIT_NOFILE` (1024 as a rule), it can send none to anybody (`ETOOMANYREFS`, unix(7)). So [`CLIENTS`]
//! times [`DEVICES`] stays below that.

use std::ffi::CString;
use std::os::fd::AsFd;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SetBool;
use wayland_server::backend::protocol::Interface;
use wayland_server::backend::{ClientId, ObjectId};
use wayland_server::{Client, DisplayHandle};

/// Connections to a [`Server`](super::server::Server).
pub const CLIENTS: usize = 64;

/// Connections of one user to a [`Server`](super::server::Server): one user's are not to shut out the others'.
pub const CLIENTS_PER_USER: usize = 32;

/// `wp_drm_lease_device_v1` objects of a client. Each is sent an fd of the card.
pub const DEVICES: usize = 8;

/// `wp_drm_lease_request_v1` objects of a client: requests that are being put together.
pub const REQUESTS: usize = 8;

/// `wp_drm_lease_v1` objects of a client: requests without an answer, leases, and what is left of both.
pub const LEASES: usize = 16;

/// `wp_drm_lease_connector_v1` objects of a client. Each offer makes one for each of the client's devices, and it is the
/// client that destroys those withdrawn.
pub const CONNECTORS: usize = 256;

/// Objects of any kind that a client of a [`Server`](super::server::Server) has: there, more can only be registries,
/// which wayland-server hands out uncounted. A compositor's clients have surfaces as well, and it has to bound those.
pub const OBJECTS: usize = 512;

/// What the kernel holds for a client of a [`Server`](super::server::Server) that does not read (`SO_SNDBUF`, socket(7);
/// a compositor's sockets are its own). wayland-server then holds 4096 bytes more, as libwayland does. A message that
/// fits in neither ends the client; nothing ever waits for it. Unsent fds go with the client's connection.
pub const UNREAD_BYTES: usize = 32 << 10;

/// `SO_PASSRIGHTS`, Linux 6.16 and newer (net/core/sock.c): whether fds can be sent to a socket's owner. No request that a
/// [`Server`](super::server::Server) knows carries one; those that nobody asked for would stay open for as long as their
/// client stays, until the table of fds is full.
const SO_PASSRIGHTS: i32 = 83;

/// The option, which nix does not know yet.
#[derive(Clone, Copy, Debug)]
struct PassRights;

nix::setsockopt_impl!(PassRights, libc::SOL_SOCKET, SO_PASSRIGHTS, bool, SetBool);

/// Has the kernel refuse fds that are sent to this socket, or to those accepted from it.
pub(super) fn refuse_fds(socket: impl AsFd) {
    if let Err(errno) = setsockopt(&socket, PassRights, &false) {
        tracing::debug!("clients can send fds that nobody asked for: {}", errno.desc());
    }
}

/// The errors that any client can be ended with (`wl_display.error`, wayland.xml).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Fault {
    /// It has taken too much.
    NoMemory = 2,
    /// It cannot be served, for no fault of its own.
    Implementation = 3,
}

/// Cuts a client off if it has more than `most` objects, of one interface or of all; whether it had.
pub(super) fn enforce(
    display: &DisplayHandle,
    client: &Client,
    interface: Option<&'static Interface>,
    most: usize,
) -> bool {
    let is_counted =
        |object: &ObjectId| interface.is_none_or(|wanted| wanted.name == object.interface().name);
    let count = objects(display, client.id()).iter().filter(|object| is_counted(object)).count();
    let exceeded = count > most;
    if exceeded {
        let what = interface.map_or("objects", |interface| interface.name);
        cut_off(display, client, Fault::NoMemory, &format!("a client may have {most} {what} and no more"));
    }
    exceeded
}

/// Ends a client with an error of `wl_display`.
pub(super) fn cut_off(display: &DisplayHandle, client: &Client, fault: Fault, why: &str) {
    const WL_DISPLAY: u32 = 1; // object 1 of every connection, wayland.xml
    tracing::warn!("a Wayland client is cut off: {why}");
    let Some(object) = objects(display, client.id()).into_iter().find(|id| id.protocol_id() == WL_DISPLAY)
    else {
        return;
    };
    let message = CString::new(why.replace('\0', " ")).unwrap_or_default();
    display.backend_handle().post_error(object, fault as u32, message);
}

fn objects(display: &DisplayHandle, client: ClientId) -> Vec<ObjectId> {
    let mut objects = Vec::new();
    // One that is gone has none.
    let _ = display.backend_handle().with_all_objects_for(client, |object| objects.push(object));
    objects
}
