//! Connectors: what hangs on them, what modes it has, and whether the kernel calls it a headset.

use std::os::fd::AsFd;

use nix::errno::Errno;

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
        let (properties, edid) = with_edid(card, id)?;
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
            edid,
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

/// A connector's properties, and the EDID that one of them names.
///
/// Whoever looks at the display in between has the kernel put the EDID into a new blob and free the one that was named
/// (`drm_edid_connector_update`, drm_edid.c): then both are read anew.
fn with_edid(card: &Card, id: ConnectorId) -> Result<(Properties, Vec<u8>), KmsError> {
    let mut tries = 0;
    loop {
        let properties = Properties::of(card, id)?;
        tries += 1;
        match properties.blob(card, "EDID") {
            Err(error) if error.errno() == Some(Errno::ENOENT) && tries < TRIES => {}
            edid => return Ok((properties, edid?.unwrap_or_default())),
        }
    }
}

/// Nobody looks at a display so often that one read in 32 does not come in between.
const TRIES: u32 = 32;
