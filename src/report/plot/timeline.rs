//! What happened when, a row each.

use super::Tone;
use super::axis::Axis;
use super::svg::{Anchor, Svg, Swatch, text_width};

/// Rows over one axis of time.
#[derive(Clone, Debug)]
pub struct Timeline {
    title: String,
    axis: Axis,
    rows: Vec<Row>,
    rules: Vec<(Tone, f64, String)>,
}

/// What happened in one of them.
#[derive(Clone, Debug, Default)]
pub struct Row {
    label: String,
    note: String,
    stretches: Vec<(Tone, String, f64, f64)>,
    marks: Vec<(Tone, String, f64)>,
}

impl Row {
    /// An empty row, named at its left; the note is a second, softer line.
    pub fn new(label: impl Into<String>, note: impl Into<String>) -> Self {
        Self { label: label.into(), note: note.into(), ..Self::default() }
    }

    /// Something took from then to then.
    pub fn stretch(mut self, tone: Tone, name: &str, from: f64, to: f64) -> Self {
        self.stretches.push((tone, name.to_string(), from, to));
        self
    }

    /// Something happened then.
    pub fn mark(mut self, tone: Tone, name: &str, at: f64) -> Self {
        self.marks.push((tone, name.to_string(), at));
        self
    }
}

const WIDTH: f64 = 720.0;
const INSET: f64 = 12.0;
const ABOVE: f64 = 46.0;
const ROW: f64 = 38.0;
const BELOW: f64 = 40.0;

impl Timeline {
    /// One without rows.
    pub fn new(title: impl Into<String>, axis: Axis) -> Self {
        Self { title: title.into(), axis, rows: Vec::new(), rules: Vec::new() }
    }

    /// Adds a row below the others.
    pub fn row(mut self, row: Row) -> Self {
        self.rows.push(row);
        self
    }

    /// Adds a line through all rows.
    pub fn rule(mut self, tone: Tone, at: f64, name: &str) -> Self {
        self.rules.push((tone, at, name.to_string()));
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
        let mut svg = Svg::new(WIDTH, ABOVE + ROW * self.rows.len() as f64 + BELOW);
        let Some(scale) = self.axis.lay_out(self.times()) else {
            svg.text("", (WIDTH / 2.0, ABOVE), Anchor::Middle, "nothing was measured");
            return svg;
        };
        let widest = self.rows.iter().flat_map(|row| [&row.label, &row.note]).map(|text| text_width(text));
        let left = (INSET + widest.fold(0.0, f64::max) + 14.0).min(WIDTH / 3.0);
        let right = WIDTH - 24.0;
        let place = |at: f64| left + (right - left) * scale.place(at);
        let bottom = ABOVE + ROW * self.rows.len() as f64;
        for (value, label) in &scale.ticks {
            svg.segment("grid", (place(*value), ABOVE), (place(*value), bottom));
            svg.text("", (place(*value), bottom + 17.0), Anchor::Middle, label);
        }
        svg.segment("foot", (left, bottom), (right, bottom));
        svg.text("", (right, bottom + 33.0), Anchor::End, &self.axis.label);
        for (number, (tone, at, name)) in
            self.rules.iter().enumerate().filter(|(_, (_, at, _))| at.is_finite())
        {
            // The first names itself to its left, so that another close to it has room.
            let (anchor, aside) = if number == 0 { (Anchor::End, 4.0) } else { (Anchor::Start, -4.0) };
            svg.segment(&format!("rule {}", tone.class()), (place(*at), ABOVE - 6.0), (place(*at), bottom));
            svg.text(&format!("note {}", tone.class()), (place(*at) + aside, ABOVE - 10.0), anchor, name);
        }
        for (number, row) in self.rows.iter().enumerate() {
            row.draw(&mut svg, ABOVE + ROW * number as f64, &place);
        }
        svg.legend((INSET, 16.0), &self.legend());
        svg
    }

    fn times(&self) -> impl Iterator<Item = f64> {
        let of_rows = self.rows.iter().flat_map(|row| {
            let stretches = row.stretches.iter().flat_map(|&(_, _, from, to)| [from, to]);
            stretches.chain(row.marks.iter().map(|&(_, _, at)| at))
        });
        of_rows.chain(self.rules.iter().map(|&(_, at, _)| at))
    }

    /// Each name once, in the order of first use.
    fn legend(&self) -> Vec<(Swatch, Tone, &str)> {
        let mut entries: Vec<(Swatch, Tone, &str)> = Vec::new();
        for row in &self.rows {
            let stretches =
                row.stretches.iter().map(|(tone, name, ..)| (Swatch::Fill("stretch"), *tone, name.as_str()));
            let marks = row.marks.iter().map(|(tone, name, _)| (Swatch::Tick, *tone, name.as_str()));
            for entry in stretches.chain(marks) {
                if !entries.contains(&entry) {
                    entries.push(entry);
                }
            }
        }
        entries
    }
}

impl Row {
    fn draw(&self, svg: &mut Svg, top: f64, place: &dyn Fn(f64) -> f64) {
        svg.text("value", (INSET, top + 17.0), Anchor::Start, &self.label);
        svg.text("note gray", (INSET, top + 31.0), Anchor::Start, &self.note);
        for (tone, name, from, to) in
            self.stretches.iter().filter(|(.., from, to)| from.is_finite() && to.is_finite())
        {
            let (left, right) = (place(from.min(*to)), place(from.max(*to)));
            let size = ((right - left).max(1.0), ROW - 18.0);
            svg.rectangle(
                &format!("stretch {}", tone.class()),
                (left, top + 9.0),
                size,
                &format!("{name}: {from} to {to}"),
            );
        }
        for (tone, _, at) in self.marks.iter().filter(|(_, _, at)| at.is_finite()) {
            svg.segment(
                &format!("tick {}", tone.class()),
                (place(*at), top + 6.0),
                (place(*at), top + ROW - 6.0),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_name_and_every_kind_of_thing_one_entry() {
        let row = |name: &str| {
            Row::new(name, "a note").stretch(Tone::Blue, "drawn", -3.0, -1.0).mark(Tone::Green, "flip", 0.0)
        };
        let timeline = Timeline::new("frames", Axis::linear("ms")).row(row("one")).row(row("two"));
        let svg = timeline.rule(Tone::Gray, 0.0, "vblank").inline();
        // Once a row, and once in the legend.
        assert_eq!(svg.matches("stretch blue").count(), 3);
        assert_eq!(svg.matches("tick green").count(), 3);
        assert_eq!(svg.matches(">flip</text>").count(), 1);
        assert!(svg.contains(">one</text>") && svg.contains(">two</text>") && svg.contains(">vblank</text>"));
    }

    #[test]
    fn times_that_are_none_are_left_out() {
        let row = Row::new("one", "").stretch(Tone::Blue, "drawn", f64::NAN, 1.0).mark(
            Tone::Red,
            "flip",
            f64::INFINITY,
        );
        let svg = Timeline::new("frames", Axis::linear("ms")).row(row.mark(Tone::Red, "wake", 1.0)).inline();
        // All three have an entry in the legend; only one is drawn.
        assert_eq!((svg.matches("stretch blue").count(), svg.matches("tick red").count()), (1, 3));
        assert!(Timeline::new("none", Axis::linear("ms")).inline().contains("nothing was measured"));
    }
}
