//! What `doctor` says of the cards in JSON, in the shape it has always had.

use serde::Serialize;

use super::facts::{CardFacts, ConnectorFacts, Facts, Look, VulkanFacts};
use super::judge::headset;
use crate::headset::edid::Edid;
use crate::vulkan::VulkanError;

/// A card.
#[derive(Debug, Serialize)]
pub struct CardReport {
    pub path: String,
    pub driver: Option<String>,
    pub master_held_by: Option<String>,
    pub vblank_clock: Option<&'static str>,
    pub connectors: Vec<ConnectorReport>,
    /// Whether nobody is its master.
    #[serde(skip)]
    pub free: bool,
    /// What kept it from being looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A connector.
#[derive(Debug, Serialize)]
pub struct ConnectorReport {
    pub name: String,
    pub connected: bool,
    pub non_desktop: bool,
    /// Which headset it is.
    pub headset: Option<String>,
    /// Which headset it was when it last told, where nothing tells now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_headset: Option<String>,
    pub edid: Option<EdidReport>,
    pub modes: Vec<String>,
    pub leased_to: Option<String>,
}

/// Who made a display.
#[derive(Debug, Serialize)]
pub struct EdidReport {
    pub vendor: String,
    pub product: u16,
    pub name: Option<String>,
}

/// Whether pictures can be made.
#[derive(Debug, Serialize)]
pub struct VulkanReport {
    pub device: Option<String>,
    pub driver_ok: bool,
    pub why: Option<String>,
}

/// All cards.
pub fn cards(facts: &Facts) -> Vec<CardReport> {
    facts.cards.iter().map(CardReport::of).collect()
}

impl CardReport {
    fn of(card: &CardFacts) -> Self {
        let opened = card.opened();
        Self {
            path: card.path.clone(),
            driver: opened.map(|opened| opened.driver.clone()),
            master_held_by: card.master(),
            vblank_clock: opened.and_then(|opened| opened.vblank_clock),
            connectors: opened
                .into_iter()
                .flat_map(|opened| &opened.connectors)
                .map(|connector| ConnectorReport::of(card, connector))
                .collect(),
            free: opened.is_some_and(|opened| opened.free),
            error: match &card.look {
                Look::Refused { errno, .. } => Some(errno.desc().to_string()),
                Look::Failed(why) => Some(why.clone()),
                Look::Opened(_) => None,
            },
        }
    }
}

impl ConnectorReport {
    fn of(card: &CardFacts, connector: &ConnectorFacts) -> Self {
        let edid = Edid::parse(&connector.edid).ok();
        let silent = connector.memory.as_ref().filter(|_| edid.is_none());
        Self {
            last_headset: silent.map(|memory| memory.edid.title()),
            name: connector.name.clone(),
            connected: connector.connected,
            non_desktop: connector.non_desktop,
            headset: headset(connector),
            edid: edid.map(|Edid { vendor, product, name, .. }| EdidReport { vendor, product, name }),
            modes: connector.modes.clone(),
            leased_to: card.lessee(connector).map(ToString::to_string),
        }
    }
}

impl VulkanReport {
    /// The device, or why there is none.
    pub fn of(vulkan: &Result<VulkanFacts, VulkanError>) -> Self {
        match vulkan {
            Ok(VulkanFacts { device, is_cpu, lacks, .. }) => {
                let no_gpu = is_cpu.then_some("a GPU: it is a program on the CPU");
                let lacks: Vec<&str> = lacks.iter().copied().chain(no_gpu).collect();
                let why = (!lacks.is_empty()).then(|| format!("it lacks {}", lacks.join(", ")));
                Self { device: Some(device.clone()), driver_ok: true, why }
            }
            Err(error) => Self { device: None, driver_ok: false, why: Some(error.to_string()) },
        }
    }
}
