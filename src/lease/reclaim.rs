//! What a lessor asks of the kernel: make a lease, end it, darken its panel.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;

use crate::kms::buffer::{DumbBuffer, Framebuffer, PixelFormat};
use crate::kms::commit::{CommitFlags, Request, commit, modeset};
use crate::kms::ids::ObjectId;
use crate::kms::{Card, KmsError, LesseeId, Pipeline};

/// What a headset shows once its lease has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnEnd {
    /// Nothing: the link goes off.
    #[default]
    Off,
    /// Black, with the link up: some headsets no longer tell their EDID after it was off.
    Black,
}

/// Leases pipelines out of a card that this process is master of. The fd is for the lessee alone: while anyone keeps
/// a copy, its death does not end the lease.
///
/// # Errors
/// When this process is not the master (`EACCES`), or an object is leased already (`EBUSY`).
pub fn lease_out(card: &Card, pipelines: &[Pipeline]) -> Result<(LesseeId, OwnedFd), KmsError> {
    let objects: Vec<ObjectId> = pipelines.iter().flat_map(Pipeline::objects).collect();
    card.create_lease(&objects)
}

/// Ends a lease, unless the kernel has ended it already. The panel shows the lessee's last frame until it is
/// [darkened](Darkening::darken).
///
/// # Errors
/// When this process is not the master (`EACCES`).
pub fn revoke(card: &Card, lessee: LesseeId) -> Result<(), KmsError> {
    match card.revoke_lease(lessee) {
        // Its last fd was closed (drm_mode_revoke_lease_ioctl, drm_lease.c).
        Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

/// The commits that will darken a panel, made while there is time: they take some hundred calls to make and two to
/// carry out.
#[derive(Debug)]
pub struct Darkening {
    pipeline: Pipeline,
    off: Request,
    without_picture: Option<Request>,
    /// What is shown in place of nothing, where the card wants something.
    black: Option<(DumbBuffer, Framebuffer)>,
    holds_black: bool,
}

impl Darkening {
    /// For a pipeline that is about to be leased.
    ///
    /// # Errors
    /// When an object of the pipeline is not there (`ENOENT`), or has no property for it ([`KmsError::NoProperty`]).
    pub fn prepare(card: &Card, pipeline: &Pipeline, on_end: OnEnd) -> Result<Self, KmsError> {
        let off = pipeline.off(card)?;
        let without_picture = match on_end {
            OnEnd::Off => None,
            OnEnd::Black => Some(pipeline.without_picture(card)?),
        };
        Ok(Self { pipeline: pipeline.clone(), off, without_picture, black: None, holds_black: false })
    }

    /// What it darkens.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Whether the panel was left on and black, and not turned off since.
    pub fn holds_black(&self) -> bool {
        self.holds_black
    }

    /// Darkens the panel, and returns when it is dark.
    ///
    /// # Errors
    /// When the kernel refuses the commit, as it does while this process is not the master (`EACCES`), or memory for a
    /// black picture.
    pub fn darken(&mut self, card: &Arc<Card>) -> Result<(), KmsError> {
        let Some(request) = &mut self.without_picture else { return self.turn_off(card) };
        self.holds_black = true;
        match commit(card, CommitFlags::AT_VBLANK, request, 0) {
            // amdgpu for one wants a picture on a CRTC that is on.
            Err(error) if error.errno() == Some(Errno::EINVAL) => self.show_black(card),
            other => other,
        }
    }

    /// Turns the panel off.
    ///
    /// # Errors
    /// When the kernel refuses the commit, as it does while this process is not the master (`EACCES`).
    pub fn turn_off(&mut self, card: &Arc<Card>) -> Result<(), KmsError> {
        modeset(card, &mut self.off)?;
        self.holds_black = false;
        Ok(())
    }

    fn show_black(&mut self, card: &Arc<Card>) -> Result<(), KmsError> {
        let Some(mode) = card.mode_of(self.pipeline.crtc)? else { return self.turn_off(card) };
        let (width_px, height_px) = (mode.width_px(), mode.height_px());
        let buffer = DumbBuffer::new(card, width_px, height_px)?;
        let picture = buffer.memory().framebuffer(card, width_px, height_px, PixelFormat::Xrgb8888)?;
        let mut request = self.pipeline.picture(card, &mode, &picture)?;
        commit(card, CommitFlags::AT_VBLANK, &mut request, 0)?;
        self.black = Some((buffer, picture));
        Ok(())
    }
}
