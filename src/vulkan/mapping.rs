//! Textures that the CPU draws on directly.

use std::sync::Arc;

use ash::vk;

use super::device::Device;
use super::error::VulkanError;
use super::image::Image;

/// The pixels of a texture, row by row, for the CPU to draw on. The device must not be reading them meanwhile, or it sees
/// them half drawn.
pub struct Mapping {
    // Keeps the memory.
    _image: Arc<Image>,
    pointer: *mut u8,
    pitch_bytes: usize,
    row_bytes: usize,
    rows: u32,
}

// SAFETY: the mapping is plain memory, valid from any thread; `&mut self` guards writes and nobody else has the pointer.
unsafe impl Send for Mapping {}

/// Bytes of a pixel.
const PIXEL: usize = 4;

impl Mapping {
    /// A texture of 8 bits each of red, green, blue and alpha, black, and its pixels. Its layout is `PREINITIALIZED`.
    ///
    /// # Errors
    /// When the device cannot sample pictures laid out row by row, or has no memory left that the CPU sees.
    ///
    /// # Panics
    /// When the driver tells of rows that overlap.
    pub fn new(
        device: &Arc<Device>,
        width_px: u32,
        height_px: u32,
    ) -> Result<(Arc<Image>, Self), VulkanError> {
        let format = vk::Format::R8G8B8A8_UNORM;
        let (image, pointer, layout) = Image::mapped_texture(device, format, width_px, height_px)?;
        let image = Arc::new(image);
        let (pitch_bytes, row_bytes) = (layout.pitch_bytes as usize, width_px as usize * PIXEL);
        let end = pitch_bytes * (height_px as usize).saturating_sub(1) + row_bytes;
        assert!(row_bytes <= pitch_bytes && end as u64 <= layout.length, "a driver's rows overlap");
        let mut mapping = Self { _image: image.clone(), pointer, pitch_bytes, row_bytes, rows: height_px };
        (0..height_px).for_each(|row| mapping.row_mut(row).fill(0));
        Ok((image, mapping))
    }

    /// How many pixels are in a row, and how many rows there are.
    pub fn size_px(&self) -> [u32; 2] {
        [(self.row_bytes / PIXEL) as u32, self.rows]
    }

    /// A row from the top, four bytes a pixel.
    ///
    /// # Panics
    /// When there are fewer rows.
    pub fn row_mut(&mut self, row: u32) -> &mut [u8] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: rows lie within the mapped memory and apart, which `new` has checked; all were written there; and
        // `&mut self` keeps other access out.
        unsafe {
            let start = self.pointer.add(row as usize * self.pitch_bytes);
            std::slice::from_raw_parts_mut(start, self.row_bytes)
        }
    }
}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [width, height] = self.size_px();
        write!(formatter, "Mapping({width}x{height})")
    }
}
