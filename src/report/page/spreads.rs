//! How long things took: a table of quantiles, and what each looks like.

use super::plots::frames;
use super::words::count;
use crate::report::distribution::Distribution;
use crate::report::plot::{Axis, Chart, Tone, escape};
use crate::report::run::Report;

/// Each spread: its name in reports, what it is, and its colour.
const SPREADS: [(&str, &str, Tone); 5] = [
    ("margin_us", "in hand: from handed over to the vblank", Tone::Blue),
    ("latch_to_photon_us", "from the reading of the pose to light", Tone::Green),
    ("composite_us", "composite, as the loop saw it", Tone::Violet),
    ("gpu_us", "composite, by the GPU's own counter", Tone::Violet),
    ("wake_late_us", "woken later than planned", Tone::Amber),
];

/// The table, then the plots.
pub fn section(report: &Report) -> String {
    let spread = |name: &str| match name {
        "margin_us" => report.margin_us,
        "latch_to_photon_us" => report.latch_to_photon_us,
        "composite_us" => report.composite_us,
        "gpu_us" => report.gpu_us,
        _ => report.wake_late_us,
    };
    let measured: Vec<_> = SPREADS.into_iter().filter(|(name, ..)| spread(name).count > 0).collect();
    if measured.is_empty() {
        return "<p class=\"soft\">Nothing was measured.</p>".to_string();
    }
    let rows: String = measured.iter().map(|(name, what, _)| row(what, &spread(name))).collect();
    let plots: String = measured
        .iter()
        .filter_map(|(name, what, tone)| {
            let buckets = report.histograms.get(*name).filter(|buckets| !buckets.is_empty())?;
            Some(format!(
                "<figure><figcaption>{}</figcaption>{}</figure>\n",
                escape(what),
                plot(what, *tone, buckets)
            ))
        })
        .collect();
    format!(
        "<div class=\"scroll\"><table>\n<tr><th>milliseconds</th><th>least</th><th>half</th><th>9 in 10</th>\
         <th>99 in 100</th><th>999 in 1000</th><th>most</th></tr>\n{rows}</table></div>\n\
         <p class=\"soft\">Of {}. The plots' upward axes are logarithmic, so that one frame in thousands is seen.</p>\n{plots}",
        frames(report.margin_us.count as u64)
    )
}

fn row(what: &str, spread: &Distribution) -> String {
    let Distribution { min, p50, p90, p99, p999, max, .. } = *spread;
    let cells = [min, p50, p90, p99, p999, max].map(|us| format!("<td>{:.3}</td>", us / 1e3));
    format!("<tr><td>{}</td>{}</tr>\n", escape(what), cells.concat())
}

/// Columns in a plot, at the most.
const COLUMNS: f64 = 120.0;

fn plot(what: &str, tone: Tone, buckets: &[(f64, f64, u64)]) -> String {
    let (columns, beyond) = columns(buckets);
    let label = match beyond {
        0 => "ms".to_string(),
        beyond => format!("ms; {} more to the right", count(beyond)),
    };
    Chart::new(what, Axis::linear(label), Axis::logarithmic("frames").from(1.0))
        .size(720, 190)
        .columns(tone, "", columns)
        .inline()
}

/// Buckets grow with their values; columns are all as wide, in milliseconds. Without the far outliers, which would leave no
/// room for all else; how many those are.
fn columns(buckets: &[(f64, f64, u64)]) -> (Vec<(f64, f64, f64)>, u64) {
    let sound = |(from, to, _): &&(f64, f64, u64)| from.is_finite() && to.is_finite() && from < to;
    let buckets: Vec<_> = buckets.iter().filter(sound).collect();
    let total = buckets.iter().fold(0u64, |sum, bucket| sum.saturating_add(bucket.2));
    let mut seen = 0u64;
    // All but 1 in 1000 is surely shown, and as much again beside it.
    let nearly_all = buckets.iter().find(|bucket| {
        seen = seen.saturating_add(bucket.2);
        seen as f64 >= total as f64 * 0.999
    });
    let (Some(first), Some(nearly_all)) = (buckets.first(), nearly_all) else { return (Vec::new(), 0) };
    let end = first.0 + 2.0 * (nearly_all.1 - first.0);
    let (shown, rest): (Vec<&(f64, f64, u64)>, Vec<_>) = buckets.iter().partition(|bucket| bucket.1 <= end);
    let Some(last) = shown.last() else { return (Vec::new(), total) };
    let widest = shown.iter().map(|bucket| bucket.1 - bucket.0).fold(0.0, f64::max);
    let width = widest.max((last.1 - first.0) / COLUMNS);
    let mut columns = vec![0.0; ((last.1 - first.0) / width).ceil().clamp(1.0, COLUMNS + 1.0) as usize];
    for (from, to, count) in shown {
        let place = (((from + to) / 2.0 - first.0) / width) as usize;
        let place = place.min(columns.len() - 1);
        columns[place] += *count as f64;
    }
    let at = |place: usize| (first.0 + place as f64 * width) / 1e3;
    let beyond = rest.iter().fold(0u64, |sum, bucket| sum.saturating_add(bucket.2));
    let columns = columns.into_iter().enumerate().map(|(place, count)| (at(place), at(place + 1), count));
    (columns.filter(|column| column.2 > 0.0).collect(), beyond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_outlier_does_not_push_the_rest_together() {
        let mut buckets: Vec<_> =
            (0..100).map(|place| (f64::from(place), f64::from(place + 1), 1_000)).collect();
        buckets.push((1e6, 1.1e6, 3));
        let (columns, beyond) = columns(&buckets);
        assert_eq!((columns.len(), beyond), (100, 3));
        assert_eq!(columns[99], (0.099, 0.1, 1_000.0));
    }

    proptest! {
        #[test]
        fn whatever_the_buckets_are_no_frame_is_lost(
            buckets in prop::collection::vec((-1e9f64..1e9, 0.001f64..1e9, 0u64..1_000_000), 0..40),
        ) {
            let mut buckets: Vec<_> = buckets.into_iter().map(|(from, width, count)| (from, from + width, count)).collect();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            let total: u64 = buckets.iter().map(|bucket| bucket.2).sum();
            let (columns, beyond) = columns(&buckets);
            let shown: f64 = columns.iter().map(|column| column.2).sum();
            prop_assert_eq!(shown as u64 + beyond, total);
            prop_assert!(columns.len() <= COLUMNS as usize + 1);
        }
    }
}
