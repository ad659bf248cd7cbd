//! `leasehold simulate`, as it is run.

use std::process::{Command, Output};

use serde_json::Value;

fn simulate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.arg("simulate").args(arguments).output().expect("it starts")
}

fn json(arguments: &[&str]) -> Value {
    let output = simulate(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn refusal(arguments: &[&str], code: i32) -> String {
    let output = simulate(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn each_model_comes_near_the_oracle_and_the_clock_finds_its_rate() {
    for model in ["steady", "spikes", "ramp", "bimodal"] {
        let found = json(&["--model", model, "--frames", "200000", "--seed", "11"]);
        assert_eq!((&found["schema"], &found["load"]), (&"leasehold.simulate/1".into(), &model.into()));
        let (missed, oracle) =
            (found["missed"].as_f64().unwrap(), found["oracle"]["missed"].as_f64().unwrap());
        assert!(missed <= oracle * 1.1 + 20.0, "{found}");
        let causes: f64 = found["misses"].as_object().unwrap().values().filter_map(Value::as_f64).sum();
        assert_eq!(causes, missed, "every miss has a cause");
        let p50 = |of: &Value| of["latch_to_photon_us"]["p50"].as_f64().unwrap();
        assert!(p50(&found) - p50(&found["oracle"]) < 500.0, "{found}");
        assert!(found["clock"]["period_error_ppm"].as_f64().unwrap() < 1.0, "{found}");
        assert!((found["clock"]["measured_hz"].as_f64().unwrap() - 89.527).abs() < 1e-4, "{found}");
        assert_eq!(found["clock"]["nominal_hz"], 90.0);
    }
}

#[test]
fn the_same_seed_prints_the_same() {
    let run = |seed| simulate(&["--model", "spikes", "--frames", "20000", "--seed", seed, "--json"]).stdout;
    assert_eq!(run("5"), run("5"));
    assert_ne!(run("5"), run("6"));
}

#[test]
fn a_table_is_played_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("load.csv");
    let load = path.to_str().unwrap();
    std::fs::write(&path, "composite_us,app_us,wake_late_us,timestamp_noise_ns\n3500,0,20,0\n2500,0,20,0\n")
        .unwrap();
    let found = json(&["--load", load, "--frames", "10000"]);
    assert_eq!(found["missed"], 0, "{found}");
    // The fixed rule misses each of the costlier frames, and its clock learns nothing of the cost.
    assert!(found["fixed"]["missed"].as_u64().unwrap() > 3_000, "{found}");
    std::fs::write(&path, "composite_us,app_us,wake_late_us,timestamp_noise_ns\n1,2,3,4\n1,x,3,4\n").unwrap();
    let said = refusal(&["--load", load], 1);
    assert!(said.contains("load.csv: line 3, column app_us: 'x' is not a number"), "{said}");
    assert!(refusal(&["--load", "/nonexistent.csv"], 1).contains("could not read /nonexistent.csv"));
}

#[test]
fn what_makes_no_sense_is_a_mistake_in_the_command_line() {
    for arguments in [
        &["--model", "wild"][..],
        &["--hz", "0"],
        &["--hz", "nan"],
        &["--frames", "0"],
        &["--model", "ramp", "--load", "x"],
    ] {
        refusal(arguments, 2);
    }
    let said = refusal(&["--model", "wild"], 2);
    assert!(said.contains("'wild' is no model: write steady, spikes, ramp or bimodal"), "{said}");
}
