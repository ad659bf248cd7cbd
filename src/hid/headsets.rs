//! The boards of the headsets that are plugged in.

use std::io;
use std::path::{Path, PathBuf};

use super::{Hidraw, Node, nodes};
use crate::error::{Class, Classified};
use crate::headset::edid::EdidId;
use crate::headset::hid::mainboard::Mainboard;
use crate::headset::hid::{MAINBOARDS, TRACKING_BOARDS, UsbId, config};

/// Why there is no tracking board to read from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoTrackingBoard {
    /// None is plugged in.
    #[error(
        "no headset with data of its own is plugged in: none of the nodes /dev/hidraw* is a Vive's, a Vive Pro's or an \
         Index's tracking board; connect its USB cable and its power, or name its node with --hidraw"
    )]
    None,
    /// There are several, of different headsets.
    #[error("{} headsets are plugged in: name the node of one with --hidraw: {}", .0.len(), list(.0))]
    Several(Vec<PathBuf>),
    /// It cannot be opened.
    #[error("could not open {path}: {source}; {remedy}", path = .path.display())]
    Open {
        /// The node.
        path: PathBuf,
        /// Why not.
        source: io::Error,
        /// What helps.
        remedy: &'static str,
    },
    /// It is something else.
    #[error(
        "{path} is no headset's tracking board ({why}); leave --hidraw out, and the right node is looked for",
        path = .path.display()
    )]
    Other {
        /// The node.
        path: PathBuf,
        /// What it is.
        why: String,
    },
}

impl Classified for NoTrackingBoard {
    fn class(&self) -> Class {
        match self {
            Self::None => Class::NoHeadset,
            Self::Several(_) | Self::Open { .. } | Self::Other { .. } => Class::Config,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The tracking board at this node, or where none is named the only one there is, and its node.
///
/// A board has several nodes; the one that knows the config is found by asking.
///
/// # Errors
/// When there is none, it cannot be opened, or there are those of several headsets.
pub fn tracking_board(named: Option<&Path>) -> Result<(Hidraw, PathBuf), NoTrackingBoard> {
    if let Some(path) = named {
        return Ok((open_tracking_board(path)?, path.to_path_buf()));
    }
    let nodes: Vec<Node> = nodes().into_iter().filter(|node| TRACKING_BOARDS.contains(&node.id)).collect();
    let (mut found, mut refusal) = (Vec::<(Hidraw, Node)>::new(), None);
    for node in nodes {
        match open_tracking_board(&node.path) {
            // Another node of a headset that has answered already.
            Ok(_)
                if found.iter().any(|(_, other)| !node.serial.is_empty() && other.serial == node.serial) => {}
            Ok(mut board) => {
                if config::answers(&mut board) {
                    found.push((board, node));
                }
            }
            Err(error) => refusal = Some(error),
        }
    }
    match found.len() {
        0 => Err(refusal.unwrap_or(NoTrackingBoard::None)),
        1 => {
            let (board, node) = found.remove(0);
            Ok((board, node.path))
        }
        _ => Err(NoTrackingBoard::Several(found.into_iter().map(|(_, node)| node.path).collect())),
    }
}

fn open_tracking_board(path: &Path) -> Result<Hidraw, NoTrackingBoard> {
    let board = Hidraw::open(path).map_err(|source| {
        let remedy = match source.kind() {
            io::ErrorKind::PermissionDenied => {
                "let your user have it: copy contrib/60-leasehold.rules to /etc/udev/rules.d and connect the headset anew"
            }
            io::ErrorKind::NotFound => "leave --hidraw out, and the right node is looked for",
            _ => "connect the headset anew",
        };
        NoTrackingBoard::Open { path: path.into(), source, remedy }
    })?;
    match board.id() {
        Ok(id) if TRACKING_BOARDS.contains(&id) => Ok(board),
        Ok(UsbId { vendor, product }) => Err(NoTrackingBoard::Other {
            path: path.into(),
            why: format!("it is {vendor:04x}:{product:04x}"),
        }),
        Err(_) => Err(NoTrackingBoard::Other { path: path.into(), why: "it is no hidraw node".to_owned() }),
    }
}

/// The mainboards that are plugged in and can be opened, in the order of their nodes.
pub fn mainboards() -> Vec<(Hidraw, PathBuf)> {
    let open = |node: Node| match Hidraw::open(&node.path) {
        Ok(board) => Some((board, node.path)),
        Err(error) => {
            tracing::debug!("could not open {}: {error}", node.path.display());
            None
        }
    };
    nodes().into_iter().filter(|node| MAINBOARDS.contains(&node.id)).filter_map(open).collect()
}

/// The EDID numbers of the headsets that are plugged in and tell them. A mainboard that cannot be asked is passed over:
/// this only ever helps to choose.
pub fn reported_edids() -> Vec<EdidId> {
    let mut ids = Vec::new();
    for (mut board, node) in mainboards() {
        match Mainboard::ask(&mut board) {
            Ok(Mainboard { edid: Some(id), .. }) => ids.push(id),
            Ok(_) => tracing::debug!("{} tells no EDID", node.display()),
            Err(error) => tracing::debug!("could not ask {} for its EDID: {error}", node.display()),
        }
    }
    ids
}
