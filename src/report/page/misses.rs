//! Where missed vblanks came from.

use super::words::{count, many, ms, plain, share};
use crate::report::moments::Moments;
use crate::report::plot::{Bars, Tone, escape};
use crate::report::run::Report;

/// Misses that are listed one by one.
const LISTED: usize = 12;

/// Causes as bars, what they mean, and each miss that was kept.
pub fn section(report: &Report, frames: &[Moments]) -> String {
    if report.frames.missed == 0 {
        return "<p class=\"good\">No vblank was missed.</p>".to_string();
    }
    let mut causes: Vec<(&String, u64)> =
        report.misses.iter().map(|(cause, missed)| (cause, *missed)).collect();
    causes.sort_by_key(|&(_, missed)| std::cmp::Reverse(missed));
    let all = report.frames.missed;
    let bars = causes.iter().fold(Bars::new("Missed vblanks by cause"), |bars, &(cause, missed)| {
        let said = format!("{}, {}", count(missed), share(missed, all));
        bars.bar(Tone::Red, &plain(cause), missed as f64, &said)
    });
    let meanings: String = causes
        .iter()
        .map(|(cause, _)| {
            let cells = [plain(cause), meaning(cause).to_string(), remedy(cause).to_string()];
            format!("<tr>{}</tr>\n", cells.map(|cell| format!("<td>{}</td>", escape(&cell))).concat())
        })
        .collect();
    format!(
        "<figure>{}</figure>\n<div class=\"scroll\"><table class=\"words\">\n\
         <tr><th>cause</th><th>what went wrong</th><th>what helps</th></tr>\n{meanings}</table></div>\n{}",
        bars.inline(),
        listed(report, frames)
    )
}

fn listed(report: &Report, frames: &[Moments]) -> String {
    let missed: Vec<&Moments> = frames.iter().filter(|frame| frame.missed > 0).collect();
    if missed.is_empty() {
        return "<p class=\"soft\">The file has no frames to show them one by one.</p>".to_string();
    }
    let begin = report.over_time.begin_ns;
    let rows: String = missed
        .iter()
        .take(LISTED)
        .map(|frame| {
            let at = |moment: &str| frame.at_us(moment).map_or("–".to_string(), ms);
            let took = |from: &str, to: &str| {
                frame.at_us(from).zip(frame.at_us(to)).map_or("–".to_string(), |(from, to)| ms(to - from))
            };
            let cells = [
                format!("{:.2} s", frame.target_ns.saturating_sub(begin).max(0) as f64 / 1e9),
                count(frame.frame),
                count(frame.missed),
                plain(frame.cause.as_deref().unwrap_or("unknown")),
                took("planned_wake_us", "wake_us"),
                took("latch_us", "drawn_us"),
                at("submit_us"),
            ];
            format!("<tr>{}</tr>\n", cells.map(|cell| format!("<td>{}</td>", escape(&cell))).concat())
        })
        .collect();
    let kept: u64 = missed.iter().take(LISTED).map(|frame| frame.missed).fold(0, u64::saturating_add);
    let rest = match report.frames.missed.saturating_sub(kept) {
        0 => String::new(),
        rest => {
            format!("<p class=\"soft\">And {} like these.</p>\n", many(rest, "more vblank", "more vblanks"))
        }
    };
    format!(
        "<details open><summary>One by one</summary>\n<div class=\"scroll\"><table>\n\
         <tr><th>after</th><th>frame</th><th>missed</th><th>cause</th><th>woke late by</th><th>composite</th>\
         <th>handed over, from its vblank</th></tr>\n{rows}</table></div>\n{rest}</details>"
    )
}

/// What went wrong, by the cause's name in reports.
pub fn meaning(cause: &str) -> &'static str {
    match cause {
        "woke_late" => "the loop was woken so late that its frame could not be ready in time",
        "app_late" => "the app had no first frame ready",
        "latch_late" => "the loop was woken in time and did not come to read the pose",
        "gpu_late" => "the composite was not drawn when the vblank came",
        "commit_late" => "the frame was drawn in time and handed to the kernel after the vblank",
        "kernel_late" => "the frame was handed over in time and came on later all the same",
        "lease_lost" => "the lease was taken away with a frame under way",
        _ => "this version of leasehold does not know that cause",
    }
}

fn remedy(cause: &str) -> &'static str {
    match cause {
        "woke_late" => {
            "real-time priority for the loop, a CPU that nothing else keeps busy, no deep sleep states"
        }
        "app_late" => "a lighter scene",
        "latch_late" => "real-time priority; another real-time thread may have come between",
        "gpu_late" => "a queue of higher priority, a smaller mode, less other work on the GPU",
        "commit_late" => "real-time priority; a way of scanout that copies less",
        "kernel_late" => "more time in hand: the driver needs a commit earlier than its vblank",
        "lease_lost" => "nothing here: ask who took it",
        _ => "a newer leasehold",
    }
}
