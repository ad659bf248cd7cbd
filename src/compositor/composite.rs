//! The one pass from eye images to panel codes.

use std::sync::Arc;

use ash::vk;

use super::constants::{Constants, Quantisation};
use super::eye_images::{EyeImages, Pixels, texture};
use super::latch::{Latch, Latched, Waiting};
use super::layer::{Layer, LayerImage, MAX_LAYERS, Quad};
use super::mesh;
use super::pose::{Pose, Seen};
use super::uniforms::FrameUniforms;
use crate::headset::{Headset, Lens, LensKind, Mura, MuraMap, Panel};
use crate::kms::buffer::PixelFormat;
use crate::time::Span;
use crate::vulkan::pipeline::{Bindings, Draw, Pipeline, Resources, Shaders};
use crate::vulkan::{Buffer, Commands, Device, Gate, Image, VulkanError};

/// What the pass leaves out, and what it can do beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Undo the lens. Without, each panel pixel shows the eye buffer at the same place.
    pub lens: bool,
    /// Even out the panel's pixels, and hold black at the headset's black clamp.
    pub mura: bool,
    /// Hide the steps between codes.
    pub dither: bool,
    /// Drive pixels a little beyond where they are to be while they change, against the smear behind what moves before
    /// black on an OLED panel. Takes the picture before at hand: a copy a frame.
    pub overdrive: bool,
    /// How many layers can lie over the picture, at most [`MAX_LAYERS`]. While none does, they cost nothing.
    pub layers: usize,
    /// When the pose is read.
    pub latch: Latch,
}

impl Options {
    /// All that is known to do good, and no layers.
    pub const DEFAULT: Self = Self {
        lens: true,
        mura: true,
        dither: true,
        overdrive: false,
        layers: 0,
        latch: Latch::BeforeSubmit,
    };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
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
    latch: Latch,
    tools: Arc<Tools>,
}

/// What every pass draws with.
#[derive(Debug)]
struct Tools {
    /// One an eye.
    pipelines: [Pipeline; 2],
    /// The same with layers, where there can be any.
    layered: Option<[Pipeline; 2]>,
    meshes: [(Buffer, u32); 2],
    maps: [Image; 2],
    layers: usize,
    /// In the place of a layer that is not there.
    nothing: Arc<LayerImage>,
    /// The panel picture before, where it is needed: whatever pass drew it.
    previous: Option<Image>,
    eye_px: [u32; 2],
    /// What a pixel shows that no lens lets be seen.
    black: [f32; 4],
}

impl Compositor {
    /// For a panel of `width_px` x `height_px` (both eyes) scanned out in `format`. Mura correction is off when the
    /// headset has no maps, or has them for another size.
    ///
    /// # Errors
    /// When the device is lost, has no memory left for it, or its driver refuses a shader.
    ///
    /// # Panics
    /// When more than [`MAX_LAYERS`] layers are asked for.
    pub fn new(
        device: &Arc<Device>,
        headset: &Arc<Headset>,
        width_px: u32,
        height_px: u32,
        format: PixelFormat,
        options: Options,
    ) -> Result<Self, VulkanError> {
        let eye_px = [width_px / 2, height_px];
        let maps = maps(headset, eye_px, options);
        let plain = Lens::plain(1.0);
        let lenses = lenses(headset, options, &plain);
        let mesh = |eye: usize| mesh_buffer(device, lenses[eye]);
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
            latch: options.latch,
            tools: Arc::new(Tools {
                pipelines: pipelines(device, headset, eye_px, format, Options { layers: 0, ..options })?,
                layered: (options.layers > 0)
                    .then(|| pipelines(device, headset, eye_px, format, options))
                    .transpose()?,
                meshes: [mesh(0)?, mesh(1)?],
                maps: [map(maps.map(|mura| &mura.left))?, map(maps.map(|mura| &mura.right))?],
                layers: options.layers,
                nothing: Arc::new(LayerImage::upload(device, &Pixels::flat(1, 1, 0))?),
                previous: options
                    .overdrive
                    .then(|| dark(device, format, [width_px, height_px]))
                    .transpose()?,
                eye_px,
                black: black(maps, format),
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
    ///
    /// # Errors
    /// When the device has no memory left for it.
    pub fn pass(&self, images: &Arc<EyeImages>, target: &Arc<Image>) -> Result<Pass, VulkanError> {
        let length = size_of::<FrameUniforms>();
        let mut eyes = Vec::with_capacity(2);
        for eye in 0..2 {
            let buffer = Buffer::new(&self.device, length, vk::BufferUsageFlags::UNIFORM_BUFFER)?;
            let resources = self.tools.resources(eye, &buffer, images, &[]);
            let bindings = Bindings::new(&self.tools.pipelines[eye], &resources)?;
            let uniforms = FrameUniforms::new(eye as u32 * self.eye_px[0]);
            eyes.push(EyePass { uniforms, buffer, bindings });
        }
        let mut pass = Pass {
            commands: Commands::new(&self.device)?,
            gate: match self.latch {
                Latch::BeforeSubmit => None,
                Latch::AfterSubmit => Some(Gate::new(&self.device)?),
            },
            eyes,
            headset: self.headset.clone(),
            images: images.clone(),
            through_lens: self.lens,
            layers: Vec::with_capacity(MAX_LAYERS),
            tools: self.tools.clone(),
            target: target.clone(),
        };
        pass.record()?;
        Ok(pass)
    }
}

impl Tools {
    fn resources<'a>(
        &'a self,
        eye: usize,
        uniforms: &'a Buffer,
        images: &'a EyeImages,
        layers: &'a [Layer],
    ) -> Resources<'a> {
        Resources {
            uniforms,
            picture: &images.eyes[eye],
            map: &self.maps[eye],
            layers: std::array::from_fn(|index| match layers.get(index) {
                Some(layer) => &layer.image.image,
                None => &self.nothing.image,
            }),
            previous: self.previous.as_ref().unwrap_or(&self.nothing.image),
        }
    }
}

/// A recorded pass from eye images to a target.
#[derive(Debug)]
pub struct Pass {
    commands: Commands,
    /// Where the pose is read after the submit.
    gate: Option<Gate>,
    eyes: Vec<EyePass>,
    headset: Arc<Headset>,
    images: Arc<EyeImages>,
    through_lens: bool,
    layers: Vec<Layer>,
    tools: Arc<Tools>,
    target: Arc<Image>,
}

#[derive(Debug)]
struct EyePass {
    uniforms: FrameUniforms,
    buffer: Buffer,
    bindings: Bindings,
}

impl Pass {
    /// Scales the light of the eye images from the next latch on: 1 as they are, 0 black. Layers keep theirs.
    pub fn set_fade(&mut self, fade: f64) {
        for eye in &mut self.eyes {
            eye.uniforms.fade(fade.max(0.0));
        }
    }

    /// Leaves the left half of each eye without mura correction from the next latch on, so that both can be seen side by
    /// side.
    pub fn set_split(&mut self, split: bool) {
        let column = if split { f64::from(self.tools.eye_px[0]) / 2.0 } else { 0.0 };
        for eye in &mut self.eyes {
            eye.uniforms.correct_from(column);
        }
    }

    /// Lays these over the picture from the next latch on, the first lowest, and no others. Cheap while the images stay
    /// the same; otherwise the pass is recorded anew. Allocates nothing.
    ///
    /// # Errors
    /// When the device has no memory left to record it with.
    ///
    /// # Panics
    /// When there are more than the compositor's [`Options::layers`].
    pub fn set_layers(&mut self, layers: &[Layer]) -> Result<(), VulkanError> {
        let most = self.tools.layers;
        assert!(layers.len() <= most, "{} layers on a compositor made for {most}", layers.len());
        let same = self.layers.len() == layers.len()
            && self.layers.iter().zip(layers).all(|(old, new)| Arc::ptr_eq(&old.image, &new.image));
        self.layers.clear();
        self.layers.extend_from_slice(layers);
        if same {
            return Ok(());
        }
        for (index, eye) in self.eyes.iter_mut().enumerate() {
            eye.bindings.bind(&self.tools.resources(index, &eye.buffer, &self.images, &self.layers));
        }
        self.record()
    }

    /// Says from which pose the images were rendered, from which they will be seen, and the how manieth frame it is.
    pub fn latch(&mut self, rendered: Pose, shown: impl Into<Seen>, number: u64) {
        self.tell(Latched { rendered, shown: shown.into(), number });
    }

    pub(super) fn tell(&mut self, latched: Latched) {
        let Latched { rendered, shown, number } = latched;
        let size_px = self.images.size_px();
        for (eye, pass) in self.eyes.iter_mut().enumerate() {
            let eye = &self.headset.eyes[eye];
            pass.uniforms.turn(eye, self.through_lens, size_px, rendered, shown);
            if !self.layers.is_empty() {
                pass.uniforms.lay_over(eye, self.through_lens, &self.layers, shown);
            }
            pass.uniforms.number(number);
            pass.buffer.bytes_mut().copy_from_slice(bytemuck::bytes_of(&pass.uniforms));
        }
    }

    /// Runs it once in each way in which it can run, so that no shader is compiled and no page touched for the first
    /// time when it counts.
    ///
    /// # Errors
    /// When the device is lost, has no memory left, or is not done within two minutes.
    pub fn rehearse(&mut self) -> Result<(), VulkanError> {
        self.set_layers(&[])?;
        self.latch(Pose::AHEAD, Pose::AHEAD, 0);
        self.commands.run(REHEARSAL_TIMEOUT)?;
        if self.tools.layers > 0 {
            let (image, quad) = (self.tools.nothing.clone(), Quad::ahead(1.0, [1.0, 1.0]));
            self.set_layers(&[Layer { image, quad, opacity: 0.0 }])?;
            self.latch(Pose::AHEAD, Pose::AHEAD, 0);
            self.commands.run(REHEARSAL_TIMEOUT)?;
            self.set_layers(&[])?;
        }
        Ok(())
    }

    /// Runs it, and waits until the target is done.
    ///
    /// # Errors
    /// When the device is lost, or not done within ten seconds.
    pub fn run(&mut self) -> Result<(), VulkanError> {
        self.commands.run(RUN_TIMEOUT)
    }

    /// Runs it with what `latch` says when it is asked, which is as late as the compositor's [`Options::latch`] allows, and
    /// waits until the target is done.
    ///
    /// # Errors
    /// When the device is lost, or not done within ten seconds.
    pub fn run_with(&mut self, latch: impl FnOnce() -> Latched) -> Result<(), VulkanError> {
        if self.gate.is_some() {
            let waiting = Waiting::submit(self)?;
            return waiting.let_through(latch());
        }
        self.tell(latch());
        self.run()
    }

    pub(super) fn submit_behind_gate(&mut self) -> Result<(), VulkanError> {
        self.gate.as_ref().map_or(Ok(()), |gate| self.commands.submit_behind(gate))
    }

    pub(super) fn open_gate(&mut self) -> Result<(), VulkanError> {
        self.gate.as_mut().map_or(Ok(()), Gate::open)
    }

    pub(super) fn wait(&mut self) -> Result<(), VulkanError> {
        self.commands.wait(RUN_TIMEOUT)
    }

    /// The GPU's counter when the last run began and had ended; `None` where it has none.
    pub fn gpu_ticks(&self) -> Option<[u64; 2]> {
        self.commands.ticks()
    }

    fn record(&mut self) -> Result<(), VulkanError> {
        let Self { commands, gate, eyes, images, tools, target, layers, .. } = self;
        let pipelines = match &tools.layered {
            Some(layered) if !layers.is_empty() => layered,
            _ => &tools.pipelines,
        };
        let [width, height] = tools.eye_px;
        let draws: [Draw<'_>; 2] = std::array::from_fn(|eye| Draw {
            pipeline: &pipelines[eye],
            bindings: &eyes[eye].bindings,
            vertices: &tools.meshes[eye].0,
            vertex_count: tools.meshes[eye].1,
            area_px: [eye as u32 * width, 0, width, height],
        });
        let (drawn, shown) = (vk::ImageLayout::COLOR_ATTACHMENT_OPTIMAL, vk::ImageLayout::GENERAL);
        commands.record_timed(|recording| {
            if gate.is_some() {
                recording.read_late_numbers();
            }
            images.acquire(recording);
            recording.transition(target, vk::ImageLayout::UNDEFINED, drawn);
            recording.draw(target, tools.black, &draws);
            recording.transition(target, drawn, shown);
            if let Some(previous) = &tools.previous {
                recording.keep(target, previous);
            }
            images.release(recording);
        })
    }
}

/// What a compositor draws the left and the right eye with, for eyes of `eye_px` pixels, and nothing to draw.
///
/// # Errors
/// When the driver refuses a shader, or has no memory left for it.
///
/// # Panics
/// When more than [`MAX_LAYERS`] layers are asked for.
pub fn pipelines(
    device: &Arc<Device>,
    headset: &Headset,
    eye_px: [u32; 2],
    format: PixelFormat,
    options: Options,
) -> Result<[Pipeline; 2], VulkanError> {
    assert!(options.layers <= MAX_LAYERS, "a pass shows {MAX_LAYERS} layers at most");
    let mura = maps(headset, eye_px, options).is_some();
    let quantisation =
        Quantisation { bits: format.bits(), dither: options.dither, overdrive: options.overdrive };
    let plain = Lens::plain(1.0);
    let [left, right] = lenses(headset, options, &plain);
    let pipeline = |lens: &Lens| {
        let constants = Constants::new(headset, lens, eye_px, quantisation);
        let shaders = shaders(&lens.kind, mura, options.layers, &constants);
        Pipeline::new(device, shaders, vulkan_format(format))
    };
    Ok([pipeline(left)?, pipeline(right)?])
}

/// The mura maps, where they are wanted and fit.
fn maps(headset: &Headset, eye_px: [u32; 2], options: Options) -> Option<&Mura> {
    let fit = |mura: &&Mura| [&mura.left, &mura.right].iter().all(|map| [map.width, map.height] == eye_px);
    headset.mura.as_ref().filter(|_| options.mura).filter(fit)
}

/// Each eye's lens, or `plain` where it is not wanted.
fn lenses<'a>(headset: &'a Headset, options: Options, plain: &'a Lens) -> [&'a Lens; 2] {
    [0, 1].map(|eye: usize| if options.lens { &headset.eyes[eye].lens } else { plain })
}

/// A panel picture that shows nothing, to be sampled.
fn dark(
    device: &Arc<Device>,
    format: PixelFormat,
    [width_px, height_px]: [u32; 2],
) -> Result<Image, VulkanError> {
    let bytes = vec![0; width_px as usize * height_px as usize * 4];
    texture(device, vulkan_format(format), width_px, height_px, &bytes)
}

/// The panel's black: its clamp where the maps are used.
fn black(maps: Option<&Mura>, format: PixelFormat) -> [f32; 4] {
    let code = maps.map_or(0.0, |mura| mura.black_code);
    let top = f64::from((1u32 << format.bits()) - 1);
    let value = ((code / 255.0 * top).round() / top) as f32;
    [value, value, value, 1.0]
}

/// Only a hung device gets there.
const RUN_TIMEOUT: Span = Span::from_ms(10_000);
/// A driver that draws on the CPU compiles as it draws for the first time: seconds, and minutes where that CPU is emulated.
const REHEARSAL_TIMEOUT: Span = Span::from_ms(120_000);

/// The Vulkan format whose memory layout a scanout format has: both have blue in the lowest bits.
pub(crate) fn vulkan_format(format: PixelFormat) -> vk::Format {
    match format {
        PixelFormat::Xrgb8888 => vk::Format::B8G8R8A8_UNORM,
        PixelFormat::Xrgb2101010 => vk::Format::A2R10G10B10_UNORM_PACK32,
    }
}

fn mesh_buffer(device: &Arc<Device>, lens: &Lens) -> Result<(Buffer, u32), VulkanError> {
    let corners = mesh::visible(lens);
    let bytes: &[u8] = bytemuck::cast_slice(&corners);
    let mut buffer = Buffer::new(device, bytes.len(), vk::BufferUsageFlags::VERTEX_BUFFER)?;
    buffer.bytes_mut().copy_from_slice(bytes);
    Ok((buffer, corners.len() as u32))
}

/// By kind of lens, with or without mura, with how many layers: written by `build.rs`.
const FRAGMENT_SHADERS: [[[&[u8]; MAX_LAYERS + 1]; 2]; 4] =
    include!(concat!(env!("OUT_DIR"), "/composite.rs"));

/// The shaders for a kind of lens, with or without mura, for up to so many layers.
fn shaders<'a>(kind: &LensKind, mura: bool, layers: usize, constants: &'a Constants) -> Shaders<'a> {
    let lens = match kind {
        LensKind::Plain => 0,
        LensKind::Poly3 => 1,
        LensKind::Dpoly3 | LensKind::Dpoly3Scaled => 2,
        LensKind::Panotools | LensKind::HighOrder(_) => 3,
    };
    Shaders {
        vertex: include_bytes!(concat!(env!("OUT_DIR"), "/cover.spv")),
        vertex_entry: c"cover",
        vertex_parts: 1,
        fragment: FRAGMENT_SHADERS[lens][usize::from(mura)][layers],
        fragment_entry: c"composite",
        constants: bytemuck::bytes_of(constants),
    }
}
