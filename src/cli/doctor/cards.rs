//! What cards there are, who drives them, and what hangs on them.

use std::path::Path;

use nix::errno::Errno;
use serde::Serialize;

use crate::headset::edid::Edid;
use crate::kms::{Card, Connector};
use crate::lease::request::{RequestError, seat};

/// A card.
#[derive(Debug, Serialize)]
pub struct CardFinding {
    pub path: String,
    pub driver: Option<String>,
    pub master_held_by: Option<String>,
    pub vblank_clock: Option<&'static str>,
    pub connectors: Vec<ConnectorFinding>,
    /// Whether nobody is its master.
    #[serde(skip)]
    pub free: bool,
    /// What kept it from being looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A connector.
#[derive(Debug, Serialize)]
pub struct ConnectorFinding {
    pub name: String,
    pub connected: bool,
    pub non_desktop: bool,
    /// Which headset it is.
    pub headset: Option<String>,
    pub edid: Option<EdidFinding>,
    pub modes: Vec<String>,
    pub leased_to: Option<String>,
}

/// Who made a display.
#[derive(Debug, Serialize)]
pub struct EdidFinding {
    pub vendor: String,
    pub product: u16,
    pub name: Option<String>,
}

/// Looks at all cards.
pub fn look() -> Vec<CardFinding> {
    let paths = seat::cards().unwrap_or_default();
    paths.iter().map(|path| CardFinding::look(path)).collect()
}

impl CardFinding {
    fn look(path: &Path) -> Self {
        let mut finding = Self {
            path: path.display().to_string(),
            driver: None,
            master_held_by: None,
            vblank_clock: None,
            connectors: Vec::new(),
            free: false,
            error: None,
        };
        if let Err(error) = finding.fill(path) {
            finding.error = Some(error.to_string());
        }
        finding
    }

    fn fill(&mut self, path: &Path) -> Result<(), RequestError> {
        let (card, free) = seat::look(path)?;
        self.free = free;
        self.driver = Some(card.driver()?);
        self.master_held_by = if free { None } else { seat::holders(path) };
        if let Err(error) = card.enable_atomic() {
            tracing::debug!(%error, "what is lit on this card cannot be told");
        }
        for id in card.connectors()? {
            let connector = Connector::read(&card, id, false)?;
            self.vblank_clock = self.vblank_clock.or_else(|| vblank_clock(&card, &connector));
            self.connectors.push(connector.into());
        }
        Ok(())
    }

    /// The first headset that is plugged in.
    pub fn headset(&self) -> Option<&ConnectorFinding> {
        self.connectors.iter().find(|connector| connector.connected && connector.headset.is_some())
    }

    /// For people.
    pub fn text(&self) -> String {
        let driver = self.driver.as_deref().unwrap_or("unknown driver");
        let master = match (&self.error, &self.master_held_by, self.free) {
            (Some(error), ..) => error.clone(),
            (_, _, true) => "nobody is its master".to_string(),
            (_, Some(holders), _) => format!("its master is among {holders}"),
            (_, None, _) => "another program is its master".to_string(),
        };
        let clock = self.vblank_clock.map_or("nothing is lit".to_string(), |clock| format!("clock {clock}"));
        let head = format!("{} ({driver}): {master}; {clock}", self.path);
        let lines = std::iter::once(head).chain(self.connectors.iter().map(ConnectorFinding::text));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// How vblanks of what hangs on this connector can be timed; `None` while it is dark.
fn vblank_clock(card: &Card, connector: &Connector) -> Option<&'static str> {
    match card.vblank(connector.crtc?) {
        Ok(_) => Some("crtc-sequence"),
        Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => Some("flip-event"),
        Err(_) => None,
    }
}

impl From<Connector> for ConnectorFinding {
    fn from(connector: Connector) -> Self {
        let edid = Edid::parse(&connector.edid).ok();
        let known = edid.as_ref().and_then(Edid::headset).map(|known| known.name.to_string());
        let own_name = || edid.as_ref().and_then(|edid| edid.name.clone());
        let unknown = || connector.non_desktop.then(|| own_name().unwrap_or("unknown headset".to_string()));
        Self {
            headset: known.or_else(unknown),
            name: connector.name,
            connected: connector.connected,
            non_desktop: connector.non_desktop,
            edid: edid.map(|Edid { vendor, product, name, .. }| EdidFinding { vendor, product, name }),
            modes: connector.modes.iter().map(ToString::to_string).collect(),
            leased_to: None,
        }
    }
}

impl ConnectorFinding {
    fn text(&self) -> String {
        let what = match (self.connected, &self.headset) {
            (false, _) => "nothing plugged in".to_string(),
            (true, None) => "no headset".to_string(),
            (true, Some(headset)) if self.non_desktop => format!("{headset}, a headset"),
            (true, Some(headset)) => {
                format!(
                    "{headset}, which the kernel takes for a monitor: name it with --connector or --offer"
                )
            }
        };
        let modes = if self.modes.is_empty() { "no modes".to_string() } else { self.modes.join(" ") };
        format!("  {}: {what}; {modes}", self.name)
    }
}
