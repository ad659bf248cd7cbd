//! Judges the [facts](super::facts). Pure: the same facts give the same findings.

mod cards;
mod means;
mod paths;
#[cfg(test)]
mod tests;

pub use self::cards::headset;
pub use self::paths::PathFinding;
use super::code::Code;
use super::facts::Facts;
use super::finding::{Finding, Severity};

/// What the facts come to.
#[derive(Debug)]
pub struct Diagnosis {
    /// Every way to a headset, whether it is open, and why not.
    pub paths: Vec<PathFinding>,
    /// All that is not as it should be, the worst first.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Judges.
    pub fn of(facts: &Facts) -> Self {
        let cards = cards::judge(facts);
        let (paths, obstacles) = paths::judge(facts, &cards);
        // What closes a way comes before the rest; it may itself be a card's.
        let mut findings: Vec<Finding> = Vec::new();
        for found in obstacles.into_iter().chain(cards) {
            if !findings.contains(&found) {
                findings.push(found);
            }
        }
        // What stands in one way does not matter much while another is open.
        if paths.iter().any(PathFinding::gives_a_headset) {
            findings = findings.into_iter().map(|finding| finding.of(Severity::Note)).collect();
        }
        findings.extend(means::judge(facts));
        // That there is no desktop is the least likely to be the trouble.
        findings.sort_by_key(|finding| (finding.severity, finding.code == Code::NoSocket));
        Self { paths, findings }
    }

    /// Whether a real headset can be had.
    pub fn gives_a_headset(&self) -> bool {
        self.paths.iter().any(PathFinding::gives_a_headset)
    }
}
