//! The one pass from eye images to panel codes.

use std::sync::Arc;

use ash::vk;

use super::eye_images::{EyeImages, texture};
use super::mesh;
use super::pose::Pose;
use super::uniforms::{EyeUniforms, Quantisation};
use crate::headset::{Headset, LensKind, MuraMap, Panel};
use crate::kms::buffer::PixelFormat;
use crate::time::Span;
use crate::vulkan::commands::Recording;
use crate::vulkan::pipeline::{Bindings, Draw, Pipeline, Shaders};
use crate::vulkan::{Buffer, Commands, Device, Image, VulkanError};

/// What the pass leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Undo the lens. Without, each panel pixel shows the eye buffer at the same place.
    pub lens: bool,
    /// Even out the panel's pixels, and hold black at the headset's black clamp.
    pub mura: bool,
    /// Hide the steps between codes.
    pub dither: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { lens: true, mura: true, dither: true }
    }
}

/// A headset and its panel's mode, ready to turn eye images into panel pictures.
#[derive(Debug)]
pub struct Compositor {
    device: Arc<Device>,
    headset: Arc<Headset>,
    eye_px: [u32; 2],
    format: PixelFormat,
    lens: bool,
    mura: bool,
    dither: bool,
    tools: Arc<Tools>,
}

/// What every pass draws with.
#[derive(Debug)]
struct Tools {
    pipeline: Pipeline,
    meshes: [(Buffer, u32); 2],
    maps: [Image; 2],
}

impl Compositor {
    /// For a panel of `width_px` x `height_px` (both eyes) scanned out in `format`. Mura correction is off when the
    /// headset has no maps, or has them for another size.
    pub fn new(
        device: &Arc<Device>,
        headset: &Arc<Headset>,
        width_px: u32,
        height_px: u32,
        format: PixelFormat,
        options: Options,
    ) -> Result<Self, VulkanError> {
        let eye_px = [width_px / 2, height_px];
        let maps = headset.mura.as_ref().filter(|mura| {
            options.mura && [&mura.left, &mura.right].iter().all(|map| [map.width, map.height] == eye_px)
        });
        let kind = if options.lens { headset.eyes[0].lens.kind } else { LensKind::Plain };
        let pipeline = Pipeline::new(device, shaders(kind, maps.is_some()), vulkan_format(format))?;
        let mesh = |eye: usize| {
            let plain = crate::headset::Lens::plain(1.0);
            mesh_buffer(device, if options.lens { &headset.eyes[eye].lens } else { &plain })
        };
        let map = |map: Option<&MuraMap>| match map {
            Some(map) => texture(device, vk::Format::R8_UNORM, map.width, map.height, &map.texels),
            None => texture(device, vk::Format::R8_UNORM, 1, 1, &[0]),
        };
        Ok(Self {
            device: device.clone(),
            headset: headset.clone(),
            eye_px,
            format,
            lens: options.lens,
            mura: maps.is_some(),
            dither: options.dither,
            tools: Arc::new(Tools {
                pipeline,
                meshes: [mesh(0)?, mesh(1)?],
                maps: [map(maps.map(|mura| &mura.left))?, map(maps.map(|mura| &mura.right))?],
            }),
        })
    }

    /// Why the panel's pixels are not evened out though the headset's data would allow it.
    pub fn mura_note(&self) -> Option<String> {
        let Panel { eye_width, eye_height, .. } = self.headset.panel;
        let [width, height] = self.eye_px;
        (self.headset.mura.is_some() && !self.mura && [eye_width, eye_height] != self.eye_px).then(|| {
            format!(
                "the mura maps are {eye_width}x{eye_height} an eye and the mode is {width}x{height}: mura is not \
                 corrected in this mode"
            )
        })
    }

    /// Whether the panel's pixels are evened out.
    pub fn corrects_mura(&self) -> bool {
        self.mura
    }

    /// The device it runs on.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// The format a target has to have.
    pub fn target_format(&self) -> vk::Format {
        vulkan_format(self.format)
    }

    /// Records the pass from one pair of eye images to one target, to be run once a frame.
    pub fn pass(&self, images: &Arc<EyeImages>, target: &Arc<Image>) -> Result<Pass, VulkanError> {
        let quantisation = Quantisation { bits: self.format.bits(), dither: self.dither };
        let length = size_of::<EyeUniforms>();
        let mut eyes = Vec::with_capacity(2);
        for eye in 0..2 {
            let buffer = Buffer::new(&self.device, length, vk::BufferUsageFlags::UNIFORM_BUFFER)?;
            let bindings =
                Bindings::new(&self.tools.pipeline, &buffer, &images.eyes[eye], &self.tools.maps[eye])?;
            let uniforms = EyeUniforms::new(&self.headset, eye, self.eye_px, quantisation);
            eyes.push(EyePass { uniforms, buffer, bindings });
        }
        let mut commands = Commands::new(&self.device)?;
        commands.record_timed(|recording| self.record(recording, &eyes, target))?;
        Ok(Pass {
            commands,
            eyes,
            headset: self.headset.clone(),
            images: images.clone(),
            through_lens: self.lens,
            _tools: self.tools.clone(),
            _target: target.clone(),
        })
    }

    fn record(&self, recording: &mut Recording<'_>, eyes: &[EyePass], target: &Image) {
        let [width, height] = self.eye_px;
        let draws: [Draw<'_>; 2] = std::array::from_fn(|eye| Draw {
            pipeline: &self.tools.pipeline,
            bindings: &eyes[eye].bindings,
            vertices: &self.tools.meshes[eye].0,
            vertex_count: self.tools.meshes[eye].1,
            area_px: [eye as u32 * width, 0, width, height],
        });
        recording.transition(target, vk::ImageLayout::UNDEFINED, vk::ImageLayout::COLOR_ATTACHMENT_OPTIMAL);
        recording.draw(target, self.black(), &draws);
        recording.transition(target, vk::ImageLayout::COLOR_ATTACHMENT_OPTIMAL, vk::ImageLayout::GENERAL);
    }

    /// What a pixel shows that no lens lets be seen: the panel's black.
    fn black(&self) -> [f32; 4] {
        let code = self.headset.mura.as_ref().filter(|_| self.mura).map_or(0.0, |mura| mura.black_code);
        let top = f64::from((1u32 << self.format.bits()) - 1);
        let value = ((code / 255.0 * top).round() / top) as f32;
        [value, value, value, 1.0]
    }
}

/// A recorded pass from eye images to a target.
#[derive(Debug)]
pub struct Pass {
    commands: Commands,
    eyes: Vec<EyePass>,
    headset: Arc<Headset>,
    images: Arc<EyeImages>,
    through_lens: bool,
    // Only kept alive: the recording refers to them.
    _tools: Arc<Tools>,
    _target: Arc<Image>,
}

#[derive(Debug)]
struct EyePass {
    uniforms: EyeUniforms,
    buffer: Buffer,
    bindings: Bindings,
}

impl Pass {
    /// Says from which pose the images were rendered, from which they will be seen, and the how manieth frame it is.
    /// Cheap: to be called as late as can be.
    pub fn latch(&mut self, rendered: Pose, shown: Pose, frame: u64) {
        let size_px = self.images.size_px();
        for (eye, pass) in self.eyes.iter_mut().enumerate() {
            pass.uniforms.turn(&self.headset.eyes[eye], self.through_lens, size_px, rendered, shown);
            pass.uniforms.number(frame);
            pass.buffer.bytes_mut().copy_from_slice(bytemuck::bytes_of(&pass.uniforms));
        }
    }

    /// Runs it, and waits until the target is done.
    pub fn run(&mut self) -> Result<(), VulkanError> {
        self.commands.run(RUN_TIMEOUT)
    }

    /// The GPU's counter when the last run began and had ended; `None` where it has none.
    pub fn gpu_ticks(&self) -> Option<[u64; 2]> {
        self.commands.ticks()
    }
}

/// Only a hung device gets there.
const RUN_TIMEOUT: Span = Span::from_ms(10_000);

/// The Vulkan format whose memory layout a scanout format has: both have blue in the lowest bits.
pub(crate) fn vulkan_format(format: PixelFormat) -> vk::Format {
    match format {
        PixelFormat::Xrgb8888 => vk::Format::B8G8R8A8_UNORM,
        PixelFormat::Xrgb2101010 => vk::Format::A2R10G10B10_UNORM_PACK32,
    }
}

fn mesh_buffer(device: &Arc<Device>, lens: &crate::headset::Lens) -> Result<(Buffer, u32), VulkanError> {
    let corners = mesh::visible(lens);
    let bytes: &[u8] = bytemuck::cast_slice(&corners);
    let mut buffer = Buffer::new(device, bytes.len(), vk::BufferUsageFlags::VERTEX_BUFFER)?;
    buffer.bytes_mut().copy_from_slice(bytes);
    Ok((buffer, corners.len() as u32))
}

/// The shaders for a kind of lens, with or without mura.
fn shaders(kind: LensKind, mura: bool) -> Shaders {
    macro_rules! fragment {
        ($lens:literal, $mura:literal) => {
            include_bytes!(concat!(env!("OUT_DIR"), "/composite_", $lens, "_", $mura, ".spv")).as_slice()
        };
    }
    let fragment = match (kind, mura) {
        (LensKind::Plain, false) => fragment!(0, 0),
        (LensKind::Plain, true) => fragment!(0, 1),
        (LensKind::Poly3, false) => fragment!(1, 0),
        (LensKind::Poly3, true) => fragment!(1, 1),
        (LensKind::Dpoly3 | LensKind::Dpoly3Scaled, false) => fragment!(2, 0),
        (LensKind::Dpoly3 | LensKind::Dpoly3Scaled, true) => fragment!(2, 1),
    };
    Shaders {
        vertex: include_bytes!(concat!(env!("OUT_DIR"), "/cover.spv")),
        vertex_entry: c"cover",
        fragment,
        fragment_entry: c"composite",
    }
}
