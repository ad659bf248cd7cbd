//! A report as one page: sentences first, then plots. It needs no network and no script, and every text in it that came
//! from outside is escaped.

mod misses;
mod plots;
mod spreads;
mod story;
mod words;

use super::moments::Moments;
use super::plot::{self, escape};
use super::run::Report;
use words::{count, ms, share};

/// The page.
pub fn html(report: &Report) -> String {
    let frames = Moments::from_table(&report.records.frames);
    let title = story::verdict(report);
    let sections = [
        section("What happened", &list(&story::sentences(report))),
        section("Where each missed vblank came from", &misses::section(report, &frames)),
        section("Margin over time", &plots::margin(report)),
        section("The five moments", &plots::worst_frames(report, &frames)),
        section("How long things took", &spreads::section(report)),
        section("What it ran on", &setup(report)),
    ];
    let class = if report.frames.missed == 0 { "good" } else { "bad" };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} – leasehold</title>\n<style>\n{plot}{page}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<h1 class=\"{class}\">{title}</h1>\n<p>{subtitle}</p>\n</header>\n{figures}\n{sections}\n\
         <footer>Made by <code>leasehold report</code> from a {schema} file. Times are the kernel's monotonic clock; a \
         quantile is off by 0.4 % at most.</footer>\n</main>\n</body>\n</html>\n",
        title = escape(&title),
        plot = plot::STYLE,
        page = include_str!("page.css"),
        subtitle = escape(&story::subtitle(report)),
        figures = figures(report),
        sections = sections.concat(),
        schema = escape(&report.schema),
    )
}

fn section(heading: &str, body: &str) -> String {
    format!("<section>\n<h2>{heading}</h2>\n{body}\n</section>\n")
}

fn list(sentences: &[String]) -> String {
    sentences.iter().map(|sentence| format!("<p>{}</p>\n", escape(sentence))).collect()
}

/// The numbers that are looked for first.
fn figures(report: &Report) -> String {
    let hz = report.display.measured_hz.map_or("–".to_string(), |hz| format!("{hz:.3} Hz"));
    let light = report.first_light_us.map_or("–".to_string(), |us| format!("{:.2} s", us / 1e6));
    let figures = [
        (share(report.frames.missed, report.frames.vblanks), "of all vblanks missed"),
        (hz, "measured refresh"),
        (ms(report.latch_to_photon_us.p50), "from pose to light, half the time"),
        (ms(report.margin_us.p50), "in hand, half the time"),
        (ms(report.composite_us.p99), "composite, 99 in 100"),
        (light, "from start to first light"),
    ];
    let items =
        figures.map(|(figure, name)| format!("<li><b>{}</b><span>{name}</span></li>\n", escape(&figure)));
    format!("<ul class=\"figures\">\n{}</ul>", items.concat())
}

fn setup(report: &Report) -> String {
    let Report { display, headset, priority, .. } = report;
    let lease = report.lease.as_ref().map_or("none: nothing was leased".to_string(), |lease| {
        let ids: Vec<String> = lease.objects.iter().map(u32::to_string).collect();
        format!("objects {}", ids.join(", "))
    });
    let rows = [
        ("display", format!("{} from {}", display.connector, display.source)),
        (
            "mode",
            format!("{}, {:.3} Hz by its numbers, {} bits", display.mode, display.nominal_hz, display.bits),
        ),
        ("vblank clock", display.clock.clone()),
        ("scanout", display.scanout.clone()),
        ("GPU", report.gpu.clone()),
        ("priority", format!("thread {}, queue {}", priority.thread, priority.queue)),
        (
            "headset",
            format!("{}, lens {}, mura {}", headset.serial, headset.lens, words::corrected(headset.mura)),
        ),
        ("lease", lease),
        (
            "loop",
            format!(
                "{} allocations after its first second, {:.1} system calls a frame",
                count(report.vblank_loop.allocations),
                report.vblank_loop.syscalls_per_frame
            ),
        ),
    ];
    let rows = rows.map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>\n", escape(&value)));
    format!("<dl>\n{}</dl>", rows.concat())
}
