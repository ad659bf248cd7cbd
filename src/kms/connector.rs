//! Connectors: what hangs on them, what modes it has, and whether the kernel calls it a headset.

use std::os::fd::AsFd;

use super::card::Card;
use super::error::KmsError;
use super::ids::{ConnectorId, CrtcId};
use super::ioctl;
use super::mode::Mode;
use super::property::Properties;

/// A connector as it was when asked.
#[derive(Clone, Debug)]
pub struct Connector {
    /// Its id.
    pub id: ConnectorId,
    /// Its name as in `/sys/class/drm`, `DP-1` say.
    pub name: String,
    /// Whether something is plugged in.
    pub connected: bool,
    /// Whether the kernel says that this is no monitor for a desktop (`non-desktop`, `drm_connector.c`).
    pub non_desktop: bool,
    /// The raw EDID; empty when the display gave none.
    pub edid: Vec<u8>,
    /// The modes the kernel accepts on it.
    pub modes: Vec<Mode>,
    /// The CRTC that drives it now.
    pub crtc: Option<CrtcId>,
    /// Which CRTCs can drive it: bit n stands for the n-th CRTC of the card (or lease).
    pub possible_crtcs: u32,
}

/// `drm_connector_enum_list` of `drm_connector.c`, by `DRM_MODE_CONNECTOR_*`.
const KINDS: [&str; 21] = [
    "Unknown",
    "VGA",
    "DVI-I",
    "DVI-D",
    "DVI-A",
    "Composite",
    "SVIDEO",
    "LVDS",
    "Component",
    "DIN",
    "DP",
    "HDMI-A",
    "HDMI-B",
    "TV",
    "eDP",
    "Virtual",
    "DSI",
    "DPI",
    "Writeback",
    "SPI",
    "USB",
];
const CONNECTED: u32 = 1; // connector_status_connected, drm_connector.h

impl Connector {
    /// Asks the kernel about a connector. With `probe` the display is asked anew, which takes tens of milliseconds
    /// and needs DRM master; without, the kernel's last knowledge is told.
    ///
    /// # Errors
    /// When this fd sees no such connector (`ENOENT`), or its EDID is replaced while it is read.
    pub fn read(card: &Card, id: ConnectorId, probe: bool) -> Result<Self, KmsError> {
        let raw = ioctl::get_connector(card.as_fd(), id.raw(), probe)
            .map_err(|errno| KmsError::call("read", id, errno))?;
        let properties = Properties::of(card, id)?;
        let possible_crtcs = raw
            .encoders
            .iter()
            .filter_map(|&encoder| drm_ffi::mode::get_encoder(card.as_fd(), encoder).ok())
            .fold(0, |mask, encoder| mask | encoder.possible_crtcs);
        let kind = KINDS.get(raw.info.connector_type as usize).unwrap_or(&KINDS[0]);
        Ok(Self {
            id,
            name: format!("{kind}-{}", raw.info.connector_type_id),
            connected: raw.info.connection == CONNECTED,
            non_desktop: properties.value("non-desktop") == Some(1),
            edid: properties.blob(card, "EDID")?.unwrap_or_default(),
            modes: raw.modes.into_iter().map(Mode::new).collect(),
            crtc: properties.value("CRTC_ID").and_then(|raw| CrtcId::new(raw as u32)),
            possible_crtcs,
        })
    }

    /// The mode the display prefers, else its first.
    pub fn preferred_mode(&self) -> Option<&Mode> {
        self.modes.iter().find(|mode| mode.preferred()).or_else(|| self.modes.first())
    }
}
