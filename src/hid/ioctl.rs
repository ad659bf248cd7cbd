//! The calls to the hidraw driver (`include/uapi/linux/hidraw.h`).

#![allow(unsafe_code)] // the room's one place for it

use std::os::fd::{AsRawFd, BorrowedFd};

mod raw {
    /// `struct hidraw_devinfo`; the numbers are signed there by mistake.
    #[repr(C)]
    #[derive(Default)]
    pub struct DeviceInfo {
        pub bus: u32,
        pub vendor: u16,
        pub product: u16,
    }

    nix::ioctl_read!(raw_info, b'H', 0x03, DeviceInfo);
    // The size of these two is the buffer's.
    nix::ioctl_readwrite_buf!(set_feature, b'H', 0x06, u8);
    nix::ioctl_readwrite_buf!(get_feature, b'H', 0x07, u8);
}

/// A device's vendor and product.
pub(super) fn raw_info(hidraw: BorrowedFd<'_>) -> nix::Result<[u16; 2]> {
    let mut info = raw::DeviceInfo::default();
    // SAFETY: `info` is the structure that this ioctl fills.
    unsafe { raw::raw_info(hidraw.as_raw_fd(), &mut info) }?;
    Ok([info.vendor, info.product])
}

/// Asks for the feature report whose number stands in the first byte of `report`. How many bytes there are now in it,
/// that number included.
pub(super) fn get_feature(hidraw: BorrowedFd<'_>, report: &mut [u8]) -> nix::Result<usize> {
    // SAFETY: the ioctl's size is the slice's length, and the kernel writes no more than that into it
    // (`hidraw_get_report` of drivers/hid/hidraw.c).
    let length = unsafe { raw::get_feature(hidraw.as_raw_fd(), report) }?;
    Ok(usize::try_from(length).unwrap_or(0).min(report.len()))
}

/// Sends a feature report, its number first.
pub(super) fn set_feature(hidraw: BorrowedFd<'_>, report: &[u8]) -> nix::Result<()> {
    // The direction that the kernel gave this ioctl asks for a buffer that may be written to.
    let mut report = report.to_vec();
    // SAFETY: the ioctl's size is the slice's length, and the kernel reads no more than that from it
    // (`hidraw_send_report` of drivers/hid/hidraw.c).
    unsafe { raw::set_feature(hidraw.as_raw_fd(), &mut report) }?;
    Ok(())
}
