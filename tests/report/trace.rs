//! Holds a trace to the Trace Event Format, as strictly as it can be read.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// What a sound trace has in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checked {
    /// Frames on the panel.
    pub shown: u64,
    /// Frames whose way was followed from where it began to the panel.
    pub ways: u64,
    /// Passes on the GPU.
    pub gpu_passes: u64,
    /// Frames of the app.
    pub app_frames: u64,
    /// Missed vblanks.
    pub missed: u64,
}

/// A track: process and thread.
type Track = (u64, u64);

/// A slice: its begin and end.
type Slice = (f64, f64);

/// Less than a nanosecond, in microseconds: what rounding may cost.
const ROUNDING: f64 = 0.0005;

/// Fails unless the trace holds to its format.
pub fn check(bytes: &[u8]) -> Checked {
    let trace: Value = serde_json::from_slice(bytes).expect("it is JSON");
    let trace = trace.as_object().expect("the JSON Object Format");
    assert!(trace.keys().all(|key| ["traceEvents", "displayTimeUnit", "otherData"].contains(&key.as_str())));
    assert_eq!(trace["displayTimeUnit"], "ms");
    assert_eq!(trace["otherData"]["clock"], "CLOCK_MONOTONIC");
    let mut checker = Checker::default();
    for event in trace["traceEvents"].as_array().expect("an array of events") {
        checker.event(event.as_object().expect("an event is an object"));
    }
    checker.finish()
}

#[derive(Default)]
struct Checker {
    names: HashMap<Track, String>,
    processes: HashMap<u64, String>,
    newest: HashMap<Track, f64>,
    slices: HashMap<Track, Vec<Slice>>,
    /// Each way's steps: the phase, where, when.
    ways: HashMap<u64, Vec<(String, Track, f64)>>,
    checked: Checked,
}

impl Checker {
    fn event(&mut self, event: &Map<String, Value>) {
        let text = |key: &str| {
            event.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("{key} of {event:?}"))
        };
        let number = |key: &str| {
            event.get(key).and_then(Value::as_f64).unwrap_or_else(|| panic!("{key} of {event:?}"))
        };
        let whole = |key: &str| {
            event.get(key).and_then(Value::as_u64).unwrap_or_else(|| panic!("{key} of {event:?}"))
        };
        let (phase, name, at) = (text("ph"), text("name"), number("ts"));
        let track = (whole("pid"), whole("tid"));
        assert!(!name.is_empty() && at >= 0.0, "{event:?}");
        let allowed: &[&str] = match phase {
            "M" => &["args"],
            "X" => &["dur", "args"],
            "i" => &["s", "args"],
            "s" | "t" => &["id", "cat"],
            "f" => &["id", "cat", "bp"],
            other => panic!("no event of phase {other} is written: {event:?}"),
        };
        let common = ["ph", "name", "ts", "pid", "tid"];
        for key in event.keys() {
            assert!(common.contains(&key.as_str()) || allowed.contains(&key.as_str()), "{key} in {event:?}");
        }
        if phase == "M" {
            return self.metadata(event, track, name);
        }
        assert!(self.names.contains_key(&track), "a track without a name: {event:?}");
        match phase {
            "X" => self.slice(track, name, at, number("dur")),
            "i" => {
                assert!(["t", "p", "g"].contains(&text("s")), "{event:?}");
                self.in_order(track, at);
                self.checked.missed += u64::from(name.starts_with("missed"));
            }
            _ => {
                assert_eq!(
                    (text("cat"), name),
                    ("frame", "frame"),
                    "steps of a way have one category and name"
                );
                assert!(phase != "f" || text("bp") == "e", "{event:?}");
                self.ways.entry(whole("id")).or_default().push((phase.to_string(), track, at));
            }
        }
    }

    fn metadata(&mut self, event: &Map<String, Value>, track: Track, name: &str) {
        let arguments = &event["args"];
        match name {
            "process_name" => {
                let named = arguments["name"].as_str().expect("a name").to_string();
                assert_eq!(self.processes.insert(track.0, named), None, "named twice");
            }
            "thread_name" => {
                assert!(self.processes.contains_key(&track.0), "a track of a process without a name");
                let named = arguments["name"].as_str().expect("a name").to_string();
                assert_eq!(self.names.insert(track, named), None, "named twice");
            }
            "process_sort_index" | "thread_sort_index" => assert!(arguments["sort_index"].is_u64()),
            other => panic!("no metadata called {other} is known"),
        }
    }

    /// Slices of a track begin in order, and lie beside or within each other.
    fn slice(&mut self, track: Track, name: &str, at: f64, duration: f64) {
        assert!(duration >= 0.0, "{name} takes {duration} us");
        self.in_order(track, at);
        let slices = self.slices.entry(track).or_default();
        let end = at + duration;
        if let Some(&(_, around)) = slices.iter().rev().find(|(_, around)| at < *around - ROUNDING) {
            assert!(end <= around + ROUNDING, "{name} at {at} ends after what it is in");
        } else {
            let named = &self.names[&track];
            self.checked.shown += u64::from(named == "panel shows");
            self.checked.gpu_passes += u64::from(named.contains("pass"));
            self.checked.app_frames += u64::from(named.starts_with("app"));
        }
        slices.push((at, end));
    }

    fn in_order(&mut self, track: Track, at: f64) {
        let newest = self.newest.entry(track).or_insert(at);
        assert!(at >= *newest - ROUNDING, "{at} after {newest} on {}", self.names[&track]);
        *newest = newest.max(at);
    }

    /// Each way begins once, ends once on the panel, never goes back in time, and each of its steps is in a slice.
    fn finish(mut self) -> Checked {
        for (id, steps) in &self.ways {
            let phases: String = steps.iter().map(|(phase, ..)| phase.as_str()).collect();
            assert!(phases.starts_with('s') && phases.ends_with('f'), "way {id}: {phases}");
            assert!(phases[1..phases.len() - 1].chars().all(|phase| phase == 't'), "way {id}: {phases}");
            assert!(
                steps.is_sorted_by(|a, b| a.2 <= b.2 + ROUNDING),
                "way {id} goes back in time: {steps:?}"
            );
            for (_, track, at) in steps {
                let around = self.slices[track]
                    .iter()
                    .any(|(begin, end)| begin - ROUNDING <= *at && *at <= end + ROUNDING);
                assert!(around, "way {id} goes by {at} on {}, where nothing is", self.names[track]);
            }
            let last = &steps.last().expect("it has an end").1;
            assert_eq!(self.names[last], "panel shows");
            self.checked.ways += 1;
        }
        self.checked
    }
}
