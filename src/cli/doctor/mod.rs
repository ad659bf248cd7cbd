//! `leasehold doctor`: why a headset can or cannot be had.
//!
//! Facts are [gathered](gather) first and [judged](judge) then, so that a test can judge a machine that is not there.

mod code;
mod facts;
mod finding;
mod gather;
mod judge;
mod report;
mod text;

use serde_json::json;

use self::gather::Tree;
use self::judge::Diagnosis;
use self::report::VulkanReport;
use self::text::Ink;
use super::{Failure, output};
use crate::error::Class;

/// Tell why a headset can or cannot be leased, and what to do, disturbing nobody
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Looks, prints what was found, and fails where no headset can be had.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let facts = gather::gather(&Tree::system());
    let diagnosis = Diagnosis::of(&facts);
    let (cards, vulkan) = (report::cards(&facts), VulkanReport::of(&facts.vulkan));
    if arguments.json {
        output::json(&json!({
            "schema": "leasehold.doctor/1",
            "cards": cards,
            "paths": diagnosis.paths,
            "findings": diagnosis.findings,
            "vulkan": vulkan,
        }))?;
    } else {
        output::line(text::report(Ink::for_stdout(), &cards, &diagnosis, &vulkan))?;
    }
    if diagnosis.gives_a_headset() {
        return Ok(());
    }
    let closed = diagnosis.paths.iter().filter(|path| !path.usable);
    let reasons: Vec<String> = closed.map(|path| format!("{}: {}", path.name, path.why)).collect();
    Err(Failure::new(Class::NoHeadset, format!("no headset can be had ({})", reasons.join("; "))))
}
