//! The plots over time.

use std::cmp::Ordering;

use super::words::{count, many, ms, plain};
use crate::report::kept::badness;
use crate::report::moments::Moments;
use crate::report::plot::{Axis, Chart, Row, Timeline, Tone};
use crate::report::run::Report;

/// How long before their vblanks frames were handed over, over the run.
pub fn margin(report: &Report) -> String {
    let table = &report.over_time.buckets;
    if table.rows.is_empty() {
        return "<p class=\"soft\">The file does not say how the run went over time.</p>".to_string();
    }
    let number = |name: &str| table.numbers(name).map(|value| value.unwrap_or(f64::NAN));
    let seconds: Vec<f64> = number("from_us").map(|us| us / 1e6).collect();
    let [least, mean, most] = ["margin_min_us", "margin_mean_us", "margin_max_us"]
        .map(|name| number(name).map(|us| us / 1e3).collect::<Vec<_>>());
    let missed: Vec<f64> = number("missed").collect();
    // Where a stretch of time has no frame, nothing was measured, and the line has a gap.
    let bucket = report.over_time.bucket_us / 1e6;
    let mut line = Vec::with_capacity(seconds.len());
    for (place, (&at, &mean)) in seconds.iter().zip(&mean).enumerate() {
        if place > 0 && at - seconds[place - 1] > 1.5 * bucket {
            line.push((at, f64::NAN));
        }
        line.push((at, mean));
    }
    let band = seconds.iter().zip(&least).zip(&most).map(|((&at, &least), &most)| (at, least, most));
    let dots = seconds.iter().zip(&least).zip(&missed).filter(|&(_, &missed)| missed > 0.0);
    let dots: Vec<_> = dots.map(|((&at, &least), _)| (at, least)).collect();
    let any = !dots.is_empty();
    let mut chart = Chart::new(
        "Margin over time",
        Axis::linear("seconds after the first frame"),
        Axis::linear("ms in hand").to(1.0),
    )
    .size(720, 280)
    .band(Tone::Blue, "least to most", band)
    .line(Tone::Blue, "mean", line);
    if any {
        chart = chart.dots(Tone::Red, "a vblank was missed", dots);
    }
    format!(
        "<p>How long before its vblank each frame was handed over, for every {} of the run. What is below the line came \
         too late.</p>\n<figure>{}</figure>",
        super::words::duration(bucket),
        chart.rule(Tone::Red, 0.0, "the vblank").inline()
    )
}

/// Rows of the timeline.
const ROWS: usize = 8;

/// Wake, latch, submit, flip and photon of the frames that went worst.
pub fn worst_frames(report: &Report, frames: &[Moments]) -> String {
    let mut worst: Vec<&Moments> = frames.iter().filter(|frame| frame.missed > 0).collect();
    let missed = !worst.is_empty();
    if missed {
        worst.sort_by_key(|frame| std::cmp::Reverse(badness(frame)));
    } else {
        worst = frames.iter().filter(|frame| frame.at_us("submit_us").is_some()).collect();
        let submit = |frame: &Moments| frame.at_us("submit_us").unwrap_or_default();
        worst.sort_by(|a, b| submit(b).partial_cmp(&submit(a)).unwrap_or(Ordering::Equal));
    }
    worst.truncate(ROWS);
    if worst.is_empty() {
        return "<p class=\"soft\">The file has no frames.</p>".to_string();
    }
    let lead = match missed {
        true => {
            "The frames that went worst, each from its wake-up to its light. 0 is the vblank that it was meant for."
        }
        false => {
            "No vblank was missed; of the frames kept these came nearest to it. 0 is the vblank that each was meant for."
        }
    };
    let timeline = Timeline::new(
        "The five moments of the worst frames",
        Axis::linear("ms from the vblank that it was for"),
    );
    let timeline = worst.iter().fold(timeline, |timeline, frame| timeline.row(row(frame)));
    let period = report.display.measured_hz.filter(|hz| hz.is_finite() && *hz > 1.0).map(|hz| 1e3 / hz);
    let timeline = timeline.rule(Tone::Gray, 0.0, "its vblank");
    let late = worst.iter().filter_map(|frame| frame.at_us("flip_us")).fold(0.0, f64::max) / 1e3;
    let timeline = match period.filter(|period| late > period * 0.9) {
        Some(period) => timeline.rule(Tone::Gray, period, "the next"),
        None => timeline,
    };
    format!("<p>{lead}</p>\n<figure>{}</figure>", timeline.inline())
}

fn row(frame: &Moments) -> Row {
    let at = |moment: &str| frame.at_us(moment).map(|us| us / 1e3);
    let note = match &frame.cause {
        Some(cause) => format!("{} missed, {}", count(frame.missed), plain(cause)),
        None => at("submit_us").map_or(String::new(), |at| format!("{} in hand", ms(-at * 1e3))),
    };
    let note: String = note.chars().take(28).collect();
    let mut row = Row::new(format!("frame {}", count(frame.frame)), note);
    let stretches = [
        (Tone::Blue, "composite", "latch_us", "drawn_us"),
        (Tone::Violet, "handing over", "drawn_us", "submit_us"),
        (Tone::Gray, "waits for its vblank", "submit_us", "flip_us"),
    ];
    for (tone, name, from, to) in stretches {
        if let Some((from, to)) = at(from).zip(at(to)).filter(|(from, to)| from <= to) {
            row = row.stretch(tone, name, from, to);
        }
    }
    let marks = [
        (Tone::Amber, "wake", "wake_us"),
        (Tone::Blue, "latch", "latch_us"),
        (Tone::Violet, "submit", "submit_us"),
        (Tone::Green, "flip", "flip_us"),
        (Tone::Red, "photon", "photon_us"),
    ];
    marks.into_iter().fold(row, |row, (tone, name, moment)| match at(moment) {
        Some(at) => row.mark(tone, name, at),
        None => row,
    })
}

/// How many frames there are to speak of.
pub fn frames(number: u64) -> String {
    many(number, "frame", "frames")
}
