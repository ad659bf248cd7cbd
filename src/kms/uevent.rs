//! The kernel's announcements: hotplug, and the end of a lease (`LEASE=1`, `drm_sysfs_lease_event`, drm_sysfs.c).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, socket,
};

use super::error::KmsError;

/// Something a card announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uevent {
    /// A lease ended because its last fd was closed. Which one is not said.
    Lease,
    /// A display was plugged in or out.
    Hotplug,
    /// More was announced than there was room for: any of the above may have been, and is lost.
    Overflow,
}

/// Listens to the kernel's announcements about display cards. Needs no rights.
#[derive(Debug)]
pub struct UeventSocket {
    fd: OwnedFd,
}

const KERNEL_GROUP: u32 = 1; // kobject_uevent.c multicasts to group 1

impl UeventSocket {
    /// Starts listening.
    ///
    /// # Errors
    /// When this process may open no such socket, as in some sandboxes, or no further fd (`EMFILE`).
    pub fn open() -> Result<Self, KmsError> {
        let refused = |errno| KmsError::call("listen to", "the kernel's announcements", errno);
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkKObjectUEvent;
        let fd = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol).map_err(refused)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP)).map_err(refused)?;
        Ok(Self { fd })
    }

    /// The next announcement about a card, if there is one already.
    pub fn next(&self) -> Option<Uevent> {
        let mut buffer = [0; 8192];
        loop {
            match recvfrom::<NetlinkAddr>(self.fd.as_raw_fd(), &mut buffer) {
                // Only the kernel speaks from port 0; anyone may send to the group.
                Ok((length, Some(sender))) if sender.pid() == 0 => {
                    if let Some(event) = Uevent::parse(&buffer[..length]) {
                        return Some(event);
                    }
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => return Some(Uevent::Overflow),
                Err(_) => return None,
            }
        }
    }
}

impl AsFd for UeventSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Uevent {
    /// Reads one announcement: `ACTION@DEVPATH` and then `KEY=VALUE` strings, each ended by a zero byte. `None` for one
    /// that is not about a card.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let has = |wanted: &str| message.split(|&byte| byte == 0).any(|field| field == wanted.as_bytes());
        if !has("SUBSYSTEM=drm") {
            None
        } else if has("LEASE=1") {
            Some(Self::Lease)
        } else if has("HOTPLUG=1") {
            Some(Self::Hotplug)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tells_leases_from_hotplugs_and_from_other_devices() {
        let message =
            |fields: &str| format!("change@/devices/x\0ACTION=change\0{fields}\0SEQNUM=7\0").into_bytes();
        assert_eq!(Uevent::parse(&message("SUBSYSTEM=drm\0LEASE=1")), Some(Uevent::Lease));
        assert_eq!(Uevent::parse(&message("SUBSYSTEM=drm\0HOTPLUG=1\0CONNECTOR=36")), Some(Uevent::Hotplug));
        assert_eq!(Uevent::parse(&message("SUBSYSTEM=block\0LEASE=1")), None);
        assert_eq!(Uevent::parse(&message("SUBSYSTEM=drm")), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            Uevent::parse(&bytes);
        }
    }
}
