//! The ways to a headset, and whether each leads anywhere.

use std::sync::Arc;

use serde::Serialize;

use super::cards::CardFinding;
use crate::lease::request::{RequestError, wayland, x11};
use crate::time::Span;
use crate::vulkan::{Device, Instance};

const NO_ANSWER: Span = Span::from_ms(2000);
const SIMULATED: &str = "simulated";

/// A way to a headset.
#[derive(Debug, Serialize)]
pub struct PathFinding {
    pub name: &'static str,
    pub usable: bool,
    pub code: &'static str,
    pub why: String,
    pub remedy: Option<String>,
}

/// Looks at every way there is.
pub fn look(cards: &[CardFinding]) -> Vec<PathFinding> {
    let simulated = PathFinding::usable(SIMULATED, "always", "it needs no headset");
    vec![
        server_path("wayland", wayland::offers(None, NO_ANSWER)),
        server_path("x11", x11::offers(None, NO_ANSWER)),
        seat_path(cards),
        simulated,
    ]
}

/// What a server said when it was asked who it is and what it has.
fn server_path(name: &'static str, offers: Result<(String, Vec<String>), RequestError>) -> PathFinding {
    let offers = offers.and_then(|(place, names)| match names.is_empty() {
        true => Err(RequestError::NothingOffered { place }),
        false => Ok(format!("{place} offers {}", names.join(", "))),
    });
    let error = match offers {
        Ok(why) => return PathFinding::usable(name, "offered", why),
        Err(error) => error,
    };
    let code = match error {
        RequestError::NoSocket { .. } => "no-socket",
        RequestError::NoRuntimeDir => "no-runtime-dir",
        RequestError::NoLeasing { .. } | RequestError::NoRandrLeases { .. } => "no-leasing",
        RequestError::NoDisplay => "no-display",
        RequestError::RemoteDisplay { .. } => "remote",
        RequestError::NoServer { .. } => "no-server",
        RequestError::NothingOffered { .. } => "nothing-offered",
        RequestError::TimedOut { .. } => "no-answer",
        _ => "connection-broke",
    };
    // These errors say what is wrong, a colon, and what to do about it.
    let text = error.to_string();
    match text.rsplit_once(": ") {
        Some((why, remedy)) if code != "connection-broke" => PathFinding::blocked(name, code, why, remedy),
        _ => PathFinding::blocked(name, code, text, "see the server's log, and try again"),
    }
}

fn seat_path(cards: &[CardFinding]) -> PathFinding {
    let ready = cards.iter().filter(|card| card.free).find_map(|card| Some((card, card.headset()?)));
    if let Some((card, headset)) = ready {
        let name = headset.headset.as_deref().unwrap_or_default();
        let how = if headset.non_desktop { "" } else { ", to be named with --connector" };
        return PathFinding::usable(
            "seat",
            "ready",
            format!("nobody drives {}, and {} is a headset ({name}){how}", card.path, headset.name),
        );
    }
    let blocked = |code, why: String, remedy| PathFinding::blocked("seat", code, why, remedy);
    if let Some(card) = cards.iter().find(|card| card.free && card.error.is_none()) {
        let why = format!("nothing that hangs on {} is a headset", card.path);
        return blocked("no-headset", why, "plug the headset in and switch it on");
    }
    if let Some(card) = cards.iter().find(|card| card.error.is_none()) {
        let holders = card.master_held_by.as_ref().map_or(String::new(), |names| format!(" ({names})"));
        let why = format!("{} belongs to another program{holders}", card.path);
        return blocked("held", why, "end that session or service, or lease from it over Wayland");
    }
    match cards.iter().find_map(|card| card.error.clone()) {
        Some(why) => blocked("not-opened", why, "see to that, and run 'leasehold doctor' again"),
        None => blocked("no-card", "no display card in /dev/dri".to_string(), "load the GPU's kernel driver"),
    }
}

impl PathFinding {
    fn usable(name: &'static str, code: &'static str, why: impl Into<String>) -> Self {
        Self { name, usable: true, code, why: why.into(), remedy: None }
    }

    fn blocked(
        name: &'static str,
        code: &'static str,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { name, usable: false, code, why: why.into(), remedy: Some(remedy.into()) }
    }

    /// Whether it leads to a real headset.
    pub fn gives_a_headset(&self) -> bool {
        self.usable && self.name != SIMULATED
    }

    /// For people.
    pub fn text(&self) -> String {
        let remedy = self.remedy.as_ref().map_or(String::new(), |remedy| format!("; {remedy}"));
        let verdict = if self.usable { "usable" } else { "not usable" };
        format!("{}: {verdict} ({}): {}{remedy}", self.name, self.code, self.why)
    }
}

/// Whether pictures can be made.
#[derive(Debug, Serialize)]
pub struct VulkanFinding {
    device: Option<String>,
    driver_ok: bool,
    why: Option<String>,
}

impl VulkanFinding {
    /// Opens the device that would composite.
    pub fn look() -> Self {
        let device = Instance::new(false).and_then(|instance| Device::open(&Arc::new(instance)));
        match device {
            Ok(device) => {
                Self { device: Some(device.name().to_string()), driver_ok: true, why: lacks(&device) }
            }
            Err(error) => Self { device: None, driver_ok: false, why: Some(error.to_string()) },
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let device = self.device.as_deref().unwrap_or("no device");
        self.why.as_ref().map_or(format!("vulkan: {device}"), |why| format!("vulkan: {device}: {why}"))
    }
}

/// What the device would be better with, in one sentence.
fn lacks(device: &Device) -> Option<String> {
    let can = device.capabilities();
    let missing: Vec<&str> = [
        (can.dma_buf, "VK_EXT_external_memory_dma_buf"),
        (can.modifiers, "VK_EXT_image_drm_format_modifier"),
        (can.host_memory_alignment.is_some(), "VK_EXT_external_memory_host"),
        (!device.is_cpu(), "a GPU: it is a program on the CPU"),
    ]
    .into_iter()
    .filter_map(|(has, name)| (!has).then_some(name))
    .collect();
    (!missing.is_empty()).then(|| format!("it lacks {}", missing.join(", ")))
}
