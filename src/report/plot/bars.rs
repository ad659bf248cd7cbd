//! Counts of things that have names.

use super::Tone;
use super::svg::{Anchor, Svg, text_width};

/// A bar from left to right for each name, as long as its count.
#[derive(Clone, Debug)]
pub struct Bars {
    title: String,
    bars: Vec<(Tone, String, f64, String)>,
}

const WIDTH: f64 = 720.0;
const ROW: f64 = 26.0;

impl Bars {
    /// None yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), bars: Vec::new() }
    }

    /// Adds a bar. `said` stands at its end: the count and what is to be said about it.
    pub fn bar(mut self, tone: Tone, name: &str, count: f64, said: &str) -> Self {
        self.bars.push((tone, name.to_string(), count, said.to_string()));
        self
    }

    /// As a part of a page.
    pub fn inline(&self) -> String {
        self.draw().inline(&self.title)
    }

    /// As a file of its own.
    pub fn standalone(&self) -> String {
        self.draw().standalone(&self.title)
    }

    fn draw(&self) -> Svg {
        let mut svg = Svg::new(WIDTH, 8.0 + ROW * self.bars.len() as f64);
        let widest = |of: fn(&(Tone, String, f64, String)) -> &str| {
            self.bars.iter().map(|bar| text_width(of(bar))).fold(0.0, f64::max)
        };
        let left = widest(|(_, name, ..)| name) + 20.0;
        let room = (WIDTH - left - widest(|(.., said)| said) - 24.0).max(40.0);
        let most = self
            .bars
            .iter()
            .map(|&(_, _, count, _)| count)
            .filter(|count| count.is_finite())
            .fold(0.0, f64::max);
        for (row, (tone, name, count, said)) in self.bars.iter().enumerate() {
            let top = 4.0 + ROW * row as f64;
            let share = if most > 0.0 && count.is_finite() { (count / most).clamp(0.0, 1.0) } else { 0.0 };
            // One among a million is still seen.
            let length = if share > 0.0 { (room * share).max(2.0) } else { 0.0 };
            svg.text("value", (left - 10.0, top + 17.0), Anchor::End, name);
            svg.rectangle(&format!("bar {}", tone.class()), (left, top + 4.0), (length, ROW - 8.0), "");
            svg.text("", (left + length + 8.0, top + 17.0), Anchor::Start, said);
        }
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_counts() {
        let bars =
            Bars::new("misses").bar(Tone::Red, "gpu late", 10.0, "10").bar(Tone::Red, "woke late", 5.0, "5");
        let svg = bars.inline();
        let lengths: Vec<f64> = svg
            .lines()
            .filter_map(|line| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect();
        let [ten, five] = lengths[..] else { panic!("{svg}") };
        assert!((ten - 2.0 * five).abs() < 0.2, "{ten} and {five}");
    }

    #[test]
    fn nothing_and_what_is_no_number_have_no_length() {
        let svg = Bars::new("none").bar(Tone::Red, "a", f64::NAN, "?").bar(Tone::Red, "b", 0.0, "0").inline();
        assert_eq!(svg.matches("width=\"0.0\"").count(), 2, "{svg}");
    }
}
