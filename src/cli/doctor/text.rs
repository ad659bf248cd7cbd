//! What `doctor` says to people: the cards, the ways to a headset, and what to do. In colour where a terminal shows it.

use std::io::IsTerminal;

use clap::builder::styling::{AnsiColor, Style};

use super::finding::{Finding, Severity};
use super::judge::{Diagnosis, PathFinding};
use super::report::{CardReport, ConnectorReport, VulkanReport};

/// How to mark a word.
#[derive(Clone, Copy, Debug)]
enum Tone {
    Good,
    Bad,
    Doubtful,
    Quiet,
    Heading,
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Ink {
    colour: bool,
}

impl Ink {
    /// Colours if stdout is a terminal that shows some and the user has not asked for none (no-color.org).
    pub fn for_stdout() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { colour: std::io::stdout().is_terminal() && set("NO_COLOR").is_none() && !dumb }
    }

    fn mark(self, tone: Tone, text: impl std::fmt::Display) -> String {
        let style = match tone {
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Doubtful => AnsiColor::Yellow.on_default(),
            Tone::Quiet => Style::new().dimmed(),
            Tone::Heading => Style::new().bold(),
        };
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_string() }
    }
}

/// The whole report, line by line.
pub fn report(ink: Ink, cards: &[CardReport], diagnosis: &Diagnosis, vulkan: &VulkanReport) -> String {
    let mut lines: Vec<String> = cards.iter().flat_map(|card| card_lines(ink, card)).collect();
    if cards.is_empty() {
        lines.push(ink.mark(Tone::Heading, "no display card"));
    }
    let device = vulkan.device.as_deref().unwrap_or("no device");
    lines.push(format!("{} {device}", ink.mark(Tone::Heading, "Vulkan:")));
    lines.push(String::new());
    lines.push(ink.mark(Tone::Heading, "Ways to a headset"));
    lines.extend(diagnosis.paths.iter().map(|path| path_line(ink, path)));
    if !diagnosis.findings.is_empty() {
        lines.push(String::new());
        lines.push(
            ink.mark(Tone::Heading, "What to know and do (docs/troubleshooting.md, by the word in brackets)"),
        );
        lines.extend(diagnosis.findings.iter().flat_map(|finding| finding_lines(ink, finding)));
    }
    lines.join("\n")
}

fn card_lines(ink: Ink, card: &CardReport) -> Vec<String> {
    let driver = card.driver.as_deref().unwrap_or("unknown driver");
    let master = match (&card.error, &card.master_held_by, card.free) {
        (Some(error), ..) => ink.mark(Tone::Bad, error),
        (_, _, true) => "nobody is its master".to_string(),
        (_, Some(holder), _) => format!("its master is {holder}"),
        (_, None, _) => "another program is its master".to_string(),
    };
    let clock = card.vblank_clock.map_or("nothing is lit".to_string(), |clock| format!("clock {clock}"));
    let head = format!("{} ({driver}): {master}; {clock}", ink.mark(Tone::Heading, &card.path));
    std::iter::once(head)
        .chain(card.connectors.iter().map(|connector| connector_line(ink, connector)))
        .collect()
}

fn connector_line(ink: Ink, connector: &ConnectorReport) -> String {
    let what = match (connector.connected, &connector.headset, &connector.leased_to) {
        (false, ..) => ink.mark(Tone::Quiet, "nothing plugged in"),
        (true, None, _) => "a monitor".to_string(),
        (true, Some(headset), Some(lessee)) => {
            format!("{}, leased to {lessee}", ink.mark(Tone::Doubtful, headset))
        }
        (true, Some(headset), None) if connector.non_desktop => {
            format!("{}, a headset", ink.mark(Tone::Good, headset))
        }
        (true, Some(headset), None) => {
            format!("{}, which the kernel takes for a monitor", ink.mark(Tone::Doubtful, headset))
        }
    };
    let modes = match &connector.modes[..] {
        [] => "no modes".to_string(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} and {} more modes", rest.len()),
    };
    format!("  {}: {what}; {}", connector.name, ink.mark(Tone::Quiet, modes))
}

fn path_line(ink: Ink, path: &PathFinding) -> String {
    let verdict = if path.usable { ink.mark(Tone::Good, "open  ") } else { ink.mark(Tone::Bad, "closed") };
    format!("  {:<9} {verdict} [{}] {}", path.name, path.code.name(), path.why)
}

fn finding_lines(ink: Ink, finding: &Finding) -> [String; 2] {
    let tone = match finding.severity {
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Doubtful,
        Severity::Note => Tone::Quiet,
    };
    let (severity, code) = (finding.severity.name(), finding.code.name());
    [
        format!("  {} [{code}] {}", ink.mark(tone, format!("{severity:<7}")), finding.why),
        format!("          {} {}", ink.mark(Tone::Quiet, "do:"), finding.remedy),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::code::Code;

    fn made_up() -> (Vec<CardReport>, Diagnosis, VulkanReport) {
        let finding = Finding::error(Code::NoCard, "/dev/dri", "no display card", "load a driver");
        let diagnosis = Diagnosis { paths: Vec::new(), findings: vec![finding] };
        (Vec::new(), diagnosis, VulkanReport { device: None, driver_ok: false, why: None })
    }

    #[test]
    fn every_finding_is_told_with_its_code_and_remedy() {
        let (cards, diagnosis, vulkan) = made_up();
        let text = report(Ink { colour: false }, &cards, &diagnosis, &vulkan);
        assert!(text.contains("error   [no-card] no display card\n          do: load a driver"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn colours_change_no_word() {
        let (cards, diagnosis, vulkan) = made_up();
        let plain = report(Ink { colour: false }, &cards, &diagnosis, &vulkan);
        let mut coloured = report(Ink { colour: true }, &cards, &diagnosis, &vulkan);
        assert!(coloured.contains("\u{1b}[31m"), "{coloured:?}");
        while let Some(start) = coloured.find('\u{1b}') {
            let end = start + coloured[start..].find('m').expect("an escape sequence of colour ends in m");
            coloured.replace_range(start..=end, "");
        }
        assert_eq!(coloured, plain);
    }
}
