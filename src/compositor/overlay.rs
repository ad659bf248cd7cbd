//! What a wearer switches on and off over whatever the app draws: a board with words, and a look at the picture without
//! mura correction.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ash::vk;

use super::errand::{Errand, Outcome};
use super::eye_images::{Pixels, Samples};
use super::layer::{Layer, LayerImage, Quad, premultiplied};
use crate::vulkan::{Buffer, Commands, Device, VulkanError};

/// How large the board is, in pixels.
pub const BOARD_PX: [u32; 2] = [336, 112];

/// Below the middle of what is seen, a metre and a half away, facing the head.
fn place() -> Quad {
    Quad { position_m: [0.0, -0.3, -1.5], ..Quad::ahead(1.5, [0.9, 0.3]) }
}

/// The wearer's switches, and what is written on the board. For everyone who has a hand in it; nobody waits.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    shown: AtomicBool,
    split: AtomicBool,
    /// Whoever shows it keeps it.
    overlay: Mutex<Weak<Overlay>>,
}

impl Board {
    /// Shows the board or takes it away.
    pub fn show(&self, shown: bool) {
        self.0.shown.store(shown, Ordering::Relaxed);
    }

    /// Whether it is shown.
    pub fn is_shown(&self) -> bool {
        self.0.shown.load(Ordering::Relaxed)
    }

    /// Leaves the left half of each eye without mura correction, or no longer.
    pub fn split(&self, split: bool) {
        self.0.split.store(split, Ordering::Relaxed);
    }

    /// Writes on it, if there is one and the device is done with what was written before; whether it was. `pixels` are
    /// [`BOARD_PX`] large.
    pub fn write(&self, pixels: &Pixels) -> bool {
        // Nothing is held on to: whoever lets go of an overlay last waits for the device.
        let overlay = self.overlay().upgrade();
        overlay.is_some_and(|overlay| overlay.write(pixels))
    }

    /// Puts it up on a device, for the loop to show, until the last to hold it lets go of it.
    ///
    /// # Errors
    /// When the device has no memory left for it.
    pub fn put_up(&self, device: &Arc<Device>) -> Result<Arc<Overlay>, VulkanError> {
        let overlay = Arc::new(Overlay::new(device, self.clone())?);
        *self.overlay() = Arc::downgrade(&overlay);
        Ok(overlay)
    }

    fn overlay(&self) -> MutexGuard<'_, Weak<Overlay>> {
        self.0.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A board on a device.
#[derive(Debug)]
pub struct Overlay {
    // Before what it works on.
    pub(super) errand: Errand,
    staging: Mutex<Buffer>,
    layer: Layer,
    board: Board,
}

impl Overlay {
    fn new(device: &Arc<Device>, board: Board) -> Result<Self, VulkanError> {
        let [width_px, height_px] = BOARD_PX;
        let length = width_px as usize * height_px as usize * 4;
        let empty = Pixels { width_px, height_px, samples: Samples::Eight(vec![0; length]) };
        let image = Arc::new(LayerImage::upload(device, &empty)?);
        let staging = Buffer::new(device, length, vk::BufferUsageFlags::TRANSFER_SRC)?;
        let mut commands = Commands::new(device)?;
        let (read, written) =
            (vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL, vk::ImageLayout::TRANSFER_DST_OPTIMAL);
        commands.record(|recording| {
            recording.transition(&image.image, read, written);
            recording.upload(&staging, &image.image);
            recording.transition(&image.image, written, read);
        })?;
        Ok(Self {
            errand: Errand::new(vec![commands]),
            staging: Mutex::new(staging),
            layer: Layer { image, quad: place(), opacity: 1.0 },
            board,
        })
    }

    fn write(&self, pixels: &Pixels) -> bool {
        // An error will fail the loop as well, which says so.
        if !matches!(self.errand.outcome(), Ok(Outcome::Done)) {
            return false;
        }
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        staging.bytes_mut().copy_from_slice(&premultiplied(pixels));
        self.errand.ask();
        true
    }

    /// Whether half of each eye is to be left uncorrected.
    pub(super) fn is_split(&self) -> bool {
        self.board.0.split.load(Ordering::Relaxed)
    }

    /// What is to be laid over the picture now.
    pub(super) fn layers(&self) -> &[Layer] {
        if self.board.is_shown() { std::slice::from_ref(&self.layer) } else { &[] }
    }
}
