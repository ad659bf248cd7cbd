use super::*;

/// A Vive's rate, which its mode calls 90.
const HZ: f64 = 89.527;

fn simulation(load: Load, frames: u64) -> Simulation {
    Simulation { hz: HZ, load, frames }
}

fn middle(spans: &[Span]) -> Span {
    let mut spans = spans.to_vec();
    let half = spans.len() / 2;
    *spans.select_nth_unstable(half).1
}

/// Plays a model with both, and says how it went.
fn hold(model: Model, seed: u64, frames: u64) {
    let simulation = simulation(Load::model(model, seed), frames);
    let (live, oracle) = (simulation.play(Rule::Live), simulation.play(Rule::Oracle));
    let above = middle(&live.latch_to_photon) - middle(&oracle.latch_to_photon);
    let name = model.name();
    let said = format!(
        "{name}, seed {seed}: missed {} ({:?}), the oracle {}; {:.3} ms above it; period off by {:?} ppm",
        live.totals.missed,
        live.totals.causes,
        oracle.totals.missed,
        above.as_us_f64() / 1e3,
        live.period_error_ppm
    );
    println!("{said}");
    assert!(
        live.totals.missed as f64 <= oracle.totals.missed as f64 * 1.1 + frames as f64 / 10_000.0,
        "{said}"
    );
    assert!(above <= Span::from_us(500), "{said}");
    assert!(live.period_error_ppm.expect("it ran for long") < 1.0, "{said}");
    assert_eq!(live.totals.causes.iter().sum::<u64>(), live.totals.missed, "{said}");
}

#[test]
fn a_million_frames_of_each_model_are_shown_nearly_as_well_as_by_an_oracle() {
    for model in Model::ALL {
        for seed in 1..=2 {
            hold(model, seed, 1_000_000);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for model in Model::ALL {
        let play = |seed| {
            let outcome = simulation(Load::model(model, seed), 20_000).play(Rule::Live);
            (outcome.totals, outcome.margins, outcome.latch_to_photon)
        };
        assert!(play(7) == play(7), "{}", model.name());
        assert!(play(7) != play(8), "{}", model.name());
    }
}

#[test]
fn a_fixed_rule_misses_what_needs_more_and_ages_the_poses_of_what_needs_less() {
    let table = |composite_us: u32| {
        let header = "composite_us,app_us,wake_late_us,timestamp_noise_ns";
        Load::parse(&format!("{header}\n{composite_us},0,10,0\n")).unwrap()
    };
    let fixed = |composite_us| simulation(table(composite_us), 2_000).play(Rule::Fixed(Span::from_ms(3)));
    let (light, heavy) = (fixed(1_000), fixed(4_000));
    assert_eq!(light.totals.missed, 0);
    assert!(heavy.totals.missed > 900, "{}", heavy.totals.missed);
    let live = simulation(table(1_000), 2_000).play(Rule::Live);
    let saved = middle(&light.latch_to_photon) - middle(&live.latch_to_photon);
    assert!(saved > Span::from_us(1_200), "{saved:?}");
}

#[test]
fn frames_that_need_nearly_a_period_are_all_shown_one_ahead() {
    let header = "composite_us,app_us,wake_late_us,timestamp_noise_ns";
    let load = Load::parse(&format!("{header}\n9500,0,20,0\n10400,0,20,0\n")).unwrap();
    let outcome = simulation(load, 10_000).play(Rule::Live);
    assert!(outcome.totals.missed < 10, "{:?}", outcome.totals);
}

#[test]
fn an_app_at_a_third_of_the_rate_is_rewarped_and_costs_no_vblank() {
    let header = "composite_us,app_us,wake_late_us,timestamp_noise_ns";
    let load = Load::parse(&format!("{header}\n2000,30000,20,0\n")).unwrap();
    let outcome = simulation(load, 9_000).play(Rule::Live);
    assert_eq!(outcome.totals.missed, 0);
    assert!((5_900..6_100).contains(&outcome.totals.rewarped), "{:?}", outcome.totals);
}

#[test]
fn spikes_strewn_evenly_are_met_all_the_same_at_the_price_of_older_poses() {
    let header = "composite_us,app_us,wake_late_us,timestamp_noise_ns\n";
    // One in 199, which no quantile tells of.
    let rows: String =
        (0..199).map(|row| if row == 100 { "6000,0,20,0\n" } else { "2000,0,20,0\n" }).collect();
    let load = Load::parse(&format!("{header}{rows}")).unwrap();
    let simulation = simulation(load, 200_000);
    let outcome = simulation.play(Rule::Live);
    assert!(outcome.totals.missed <= 5, "{:?}", outcome.totals);
    let above = middle(&outcome.latch_to_photon) - middle(&simulation.play(Rule::Oracle).latch_to_photon);
    assert!(above > Span::from_ms(3), "{above:?}");
}
