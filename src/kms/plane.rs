//! Planes: what they are for, where they can show, and what they can show.

use std::os::fd::AsFd;

use super::card::Card;
use super::error::KmsError;
use super::ids::{CrtcId, FramebufferId, PlaneId};
use super::property::Properties;

/// What a plane is for (`enum drm_plane_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaneKind {
    /// An extra picture over the main one.
    Overlay,
    /// The main picture of a CRTC.
    Primary,
    /// The pointer.
    Cursor,
}

/// A plane as it was when asked.
#[derive(Clone, Debug)]
pub struct Plane {
    /// Its id.
    pub id: PlaneId,
    /// What it is for.
    pub kind: PlaneKind,
    /// The CRTC it shows on now.
    pub crtc: Option<CrtcId>,
    /// The framebuffer it shows now.
    pub framebuffer: Option<FramebufferId>,
    /// Where it can show: bit n stands for the n-th CRTC of the card (or lease).
    pub possible_crtcs: u32,
    /// Fourcc codes of the pixel formats it takes.
    pub formats: Vec<u32>,
}

impl Plane {
    /// The framebuffer that a plane shows now: one call where [`read`](Self::read) makes dozens.
    ///
    /// # Errors
    /// When this fd sees no such plane (`ENOENT`).
    pub fn shown(card: &Card, id: PlaneId) -> Result<Option<FramebufferId>, KmsError> {
        let info = drm_ffi::mode::get_plane(card.as_fd(), id.raw(), None)
            .map_err(|error| KmsError::io("read", id, error))?;
        Ok(FramebufferId::new(info.fb_id))
    }

    /// Fourcc codes of the pixel formats that a plane takes: one call, as [`shown`](Self::shown).
    ///
    /// # Errors
    /// When this fd sees no such plane (`ENOENT`).
    pub fn formats_of(card: &Card, id: PlaneId) -> Result<Vec<u32>, KmsError> {
        let mut formats = Vec::new();
        drm_ffi::mode::get_plane(card.as_fd(), id.raw(), Some(&mut formats))
            .map_err(|error| KmsError::io("read", id, error))?;
        Ok(formats)
    }

    /// Asks the kernel about a plane.
    ///
    /// # Errors
    /// When this fd sees no such plane (`ENOENT`).
    pub fn read(card: &Card, id: PlaneId) -> Result<Self, KmsError> {
        let mut formats = Vec::new();
        let info = drm_ffi::mode::get_plane(card.as_fd(), id.raw(), Some(&mut formats))
            .map_err(|error| KmsError::io("read", id, error))?;
        let kind = match Properties::of(card, id)?.value("type") {
            Some(1) => PlaneKind::Primary,
            Some(2) => PlaneKind::Cursor,
            _ => PlaneKind::Overlay,
        };
        Ok(Self {
            id,
            kind,
            crtc: CrtcId::new(info.crtc_id),
            framebuffer: FramebufferId::new(info.fb_id),
            possible_crtcs: info.possible_crtcs,
            formats,
        })
    }
}
