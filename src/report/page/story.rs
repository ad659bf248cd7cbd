//! A run told in sentences.

use super::words::{count, duration, many, ms, plain, share};
use crate::report::run::Report;

/// The one sentence.
pub fn verdict(report: &Report) -> String {
    let frames = &report.frames;
    match (frames.presented, frames.missed) {
        (0, _) => "Nothing was shown".to_string(),
        (_, 0) => format!("Every one of {} vblanks got a new frame", count(frames.vblanks)),
        (_, missed) => format!("{} of {} vblanks got no new frame", count(missed), count(frames.vblanks)),
    }
}

/// What was shown where.
pub fn subtitle(report: &Report) -> String {
    let display = &report.display;
    format!(
        "{} at {:.3} Hz on {} from {}, drawn by {}",
        display.mode, display.nominal_hz, display.connector, display.source, report.gpu
    )
}

/// All of it, in the order in which a reader wants to know.
pub fn sentences(report: &Report) -> Vec<String> {
    let mut told = Vec::new();
    told.extend(shown(report));
    told.extend(app(report));
    told.extend(times(report));
    told.push(clock(report));
    told.extend(lease(report));
    told.extend(
        report
            .priority
            .refusals
            .iter()
            .chain(&report.display.scanout_refusals)
            .map(|refusal| sentence(refusal)),
    );
    if report.records.lost > 0 {
        told.push(format!(
            "{} could not be read in time: they are counted above, and are in none of the plots and spreads.",
            many(report.records.lost, "frame's record", "frames' records")
        ));
    }
    told
}

fn shown(report: &Report) -> Vec<String> {
    let frames = &report.frames;
    let seconds = report.display.measured_hz.filter(|hz| *hz > 0.0).map(|hz| frames.vblanks as f64 / hz);
    let over = seconds.map_or(String::new(), |seconds| format!(" in {}", duration(seconds)));
    let mut told = vec![format!(
        "The panel got {}{over}; at {} of {} nothing new came on ({}).",
        many(frames.presented, "new frame", "new frames"),
        count(frames.missed),
        many(frames.vblanks, "vblank", "vblanks"),
        share(frames.missed, frames.vblanks),
    )];
    let worst = report.misses.iter().max_by_key(|(_, missed)| **missed);
    if let Some((cause, missed)) = worst.filter(|(_, missed)| **missed > 0) {
        let all =
            if report.misses.len() == 1 { "All".to_string() } else { format!("{} of them", count(*missed)) };
        told.push(format!("{all} came about because of this: {}.", super::misses::meaning(cause)));
    }
    told
}

fn app(report: &Report) -> Option<String> {
    let frames = &report.frames;
    (frames.app_submitted > 0).then(|| {
        let late = match frames.app_late {
            0 => "none too late".to_string(),
            late => format!("{} after the vblank it was begun for", count(late)),
        };
        let again = match frames.rewarped {
            0 => "A new one was there for every vblank.".to_string(),
            1 => "Once there was no new one, and the last was shown again, turned to where the head looked by then.".to_string(),
            times => format!(
                "{} times there was no new one, and the last was shown again, turned to where the head looked by then.",
                count(times)
            ),
        };
        format!("The app handed over {}, {late}. {again}", many(frames.app_submitted, "frame", "frames"))
    })
}

fn times(report: &Report) -> Option<String> {
    let (margin, latency) = (&report.margin_us, &report.latch_to_photon_us);
    (margin.count > 0).then(|| {
        let latest = match margin.min {
            late if late < 0.0 => format!("the latest {} after it", ms(-late)),
            early => format!("the latest {} before it", ms(early)),
        };
        let half = match margin.p50 {
            late if late < 0.0 => format!("{} after their vblank or later", ms(-late)),
            early => format!("{} before their vblank or earlier", ms(early)),
        };
        format!(
            "Half of all frames were handed over {half}; {latest}. From the reading of the pose to its light on the panel \
             it took {} half the time and {} at most.",
            ms(latency.p50),
            ms(latency.max),
        )
    })
}

fn clock(report: &Report) -> String {
    let display = &report.display;
    let source = match display.clock.as_str() {
        "crtc-sequence" => "the kernel's own count of vblanks, to the nanosecond",
        "flip-event" => "the stamps of flip events, to the microsecond",
        "timer" => "a timer, for want of a display that says",
        other => other,
    };
    match display.measured_hz {
        Some(hz) => {
            format!("The mode says {:.3} Hz; it ran at {hz:.3} Hz by {source}.", display.nominal_hz)
        }
        None => format!(
            "The mode says {:.3} Hz; it was not measured. Vblanks were told by {source}.",
            display.nominal_hz
        ),
    }
}

fn lease(report: &Report) -> Option<String> {
    let events = &report.lease.as_ref()?.events;
    let begin = report.over_time.begin_ns;
    let told: Vec<String> = events
        .iter()
        .map(|event| {
            let why = event.why.as_deref().map_or(String::new(), |why| format!(" ({})", plain(why)));
            let seconds = event.at_ns.saturating_sub(begin) as f64 / 1e9;
            format!("{}{why} after {seconds:.1} s", plain(&event.event))
        })
        .collect();
    (!told.is_empty()).then(|| format!("The lease was {}.", told.join(", then ")))
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    format!("{}.", first.chain(letters).collect::<String>().trim_end_matches('.'))
}
