//! The common way to undo a lens, to measure ours against: a mesh of 64 by 64 cells over each eye, a place in the eye
//! buffer for each colour at its corners, three fetches a pixel, no mura.

use std::sync::Arc;

use ash::vk;
use leasehold::compositor::eye_images::{Pixels, Samples};
use leasehold::headset::{Channel, Headset};
use leasehold::time::Span;
use leasehold::vulkan::pipeline::{Bindings, Draw, Pipeline, Resources, Shaders};
use leasehold::vulkan::{Buffer, Commands, Device, Image, VulkanError};

/// Cells across and down.
const CELLS: u32 = 64;

/// A recorded pass, and what it draws with.
pub struct MeshPass {
    commands: Commands,
    _pipeline: Pipeline,
    _eyes: Vec<(Buffer, Bindings)>,
    _kept: [Image; 3],
    _uniforms: Buffer,
}

impl MeshPass {
    /// From one image for both eyes to a panel of `width_px` x `height_px` pixels.
    pub fn new(
        device: &Arc<Device>,
        headset: &Headset,
        picture: &Pixels,
        [width_px, height_px]: [u32; 2],
    ) -> Result<Self, VulkanError> {
        let target = Image::target(device, FORMAT, width_px, height_px)?;
        let picture = upload(device, picture)?;
        let nothing = Image::texture(device, vk::Format::R8G8B8A8_UNORM, 1, 1)?;
        let uniforms = Buffer::new(device, 16, vk::BufferUsageFlags::UNIFORM_BUFFER)?;
        let pipeline = Pipeline::new(device, SHADERS, FORMAT)?;
        let mut eyes = Vec::new();
        for eye in 0..2 {
            let corners = corners(headset, eye);
            let bytes: &[u8] = bytemuck::cast_slice(&corners);
            let mut buffer = Buffer::new(device, bytes.len(), vk::BufferUsageFlags::VERTEX_BUFFER)?;
            buffer.bytes_mut().copy_from_slice(bytes);
            let resources = Resources {
                uniforms: &uniforms,
                picture: &picture,
                map: &nothing,
                layers: [&nothing; 4],
                previous: &nothing,
            };
            eyes.push((buffer, Bindings::new(&pipeline, &resources)?));
        }
        let draws: Vec<_> = (0..)
            .zip(&eyes)
            .map(|(eye, (vertices, bindings))| Draw {
                pipeline: &pipeline,
                bindings,
                vertices,
                vertex_count: CELLS * CELLS * 6,
                area_px: [eye * width_px / 2, 0, width_px / 2, height_px],
            })
            .collect();
        let mut commands = Commands::new(device)?;
        commands.record(|recording| {
            let drawn = vk::ImageLayout::COLOR_ATTACHMENT_OPTIMAL;
            recording.transition(&target, vk::ImageLayout::UNDEFINED, drawn);
            recording.draw(&target, [0.0, 0.0, 0.0, 1.0], &draws);
            recording.transition(&target, drawn, vk::ImageLayout::GENERAL);
        })?;
        drop(draws);
        Ok(Self {
            commands,
            _pipeline: pipeline,
            _eyes: eyes,
            _kept: [target, picture, nothing],
            _uniforms: uniforms,
        })
    }

    /// Runs it, and waits until the target is done.
    pub fn run(&mut self) -> Result<(), VulkanError> {
        self.commands.run(Span::from_ms(10_000))
    }
}

/// The format of its target, which encodes light.
pub const FORMAT: vk::Format = vk::Format::B8G8R8A8_SRGB;

/// Its shaders.
pub const SHADERS: Shaders<'static> = Shaders {
    vertex: include_bytes!(concat!(env!("OUT_DIR"), "/mesh_corner.spv")),
    vertex_entry: c"corner",
    vertex_parts: 4,
    fragment: include_bytes!(concat!(env!("OUT_DIR"), "/mesh_look_up.spv")),
    fragment_entry: c"look_up",
    constants: &[],
};

/// Three corners a triangle: panel (u, v), then where red, green and blue lie.
fn corners(headset: &Headset, eye: usize) -> Vec<[[f32; 2]; 4]> {
    let lens = &headset.eyes[eye].lens;
    let corner = |column: u32, row: u32| {
        let panel_uv = [column, row].map(|cell| f64::from(cell) / f64::from(CELLS));
        let [red, green, blue] =
            Channel::ALL.map(|channel| lens.look(channel, panel_uv).unwrap_or([2.0, 2.0]));
        [panel_uv, red, green, blue].map(|place| place.map(|part| part as f32))
    };
    let cells = (0..CELLS).flat_map(|row| (0..CELLS).map(move |column| (column, row)));
    cells
        .flat_map(|(column, row)| {
            let [left, right] = [column, column + 1];
            let [top_left, top_right] = [corner(left, row), corner(right, row)];
            let [low_left, low_right] = [corner(left, row + 1), corner(right, row + 1)];
            [top_left, top_right, low_left, low_left, top_right, low_right]
        })
        .collect()
}

/// As a sampler decodes it: sRGB.
fn upload(device: &Arc<Device>, pixels: &Pixels) -> Result<Image, VulkanError> {
    let Samples::Eight(bytes) = &pixels.samples else { panic!("an image of 8 bits") };
    let image = Image::texture(device, vk::Format::R8G8B8A8_SRGB, pixels.width_px, pixels.height_px)?;
    let mut staging = Buffer::new(device, bytes.len(), vk::BufferUsageFlags::TRANSFER_SRC)?;
    staging.bytes_mut().copy_from_slice(bytes);
    let mut commands = Commands::new(device)?;
    commands.record(|recording| {
        let written = vk::ImageLayout::TRANSFER_DST_OPTIMAL;
        recording.transition(&image, vk::ImageLayout::UNDEFINED, written);
        recording.upload(&staging, &image);
        recording.transition(&image, written, vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL);
    })?;
    commands.run(Span::from_ms(60_000))?;
    Ok(image)
}
