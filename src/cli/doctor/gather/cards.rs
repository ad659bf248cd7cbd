//! The cards: opened to look, and closed again.

use std::path::Path;

use nix::errno::Errno;

use super::super::facts::{CardFacts, ConnectorFacts, Look, Opened};
use super::holders;
use super::tree::Tree;
use crate::files::edid_cache::EdidCache;
use crate::headset::cache::Memory;
use crate::headset::edid::Edid;
use crate::kms::property::Properties;
use crate::kms::{Card, Connector, ConnectorId, CrtcId, KmsError};
use crate::lease::request::{RequestError, seat};

const LINK_BAD: u64 = 1; // DRM_MODE_LINK_STATUS_BAD, drm_mode.h

/// Looks at all cards, in order of their numbers. `cache` remembers what hung on their connectors.
pub fn look(tree: &Tree, cache: Option<&EdidCache>) -> Vec<CardFacts> {
    let names = tree.names("dev/dri").into_iter();
    let mut numbers: Vec<u32> = names.filter_map(|name| name.strip_prefix("card")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|number| card(tree, &format!("card{number}"), cache)).collect()
}

fn card(tree: &Tree, name: &str, cache: Option<&EdidCache>) -> CardFacts {
    let node = format!("dev/dri/{name}");
    let path = tree.path(&node);
    let recall = |connector: &str| cache.and_then(|cache| cache.recall(name, connector));
    let look = match seat::look(&path) {
        Ok((card, free)) => match opened(&card, free, recall) {
            Ok(opened) => Look::Opened(opened),
            Err(error) => Look::Failed(error.to_string()),
        },
        Err(RequestError::NotOpened { errno, .. }) => Look::Refused { errno, node: super::node::look(&path) },
        Err(error) => Look::Failed(error.to_string()),
    };
    let connectors = match &look {
        Look::Opened(opened) => opened.connectors.iter().map(|connector| connector.id).collect(),
        Look::Refused { .. } | Look::Failed(_) => Vec::new(),
    };
    let path_there = Path::new("/").join(node);
    CardFacts {
        look,
        holders: holders::of(tree, &path_there, &connectors),
        path: path_there.display().to_string(),
    }
}

fn opened(card: &Card, free: bool, recall: impl Fn(&str) -> Option<Memory>) -> Result<Opened, KmsError> {
    let mut opened = Opened { driver: card.driver()?, free, ..Opened::default() };
    let connectors = match card.connectors() {
        Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => return Ok(opened),
        connectors => connectors?,
    };
    opened.mode_setting = true;
    opened.atomic = card.enable_atomic().is_ok();
    let crtcs = card.crtcs()?;
    for id in connectors {
        let mut connector = Connector::read(card, id, false)?;
        if free && is_headset(&connector) {
            connector = probe(card, id).unwrap_or(connector);
        }
        opened.vblank_clock = opened.vblank_clock.or_else(|| vblank_clock(card, &connector));
        opened.connectors.push(ConnectorFacts {
            id: id.raw(),
            link_bad: Properties::of(card, id)?.value("link-status") == Some(LINK_BAD),
            crtc: connector.crtc.map_or(0, |crtc| bit(&crtcs, crtc)),
            memory: recall(&connector.name),
            name: connector.name,
            connected: connector.connected,
            non_desktop: connector.non_desktop,
            edid: connector.edid,
            modes: connector.modes.iter().map(ToString::to_string).collect(),
            possible_crtcs: connector.possible_crtcs,
        });
    }
    Ok(opened)
}

fn is_headset(connector: &Connector) -> bool {
    let known = || Edid::parse(&connector.edid).is_ok_and(|edid| edid.headset().is_some());
    connector.connected && (connector.non_desktop || known())
}

/// Asks a display anew, for which this becomes the card's master while it takes. On a card that nobody drives, only the
/// kernel's console has asked so far, and for no mode larger than its own (`drm_client_modeset_probe`).
fn probe(card: &Card, id: ConnectorId) -> Result<Connector, KmsError> {
    card.become_master()?;
    let connector = Connector::read(card, id, true);
    card.drop_master()?;
    connector
}

/// The bit that stands for a CRTC in `possible_crtcs`.
fn bit(crtcs: &[CrtcId], crtc: CrtcId) -> u32 {
    crtcs
        .iter()
        .position(|&other| other == crtc)
        .map_or(0, |index| 1u32.checked_shl(index as u32).unwrap_or(0))
}

/// How vblanks of what hangs on this connector can be timed; `None` while it is dark.
fn vblank_clock(card: &Card, connector: &Connector) -> Option<&'static str> {
    match card.vblank(connector.crtc?) {
        Ok(_) => Some("crtc-sequence"),
        Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => Some("flip-event"),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_without_cards_has_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(look(&Tree::at(folder.path()), None).is_empty());
    }

    #[test]
    fn cards_are_looked_at_in_order_and_what_is_none_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let nodes = folder.path().join("dev/dri");
        std::fs::create_dir_all(&nodes).unwrap();
        for name in ["card10", "card9", "renderD128", "controlD64", "by-path"] {
            std::fs::write(nodes.join(name), "").unwrap();
        }
        let cards = look(&Tree::at(folder.path()), None);
        let paths: Vec<&str> = cards.iter().map(|card| card.path.as_str()).collect();
        assert_eq!(paths, ["/dev/dri/card9", "/dev/dri/card10"]);
        assert!(matches!(&cards[0].look, Look::Failed(why) if why.contains("not a display card")));
    }
}
