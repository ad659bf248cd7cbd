//! Graphics pipelines that draw a flat mesh over a picture, and the resources they read.

use std::sync::Arc;

use ash::vk;

use super::buffer::Buffer;
use super::commands::Recording;
use super::device::Device;
use super::error::{Context, VulkanError};
use super::image::Image;

/// Compiled shaders of a pipeline, as SPIR-V.
#[derive(Clone, Copy, Debug)]
pub struct Shaders<'a> {
    /// The vertex shader; it takes a `vec2<f32>` at each location from 0.
    pub vertex: &'static [u8],
    /// How many of them, at most 4.
    pub vertex_parts: u32,
    /// Its entry point.
    pub vertex_entry: &'static std::ffi::CStr,
    /// The fragment shader. What it reads in group 0: see [`Resources`].
    pub fragment: &'static [u8],
    /// Its entry point.
    pub fragment_entry: &'static std::ffi::CStr,
    /// Its specialisation constants of four bytes each, by their numbers.
    pub constants: &'a [u8],
}

/// A pipeline that draws triangles without blending.
pub struct Pipeline {
    device: Arc<Device>,
    raw: vk::Pipeline,
    layout: vk::PipelineLayout,
    set_layout: vk::DescriptorSetLayout,
    clamped: vk::Sampler,
    bordered: vk::Sampler,
}

/// What is bound where, by number.
const BINDINGS: [vk::DescriptorType; 10] = [
    vk::DescriptorType::UNIFORM_BUFFER,
    vk::DescriptorType::SAMPLED_IMAGE,
    vk::DescriptorType::SAMPLER,
    vk::DescriptorType::SAMPLED_IMAGE,
    vk::DescriptorType::SAMPLED_IMAGE,
    vk::DescriptorType::SAMPLED_IMAGE,
    vk::DescriptorType::SAMPLED_IMAGE,
    vk::DescriptorType::SAMPLED_IMAGE,
    vk::DescriptorType::SAMPLER,
    vk::DescriptorType::SAMPLED_IMAGE,
];

/// How many images lie over the picture.
pub const LAYERS: usize = 4;

/// What one draw reads. A shader leaves alone what it has no use for.
#[derive(Clone, Copy, Debug)]
pub struct Resources<'a> {
    /// Binding 0: numbers.
    pub uniforms: &'a Buffer,
    /// Binding 1: the picture; binding 2 is a sampler whose edge goes on beyond the edge.
    pub picture: &'a Image,
    /// Binding 3: a map of the panel.
    pub map: &'a Image,
    /// Bindings 4 to 7; binding 8 is a sampler with nothing beyond the edge.
    pub layers: [&'a Image; LAYERS],
    /// Binding 9: what was drawn before.
    pub previous: &'a Image,
}

impl Pipeline {
    /// Builds a pipeline that draws on targets of `format`.
    ///
    /// # Errors
    /// When the driver refuses a shader, or has no memory left for it.
    pub fn new(device: &Arc<Device>, shaders: Shaders<'_>, format: vk::Format) -> Result<Self, VulkanError> {
        let mut pipeline = Self {
            device: device.clone(),
            raw: vk::Pipeline::null(),
            layout: vk::PipelineLayout::null(),
            set_layout: vk::DescriptorSetLayout::null(),
            clamped: vk::Sampler::null(),
            bordered: vk::Sampler::null(),
        };
        pipeline.create_layout()?;
        let vertex = ShaderModule::new(device, shaders.vertex)?;
        let fragment = ShaderModule::new(device, shaders.fragment)?;
        let stage = |stage, module: &ShaderModule<'_>, entry| {
            vk::PipelineShaderStageCreateInfo::default().stage(stage).module(module.raw).name(entry)
        };
        let numbers: Vec<_> = (0..shaders.constants.len() as u32 / 4)
            .map(|number| vk::SpecializationMapEntry { constant_id: number, offset: 4 * number, size: 4 })
            .collect();
        let constants = vk::SpecializationInfo::default().map_entries(&numbers).data(shaders.constants);
        let stages = [
            stage(vk::ShaderStageFlags::VERTEX, &vertex, shaders.vertex_entry),
            stage(vk::ShaderStageFlags::FRAGMENT, &fragment, shaders.fragment_entry)
                .specialization_info(&constants),
        ];
        pipeline.raw = create(device, &stages, shaders.vertex_parts, pipeline.layout, format)?;
        Ok(pipeline)
    }

    fn create_layout(&mut self) -> Result<(), VulkanError> {
        let mut bindings = [vk::DescriptorSetLayoutBinding::default(); BINDINGS.len()];
        for (number, (binding, kind)) in (0..).zip(bindings.iter_mut().zip(BINDINGS)) {
            *binding = binding
                .binding(number)
                .descriptor_type(kind)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::VERTEX | vk::ShaderStageFlags::FRAGMENT);
        }
        let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        let sampler = |beyond| {
            vk::SamplerCreateInfo::default()
                .mag_filter(vk::Filter::LINEAR)
                .min_filter(vk::Filter::LINEAR)
                .address_mode_u(beyond)
                .address_mode_v(beyond)
                .border_color(vk::BorderColor::FLOAT_TRANSPARENT_BLACK)
        };
        let clamped = sampler(vk::SamplerAddressMode::CLAMP_TO_EDGE);
        let bordered = sampler(vk::SamplerAddressMode::CLAMP_TO_BORDER);
        // SAFETY: descriptions are complete; what is created is owned by `self` at once.
        unsafe {
            let raw = &self.device.raw;
            self.set_layout =
                raw.create_descriptor_set_layout(&set, None).during("lay out a descriptor set")?;
            let sets = [self.set_layout];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            self.layout = raw.create_pipeline_layout(&layout, None).during("lay out a pipeline")?;
            self.clamped = raw.create_sampler(&clamped, None).during("create a sampler")?;
            self.bordered = raw.create_sampler(&bordered, None).during("create a sampler")?;
        }
        Ok(())
    }
}

fn create(
    device: &Device,
    stages: &[vk::PipelineShaderStageCreateInfo<'_>],
    vertex_parts: u32,
    layout: vk::PipelineLayout,
    format: vk::Format,
) -> Result<vk::Pipeline, VulkanError> {
    let bindings = [vk::VertexInputBindingDescription {
        binding: 0,
        stride: 8 * vertex_parts,
        input_rate: vk::VertexInputRate::VERTEX,
    }];
    let attributes: [_; 4] = std::array::from_fn(|part| vk::VertexInputAttributeDescription {
        binding: 0,
        location: part as u32,
        format: vk::Format::R32G32_SFLOAT,
        offset: 8 * part as u32,
    });
    let vertices = vk::PipelineVertexInputStateCreateInfo::default()
        .vertex_binding_descriptions(&bindings)
        .vertex_attribute_descriptions(&attributes[..vertex_parts as usize]);
    let assembly =
        vk::PipelineInputAssemblyStateCreateInfo::default().topology(vk::PrimitiveTopology::TRIANGLE_LIST);
    let viewport = vk::PipelineViewportStateCreateInfo::default().viewport_count(1).scissor_count(1);
    let raster = vk::PipelineRasterizationStateCreateInfo::default().line_width(1.0);
    let samples =
        vk::PipelineMultisampleStateCreateInfo::default().rasterization_samples(vk::SampleCountFlags::TYPE_1);
    let attachments =
        [vk::PipelineColorBlendAttachmentState::default().color_write_mask(vk::ColorComponentFlags::RGBA)];
    let blend = vk::PipelineColorBlendStateCreateInfo::default().attachments(&attachments);
    let dynamic = [vk::DynamicState::VIEWPORT, vk::DynamicState::SCISSOR];
    let dynamic = vk::PipelineDynamicStateCreateInfo::default().dynamic_states(&dynamic);
    let formats = [format];
    let mut rendering = vk::PipelineRenderingCreateInfo::default().color_attachment_formats(&formats);
    let info = vk::GraphicsPipelineCreateInfo::default()
        .stages(stages)
        .vertex_input_state(&vertices)
        .input_assembly_state(&assembly)
        .viewport_state(&viewport)
        .rasterization_state(&raster)
        .multisample_state(&samples)
        .color_blend_state(&blend)
        .dynamic_state(&dynamic)
        .layout(layout)
        .push_next(&mut rendering);
    // SAFETY: all state is described; the modules live across the call.
    let pipelines = unsafe { device.raw.create_graphics_pipelines(vk::PipelineCache::null(), &[info], None) };
    pipelines.map(|pipelines| pipelines[0]).map_err(|(_, result)| result).during("build a pipeline")
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // SAFETY: work with the pipeline has been waited for (module rule); destroying null handles is allowed.
        unsafe {
            self.device.raw.destroy_pipeline(self.raw, None);
            self.device.raw.destroy_pipeline_layout(self.layout, None);
            self.device.raw.destroy_sampler(self.clamped, None);
            self.device.raw.destroy_sampler(self.bordered, None);
            self.device.raw.destroy_descriptor_set_layout(self.set_layout, None);
        }
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pipeline").finish_non_exhaustive()
    }
}

struct ShaderModule<'a> {
    device: &'a Device,
    raw: vk::ShaderModule,
}

impl<'a> ShaderModule<'a> {
    fn new(device: &'a Device, spirv: &[u8]) -> Result<Self, VulkanError> {
        let words =
            ash::util::read_spv(&mut std::io::Cursor::new(spirv)).expect("the build wrote whole words");
        let info = vk::ShaderModuleCreateInfo::default().code(&words);
        // SAFETY: the build validated the shader.
        let raw = unsafe { device.raw.create_shader_module(&info, None) }.during("load a shader")?;
        Ok(Self { device, raw })
    }
}

impl Drop for ShaderModule<'_> {
    fn drop(&mut self) {
        // SAFETY: pipelines keep no reference to the modules they were built from.
        unsafe { self.device.raw.destroy_shader_module(self.raw, None) };
    }
}

/// The resources that one draw reads, bound.
pub struct Bindings {
    device: Arc<Device>,
    pool: vk::DescriptorPool,
    raw: vk::DescriptorSet,
    samplers: [vk::Sampler; 2],
}

impl Bindings {
    /// Binds resources for a pipeline, or any other. The images are in `SHADER_READ_ONLY_OPTIMAL` whenever a draw reads
    /// them; they and the pipeline outlive the draws that use them.
    ///
    /// # Errors
    /// When the driver has no memory left for them.
    pub fn new(pipeline: &Pipeline, resources: &Resources<'_>) -> Result<Self, VulkanError> {
        let device = &pipeline.device;
        let sizes = BINDINGS.map(|ty| vk::DescriptorPoolSize { ty, descriptor_count: 1 });
        let info = vk::DescriptorPoolCreateInfo::default().max_sets(1).pool_sizes(&sizes);
        // SAFETY: the description is complete.
        let pool =
            unsafe { device.raw.create_descriptor_pool(&info, None) }.during("create a descriptor pool")?;
        let mut bindings = Self {
            device: device.clone(),
            pool,
            raw: vk::DescriptorSet::null(),
            samplers: [pipeline.clamped, pipeline.bordered],
        };
        let layouts = [pipeline.set_layout];
        let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(pool).set_layouts(&layouts);
        // SAFETY: the pool has room for just this set.
        bindings.raw =
            unsafe { device.raw.allocate_descriptor_sets(&info) }.during("allocate a descriptor set")?[0];
        bindings.bind(resources);
        Ok(bindings)
    }

    /// Binds other resources. What was recorded with those before has to be recorded anew.
    pub fn bind(&mut self, resources: &Resources<'_>) {
        let buffer =
            [vk::DescriptorBufferInfo { buffer: resources.uniforms.raw, offset: 0, range: vk::WHOLE_SIZE }];
        let image = |image: &Image| vk::DescriptorImageInfo {
            image_view: image.view,
            image_layout: vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL,
            sampler: vk::Sampler::null(),
        };
        let sampler = |sampler| vk::DescriptorImageInfo { sampler, ..Default::default() };
        let [clamped, bordered] = self.samplers;
        let [layer_0, layer_1, layer_2, layer_3] = resources.layers;
        let images = [
            image(resources.picture),
            sampler(clamped),
            image(resources.map),
            image(layer_0),
            image(layer_1),
            image(layer_2),
            image(layer_3),
            sampler(bordered),
            image(resources.previous),
        ];
        let mut writes = [vk::WriteDescriptorSet::default(); BINDINGS.len()];
        for (number, (write, kind)) in (0..).zip(writes.iter_mut().zip(BINDINGS)) {
            *write = write.dst_set(self.raw).dst_binding(number).descriptor_type(kind);
            *write = match number {
                0 => write.buffer_info(&buffer),
                _ => write.image_info(std::slice::from_ref(&images[number as usize - 1])),
            };
        }
        // SAFETY: draws that read the set have been waited for (module rule); what it refers to outlives it by the
        // rule above.
        unsafe { self.device.raw.update_descriptor_sets(&writes, &[]) };
    }
}

impl Drop for Bindings {
    fn drop(&mut self) {
        // SAFETY: draws that read them have been waited for (module rule).
        unsafe { self.device.raw.destroy_descriptor_pool(self.pool, None) };
    }
}

impl std::fmt::Debug for Bindings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Bindings").finish_non_exhaustive()
    }
}

/// A mesh drawn on a part of the target.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// What draws it.
    pub pipeline: &'a Pipeline,
    /// What it reads.
    pub bindings: &'a Bindings,
    /// Pairs of `f32`: as many a corner as the vertex shader takes, three corners a triangle.
    pub vertices: &'a Buffer,
    /// How many corners.
    pub vertex_count: u32,
    /// The part of the target: left, top, width, height in pixels.
    pub area_px: [u32; 4],
}

impl Recording<'_> {
    /// Clears a target to one colour and draws on it; the target must be in `COLOR_ATTACHMENT_OPTIMAL`.
    pub fn draw(&mut self, target: &Image, clear: [f32; 4], draws: &[Draw<'_>]) {
        let whole = vk::Rect2D {
            offset: vk::Offset2D::default(),
            extent: vk::Extent2D { width: target.width_px(), height: target.height_px() },
        };
        let attachments = [vk::RenderingAttachmentInfo::default()
            .image_view(target.view)
            .image_layout(vk::ImageLayout::COLOR_ATTACHMENT_OPTIMAL)
            .load_op(vk::AttachmentLoadOp::CLEAR)
            .store_op(vk::AttachmentStoreOp::STORE)
            .clear_value(vk::ClearValue { color: vk::ClearColorValue { float32: clear } })];
        let info =
            vk::RenderingInfo::default().render_area(whole).layer_count(1).color_attachments(&attachments);
        // SAFETY: recording; everything drawn with outlives the recording's use (module rule).
        unsafe {
            self.device.cmd_begin_rendering(self.raw, &info);
            for draw in draws {
                self.draw_one(draw);
            }
            self.device.cmd_end_rendering(self.raw);
        }
    }

    unsafe fn draw_one(&mut self, draw: &Draw<'_>) {
        let [left, top, width, height] = draw.area_px;
        let viewport = [vk::Viewport {
            x: left as f32,
            y: top as f32,
            width: width as f32,
            height: height as f32,
            min_depth: 0.0,
            max_depth: 1.0,
        }];
        let scissor = [vk::Rect2D {
            offset: vk::Offset2D { x: left as i32, y: top as i32 },
            extent: vk::Extent2D { width, height },
        }];
        let point = vk::PipelineBindPoint::GRAPHICS;
        // SAFETY: inside a rendering on a target of the pipeline's format, which the caller sees to.
        unsafe {
            self.device.cmd_bind_pipeline(self.raw, point, draw.pipeline.raw);
            self.device.cmd_bind_descriptor_sets(
                self.raw,
                point,
                draw.pipeline.layout,
                0,
                &[draw.bindings.raw],
                &[],
            );
            self.device.cmd_bind_vertex_buffers(self.raw, 0, &[draw.vertices.raw], &[0]);
            self.device.cmd_set_viewport(self.raw, 0, &viewport);
            self.device.cmd_set_scissor(self.raw, 0, &scissor);
            self.device.cmd_draw(self.raw, draw.vertex_count, 1, 0, 0);
        }
    }
}
