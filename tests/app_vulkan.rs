//! An app that draws with Vulkan, on a device of its own beside the headset's.

#![allow(unsafe_code, reason = "an app that draws with ash is unsafe throughout")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ash::vk;
use leasehold::Headset;
use leasehold::kms::ModeRequest;
use leasehold::lease::request::Wanted;
use leasehold::session::options::From;
use leasehold::session::vulkan::AppDevice;
use leasehold::session::{DisplayState, Limit, Options, Pose};
use leasehold::vulkan::instance::validation_messages;

/// What the least app has: a queue, a command buffer, and a timeline to tell how far it has come.
struct App {
    device: Arc<AppDevice>,
    queue: vk::Queue,
    pool: vk::CommandPool,
    buffer: vk::CommandBuffer,
    timeline: vk::Semaphore,
    value: u64,
}

const WHOLE: vk::ImageSubresourceRange = vk::ImageSubresourceRange {
    aspect_mask: vk::ImageAspectFlags::COLOR,
    base_mip_level: 0,
    level_count: 1,
    base_array_layer: 0,
    layer_count: 1,
};

impl App {
    fn new(device: Arc<AppDevice>) -> Self {
        let (raw, family) = (device.raw(), device.queue_family());
        // SAFETY: handles of one device, used on one thread.
        unsafe {
            let queue = raw.get_device_queue(family, 0);
            let info = vk::CommandPoolCreateInfo::default()
                .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER)
                .queue_family_index(family);
            let pool = raw.create_command_pool(&info, None).unwrap();
            let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
            let buffer = raw.allocate_command_buffers(&info).unwrap()[0];
            let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
            let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
            let timeline = raw.create_semaphore(&info, None).unwrap();
            Self { device, queue, pool, buffer, timeline, value: 0 }
        }
    }

    /// Begins to fill images with their grays, and says at which value of the timeline they are done.
    fn draw(&mut self, images: [(vk::Image, f32); 2]) -> u64 {
        self.wait();
        self.value += 1;
        let raw = self.device.raw();
        // SAFETY: as above; the buffer is in no use, its last run was waited for.
        unsafe {
            raw.begin_command_buffer(self.buffer, &vk::CommandBufferBeginInfo::default()).unwrap();
            for (image, gray) in images {
                let (drawn, given) = (vk::ImageLayout::TRANSFER_DST_OPTIMAL, vk::ImageLayout::GENERAL);
                self.barrier(image, vk::ImageLayout::UNDEFINED, drawn);
                let colour = vk::ClearColorValue { float32: [gray, gray, gray, 1.0] };
                raw.cmd_clear_color_image(self.buffer, image, drawn, &colour, &[WHOLE]);
                self.barrier(image, drawn, given);
            }
            raw.end_command_buffer(self.buffer).unwrap();
            let (buffers, timelines, values) = ([self.buffer], [self.timeline], [self.value]);
            let mut timeline = vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
            let info = vk::SubmitInfo::default()
                .command_buffers(&buffers)
                .signal_semaphores(&timelines)
                .push_next(&mut timeline);
            raw.queue_submit(self.queue, &[info], vk::Fence::null()).unwrap();
        }
        self.value
    }

    fn barrier(&self, image: vk::Image, from: vk::ImageLayout, to: vk::ImageLayout) {
        let barrier = [vk::ImageMemoryBarrier2::default()
            .src_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
            .src_access_mask(vk::AccessFlags2::MEMORY_WRITE)
            .dst_stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS | vk::PipelineStageFlags2::HOST)
            .dst_access_mask(vk::AccessFlags2::MEMORY_WRITE | vk::AccessFlags2::HOST_READ)
            .old_layout(from)
            .new_layout(to)
            .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .image(image)
            .subresource_range(WHOLE)];
        let info = vk::DependencyInfo::default().image_memory_barriers(&barrier);
        // SAFETY: the buffer is being recorded.
        unsafe { self.device.raw().cmd_pipeline_barrier2(self.buffer, &info) };
    }

    fn wait(&self) {
        let (timelines, values) = ([self.timeline], [self.value]);
        let info = vk::SemaphoreWaitInfo::default().semaphores(&timelines).values(&values);
        // SAFETY: as above.
        unsafe { self.device.raw().wait_semaphores(&info, u64::MAX).unwrap() };
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // SAFETY: all work is waited for.
        unsafe {
            self.device.raw().device_wait_idle().unwrap();
            self.device.raw().destroy_semaphore(self.timeline, None);
            self.device.raw().destroy_command_pool(self.pool, None);
        }
    }
}

#[test]
fn an_app_draws_on_a_device_of_its_own_and_a_timeline_says_when_it_is_done() {
    let limit = Limit { frames: Some(60), time: None, stop: Arc::new(AtomicBool::new(false)) };
    let headset = Headset::open(Options {
        from: From::Simulated,
        connector: Wanted::Headset,
        mode: Some(ModeRequest { width_px: 128, height_px: 72, hz: Some(90.0) }),
        limit,
        validation: true,
        ..Options::default()
    })
    .unwrap();
    let device = headset.app_device().unwrap();
    let (eyes, images) = headset.vulkan_eyes(&device, [96, 96]).unwrap();
    let mut app = App::new(device.clone());
    let mut session = headset.session(eyes).unwrap();
    while let Some(frame) = session.wait() {
        assert_eq!(frame.state(), DisplayState::Showing);
        let [left, right] = &images[frame.pair()];
        let done = app.draw([(left.raw(), 100.0 / 255.0), (right.raw(), 200.0 / 255.0)]);
        // SAFETY: the timeline is of this device, and outlives the session.
        let point = unsafe { device.point(app.timeline, done) };
        frame.submit_at(point, Pose::AHEAD);
    }
    let ending = session.end().unwrap();
    let picture = ending.picture().unwrap().expect("something was shown");
    let middle = |column: usize| picture.codes[(36 * 128 + column) * 3];
    // As near as mura correction and dither leave them.
    assert!(middle(32).abs_diff(100) < 24 && middle(96).abs_diff(200) < 24, "{} {}", middle(32), middle(96));
    assert!(ending.run.app.submitted > 0);
    drop((app, images));
    drop(ending);
    assert_eq!(validation_messages(), 0, "the validation layer found mistakes");
}
