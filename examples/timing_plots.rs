//! Draws the plots of docs/timing.md anew: `cargo run --release --example timing_plots -- docs/pictures`.
//!
//! What is plotted is measured: the live pacing code and a rule that always keeps 3 ms in hand play the same frames.

use std::path::PathBuf;

use leasehold::pacing::simulate::{Load, Model, Outcome, Rule, Simulation};
use leasehold::report::plot::{Axis, Chart, Row, Timeline, Tone};
use leasehold::time::Span;

const HZ: f64 = 89.527;
const SEED: u64 = 1;
/// Five minutes, in which each model shows all that it has.
const FRAMES: u64 = 27_000;
/// A point of a line stands for so many frames, two seconds.
const A_POINT: usize = 180;
const FIXED: Span = Span::from_ms(3);

fn main() {
    let folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("docs/pictures"), PathBuf::from);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let write = |name: String, svg: String| {
        std::fs::write(folder.join(&name), svg)
            .unwrap_or_else(|error| panic!("could not write {name}: {error}"));
    };
    write("five-moments.svg".to_string(), five_moments());
    for model in Model::ALL {
        let play = |rule| Simulation { hz: HZ, load: Load::model(model, SEED), frames: FRAMES }.play(rule);
        let [live, fixed] = [Rule::Live, Rule::Fixed(FIXED)].map(play);
        write(format!("latch-to-photon-{}.svg", model.name()), latch_to_photon(model, &live, &fixed));
        write(format!("margin-{}.svg", model.name()), margin(model, &live, &fixed));
    }
}

/// How old poses are when their light leaves the panel, half the time.
fn latch_to_photon(model: Model, live: &Outcome, fixed: &Outcome) -> String {
    let line = |outcome: &Outcome| over_time(&outcome.latch_to_photon, 0.5);
    chart(model, "from latch to photon, half the time")
        .line(Tone::Amber, "3 ms in hand", line(fixed))
        .line(Tone::Blue, "live", line(live))
        .standalone()
}

/// How long before their vblank frames were handed over: the least of two seconds.
fn margin(model: Model, live: &Outcome, fixed: &Outcome) -> String {
    let line = |outcome: &Outcome| over_time(&outcome.margins, 0.0);
    chart(model, "in hand, the least of two seconds")
        .line(Tone::Amber, "3 ms in hand", line(fixed))
        .line(Tone::Blue, "live", line(live))
        .rule(Tone::Red, 0.0, "the vblank")
        .standalone()
}

fn chart(model: Model, what: &str) -> Chart {
    let title = format!("{}: {what}", model.name());
    Chart::new(title, Axis::linear("seconds"), Axis::linear("ms")).size(480, 220)
}

/// A quantile of each stretch of frames, in milliseconds.
fn over_time(spans: &[Span], share: f64) -> Vec<(f64, f64)> {
    let point = |(place, stretch): (usize, &[Span])| {
        let mut sorted = stretch.to_vec();
        sorted.sort();
        let rank = ((sorted.len() - 1) as f64 * share) as usize;
        ((place * A_POINT) as f64 / HZ, sorted[rank].as_secs_f64() * 1e3)
    };
    spans.chunks(A_POINT).enumerate().map(point).collect()
}

/// Three frames of a Vive whose composite takes 3 ms, drawn to scale.
fn five_moments() -> String {
    let period_ms = 1e3 / HZ;
    let mut timeline = Timeline::new("The five moments of three frames", Axis::linear("ms"));
    for number in 1..=3 {
        let vblank = f64::from(number) * period_ms;
        let (wake, latch, submit) = (vblank - 4.0, vblank - 3.9, vblank - 0.9);
        // A Vive's panel lights up at once, at the end of what it takes to scan out.
        let photon = vblank + 0.8 * period_ms;
        timeline = timeline
            .row(
                Row::new(format!("frame {number}"), "")
                    .stretch(Tone::Violet, "composite", latch, submit)
                    .stretch(Tone::Gray, "in hand", submit, vblank)
                    .stretch(Tone::Green, "scanout", vblank, photon)
                    .mark(Tone::Amber, "wake", wake)
                    .mark(Tone::Blue, "latch", latch)
                    .mark(Tone::Violet, "submit", submit)
                    .mark(Tone::Red, "flip", vblank)
                    .mark(Tone::Green, "photon", photon),
            )
            .rule(Tone::Gray, vblank, "vblank");
    }
    timeline.standalone()
}
