//! Command buffers that are recorded, submitted, and waited for.

use std::sync::{Arc, PoisonError};

use ash::vk;

use super::buffer::Buffer;
use super::device::Device;
use super::error::{Context, VulkanError};
use super::gate::Gate;
use super::image::{Image, WHOLE};
use super::timestamps::Timestamps;
use crate::time::Span;

/// One command buffer with its pool and fence.
pub struct Commands {
    device: Arc<Device>,
    pool: vk::CommandPool,
    pub(super) raw: vk::CommandBuffer,
    fence: vk::Fence,
    timestamps: Option<Timestamps>,
}

impl Commands {
    /// An empty command buffer.
    ///
    /// # Errors
    /// When the driver has no memory left for it.
    pub fn new(device: &Arc<Device>) -> Result<Self, VulkanError> {
        let mut commands = Self {
            device: device.clone(),
            pool: vk::CommandPool::null(),
            raw: vk::CommandBuffer::null(),
            fence: vk::Fence::null(),
            timestamps: None,
        };
        let pool = vk::CommandPoolCreateInfo::default()
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER)
            .queue_family_index(device.queue_family);
        // SAFETY: descriptions are complete; what is created is owned by `commands` at once.
        unsafe {
            commands.pool = device.raw.create_command_pool(&pool, None).during("create a command pool")?;
            let info = vk::CommandBufferAllocateInfo::default()
                .command_pool(commands.pool)
                .level(vk::CommandBufferLevel::PRIMARY)
                .command_buffer_count(1);
            commands.raw = device.raw.allocate_command_buffers(&info).during("allocate a command buffer")?[0];
            commands.fence =
                device.raw.create_fence(&vk::FenceCreateInfo::default(), None).during("create a fence")?;
        }
        Ok(commands)
    }

    /// Records what `record` adds; the recording can be submitted any number of times.
    ///
    /// # Errors
    /// When the driver has no memory left for what is recorded.
    pub fn record(&mut self, record: impl FnOnce(&mut Recording<'_>)) -> Result<(), VulkanError> {
        // SAFETY: `&mut self` and the rule that every submit is waited for keep the buffer out of use.
        unsafe {
            self.device
                .raw
                .begin_command_buffer(self.raw, &vk::CommandBufferBeginInfo::default())
                .during("begin recording")?;
            let device = &self.device;
            record(&mut Recording {
                device: &device.raw,
                raw: self.raw,
                own: device.queue_family,
                foreign: match device.capabilities().foreign {
                    true => vk::QUEUE_FAMILY_FOREIGN_EXT,
                    false => vk::QUEUE_FAMILY_EXTERNAL,
                },
            });
            self.device.raw.end_command_buffer(self.raw).during("end recording")
        }
    }

    /// Records the same between two stamps of the device's counter, where it has one.
    ///
    /// # Errors
    /// When the driver has no memory left for what is recorded, or for the stamps.
    pub fn record_timed(&mut self, record: impl FnOnce(&mut Recording<'_>)) -> Result<(), VulkanError> {
        let timestamps = match self.timestamps.take() {
            None => Timestamps::new(&self.device)?,
            made => made,
        };
        let recorded = self.record(|recording| {
            timestamps.iter().for_each(|stamps| stamps.begin(recording.raw));
            record(recording);
            timestamps.iter().for_each(|stamps| stamps.end(recording.raw));
        });
        self.timestamps = timestamps;
        recorded
    }

    /// The device's counter when it began and had ended the last run of what was recorded timed; `None` without a counter.
    pub fn ticks(&self) -> Option<[u64; 2]> {
        self.timestamps.as_ref()?.ticks()
    }

    /// Submits the recording and waits for it, at most `timeout`.
    ///
    /// # Errors
    /// When the device is lost, or not done within `timeout`.
    pub fn run(&mut self, timeout: Span) -> Result<(), VulkanError> {
        self.submit()?;
        self.wait(timeout)
    }

    /// Waits for what was submitted, at most `timeout`.
    pub(crate) fn wait(&mut self, timeout: Span) -> Result<(), VulkanError> {
        // SAFETY: as in `is_done`.
        unsafe {
            self.device
                .raw
                .wait_for_fences(&[self.fence], true, timeout.as_ns().max(0) as u64)
                .during("wait for the device")?;
            self.device.raw.reset_fences(&[self.fence]).during("reset a fence")
        }
    }

    /// Submits the recording and does not wait for it. Before it is recorded or submitted again,
    /// [`is_done`](Self::is_done) has to have said yes, or [`wait`](Self::wait) have come back.
    pub(crate) fn submit(&mut self) -> Result<(), VulkanError> {
        let buffers = [self.raw];
        self.submit_as(vk::SubmitInfo::default().command_buffers(&buffers))
    }

    /// The same, to be begun by the device once the gate is opened.
    pub(crate) fn submit_behind(&mut self, gate: &Gate) -> Result<(), VulkanError> {
        let (buffers, gates, values) = ([self.raw], [gate.raw], [gate.next]);
        let stages = [vk::PipelineStageFlags::ALL_COMMANDS];
        let mut timeline = vk::TimelineSemaphoreSubmitInfo::default().wait_semaphore_values(&values);
        let submit = vk::SubmitInfo::default()
            .command_buffers(&buffers)
            .wait_semaphores(&gates)
            .wait_dst_stage_mask(&stages)
            .push_next(&mut timeline);
        self.submit_as(submit)
    }

    fn submit_as(&mut self, submit: vk::SubmitInfo<'_>) -> Result<(), VulkanError> {
        // SAFETY: host synchronisation: the lock keeps other threads off the queue; the fence is unsignalled because
        // whoever waits for it resets it.
        unsafe {
            let queue = self.device.queue.lock().unwrap_or_else(PoisonError::into_inner);
            self.device.raw.queue_submit(*queue, &[submit], self.fence).during("submit work")
        }
    }

    /// Whether the device is done with what was submitted, without waiting; to be asked until it says yes.
    pub(crate) fn is_done(&mut self) -> Result<bool, VulkanError> {
        // SAFETY: the fence is this object's, and reset only when it is signalled.
        unsafe {
            let done =
                self.device.raw.get_fence_status(self.fence).during("ask the device for its progress")?;
            if done {
                self.device.raw.reset_fences(&[self.fence]).during("reset a fence")?;
            }
            Ok(done)
        }
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.device.wait_idle();
        // SAFETY: every submit was waited for, or the wait failed and the device was idled above.
        unsafe {
            self.device.raw.destroy_fence(self.fence, None);
            self.device.raw.destroy_command_pool(self.pool, None);
        }
    }
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Commands").finish_non_exhaustive()
    }
}

/// A command buffer while it is being recorded.
pub struct Recording<'a> {
    pub(super) device: &'a ash::Device,
    pub(super) raw: vk::CommandBuffer,
    own: u32,
    foreign: u32,
}

/// Who else uses an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharer {
    /// Nobody: it is in `SHADER_READ_ONLY_OPTIMAL` for good.
    Nobody,
    /// The CPU, which draws on it.
    Cpu,
    /// Another device of the same GPU and driver, to which what it holds is nothing.
    Neighbour,
    /// Another device, driver or process.
    Foreign,
}

impl Recording<'_> {
    /// Makes an image that was drawn on by its sharer ready to be read by shaders.
    pub fn acquire(&mut self, image: &Image, from: Sharer) {
        let layouts = (vk::ImageLayout::GENERAL, vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL);
        match from {
            Sharer::Nobody => {}
            Sharer::Cpu => self.transition(image, layouts.0, layouts.1),
            Sharer::Neighbour => {
                self.barrier(image, (layouts.1, layouts.1), (vk::QUEUE_FAMILY_EXTERNAL, self.own));
            }
            Sharer::Foreign => self.barrier(image, layouts, (self.foreign, self.own)),
        }
    }

    /// Gives an image back to its sharer.
    pub fn release(&mut self, image: &Image, to: Sharer) {
        let layouts = (vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL, vk::ImageLayout::GENERAL);
        match to {
            Sharer::Nobody => {}
            Sharer::Cpu => self.transition(image, layouts.0, layouts.1),
            // Who draws it anew takes it without being given it: Vulkan, "Queue Family Ownership Transfer".
            Sharer::Neighbour => {}
            Sharer::Foreign => self.barrier(image, layouts, (self.own, self.foreign)),
        }
    }

    /// Gives an image to its sharer for the first time. What it holds need not outlive that, unless the CPU has drawn it.
    pub fn give(&mut self, image: &Image, to: Sharer) {
        let layout = vk::ImageLayout::GENERAL;
        match to {
            Sharer::Nobody => {}
            Sharer::Cpu => self.transition(image, vk::ImageLayout::PREINITIALIZED, layout),
            Sharer::Neighbour => {
                let layout = vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL;
                self.transition(image, vk::ImageLayout::UNDEFINED, layout);
                self.barrier(image, (layout, layout), (self.own, vk::QUEUE_FAMILY_EXTERNAL));
            }
            // VUID-VkImageCreateInfo-pNext-01443: images in memory from elsewhere begin as UNDEFINED.
            Sharer::Foreign => {
                self.transition(image, vk::ImageLayout::UNDEFINED, layout);
                self.barrier(image, (layout, layout), (self.own, self.foreign));
            }
        }
    }

    /// Moves an image from one layout to another, between all earlier and all later work.
    pub fn transition(&mut self, image: &Image, from: vk::ImageLayout, to: vk::ImageLayout) {
        self.barrier(image, (from, to), (vk::QUEUE_FAMILY_IGNORED, vk::QUEUE_FAMILY_IGNORED));
    }

    fn barrier(
        &mut self,
        image: &Image,
        (from, to): (vk::ImageLayout, vk::ImageLayout),
        (source, destination): (u32, u32),
    ) {
        let barrier = [vk::ImageMemoryBarrier2::default()
            .src_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
            .src_access_mask(vk::AccessFlags2::MEMORY_WRITE)
            .dst_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
            .dst_access_mask(vk::AccessFlags2::MEMORY_READ | vk::AccessFlags2::MEMORY_WRITE)
            .old_layout(from)
            .new_layout(to)
            .src_queue_family_index(source)
            .dst_queue_family_index(destination)
            .image(image.raw)
            .subresource_range(WHOLE)];
        let info = vk::DependencyInfo::default().image_memory_barriers(&barrier);
        // SAFETY: recording; the image outlives the recording's use (module rule).
        unsafe { self.device.cmd_pipeline_barrier2(self.raw, &info) };
    }

    /// Has draws from here on see what the CPU wrote until the device began on this. What it wrote before the submit they
    /// would see without (Vulkan, "Host Write Ordering Guarantees"), what it writes later they would not.
    pub fn read_late_numbers(&mut self) {
        let barrier = [vk::MemoryBarrier2::default()
            .src_stage_mask(vk::PipelineStageFlags2::HOST)
            .src_access_mask(vk::AccessFlags2::HOST_WRITE)
            .dst_stage_mask(vk::PipelineStageFlags2::ALL_GRAPHICS)
            .dst_access_mask(vk::AccessFlags2::UNIFORM_READ)];
        let info = vk::DependencyInfo::default().memory_barriers(&barrier);
        // SAFETY: recording, outside of a render pass.
        unsafe { self.device.cmd_pipeline_barrier2(self.raw, &info) };
    }

    /// Copies a buffer of tightly packed pixels into an image in `TRANSFER_DST_OPTIMAL`.
    pub fn upload(&mut self, pixels: &Buffer, image: &Image) {
        let region = [whole_copy(image)];
        let layout = vk::ImageLayout::TRANSFER_DST_OPTIMAL;
        // SAFETY: as above; the buffer holds width x height pixels, which its maker saw to.
        unsafe { self.device.cmd_copy_buffer_to_image(self.raw, pixels.raw, image.raw, layout, &region) };
    }

    /// Draws an image in `GENERAL` on another of any size, whose pixels are lost before and which is `GENERAL` afterwards.
    pub fn resize(&mut self, image: &Image, into: &Image) {
        let (read, written) = (vk::ImageLayout::TRANSFER_SRC_OPTIMAL, vk::ImageLayout::TRANSFER_DST_OPTIMAL);
        self.transition(image, vk::ImageLayout::GENERAL, read);
        self.transition(into, vk::ImageLayout::UNDEFINED, written);
        let region = [vk::ImageBlit::default()
            .src_subresource(COLOUR)
            .src_offsets(corners(image))
            .dst_subresource(COLOUR)
            .dst_offsets(corners(into))];
        // SAFETY: as in `upload`; drivers scale what they draw on, in any of its formats.
        unsafe {
            self.device.cmd_blit_image(
                self.raw,
                image.raw,
                read,
                into.raw,
                written,
                &region,
                vk::Filter::LINEAR,
            );
        }
        self.transition(image, read, vk::ImageLayout::GENERAL);
        self.transition(into, written, vk::ImageLayout::GENERAL);
    }

    /// Copies an image in `GENERAL` into another of its size and format, which is sampled before and after.
    pub fn keep(&mut self, image: &Image, into: &Image) {
        let (read, written) = (vk::ImageLayout::TRANSFER_SRC_OPTIMAL, vk::ImageLayout::TRANSFER_DST_OPTIMAL);
        let sampled = vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL;
        self.transition(image, vk::ImageLayout::GENERAL, read);
        self.transition(into, sampled, written);
        let region = [vk::ImageCopy::default()
            .src_subresource(COLOUR)
            .dst_subresource(COLOUR)
            .extent(vk::Extent3D { width: image.width_px(), height: image.height_px(), depth: 1 })];
        // SAFETY: as in `upload`; both images are of one size and format, which their maker saw to.
        unsafe { self.device.cmd_copy_image(self.raw, image.raw, read, into.raw, written, &region) };
        self.transition(image, read, vk::ImageLayout::GENERAL);
        self.transition(into, written, sampled);
    }

    /// Copies an image in `GENERAL` into a buffer of tightly packed pixels and makes it visible to the CPU.
    pub fn download(&mut self, image: &Image, pixels: &Buffer) {
        let region = [whole_copy(image)];
        let barrier = [vk::MemoryBarrier2::default()
            .src_stage_mask(vk::PipelineStageFlags2::ALL_TRANSFER)
            .src_access_mask(vk::AccessFlags2::TRANSFER_WRITE)
            .dst_stage_mask(vk::PipelineStageFlags2::HOST)
            .dst_access_mask(vk::AccessFlags2::HOST_READ)];
        let info = vk::DependencyInfo::default().memory_barriers(&barrier);
        let layout = vk::ImageLayout::TRANSFER_SRC_OPTIMAL;
        self.transition(image, vk::ImageLayout::GENERAL, layout);
        // SAFETY: as above.
        unsafe {
            self.device.cmd_copy_image_to_buffer(self.raw, image.raw, layout, pixels.raw, &region);
            self.device.cmd_pipeline_barrier2(self.raw, &info);
        }
        self.transition(image, layout, vk::ImageLayout::GENERAL);
    }
}

/// All of a colour image, for copies.
const COLOUR: vk::ImageSubresourceLayers = vk::ImageSubresourceLayers {
    aspect_mask: vk::ImageAspectFlags::COLOR,
    mip_level: 0,
    base_array_layer: 0,
    layer_count: 1,
};

fn corners(image: &Image) -> [vk::Offset3D; 2] {
    let far = vk::Offset3D { x: image.width_px() as i32, y: image.height_px() as i32, z: 1 };
    [vk::Offset3D::default(), far]
}

fn whole_copy(image: &Image) -> vk::BufferImageCopy {
    vk::BufferImageCopy::default().image_subresource(COLOUR).image_extent(vk::Extent3D {
        width: image.width_px(),
        height: image.height_px(),
        depth: 1,
    })
}
