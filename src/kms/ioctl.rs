//! The raw calls that `drm-ffi` lacks or gets wrong, one thin function each. With `hid::ioctl`, `vulkan` and
//! `thread` the only place for `unsafe`.
//!
//! The kernel's two-call enumerations (count, then fill) are looped until the count holds still: a hotplug or a new
//! lessee between the calls may grow it (`drm_mode_getresources(3)` asks for the loop).

#![allow(unsafe_code)]

use std::mem::size_of;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use drm_ffi::{
    drm_crtc_get_sequence, drm_crtc_queue_sequence, drm_mode_atomic, drm_mode_card_res,
    drm_mode_get_connector, drm_mode_get_lease, drm_mode_get_plane_res, drm_mode_get_property,
    drm_mode_list_lessees, drm_mode_modeinfo, drm_mode_obj_get_properties,
};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::commit::Request;
use super::ids::{CrtcId, ObjectId, PropertyId};
use crate::thread::count_system_call;

mod raw {
    use super::*;
    nix::ioctl_readwrite!(get_resources, b'd', 0xA0, drm_mode_card_res);
    nix::ioctl_readwrite!(get_connector, b'd', 0xA7, drm_mode_get_connector);
    nix::ioctl_readwrite!(get_property, b'd', 0xAA, drm_mode_get_property);
    nix::ioctl_readwrite!(get_plane_resources, b'd', 0xB5, drm_mode_get_plane_res);
    nix::ioctl_readwrite!(get_properties, b'd', 0xB9, drm_mode_obj_get_properties);
    nix::ioctl_readwrite!(atomic, b'd', 0xBC, drm_mode_atomic);
    nix::ioctl_readwrite!(list_lessees, b'd', 0xC7, drm_mode_list_lessees);
    nix::ioctl_readwrite!(get_lease, b'd', 0xC8, drm_mode_get_lease);
    nix::ioctl_readwrite!(get_sequence, b'd', 0x3B, drm_crtc_get_sequence);
    nix::ioctl_readwrite!(queue_sequence, b'd', 0x3C, drm_crtc_queue_sequence);
}

/// Issues one ioctl, again when a signal or the kernel's own locking interrupts it, as libdrm does.
fn call<T>(
    fd: BorrowedFd<'_>,
    ioctl: unsafe fn(libc::c_int, *mut T) -> nix::Result<libc::c_int>,
    argument: &mut T,
) -> nix::Result<()> {
    loop {
        count_system_call();
        // SAFETY: `argument` is the structure this ioctl reads and writes, and every pointer stored in it refers to
        // a buffer that outlives the call and is at least as long as the count beside it.
        match unsafe { ioctl(fd.as_raw_fd(), argument) } {
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            other => return other.map(drop),
        }
    }
}

/// A buffer for the kernel to fill with `count` items.
fn buffer<T: Clone + Default>(count: u32) -> Vec<T> {
    vec![T::default(); count as usize]
}

fn address<T>(buffer: &mut [T]) -> u64 {
    buffer.as_mut_ptr() as u64
}

/// Ids of all objects the fd can see.
#[derive(Debug, Default)]
pub(super) struct Resources {
    pub crtcs: Vec<u32>,
    pub connectors: Vec<u32>,
}

pub(super) fn get_resources(fd: BorrowedFd<'_>) -> nix::Result<Resources> {
    let mut counts = drm_mode_card_res::default();
    call(fd, raw::get_resources, &mut counts)?;
    loop {
        let mut resources =
            Resources { crtcs: buffer(counts.count_crtcs), connectors: buffer(counts.count_connectors) };
        // Encoders and framebuffers are not asked for: a count of zero leaves them out.
        let mut filled = drm_mode_card_res {
            crtc_id_ptr: address(&mut resources.crtcs),
            count_crtcs: counts.count_crtcs,
            connector_id_ptr: address(&mut resources.connectors),
            count_connectors: counts.count_connectors,
            ..Default::default()
        };
        call(fd, raw::get_resources, &mut filled)?;
        if filled.count_crtcs <= counts.count_crtcs && filled.count_connectors <= counts.count_connectors {
            resources.crtcs.truncate(filled.count_crtcs as usize);
            resources.connectors.truncate(filled.count_connectors as usize);
            return Ok(resources);
        }
        counts = filled;
    }
}

pub(super) fn get_planes(fd: BorrowedFd<'_>) -> nix::Result<Vec<u32>> {
    enumerate(|pointer, count| {
        let mut argument = drm_mode_get_plane_res { plane_id_ptr: pointer, count_planes: count };
        call(fd, raw::get_plane_resources, &mut argument).map(|()| argument.count_planes)
    })
}

pub(super) fn list_lessees(fd: BorrowedFd<'_>) -> nix::Result<Vec<u32>> {
    enumerate(|pointer, count| {
        let mut argument = drm_mode_list_lessees { count_lessees: count, pad: 0, lessees_ptr: pointer };
        call(fd, raw::list_lessees, &mut argument).map(|()| argument.count_lessees)
    })
}

pub(super) fn get_lease(fd: BorrowedFd<'_>) -> nix::Result<Vec<u32>> {
    enumerate(|pointer, count| ask_lease(fd, pointer, count))
}

pub(super) fn count_leased(fd: BorrowedFd<'_>) -> nix::Result<u32> {
    ask_lease(fd, 0, 0)
}

fn ask_lease(fd: BorrowedFd<'_>, pointer: u64, count: u32) -> nix::Result<u32> {
    let mut argument = drm_mode_get_lease { count_objects: count, pad: 0, objects_ptr: pointer };
    call(fd, raw::get_lease, &mut argument).map(|()| argument.count_objects)
}

/// Runs a two-call enumeration of ids until what the kernel has fits what was offered.
fn enumerate(mut ask: impl FnMut(u64, u32) -> nix::Result<u32>) -> nix::Result<Vec<u32>> {
    let mut count = ask(0, 0)?;
    loop {
        let mut ids = buffer::<u32>(count);
        let found = ask(address(&mut ids), count)?;
        if found <= count {
            ids.truncate(found as usize);
            return Ok(ids);
        }
        count = found;
    }
}

/// What the kernel says of a connector.
pub(super) struct RawConnector {
    pub info: drm_mode_get_connector,
    pub modes: Vec<drm_mode_modeinfo>,
    pub encoders: Vec<u32>,
}

/// With `probe` the kernel reads the EDID again, which takes tens of milliseconds and is for the current master only.
pub(super) fn get_connector(fd: BorrowedFd<'_>, connector: u32, probe: bool) -> nix::Result<RawConnector> {
    let mut ignored = drm_mode_modeinfo::default();
    let mut counts = drm_mode_get_connector { connector_id: connector, ..Default::default() };
    if !probe {
        // Room for one mode, asked for or not, is how user space says "do not probe" (drm_mode_getconnector).
        counts.count_modes = 1;
        counts.modes_ptr = address(std::slice::from_mut(&mut ignored));
    }
    call(fd, raw::get_connector, &mut counts)?;
    loop {
        let mut modes = buffer::<drm_mode_modeinfo>(counts.count_modes.max(1));
        let mut encoders = buffer::<u32>(counts.count_encoders);
        let mut info = drm_mode_get_connector {
            connector_id: connector,
            modes_ptr: address(&mut modes),
            count_modes: counts.count_modes.max(1),
            encoders_ptr: address(&mut encoders),
            count_encoders: counts.count_encoders,
            ..Default::default()
        };
        call(fd, raw::get_connector, &mut info)?;
        if info.count_modes as usize <= modes.len() && info.count_encoders as usize <= encoders.len() {
            modes.truncate(info.count_modes as usize);
            encoders.truncate(info.count_encoders as usize);
            return Ok(RawConnector { info, modes, encoders });
        }
        counts = info;
    }
}

/// An object's properties as (property id, value) pairs.
pub(super) fn get_properties(fd: BorrowedFd<'_>, object: ObjectId) -> nix::Result<Vec<(u32, u64)>> {
    let mut count = 0;
    loop {
        let (mut ids, mut values) = (buffer::<u32>(count), buffer::<u64>(count));
        let mut argument = drm_mode_obj_get_properties {
            props_ptr: address(&mut ids),
            prop_values_ptr: address(&mut values),
            count_props: count,
            obj_id: object.raw,
            obj_type: object.kind,
        };
        call(fd, raw::get_properties, &mut argument)?;
        if argument.count_props <= count {
            return Ok(ids.into_iter().zip(values).take(argument.count_props as usize).collect());
        }
        count = argument.count_props;
    }
}

/// A property's name. Its values are not asked for (drm-ffi asks with a count and no room, which is `EFAULT`).
pub(super) fn property_name(fd: BorrowedFd<'_>, property: PropertyId) -> nix::Result<String> {
    let mut argument = drm_mode_get_property { prop_id: property.raw(), ..Default::default() };
    call(fd, raw::get_property, &mut argument)?;
    Ok(argument.name.iter().take_while(|&&c| c != 0).map(|&c| char::from(c as u8)).collect())
}

/// `DRM_IOCTL_MODE_ATOMIC`. `user_data` comes back in the flip event (drm-rs always sends 0).
pub(super) fn atomic_commit(
    fd: BorrowedFd<'_>,
    flags: u32,
    request: &mut Request,
    user_data: u64,
) -> nix::Result<()> {
    let mut argument = drm_mode_atomic {
        flags,
        count_objs: request.objects.len() as u32,
        objs_ptr: address(&mut request.objects),
        count_props_ptr: address(&mut request.counts),
        props_ptr: address(&mut request.properties),
        prop_values_ptr: address(&mut request.values),
        reserved: 0,
        user_data,
    };
    call(fd, raw::atomic, &mut argument)
}

/// `DRM_IOCTL_CRTC_GET_SEQUENCE`: (sequence, nanoseconds of the first pixel out). Needs no master.
pub(super) fn get_sequence(fd: BorrowedFd<'_>, crtc: CrtcId) -> nix::Result<(u64, i64)> {
    let mut argument = drm_crtc_get_sequence { crtc_id: crtc.raw(), ..Default::default() };
    call(fd, raw::get_sequence, &mut argument)?;
    Ok((argument.sequence, argument.sequence_ns))
}

/// `DRM_IOCTL_CRTC_QUEUE_SEQUENCE`: asks for an event at a vblank; returns the sequence it was queued for.
pub(super) fn queue_sequence(
    fd: BorrowedFd<'_>,
    crtc: CrtcId,
    flags: u32,
    sequence: u64,
    user_data: u64,
) -> nix::Result<u64> {
    let mut argument = drm_crtc_queue_sequence { crtc_id: crtc.raw(), flags, sequence, user_data };
    call(fd, raw::queue_sequence, &mut argument)?;
    Ok(argument.sequence)
}

/// Takes over an fd that this process was started with, by its number. An fd that crossed an exec is not
/// close-on-exec, and all that this program opens itself is; so one that is belongs to somebody here and is refused.
/// The fd is made close-on-exec, so that it cannot be taken twice.
pub(crate) fn take_inherited(number: i32) -> nix::Result<OwnedFd> {
    if number < 3 {
        return Err(Errno::EBADF); // stdin, stdout and stderr belong to the standard library
    }
    // SAFETY: the borrow lasts for the two fcntl calls below, and a number that is no open fd is answered EBADF.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD)?);
    if flags.contains(FdFlag::FD_CLOEXEC) {
        return Err(Errno::EBADF);
    }
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: the fd is open and, not being close-on-exec, owned by no object of this program, as said above.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The kernel's handle for a GBM buffer, on the fd that GBM was opened with.
#[cfg(feature = "headset")]
pub(super) fn gem_handle(object: &gbm::BufferObject<()>) -> u32 {
    // SAFETY: all fields of the union are plain data, and GBM writes all 64 bits (Mesa's gbm_dri.c).
    unsafe { object.handle().u32_ }
}

/// Bytes of a card's memory that are mapped into this process, and nobody else's here.
#[derive(Debug)]
pub struct Mapping {
    mapped: Arc<Mapped>,
    first: usize,
    length: usize,
}

/// A whole mapping; unmapped when the last part of it goes.
#[derive(Debug)]
struct Mapped {
    start: NonNull<libc::c_void>,
    length: NonZeroUsize,
}

// SAFETY: the mapping is plain shared memory that is valid from any thread until it is dropped.
unsafe impl Send for Mapped {}
// SAFETY: shared access only hands out the address and copies of its bytes.
unsafe impl Sync for Mapped {}

impl Mapping {
    /// Maps the first `length` bytes of a dma-buf.
    pub(super) fn new(dma_buf: impl AsFd, length: NonZeroUsize) -> nix::Result<Self> {
        // SAFETY: a new shared mapping at an address the kernel chooses aliases no Rust object.
        let start = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                dma_buf,
                0,
            )?
        };
        Ok(Self { mapped: Arc::new(Mapped { start, length }), first: 0, length: length.get() })
    }

    /// Takes all bytes from `at` on out of this part into one of its own.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        assert!(at <= self.length, "split_off past the end of the mapping");
        let rest = Self { mapped: self.mapped.clone(), first: self.first + at, length: self.length - at };
        self.length = at;
        rest
    }

    /// Where it starts.
    pub fn pointer(&self) -> *mut u8 {
        // SAFETY: `first` is at most the length of the mapping, which is one object.
        unsafe { self.mapped.start.as_ptr().cast::<u8>().add(self.first) }
    }

    /// How long it is, in bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// A copy of what it holds now; a device may be writing to it meanwhile.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        // SAFETY: the source is mapped for `length` bytes, the destination is a fresh vector of that length.
        unsafe { std::ptr::copy_nonoverlapping(self.pointer(), bytes.as_mut_ptr(), bytes.len()) };
        bytes
    }

    /// Fills all of it with one byte. Also touches every page, so that later writes fault nowhere.
    pub fn fill(&mut self, byte: u8) {
        // SAFETY: the whole range is mapped writable, is no other part's, and `&mut self` keeps other safe access out.
        unsafe { std::ptr::write_bytes(self.pointer(), byte, self.length) };
    }

    /// Copies rows of pixels in: `row_bytes` of each `source_pitch` bytes of `source` go to every `pitch` bytes here.
    ///
    /// # Panics
    /// When a row would end beyond the mapping, or `source_pitch` is zero.
    pub fn copy_rows(&mut self, pitch: usize, source: &[u8], source_pitch: usize, row_bytes: usize) {
        for (row, pixels) in source.chunks(source_pitch).enumerate() {
            let pixels = &pixels[..row_bytes.min(pixels.len())];
            assert!(row * pitch + pixels.len() <= self.length, "copy_rows past the end of the mapping");
            // SAFETY: the assertion keeps the destination inside this part; `source` is another object.
            unsafe {
                std::ptr::copy_nonoverlapping(pixels.as_ptr(), self.pointer().add(row * pitch), pixels.len());
            }
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: this object alone owns the mapping; nothing refers to it past its drop.
        if let Err(errno) = unsafe { munmap(self.start, self.length.get()) } {
            tracing::error!(%errno, "could not unmap display memory");
        }
    }
}

/// The kernel's mode structure as the bytes of a `MODE_ID` blob.
pub(super) fn mode_bytes(mode: &drm_mode_modeinfo) -> [u8; size_of::<drm_mode_modeinfo>()] {
    // SAFETY: drm_mode_modeinfo is plain old data of the uapi without padding (68 bytes: 1 + 10/2 + 3 words + 32).
    unsafe { std::mem::transmute::<drm_mode_modeinfo, [u8; size_of::<drm_mode_modeinfo>()]>(*mode) }
}
