//! A DRM card, or a lease on part of one: the fd that everything in this room is asked through.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use drm::control::{RawResourceHandle, from_u32};
use drm::{ClientCapability, Device as _, DriverCapability};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sys::stat::{Mode as Permissions, fstat};

use super::error::KmsError;
use super::ids::{ConnectorId, CrtcId, LesseeId, ObjectId, PlaneId};
use super::ioctl;
use super::mode::Mode;
use super::property::Names;
use super::vblank::Vblank;
use crate::thread::count_system_call;
use crate::thread::worker::Worker;
use crate::time::Instant;

/// An open card node or lease. Closing a lease's last fd ends the lease.
#[derive(Debug)]
pub struct Card {
    // First: it has an fd of the card too, and whoever drops a card counts on the last being closed.
    _first_call: Option<Worker>,
    fd: OwnedFd,
    name: String,
    property_names: Names,
}

/// From where a thread makes a call until the kernel is about to have it wait.
const TO_BE_WRITTEN_DOWN: Duration = Duration::from_micros(100);

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl drm::Device for Card {}
impl drm::control::Device for Card {}

impl Card {
    fn new(first_call: Option<Worker>, fd: OwnedFd, name: String) -> Self {
        Self { _first_call: first_call, fd, name, property_names: Names::default() }
    }

    /// Opens a card node. The first to open a card that nobody drives becomes its master.
    ///
    /// # Errors
    /// When the node is not there (`ENOENT`), or this user has no rights on it (`EACCES`).
    pub fn open(path: &Path) -> Result<Self, KmsError> {
        let name = path.display().to_string();
        let fd = open(path, OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Permissions::empty())
            .map_err(|errno| KmsError::call("open", &name, errno))?;
        Ok(Self::new(None, fd, name))
    }

    /// Opens the same card anew, whatever its node is called: a file of its own, with none of this one's rights.
    ///
    /// # Errors
    /// When this user has no rights on the card's node (`EACCES`), or the card is gone (`ENODEV`).
    pub fn reopen(&self) -> Result<Self, KmsError> {
        // Opening a link of proc_pid_fd(5) opens what it leads to, and does not copy the fd as dup(2) would.
        let node = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        Ok(Self { name: self.name.clone(), ..Self::open(Path::new(&node))? })
    }

    /// Takes over a lease or card fd that came from elsewhere; makes it close-on-exec and non-blocking.
    ///
    /// # Errors
    /// When the fd's flags cannot be changed, as those of one that was opened with `O_PATH` (`EBADF`).
    pub fn from_fd(fd: OwnedFd, name: impl Into<String>) -> Result<Self, KmsError> {
        let name = name.into();
        fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
            .and_then(|_| fcntl(&fd, FcntlArg::F_GETFL))
            .and_then(|flags| {
                fcntl(&fd, FcntlArg::F_SETFL(OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK))
            })
            .map_err(|errno| KmsError::call("take over", &name, errno))?;
        Ok(Self::new(first_call(&fd), fd, name))
    }

    /// Looks through an fd that another process has too, and changes nothing about it that both would see.
    pub fn shared(fd: OwnedFd, name: impl Into<String>) -> Self {
        Self::new(first_call(&fd), fd, name.into())
    }

    /// Takes over a lease or card that this process was started with, by its fd's number.
    ///
    /// # Errors
    /// `EBADF` when the process was not started with that fd, has taken it already, or it is one of the standard three.
    pub fn inherit(number: i32) -> Result<Self, KmsError> {
        let name = format!("fd {number}");
        let fd = ioctl::take_inherited(number).map_err(|errno| KmsError::call("take over", &name, errno))?;
        Self::from_fd(fd, name)
    }

    /// The card nodes of this machine, in order.
    ///
    /// # Errors
    /// [`KmsError::NoCard`] when there is none.
    pub fn paths() -> Result<Vec<PathBuf>, KmsError> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir("/dev/dri")
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.strip_prefix("card").is_some_and(|number| number.parse::<u32>().is_ok())
            })
            .collect();
        paths.sort();
        if paths.is_empty() { Err(KmsError::NoCard) } else { Ok(paths) }
    }

    /// What to call it in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn property_names(&self) -> &Names {
        &self.property_names
    }

    /// The kernel's device number, the same for every fd of one card.
    ///
    /// # Errors
    /// When the kernel has no memory left to look at the fd (`ENOMEM`).
    pub fn device_number(&self) -> Result<u64, KmsError> {
        let status = fstat(&self.fd).map_err(|errno| self.error("look at", errno))?;
        Ok(status.st_rdev)
    }

    /// The driver's name, `amdgpu` say.
    ///
    /// # Errors
    /// When the fd is no card's (`ENOTTY`), or the card is gone (`ENODEV`).
    pub fn driver(&self) -> Result<String, KmsError> {
        let driver =
            self.get_driver().map_err(|error| KmsError::io("ask for the driver of", &self.name, error))?;
        Ok(driver.name().to_string_lossy().into_owned())
    }

    /// Becomes DRM master: from here on nobody else can set modes.
    ///
    /// # Errors
    /// `EACCES` when another is master, or this user may not become it.
    pub fn become_master(&self) -> Result<(), KmsError> {
        self.acquire_master_lock().map_err(|error| {
            // The kernel says EBUSY when another master is active.
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            self.error("become master of", if errno == Errno::EBUSY { Errno::EACCES } else { errno })
        })
    }

    /// Gives mastership back.
    ///
    /// # Errors
    /// `EINVAL` when this fd is not the master; `EACCES` when it never was, or became it in another process, and this
    /// one is not root.
    pub fn drop_master(&self) -> Result<(), KmsError> {
        self.release_master_lock().map_err(|error| KmsError::io("drop mastership of", &self.name, error))
    }

    /// Whether this fd may set modes now.
    pub fn is_master(&self) -> bool {
        // Authenticating a magic that was never handed out answers EINVAL to a master and EACCES to others: the
        // check libdrm's drmIsMaster makes.
        !matches!(
            drm_ffi::auth::auth_magic_token(self.as_fd(), 0).map_err(|error| error.raw_os_error()),
            Err(Some(libc::EACCES))
        )
    }

    /// Asks for universal planes and atomic commits. A lease fd has to be asked anew: it does not inherit them.
    ///
    /// # Errors
    /// When the driver has no atomic mode setting (`EOPNOTSUPP`), or the card is gone (`ENODEV`).
    pub fn enable_atomic(&self) -> Result<(), KmsError> {
        for capability in [ClientCapability::UniversalPlanes, ClientCapability::Atomic] {
            self.set_client_capability(capability, true)
                .map_err(|error| KmsError::io("use atomic mode setting on", &self.name, error))?;
        }
        Ok(())
    }

    /// Whether framebuffers may say how their pixels are laid out.
    pub fn takes_modifiers(&self) -> bool {
        self.get_driver_capability(DriverCapability::AddFB2Modifiers).is_ok_and(|value| value == 1)
    }

    /// The CRTCs this fd can see, in the order that `possible_crtcs` masks count them.
    ///
    /// # Errors
    /// When its driver sets no modes (`EOPNOTSUPP`), or the card is gone (`ENODEV`).
    pub fn crtcs(&self) -> Result<Vec<CrtcId>, KmsError> {
        let resources =
            ioctl::get_resources(self.as_fd()).map_err(|errno| self.error("list the CRTCs of", errno))?;
        Ok(resources.crtcs.into_iter().filter_map(CrtcId::new).collect())
    }

    /// The connectors this fd can see.
    ///
    /// # Errors
    /// When its driver sets no modes (`EOPNOTSUPP`), or the card is gone (`ENODEV`).
    pub fn connectors(&self) -> Result<Vec<ConnectorId>, KmsError> {
        let resources = ioctl::get_resources(self.as_fd())
            .map_err(|errno| self.error("list the connectors of", errno))?;
        Ok(resources.connectors.into_iter().filter_map(ConnectorId::new).collect())
    }

    /// The planes this fd can see; all of them only after [`enable_atomic`](Self::enable_atomic).
    ///
    /// # Errors
    /// When its driver sets no modes (`EOPNOTSUPP`), or the card is gone (`ENODEV`).
    pub fn planes(&self) -> Result<Vec<PlaneId>, KmsError> {
        let planes =
            ioctl::get_planes(self.as_fd()).map_err(|errno| self.error("list the planes of", errno))?;
        Ok(planes.into_iter().filter_map(PlaneId::new).collect())
    }

    /// The newest vblank of a CRTC. Needs neither master nor lease.
    ///
    /// # Errors
    /// `EINVAL` while the CRTC is off, `ENOENT` where this fd sees no such CRTC, `EOPNOTSUPP` where the driver counts
    /// no vblanks.
    pub fn vblank(&self, crtc: CrtcId) -> Result<Vblank, KmsError> {
        let (sequence, time_ns) = ioctl::get_sequence(self.as_fd(), crtc)
            .map_err(|errno| KmsError::call("read the vblank count of", crtc, errno))?;
        Ok(Vblank { sequence, time: Instant::from_ns(time_ns) })
    }

    /// The mode that a CRTC is on in; `None` while it is off.
    ///
    /// # Errors
    /// When this fd sees no such CRTC (`ENOENT`).
    pub fn mode_of(&self, crtc: CrtcId) -> Result<Option<Mode>, KmsError> {
        let info = drm_ffi::mode::get_crtc(self.as_fd(), crtc.raw())
            .map_err(|error| KmsError::io("read", crtc, error))?;
        Ok((info.mode_valid != 0).then(|| Mode::new(info.mode)))
    }

    /// Asks for an event at the first vblank that is `sequence` or later.
    ///
    /// # Errors
    /// As [`vblank`](Self::vblank), and when too many events wait to be read (`ENOMEM`).
    pub fn queue_vblank(&self, crtc: CrtcId, sequence: u64, user_data: u64) -> Result<(), KmsError> {
        ioctl::queue_sequence(self.as_fd(), crtc, 0, sequence, user_data)
            .map(drop)
            .map_err(|errno| KmsError::call("wait for a vblank of", crtc, errno))
    }

    /// Reads what events there are into `buffer`, without waiting; how many bytes of it were filled.
    ///
    /// # Errors
    /// When the kernel refuses to read. That no event has come yet is no refusal.
    pub fn read_events(&self, buffer: &mut [u8]) -> Result<usize, KmsError> {
        loop {
            count_system_call();
            match nix::unistd::read(&self.fd, buffer) {
                Ok(length) => return Ok(length),
                Err(Errno::EAGAIN) => return Ok(0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.error("read events of", errno)),
            }
        }
    }

    /// Leases objects out; the lessee's fd is close-on-exec.
    ///
    /// # Errors
    /// When this fd is not the master (`EACCES`), an object is leased already (`EBUSY`) or not there (`ENOENT`), or
    /// they lack a connector, a CRTC or a plane (`EINVAL`).
    pub fn create_lease(&self, objects: &[ObjectId]) -> Result<(LesseeId, OwnedFd), KmsError> {
        let raw: Vec<RawResourceHandle> =
            objects.iter().filter_map(|object| from_u32(object.raw())).collect();
        let flags = (OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).bits() as u32;
        let (lessee, fd) = drm::control::Device::create_lease(self, &raw, flags)
            .map_err(|error| KmsError::io("lease out objects of", &self.name, error))?;
        let lessee =
            LesseeId::new(lessee.into()).ok_or_else(|| self.error("lease out objects of", Errno::EINVAL))?;
        Ok((lessee, fd))
    }

    /// Who leases from this master; leases that were revoked are not among them.
    ///
    /// # Errors
    /// When this fd is not the master (`EACCES`).
    pub fn lessees(&self) -> Result<Vec<LesseeId>, KmsError> {
        let lessees =
            ioctl::list_lessees(self.as_fd()).map_err(|errno| self.error("list the lessees of", errno))?;
        Ok(lessees.into_iter().filter_map(LesseeId::new).collect())
    }

    /// Takes all objects from a lessee. The picture stays as it is until someone commits.
    ///
    /// # Errors
    /// When this fd is not the master (`EACCES`), or the lease's last fd was closed already (`ENOENT`).
    pub fn revoke_lease(&self, lessee: LesseeId) -> Result<(), KmsError> {
        drm_ffi::mode::revoke_lease(self.as_fd(), lessee.raw())
            .map_err(|error| KmsError::io("revoke", lessee, error))
    }

    /// The ids of all objects of this lease; none once it was revoked.
    ///
    /// # Errors
    /// When the lessor is not the card's master now, or is gone (`EACCES`).
    pub fn leased_objects(&self) -> Result<Vec<u32>, KmsError> {
        ioctl::get_lease(self.as_fd()).map_err(|errno| self.error("list the lease's objects of", errno))
    }

    /// How many there are of them. Allocates nothing: the vblank loop asks.
    ///
    /// # Errors
    /// As [`leased_objects`](Self::leased_objects).
    pub fn leased_object_count(&self) -> Result<usize, Errno> {
        ioctl::count_leased(self.as_fd()).map(|count| count as usize)
    }

    fn error(&self, operation: &'static str, errno: Errno) -> KmsError {
        KmsError::call(operation, &self.name, errno)
    }
}

/// Makes the first call on a card's file that another process opened, on a thread of its own.
///
/// In that call the kernel writes down whose the file is now, and then has the caller wait until each CPU has passed
/// through the scheduler (`synchronize_rcu` in `drm_file_update_pid`, drivers/gpu/drm/drm_file.c): for 20 to 40 ms at
/// 100 Hz. Calls that come later find it written down and do not wait. One that overtakes the thread waits as it would
/// have without.
fn first_call(fd: &OwnedFd) -> Option<Worker> {
    let fd = fd.try_clone().ok()?;
    let (begins, begun) = std::sync::mpsc::sync_channel(1);
    let call = move |_: &_| {
        let _ = begins.send(());
        let _ = Card::new(None, fd, String::new()).driver();
    };
    let worker = Worker::start("card", call).ok()?;
    let _ = begun.recv();
    std::thread::sleep(TO_BE_WRITTEN_DOWN);
    Some(worker)
}
