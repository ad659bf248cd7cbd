//! `leasehold doctor`: why a headset can or cannot be had.

mod cards;
mod paths;

use serde_json::json;

use self::cards::CardFinding;
use self::paths::{PathFinding, VulkanFinding};
use super::{Failure, output};
use crate::error::Class;

/// Tell why a headset can or cannot be leased, disturbing nobody
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Looks, prints what was found, and fails where no headset can be had.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let cards = cards::look();
    let paths = paths::look(&cards);
    let vulkan = VulkanFinding::look();
    if arguments.json {
        output::json(&json!({
            "schema": "leasehold.doctor/1",
            "cards": cards,
            "paths": paths,
            "vulkan": vulkan,
        }))?;
    } else {
        let lines = cards.iter().map(CardFinding::text).chain(paths.iter().map(PathFinding::text));
        output::line(lines.chain([vulkan.text()]).collect::<Vec<_>>().join("\n"))?;
    }
    if paths.iter().any(PathFinding::gives_a_headset) {
        return Ok(());
    }
    let reasons: Vec<String> =
        paths.iter().filter(|path| !path.usable).map(|path| format!("{}: {}", path.name, path.why)).collect();
    Err(Failure::new(Class::NoHeadset, format!("no headset can be had ({})", reasons.join("; "))))
}
