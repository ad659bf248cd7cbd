//! What `doctor` goes by: everything that [gathering](super::gather) found and [judging](super::judge) reads. Plain
//! values, so that a test can make up a machine.

use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

use crate::headset::cache::Memory;
use crate::lease::identity::Identity;
use crate::lease::policy::Policy;
use crate::lease::request::RequestError;
use crate::thread::priority::Refusal;
use crate::vulkan::VulkanError;

/// A machine, and who looks at it.
#[derive(Debug)]
pub struct Facts {
    /// Every card node in `/dev/dri`.
    pub cards: Vec<CardFacts>,
    /// The display controllers on the PCI bus.
    pub gpus: Vec<Gpu>,
    /// `nvidia-drm.modeset`; `None` where the module is not loaded, or does not tell this user.
    pub nvidia_modeset: Option<bool>,
    /// Headsets that are on the USB, whatever becomes of their displays.
    pub usb_headsets: Vec<&'static str>,
    pub wayland: WaylandFacts,
    /// What the X server said.
    pub x11: Result<Offers, RequestError>,
    pub vulkan: Result<VulkanFacts, VulkanError>,
    pub limits: Limits,
    pub user: User,
    pub seat: SeatFacts,
    /// What this program is shut in, `Flatpak` say.
    pub sandbox: Option<String>,
}

/// Who could lend this user a card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeatFacts {
    /// What came of knocking at seatd's socket; `None` where there is none.
    pub seatd: Option<Result<(), Errno>>,
    /// The session that logind has this program in.
    pub session: Option<LoginSession>,
}

/// A session of logind's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSession {
    pub id: String,
    /// The seat it is at; one over the network is at none.
    pub seat: Option<String>,
    /// Whether it is the one in front.
    pub active: bool,
}

/// The user who looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub uid: Uid,
    /// The groups this process is in.
    pub groups: Vec<Gid>,
    /// The groups that the user database puts the user in: those of the next login.
    pub groups_at_login: Vec<Gid>,
}

/// A display controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its place on the bus, `0000:01:00.0` say.
    pub address: String,
    /// Vendor and device number as `lspci -n` writes them, `10de:2204` say.
    pub id: String,
    /// The kernel driver that has it.
    pub driver: Option<String>,
}

/// A card.
#[derive(Debug)]
pub struct CardFacts {
    pub path: String,
    pub look: Look,
    /// The other programs that have it open, as far as this user may see.
    pub holders: Vec<Holder>,
}

/// What came of opening a card.
#[derive(Debug)]
pub enum Look {
    /// It could not be opened.
    Refused { errno: Errno, node: Option<Node> },
    /// It opened and then told nothing, for this reason.
    Failed(String),
    /// It could be looked at.
    Opened(Opened),
}

/// A device node's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub owner: Uid,
    pub group: Gid,
    /// The group's name, where it has one.
    pub group_name: Option<String>,
    /// The nine permission bits.
    pub mode: u32,
    /// The users that an access control list lets in; systemd-logind's way to let in whoever sits at the seat.
    pub users: Vec<Uid>,
}

/// A card that could be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    pub driver: String,
    /// Whether nobody is its master.
    pub free: bool,
    /// Whether its driver sets modes at all.
    pub mode_setting: bool,
    pub atomic: bool,
    pub vblank_clock: Option<&'static str>,
    pub connectors: Vec<ConnectorFacts>,
}

/// A connector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectorFacts {
    pub id: u32,
    pub name: String,
    pub connected: bool,
    pub non_desktop: bool,
    /// Whether the kernel gave up training its link (`link-status`).
    pub link_bad: bool,
    pub edid: Vec<u8>,
    /// The headset that last told its EDID there.
    pub memory: Option<Memory>,
    pub modes: Vec<String>,
    /// Bit n is set where the card's n-th CRTC drives it now.
    pub crtc: u32,
    /// The CRTCs that can.
    pub possible_crtcs: u32,
}

/// A program that has a card open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub program: Program,
    pub role: Role,
}

/// A running program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub name: String,
    pub pid: u32,
    pub uid: Uid,
}

impl std::fmt::Display for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.name, self.pid)
    }
}

/// What a program may do with a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It sets the modes.
    Master,
    /// It leases these objects.
    Lessee(Vec<u32>),
    /// It looks.
    Onlooker,
    /// This user may not find out.
    Unknown,
}

/// The Wayland sockets.
#[derive(Debug)]
pub struct WaylandFacts {
    /// What the one said that a request would go to.
    pub answer: Result<Offers, RequestError>,
    /// All there are.
    pub sockets: Vec<Socket>,
}

/// What is on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offers {
    /// Whose: a Wayland socket, or an X display.
    pub socket: String,
    pub connectors: Vec<String>,
}

/// A Wayland socket.
#[derive(Debug)]
pub struct Socket {
    pub path: PathBuf,
    /// Who listens, or why none could be reached.
    pub listener: Result<Listener, Errno>,
}

/// Who listens on a socket.
#[derive(Debug)]
pub struct Listener {
    pub program: Program,
    /// What `leasehold serve` was told to allow, where that is what listens, and this user may read it.
    pub policy: Option<Policy>,
    /// Who it takes this program for.
    pub me: Identity,
}

/// The device that would composite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VulkanFacts {
    pub device: String,
    pub is_cpu: bool,
    /// The extensions it lacks of those that make it fast.
    pub lacks: Vec<&'static str>,
    pub draws_on_dma_bufs: bool,
    /// `realtime`, `high`, `medium`, or `unknown` where the driver knows no priorities.
    pub queue_priority: &'static str,
}

/// What the kernel lets this user's threads do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The priority that the vblank thread asks for.
    pub wanted_priority: u64,
    /// What came of asking the kernel, then rtkit.
    pub realtime: Result<(), Refusal>,
    /// The highest priority that `RLIMIT_RTPRIO` allows.
    pub priority_limit: u64,
    /// Bytes that `RLIMIT_MEMLOCK` lets this user lock; `None` where there is no limit.
    pub lock_limit_bytes: Option<u64>,
    /// Bytes that a process with the GPU's driver loaded takes: at least so many a run has to lock.
    pub process_bytes: u64,
}
