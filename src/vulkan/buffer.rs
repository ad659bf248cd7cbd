//! Buffers in memory that the CPU can see.

use std::sync::Arc;

use ash::vk;

use super::device::Device;
use super::error::{Context, VulkanError};

/// A buffer that is mapped for the CPU as long as it lives.
pub struct Buffer {
    device: Arc<Device>,
    pub(super) raw: vk::Buffer,
    memory: vk::DeviceMemory,
    mapped: *mut u8,
    length: usize,
}

// SAFETY: the mapping is plain memory, valid from any thread; `&mut self` guards writes.
unsafe impl Send for Buffer {}
// SAFETY: shared access only reads.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// A buffer of `length` bytes of zeros.
    ///
    /// # Errors
    /// When the device has no memory left, or none that the CPU sees.
    pub fn new(
        device: &Arc<Device>,
        length: usize,
        usage: vk::BufferUsageFlags,
    ) -> Result<Self, VulkanError> {
        let info = vk::BufferCreateInfo::default().size(length as u64).usage(usage);
        // SAFETY: the description is complete; ownership of what is created passes to `buffer` below at once, so
        // that an error further on frees it.
        let raw = unsafe { device.raw.create_buffer(&info, None) }.during("create a buffer")?;
        let mut buffer = Self {
            device: device.clone(),
            raw,
            memory: vk::DeviceMemory::null(),
            mapped: std::ptr::null_mut(),
            length,
        };
        let coherent = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
        // SAFETY: the buffer was just created and has no memory yet; the memory is mapped once and whole, and is
        // `length` bytes or more as the driver's requirements say.
        unsafe {
            let needs = device.raw.get_buffer_memory_requirements(raw);
            let kind = device.memory_type(
                needs.memory_type_bits,
                coherent | vk::MemoryPropertyFlags::HOST_CACHED,
                coherent,
            )?;
            let info = vk::MemoryAllocateInfo::default().allocation_size(needs.size).memory_type_index(kind);
            buffer.memory = device.raw.allocate_memory(&info, None).during("allocate a buffer's memory")?;
            device.raw.bind_buffer_memory(raw, buffer.memory, 0).during("bind a buffer's memory")?;
            buffer.mapped = device
                .raw
                .map_memory(buffer.memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty())
                .during("map a buffer's memory")?
                .cast();
        }
        buffer.bytes_mut().fill(0);
        Ok(buffer)
    }

    /// What the buffer holds. The device must not be writing to it.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for at least `length` bytes, initialised at creation, written only through `&mut self` or by
        // device work that its submitter waits for.
        unsafe { std::slice::from_raw_parts(self.mapped, self.length) }
    }

    /// What the buffer holds, for writing. The device must not be using it.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `&mut self` keeps other access out.
        unsafe { std::slice::from_raw_parts_mut(self.mapped, self.length) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: work on the buffer has been waited for (module rule); freeing null memory is allowed.
        unsafe {
            self.device.raw.destroy_buffer(self.raw, None);
            self.device.raw.free_memory(self.memory, None);
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Buffer").field("length", &self.length).finish_non_exhaustive()
    }
}
