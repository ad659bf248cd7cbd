//! `leasehold simulate`: the live pacing code against virtual time.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Failure, output};
use crate::files;
use crate::pacing::Cause;
use crate::pacing::simulate::{Load, Model, Outcome, Rule, Simulation};
use crate::report::Distribution;
use crate::time::Span;

/// Play the live pacing code against virtual time, beside an oracle and a fixed rule
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Vblanks a second, in truth; the clock is told the nearest whole number
    #[arg(long, value_name = "HZ", default_value = "89.527", value_parser = hz)]
    hz: f64,
    /// How many frames to show
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    frames: u64,
    /// Makes the model's frames; the same one makes the same frames
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What each frame costs: a table with the columns composite_us,app_us,wake_late_us,timestamp_noise_ns and a row for
    /// each frame, from the first again after the last
    #[arg(long, value_name = "FILE.csv", conflicts_with = "model")]
    load: Option<PathBuf>,
    /// What each frame costs: steady, spikes, ramp or bimodal
    #[arg(long, value_name = "MODEL", default_value = "steady")]
    model: Model,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What compositors commonly keep in hand, whatever a frame costs.
const FIXED: Span = Span::from_ms(3);

/// Plays the same frames by each rule and says how they compare.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let load = match &arguments.load {
        Some(path) => files::read_load(path)?,
        None => Load::model(arguments.model, arguments.seed),
    };
    let simulation = Simulation { hz: arguments.hz, load, frames: arguments.frames };
    let [live, oracle, fixed] =
        [Rule::Live, Rule::Oracle, Rule::Fixed(FIXED)].map(|rule| Findings::of(&simulation.play(rule)));
    let load = match &arguments.load {
        Some(path) => path.display().to_string(),
        None => arguments.model.name().to_string(),
    };
    match arguments.json {
        true => output::json(&json(arguments, &load, &live, &oracle, &fixed)),
        false => output::line(text(arguments, &load, &live, &oracle, &fixed)),
    }
}

fn hz(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(hz) if (1.0..=1000.0).contains(&hz) => Ok(hz),
        _ => Err(format!("'{text}' is not a number from 1 to 1000")),
    }
}

/// An outcome in figures.
struct Findings {
    missed: u64,
    misses: BTreeMap<&'static str, u64>,
    rewarped: u64,
    margin_us: Distribution,
    latch_to_photon_us: Distribution,
    measured_hz: Option<f64>,
    period_error_ppm: Option<f64>,
}

impl Findings {
    fn of(outcome: &Outcome) -> Self {
        let causes = Cause::ALL.into_iter().zip(outcome.totals.causes);
        Self {
            missed: outcome.totals.missed,
            misses: causes
                .filter(|&(_, count)| count > 0)
                .map(|(cause, count)| (cause.name(), count))
                .collect(),
            rewarped: outcome.totals.rewarped,
            margin_us: Distribution::of_us(outcome.margins.iter().copied()),
            latch_to_photon_us: Distribution::of_us(outcome.latch_to_photon.iter().copied()),
            measured_hz: outcome.measured_hz,
            period_error_ppm: outcome.period_error_ppm,
        }
    }
}

fn json(arguments: &Arguments, load: &str, live: &Findings, oracle: &Findings, fixed: &Findings) -> Value {
    json!({
        "schema": "leasehold.simulate/1",
        "load": load,
        "seed": arguments.seed,
        "hz": arguments.hz,
        "frames": arguments.frames,
        "missed": live.missed,
        "misses": live.misses,
        "rewarped": live.rewarped,
        "margin_us": live.margin_us,
        "latch_to_photon_us": live.latch_to_photon_us,
        "clock": {
            "nominal_hz": arguments.hz.round(),
            "measured_hz": live.measured_hz,
            "period_error_ppm": live.period_error_ppm,
        },
        "oracle": { "missed": oracle.missed, "latch_to_photon_us": oracle.latch_to_photon_us },
        "fixed": {
            "in_hand_us": FIXED.as_us_f64(),
            "missed": fixed.missed,
            "margin_us": fixed.margin_us,
            "latch_to_photon_us": fixed.latch_to_photon_us,
        },
    })
}

fn text(arguments: &Arguments, load: &str, live: &Findings, oracle: &Findings, fixed: &Findings) -> String {
    let row = |name: &str, found: &Findings| {
        format!(
            "{name:<10} {:>8} missed   {:>7.3} ms from latch to photon (p50), {:.3} (p99)",
            found.missed,
            found.latch_to_photon_us.p50 / 1e3,
            found.latch_to_photon_us.p99 / 1e3
        )
    };
    let clock = match (live.measured_hz, live.period_error_ppm) {
        (Some(hz), Some(ppm)) => {
            format!("{hz:.5} Hz measured, the period never off by more than {ppm:.3} ppm after 10 s")
        }
        (Some(hz), None) => format!("{hz:.5} Hz measured"),
        (None, _) => "too few vblanks to measure".to_string(),
    };
    let causes: Vec<String> =
        live.misses.iter().map(|(cause, count)| format!("{count} {}", cause.replace('_', " "))).collect();
    format!(
        "{load}, {} frames at {} Hz: {clock}\n{}\n{}\n{}\nready {:.3} ms before the vblank half the time{}",
        arguments.frames,
        arguments.hz,
        row("live", live),
        row("oracle", oracle),
        row("fixed 3 ms", fixed),
        live.margin_us.p50 / 1e3,
        if causes.is_empty() { String::new() } else { format!("; missed: {}", causes.join(", ")) },
    )
}
