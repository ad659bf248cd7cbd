//! A desktop whose picture nobody is to touch.

use std::path::Path;
use std::sync::Arc;

use leasehold::kms::buffer::{DumbBuffer, Framebuffer, ModeBlob, PixelFormat};
use leasehold::kms::commit::modeset;
use leasehold::kms::plane::Plane;
use leasehold::kms::property::Properties;
use leasehold::kms::{Card, Connector, ConnectorId, CrtcId, Pipeline, PlaneId};

use super::CARD;

/// A desktop's picture: lit by a master that then stepped back, as a lessor that is about to start would find it.
pub struct Desktop {
    pub card: Arc<Card>,
    pub pipeline: Pipeline,
    _picture: (DumbBuffer, Framebuffer),
}

impl Desktop {
    /// Lights it.
    pub fn light() -> Self {
        let card = Arc::new(Card::open(Path::new(CARD)).unwrap());
        assert!(card.is_master());
        card.enable_atomic().unwrap();
        let connectors: Vec<Connector> = card
            .connectors()
            .unwrap()
            .into_iter()
            .map(|id| Connector::read(&card, id, true).unwrap())
            .collect();
        let monitor = connectors.iter().find(|connector| connector.name == "Virtual-1").unwrap();
        let pipeline = Pipeline::find(&card, monitor, |_| false).unwrap();
        let mode = monitor.preferred_mode().unwrap();
        let (width, height) = (mode.width_px(), mode.height_px());
        let buffer = DumbBuffer::new(&card, width, height).unwrap();
        let framebuffer = buffer.memory().framebuffer(&card, width, height, PixelFormat::Xrgb8888).unwrap();
        let blob = ModeBlob::new(&card, mode).unwrap();
        modeset(&card, &mut pipeline.on(&card, mode, &blob, &framebuffer).unwrap()).unwrap();
        card.drop_master().unwrap();
        Self { card, pipeline, _picture: (buffer, framebuffer) }
    }

    /// Everything that a careless lessor could have changed.
    pub fn state(&self) -> String {
        let Pipeline { connector, crtc, primary, .. } = self.pipeline;
        screen_state(&self.card, connector, crtc, primary)
    }
}

/// Everything on a monitor that a lease could have changed.
pub fn screen_state(card: &Card, connector: ConnectorId, crtc: CrtcId, plane: PlaneId) -> String {
    let plane = Plane::read(card, plane).unwrap();
    let crtc = Properties::of(card, crtc).unwrap();
    let connector = Properties::of(card, connector).unwrap();
    format!(
        "framebuffer {:?} on {:?}, active {:?}, mode {:?}, connector on {:?}",
        plane.framebuffer,
        plane.crtc,
        crtc.value("ACTIVE"),
        crtc.value("MODE_ID"),
        connector.value("CRTC_ID"),
    )
}

/// The framebuffer on the headset, `Virtual-2`, if it is lit.
pub fn headset_picture(card: &Card) -> Option<u32> {
    let connectors = card.connectors().unwrap().into_iter();
    let mut connectors = connectors.filter_map(|id| Connector::read(card, id, false).ok());
    let crtc = connectors.find(|connector| connector.name == "Virtual-2")?.crtc?;
    let planes = card.planes().unwrap().into_iter().filter_map(|id| Plane::read(card, id).ok());
    planes.filter(|plane| plane.crtc == Some(crtc)).find_map(|plane| plane.framebuffer).map(|id| id.raw())
}
