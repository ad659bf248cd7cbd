//! What is told of a run: the page, the trace, and what both are made of.

#[path = "report/markup.rs"]
mod markup;
mod rig;
#[path = "report/trace.rs"]
mod trace;

use std::path::Path;
use std::process::{Command, Output};

use leasehold::kms::Vblank;
use leasehold::pacing::{Frame, Recorder, ring::ring};
use leasehold::report::moments::Moments;
use leasehold::report::{Report, Summary, json, page};
use leasehold::thread::allocations::{CountingAllocator, allocations};
use leasehold::time::{Instant, Span};
use proptest::prelude::*;
use rig::leasehold;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const PERIOD: Span = Span::from_ns(11_109_312);

/// A frame of a made-up run, which is in time or misses one vblank.
fn frame(number: u64, sequence: u64, late: bool) -> Frame {
    let at = |sequence: u64| Instant::from_ns(1_000_000_000) + PERIOD * sequence as i64;
    let target = Vblank { sequence, time: at(sequence) };
    let wake = target.time - Span::from_us(4_000);
    let composite = Span::from_us(if late { 4_500 } else { 2_000 + (number % 40) as i64 });
    let flip = sequence + u64::from(late);
    Frame {
        number,
        target,
        planned_wake: wake - Span::from_us(20),
        wake,
        latch: wake + Span::from_us(10),
        drawn: wake + composite,
        submit: wake + composite + Span::from_us(50),
        flip: Vblank { sequence: flip, time: at(flip) },
        photon: at(flip) + Span::from_us(9_000),
        rewarped: number.is_multiple_of(50),
        ..Frame::default()
    }
}

/// A run of so many frames, with a miss now and then, through the loop's recorder, the ring and the summary.
fn made_up_run(frames: u64, miss_every: u64) -> (Recorder, Summary) {
    let (writer, mut reader) = ring(64);
    let mut recorder = Recorder::new(0);
    recorder.hand_on(writer);
    let mut summary = Summary::default();
    let mut sequence = 0;
    for number in 0..frames {
        let next = frame(number, sequence, number % miss_every == miss_every / 2);
        sequence = next.flip.sequence + 1;
        recorder.add(&next);
        while let Some(record) = reader.pop() {
            summary.add(&record, None);
        }
    }
    assert_eq!(reader.lost(), 0);
    (recorder, summary)
}

/// A report as a demo writes it, of a made-up run.
fn report(frames: u64, miss_every: u64) -> Value {
    let (recorder, summary) = made_up_run(frames, miss_every);
    let totals = recorder.totals();
    let histogram: Vec<_> = summary
        .margin
        .buckets()
        .map(|bucket| (bucket.from.as_us_f64(), bucket.to.as_us_f64(), bucket.count))
        .collect();
    json!({
        "schema": "leasehold.demo/1",
        "display": {"source": "wayland", "connector": "DP-1", "mode": "2160x1200", "nominal_hz": 90.0,
                    "measured_hz": 90.0145, "clock": "crtc-sequence", "bits": 8, "scanout": "dma-buf",
                    "scanout_refusals": []},
        "gpu": "a GPU", "headset": {"serial": "LHR-1", "lens": "DISTORT_DPOLY3", "mura": true},
        "frames": {"vblanks": totals.vblanks, "presented": totals.presented, "missed": totals.missed,
                   "rewarped": totals.rewarped, "app_submitted": frames, "app_late": 3},
        "misses": {"gpu_late": totals.missed},
        "margin_us": summary.margin.distribution_us(), "wake_late_us": summary.wake_late.distribution_us(),
        "composite_us": summary.composite.distribution_us(),
        "latch_to_photon_us": summary.latch_to_photon.distribution_us(), "gpu_us": summary.gpu.distribution_us(),
        "first_light_us": 210_000.5, "loop": {"allocations": 0, "syscalls_per_frame": 4.0},
        "priority": {"thread": "normal", "queue": "high", "refusals": ["real-time scheduling was refused (EPERM)"]},
        "lease": {"id": null, "objects": [31, 45], "events": [
            {"event": "suspended", "at_ns": 2_000_000_000}, {"event": "relit", "why": "switched_off", "at_ns": 3_000_000_000i64}]},
        "histograms": {"margin_us": histogram},
        "over_time": {"begin_ns": 1_000_000_000, "bucket_us": summary.series.span().as_us_f64(),
                      "columns": summary.series.table().columns, "rows": summary.series.table().rows},
        "records": {"lost": 2, "columns": Moments::table(summary.kept.frames()).columns,
                    "rows": Moments::table(summary.kept.frames()).rows},
    })
}

/// Writes a made-up run's report for `fuzz/seeds`.
#[test]
#[ignore = "writes seeds for a fuzz target; fuzz/seeds runs it"]
fn seeds_for_fuzzing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/report");
    std::fs::create_dir_all(&folder).unwrap();
    for (frames, miss_every) in [(1, 10), (4, 2)] {
        let report = report(frames, miss_every).to_string();
        std::fs::write(folder.join(format!("made-up-{frames}")), report).unwrap();
    }
}

fn html(report: &Value) -> String {
    page::html(&Report::parse(report.to_string().as_bytes()).expect("it is a report"))
}

#[test]
fn the_page_tells_first_and_shows_then() {
    let page = html(&report(1_800, 600));
    markup::assert_sound(&page);
    let order = [
        "<h1 class=\"bad\">3 of 1,802 vblanks got no new frame</h1>",
        "2160x1200 at 90.000 Hz on DP-1 from wayland, drawn by a GPU",
        "<h2>What happened</h2>",
        "at 3 of 1,802 vblanks nothing new came on (0.17 %)",
        "All came about because of this: the composite was not drawn when the vblank came.",
        "3 after the vblank it was begun for",
        "it ran at 90.014 Hz by the kernel&#39;s own count of vblanks",
        "The lease was suspended after 1.0 s, then relit (switched off) after 2.0 s.",
        "Real-time scheduling was refused (EPERM).",
        "2 frames&#39; records could not be read in time",
        "<h2>Where each missed vblank came from</h2>",
        "GPU late",
        "<h2>Margin over time</h2>",
        "a vblank was missed",
        "<h2>The five moments</h2>",
        ">wake</text>",
        ">latch</text>",
        ">submit</text>",
        ">flip</text>",
        ">photon</text>",
        "<h2>How long things took</h2>",
        "<h2>What it ran on</h2>",
        "objects 31, 45",
    ];
    let mut rest = page.as_str();
    for text in order {
        let at = rest.find(text).unwrap_or_else(|| panic!("no '{text}' in what is left: {rest}"));
        rest = &rest[at + text.len()..];
    }
    // The causes, the course, the worst frames, and the one spread that this report has buckets of.
    assert_eq!(page.matches("<svg ").count(), 4);
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
}

#[test]
fn a_run_without_a_miss_is_told_as_one() {
    let page = html(&report(900, u64::MAX));
    markup::assert_sound(&page);
    assert!(page.contains("<h1 class=\"good\">Every one of 899 vblanks got a new frame</h1>"));
    assert!(page.contains("No vblank was missed."));
    assert!(page.contains("these came nearest to it"));
}

#[test]
fn a_report_of_an_earlier_version_has_a_page_too() {
    let mut report = report(100, 50);
    for added in ["histograms", "over_time", "records", "gpu_us"] {
        report.as_object_mut().unwrap().remove(added);
    }
    let page = html(&report);
    markup::assert_sound(&page);
    assert!(page.contains("The file does not say how the run went over time."));
    assert!(page.contains("The file has no frames to show them one by one."));
}

#[test]
fn no_text_from_outside_becomes_markup() {
    const HOSTILE: &str = "</title></style></svg><script>alert(1)</script>\"' onload='x' &amp; \u{0}";
    let mut report = report(300, 100);
    report["display"]["connector"] = HOSTILE.into();
    report["display"]["clock"] = HOSTILE.into();
    report["gpu"] = HOSTILE.into();
    report["headset"]["serial"] = HOSTILE.into();
    report["priority"]["refusals"] = json!([HOSTILE]);
    report["misses"] = json!({HOSTILE: 3});
    report["lease"]["events"] = json!([{"event": HOSTILE, "why": HOSTILE, "at_ns": i64::MIN}]);
    let cause =
        report["records"]["columns"].as_array().unwrap().iter().position(|name| name == "cause").unwrap();
    for row in report["records"]["rows"].as_array_mut().unwrap() {
        row[cause] = HOSTILE.into();
    }
    let page = html(&report);
    markup::assert_sound(&page);
    assert!(page.contains("&lt;script&gt;alert(1)"));
}

/// Runs `leasehold report`.
fn run(arguments: &[&Path]) -> Output {
    leasehold().arg("report").args(arguments).env("NO_COLOR", "1").output().expect("the program starts")
}

/// Fails unless the run ended with `code`, and one line that has all these words.
fn refused(output: &Output, code: i32, words: &[&str]) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    words.iter().for_each(|word| assert!(errors.contains(word), "'{errors}' does not say '{word}'"));
}

#[test]
fn what_is_no_report_is_refused_in_a_sentence_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let mut unfinished = report(10, 5);
    unfinished.as_object_mut().unwrap().remove("frames");
    let mut other_kind = report(10, 5);
    other_kind["frames"]["missed"] = json!("three");
    let cases: [(Vec<u8>, &[&str]); 8] = [
        (b"".to_vec(), &["no JSON", "demo --report"]),
        (b"\x89PNG\r\n".to_vec(), &["no JSON"]),
        (vec![b'['; 100_000], &["no JSON", "recursion"]),
        (b"{}".to_vec(), &["JSON without a schema", "leasehold.demo/1"]),
        (b"[1, 2]".to_vec(), &["JSON without a schema"]),
        (b"{\"schema\": \"leasehold.vblank/1\"}".to_vec(), &["\"leasehold.vblank/1\"", "leasehold.demo/1"]),
        (unfinished.to_string().into(), &["missing field `frames`", "anew"]),
        (other_kind.to_string().into(), &["\"three\"", "anew"]),
    ];
    for (bytes, words) in cases {
        std::fs::write(&path, bytes).unwrap();
        refused(&run(&[&path]), 1, words);
    }
    refused(&run(&[&folder.path().join("none.json")]), 1, &["could not read", "none.json"]);
    refused(&run(&[&path, "--out".as_ref(), &path]), 1, &["anew"]);
    std::fs::write(&path, report(10, 5).to_string()).unwrap();
    refused(&run(&[&path, "--out".as_ref(), &path]), 2, &["would take the place of", "--out"]);
    let nowhere = folder.path().join("no/folder/page.html");
    refused(&run(&[&path, "--out".as_ref(), &nowhere]), 1, &["could not write", "page.html"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something was written");
    let made = run(&[&path]);
    assert!(made.status.success());
    let page = folder.path().join("run.html");
    assert_eq!(String::from_utf8(made.stdout).unwrap().trim_end(), page.display().to_string());
    markup::assert_sound(&std::fs::read_to_string(page).unwrap());
}

#[test]
fn a_demo_writes_a_report_that_has_a_page_and_a_trace_that_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut demo: Command = leasehold();
    demo.args(["demo", "--from", "simulated", "--mode", "160x90", "--frames", "60", "--app-ms", "15"]);
    demo.arg("--report").arg(path("run.json")).arg("--trace").arg(path("trace.json"));
    let ran = demo.env("LEASEHOLD_VALIDATION", "1").output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let written = std::fs::read(path("run.json")).unwrap();
    let report: Value = serde_json::from_slice(&written).unwrap();
    // The first frame only says where counting begins.
    assert_eq!(report["frames"]["presented"], 59);
    assert_eq!(report["margin_us"]["count"], 59);
    assert_eq!(report["records"]["lost"], 0);
    assert_eq!(report["records"]["rows"].as_array().unwrap().len(), 59);
    assert_eq!(report["loop"]["allocations"], 0);
    let again = json::tidy(&Report::parse(&written).unwrap());
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), report, "it is not the same after reading");
    assert!(run(&[&path("run.json")]).status.success());
    markup::assert_sound(&std::fs::read_to_string(path("run.html")).unwrap());
    let checked = trace::check(&std::fs::read(path("trace.json")).unwrap());
    assert_eq!((checked.shown, checked.ways), (59, 59), "each frame is shown, and has a way to the panel");
    assert!(checked.gpu_passes == 59 && checked.app_frames > 0, "{checked:?}");
    assert_eq!(checked.missed, report["frames"]["missed"].as_u64().unwrap());
}

#[test]
fn a_trace_that_cannot_be_written_fails_the_demo_and_not_its_report() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("run.json");
    let mut demo = leasehold();
    demo.args([
        "demo",
        "--from",
        "simulated",
        "--mode",
        "160x90",
        "--frames",
        "20",
        "--trace",
        "/no/such/trace.json",
    ]);
    let ran = demo.arg("--report").arg(&report).output().unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{errors}");
    assert!(errors.contains("could not write /no/such/trace.json"), "{errors}");
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["margin_us"]["count"], 19, "what was not traced is still read");
}

#[test]
fn a_million_frames_leave_no_more_than_a_thousand() {
    let bytes = |frames: u64| {
        let report = report(frames, 90);
        assert_eq!(report["margin_us"]["count"], frames - 1);
        report.to_string().len()
    };
    let (short, long) = (bytes(20_000), bytes(1_000_000));
    assert!(long < short * 5 / 4, "{short} bytes after 20,000 frames, {long} after a million");
}

#[test]
fn the_loop_allocates_nothing_to_hand_a_record_on() {
    let (writer, mut reader) = ring(256);
    let mut recorder = Recorder::new(0);
    recorder.hand_on(writer);
    let frames: Vec<Frame> = (0..100_000).map(|number| frame(number, 2 * number, number % 7 == 0)).collect();
    let before = allocations();
    for frame in &frames {
        recorder.add(frame);
        // More than there is room for now and then: what is lost costs nothing either.
        if frame.number.is_multiple_of(300) {
            while reader.pop().is_some() {}
        }
    }
    assert_eq!(allocations() - before, 0);
    assert!(reader.lost() > 0);
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(allocations() - before, 1, "nothing is counted here");
}

/// A value somewhere in a report, replaced by another.
fn mutate(value: &mut Value, at: usize, by: &Value) {
    let mut seen = 0;
    walk(value, &mut |place| {
        if seen == at {
            *place = by.clone();
        }
        seen += 1;
    });
}

fn walk(value: &mut Value, visit: &mut impl FnMut(&mut Value)) {
    visit(value);
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| walk(value, visit)),
        Value::Object(values) => values.values_mut().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("</svg><script>")),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[1e308, -1e308, 18446744073709551615u64], []])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_have_a_sound_page(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(report) = Report::parse(&bytes) {
            markup::assert_sound(&page::html(&report));
        }
    }

    #[test]
    fn a_report_that_was_tampered_with_is_refused_or_has_a_sound_page(
        changes in prop::collection::vec((0usize..400, anything()), 1..4),
    ) {
        let mut report = report(12, 5);
        changes.iter().for_each(|(at, by)| mutate(&mut report, *at, by));
        if let Ok(report) = Report::parse(report.to_string().as_bytes()) {
            markup::assert_sound(&page::html(&report));
        }
    }
}
