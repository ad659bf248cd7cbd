//! An app that draws with Vulkan: on a device that is opened for it, and on one of its own.

#![allow(unsafe_code, reason = "an app that draws with ash is unsafe throughout")]

use std::ffi::{CStr, c_void};
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ash::{Entry, ext, vk};
use leasehold::Headset;
use leasehold::kms::ModeRequest;
use leasehold::lease::request::Wanted;
use leasehold::session::options::From;
use leasehold::session::vulkan::{AppDevice, AppImage, ENCODING_FORMAT, EXTENSIONS, Gpu};
use leasehold::session::{DisplayState, Ending, Instant, Limit, Options, Pose, SLOTS, Session, Span};
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
    fn new(device: &Arc<AppDevice>) -> Self {
        let (device, raw, family) = (device.clone(), device.raw(), device.queue_family());
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

    /// Has the device run what `record` adds, and says at which value of the timeline it has.
    fn run(&mut self, record: impl FnOnce(&ash::Device, vk::CommandBuffer)) -> u64 {
        self.wait();
        self.value += 1;
        let raw = self.device.raw();
        // SAFETY: as above; the buffer is in no use, its last run was waited for.
        unsafe {
            raw.begin_command_buffer(self.buffer, &vk::CommandBufferBeginInfo::default()).unwrap();
            record(raw, self.buffer);
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

/// Clears an image to a gray, as a copy of a picture would fill it.
fn fill(raw: &ash::Device, commands: vk::CommandBuffer, image: &AppImage, code: u8) {
    let layout = vk::ImageLayout::TRANSFER_DST_OPTIMAL;
    let gray = f32::from(code) / 255.0;
    let colour = vk::ClearColorValue { float32: [gray, gray, gray, 1.0] };
    // SAFETY: commands and image are of this device, outside of any render pass.
    unsafe {
        image.begin(commands, layout);
        raw.cmd_clear_color_image(commands, image.raw(), layout, &colour, &[WHOLE]);
        image.finish(commands, layout);
    }
}

/// Draws on an image through a view of it, in a linear gray that the GPU encodes.
fn render(
    raw: &ash::Device,
    commands: vk::CommandBuffer,
    (image, view): (&AppImage, vk::ImageView),
    gray: f32,
) {
    let layout = vk::ImageLayout::COLOR_ATTACHMENT_OPTIMAL;
    let [width, height] = image.size_px();
    let value = vk::ClearValue { color: vk::ClearColorValue { float32: [gray, gray, gray, 1.0] } };
    let attachments = [vk::RenderingAttachmentInfo::default()
        .image_view(view)
        .image_layout(layout)
        .load_op(vk::AttachmentLoadOp::CLEAR)
        .store_op(vk::AttachmentStoreOp::STORE)
        .clear_value(value)];
    let info = vk::RenderingInfo::default()
        .render_area(vk::Rect2D::default().extent(vk::Extent2D { width, height }))
        .layer_count(1)
        .color_attachments(&attachments);
    // SAFETY: as above; the view is of this image.
    unsafe {
        image.begin(commands, layout);
        raw.cmd_begin_rendering(commands, &info);
        raw.cmd_end_rendering(commands);
        image.finish(commands, layout);
    }
}

/// A small simulated panel, until so many frames were on it.
fn open(frames: Option<u64>, time: Option<Span>) -> Headset {
    let limit = Limit { frames, time, stop: Arc::new(AtomicBool::new(false)) };
    Headset::open(Options {
        from: From::Simulated,
        connector: Wanted::Headset,
        mode: Some(ModeRequest { width_px: 128, height_px: 72, hz: Some(90.0) }),
        limit,
        validation: true,
        ..Options::default()
    })
    .unwrap()
}

const SIZE_PX: [u32; 2] = [96, 96];

/// Has each frame drawn until the session is over; `draw` begins to, and says at which value of the timeline it is done.
fn draw_all(
    session: &mut Session,
    app: &mut App,
    images: &[[AppImage; 2]; SLOTS],
    mut draw: impl FnMut(&mut App, usize, &[AppImage; 2]) -> u64,
) {
    while let Some(frame) = session.wait() {
        assert_eq!(frame.state(), DisplayState::Showing);
        let pair = frame.pair();
        let done = draw(app, pair, &images[pair]);
        // SAFETY: the timeline is of this device, and outlives the session.
        let point = unsafe { app.device.point(app.timeline, done) };
        frame.submit_at(point, Pose::AHEAD);
    }
}

/// Whether the panel shows these grays, as near as mura correction and dither leave them.
fn shows(ending: &Ending, left: u16, right: u16) -> bool {
    let picture = ending.picture().unwrap().expect("something was shown");
    let middle = |column: usize| picture.codes[(36 * 128 + column) * 3];
    let [seen_left, seen_right] = [middle(32), middle(96)];
    let _ = writeln!(std::io::stderr(), "{seen_left} {seen_right} where {left} {right} are to be");
    seen_left.abs_diff(left) < 24 && seen_right.abs_diff(right) < 24
}

/// Lets an app show something in one of three runs: one that the machine holds up at the end has been faded out.
fn in_one_of_three(shows_it: impl FnMut() -> bool) {
    assert!(
        std::iter::repeat_with(shows_it).take(3).any(|is_shown| is_shown),
        "other grays are on the panel"
    );
}

#[test]
fn an_app_draws_on_a_device_that_is_opened_for_it() {
    in_one_of_three(|| {
        let headset = open(Some(60), None);
        let device = headset.app_device().unwrap();
        let mut app = App::new(&device);
        let (mut session, images) = headset.vulkan_session(&device, SIZE_PX).unwrap();
        draw_all(&mut session, &mut app, &images, |app, _, [left, right]| {
            app.run(|raw, commands| {
                fill(raw, commands, left, 100);
                fill(raw, commands, right, 200);
            })
        });
        let ending = session.end().unwrap();
        let is_shown = shows(&ending, 100, 200);
        assert!(ending.run.app.submitted > 0);
        drop((app, images, device));
        drop(ending);
        assert_eq!(validation_messages(), 0, "the validation layer found mistakes");
        is_shown
    });
}

#[test]
fn an_app_that_has_no_more_use_for_its_images_leaves_the_last_frame_behind() {
    in_one_of_three(|| {
        let mut headset = open(None, Some(Span::from_ms(60_000)));
        let mut records = headset.records();
        let device = headset.app_device().unwrap();
        let mut app = App::new(&device);
        let (mut session, images) = headset.vulkan_session(&device, SIZE_PX).unwrap();
        let pair = session.wait().unwrap().pair();
        app.run(|raw, commands| images[pair].iter().for_each(|image| fill(raw, commands, image, 150)));
        app.wait();
        session.wait().unwrap().submit(Pose::AHEAD);
        drop((app, images, device));
        // Not longer, for it would be taken for dead.
        let start = Instant::now();
        while records.pop().is_none() {
            assert!(Instant::now() - start < Span::from_ms(60_000), "it is never shown");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let ending = session.end().unwrap();
        let is_shown = shows(&ending, 150, 150);
        drop(ending);
        assert_eq!(validation_messages(), 0, "the validation layer found mistakes");
        is_shown
    });
}

#[test]
fn a_device_that_never_gets_there_stops_neither_the_headset_nor_the_end() {
    let headset = open(None, Some(Span::from_ms(1_000)));
    let device = headset.app_device().unwrap();
    let app = App::new(&device);
    let (mut session, _images) = headset.vulkan_session(&device, SIZE_PX).unwrap();
    // SAFETY: the timeline is of this device, and outlives the session.
    let point = unsafe { device.point(app.timeline, 1_000) };
    session.wait().unwrap().submit_at(point, Pose::AHEAD);
    assert!(session.wait().is_none(), "it waited until nothing was shown any more");
    let ending = session.end().unwrap();
    assert_eq!(ending.run.app.submitted, 0);
    assert!(ending.run.history.frames > 10, "the headset went on");
}

/// Vulkan as an engine of its own has it, watched by the validation layer.
struct Engine {
    entry: Entry,
    instance: ash::Instance,
    messages: Box<AtomicU64>,
    watch: (ext::debug_utils::Instance, vk::DebugUtilsMessengerEXT),
}

impl Engine {
    fn start() -> Self {
        let messages = Box::new(AtomicU64::new(0));
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let (layers, extensions) =
            ([c"VK_LAYER_KHRONOS_validation".as_ptr()], [ext::debug_utils::NAME.as_ptr()]);
        let info = vk::InstanceCreateInfo::default()
            .application_info(&application)
            .enabled_layer_names(&layers)
            .enabled_extension_names(&extensions);
        // SAFETY: names are zero-terminated; the counter that the messenger is given outlives it.
        unsafe {
            let entry = Entry::load().unwrap();
            let instance = entry.create_instance(&info, None).unwrap();
            let functions = ext::debug_utils::Instance::new(&entry, &instance);
            let watch = vk::DebugUtilsMessengerCreateInfoEXT::default()
                .message_severity(
                    vk::DebugUtilsMessageSeverityFlagsEXT::WARNING
                        | vk::DebugUtilsMessageSeverityFlagsEXT::ERROR,
                )
                .message_type(vk::DebugUtilsMessageTypeFlagsEXT::VALIDATION)
                .pfn_user_callback(Some(count))
                .user_data(std::ptr::from_ref(&*messages).cast_mut().cast());
            let messenger = functions.create_debug_utils_messenger(&watch, None).unwrap();
            Self { entry, instance, messages, watch: (functions, messenger) }
        }
    }

    /// The device that `wanted` is true of, if there is one.
    fn find(&self, wanted: impl Fn(Gpu) -> bool) -> Option<vk::PhysicalDevice> {
        // SAFETY: physical devices of this instance.
        let all = unsafe { self.instance.enumerate_physical_devices() }.unwrap();
        all.into_iter().find(|&physical| {
            let mut ids = vk::PhysicalDeviceIDProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut ids);
            // SAFETY: as above.
            unsafe { self.instance.get_physical_device_properties2(physical, &mut properties) };
            wanted(Gpu { device_uuid: ids.device_uuid, driver_uuid: ids.driver_uuid })
        })
    }

    /// Opens a device as an engine would, with these extensions.
    fn open(&self, physical: vk::PhysicalDevice, extensions: &[&CStr]) -> ash::Device {
        let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[0.5])];
        let extensions: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();
        let mut modern = vk::PhysicalDeviceVulkan13Features::default().dynamic_rendering(true);
        let mut timeline = vk::PhysicalDeviceVulkan12Features::default().timeline_semaphore(true);
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&extensions)
            .push_next(&mut modern)
            .push_next(&mut timeline);
        // SAFETY: what is enabled is there on every Vulkan 1.3 device but for the extensions.
        unsafe { self.instance.create_device(physical, &info, None) }.unwrap()
    }

    /// A device of its own, as an app hands it over.
    fn hand_over(
        &self,
        physical: vk::PhysicalDevice,
        device: &ash::Device,
    ) -> Result<Arc<AppDevice>, String> {
        // SAFETY: the handles belong together, and the tests destroy them last.
        unsafe { AppDevice::from_handles(self.instance.clone(), physical, device.clone(), 0) }
            .map_err(|error| error.to_string())
    }

    fn stop(self) {
        // SAFETY: all that was made from the instance is gone.
        unsafe {
            self.watch.0.destroy_debug_utils_messenger(self.watch.1, None);
            self.instance.destroy_instance(None);
        }
        assert_eq!(
            self.messages.load(Ordering::Relaxed),
            0,
            "the validation layer found mistakes of the app"
        );
        drop(self.entry);
    }
}

/// Prints and counts a message of the validation layer.
unsafe extern "system" fn count(
    _severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    _kind: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    counter: *mut c_void,
) -> vk::Bool32 {
    // SAFETY: the layer passes a valid structure and what the messenger was created with.
    let (message, counter) = unsafe { ((*data).message_as_c_str(), &*counter.cast::<AtomicU64>()) };
    counter.fetch_add(1, Ordering::Relaxed);
    let _ = writeln!(std::io::stderr(), "Vulkan validation: {message:?}");
    vk::FALSE
}

#[test]
fn an_app_draws_on_a_device_of_its_own() {
    in_one_of_three(|| {
        let headset = open(Some(60), None);
        let engine = Engine::start();
        // SAFETY: the instance is alive.
        let physical = unsafe { headset.gpu().find(&engine.instance) }.expect("the app sees the same GPU");
        let raw = engine.open(physical, &EXTENSIONS);
        let device = engine.hand_over(physical, &raw).unwrap();
        let mut app = App::new(&device);
        let (mut session, images) = headset.vulkan_session(&device, SIZE_PX).unwrap();
        let view = |image: &AppImage| {
            let info = vk::ImageViewCreateInfo::default()
                .image(image.raw())
                .view_type(vk::ImageViewType::TYPE_2D)
                .format(ENCODING_FORMAT)
                .subresource_range(WHOLE);
            // SAFETY: the image allows for views of this format.
            unsafe { raw.create_image_view(&info, None) }.unwrap()
        };
        let views = images.each_ref().map(|pair| pair.each_ref().map(view));
        draw_all(&mut session, &mut app, &images, |app, pair, [left, right]| {
            let [left_view, right_view] = views[pair];
            app.run(|raw, commands| {
                render(raw, commands, (left, left_view), 0.1274);
                render(raw, commands, (right, right_view), 0.5776);
            })
        });
        let ending = session.end().unwrap();
        // What those are, sRGB-encoded.
        let is_shown = shows(&ending, 100, 200);
        drop(ending);
        // SAFETY: the app waits for its work when it is dropped, and nobody else uses views and device.
        unsafe {
            raw.device_wait_idle().unwrap();
            views.iter().flatten().for_each(|&view| raw.destroy_image_view(view, None));
            drop((app, images, device));
            raw.destroy_device(None);
        }
        engine.stop();
        assert_eq!(validation_messages(), 0, "the validation layer found mistakes");
        is_shown
    });
}

#[test]
fn a_device_that_cannot_share_memory_is_refused_and_the_extension_named() {
    let engine = Engine::start();
    let physical = engine.find(|_| true).unwrap();
    let raw = engine.open(physical, &[]);
    let refusal = engine.hand_over(physical, &raw).unwrap_err();
    assert!(refusal.contains("VK_KHR_external_memory_fd") && refusal.contains("EXTENSIONS"), "{refusal}");
    // SAFETY: nothing was made from it.
    unsafe { raw.destroy_device(None) };
    engine.stop();
}

#[test]
fn a_device_of_another_gpu_is_refused_and_both_are_named() {
    const TEST: &str = "a_device_of_another_gpu_is_refused_and_both_are_named";
    const INNER: &str = "LEASEHOLD_TEST_OTHER_GPU";
    if std::env::var_os(INNER).is_none() {
        // With a process of its own, for this changes what GPUs there are.
        let program = std::env::current_exe().unwrap();
        let output =
            Command::new(program).args(["--exact", TEST, "--nocapture"]).env(INNER, "1").output().unwrap();
        std::io::stdout().write_all(&output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let headset = open(Some(1), None);
    // Mesa's driver for AMD then shows a GPU that is not there.
    // SAFETY: no other thread of this process reads the environment now.
    unsafe { std::env::set_var("RADV_FORCE_FAMILY", "navi21") };
    let engine = Engine::start();
    let gpu = headset.gpu();
    let Some(physical) = engine.find(|other| other != gpu) else {
        println!("SKIPPED: {TEST}: there is one GPU, and Mesa's driver for AMD is not installed");
        return;
    };
    let raw = engine.open(physical, &EXTENSIONS);
    let device = engine.hand_over(physical, &raw).unwrap();
    let refusal = headset.vulkan_session(&device, SIZE_PX).unwrap_err().to_string();
    println!("{refusal}");
    assert!(refusal.contains("RADV") && refusal.contains("llvmpipe"), "{refusal}");
    assert!(refusal.contains("Headset::gpu") && refusal.contains("dma-bufs"), "{refusal}");
    drop(device);
    // SAFETY: nothing was made from it.
    unsafe { raw.destroy_device(None) };
    engine.stop();
}
