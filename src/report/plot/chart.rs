//! A chart of values over values.

use super::Tone;
use super::axis::{Axis, Scale};
use super::svg::{Anchor, ENTRY, Svg, Swatch, text_width};

/// What is drawn over two axes: bands, bars, lines and dots, in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Chart {
    title: String,
    x: Axis,
    y: Axis,
    width: f64,
    height: f64,
    layers: Vec<Layer>,
    rules: Vec<(Tone, f64, String)>,
}

#[derive(Clone, Debug)]
struct Layer {
    tone: Tone,
    name: String,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Line(Vec<(f64, f64)>),
    Dots(Vec<(f64, f64)>),
    /// `(x, lower y, upper y)`.
    Band(Vec<(f64, f64, f64)>),
    /// `(from x, to x, y)`.
    Columns(Vec<(f64, f64, f64)>),
}

/// Room for the label above, and for ticks and label below.
const ABOVE: f64 = 34.0;
const BELOW: f64 = 40.0;
const BESIDE: f64 = 16.0;

impl Chart {
    /// An empty one.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), x, y, width: 720.0, height: 260.0, layers: Vec::new(), rules: Vec::new() }
    }

    /// Makes it so large, in pixels, without a title. 720 by 260 if this is not called.
    pub fn size(mut self, width: u32, height: u32) -> Self {
        (self.width, self.height) = (f64::from(width.max(200)), f64::from(height.max(120)));
        self
    }

    /// Adds a line through `(x, y)`. An `y` that is no number breaks it.
    pub fn line(self, tone: Tone, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.layer(tone, name, Shape::Line(points.into_iter().collect()))
    }

    /// Adds a dot at each `(x, y)`.
    pub fn dots(self, tone: Tone, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.layer(tone, name, Shape::Dots(points.into_iter().collect()))
    }

    /// Adds what lies between two lines, by `(x, lower y, upper y)`.
    pub fn band(self, tone: Tone, name: &str, points: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        self.layer(tone, name, Shape::Band(points.into_iter().collect()))
    }

    /// Adds columns, by `(from x, to x, y)`: a histogram.
    pub fn columns(self, tone: Tone, name: &str, columns: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        self.layer(tone, name, Shape::Columns(columns.into_iter().collect()))
    }

    /// Adds a level line that the axis always shows: a limit.
    pub fn rule(mut self, tone: Tone, y: f64, name: &str) -> Self {
        self.rules.push((tone, y, name.to_string()));
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

    fn layer(mut self, tone: Tone, name: &str, shape: Shape) -> Self {
        self.layers.push(Layer { tone, name: name.to_string(), shape });
        self
    }

    fn draw(&self) -> Svg {
        let mut svg = Svg::new(self.width, self.height);
        let across = self.layers.iter().flat_map(|layer| layer.shape.across());
        let along = self.layers.iter().flat_map(|layer| layer.shape.along());
        let along = along.chain(self.rules.iter().map(|(_, y, _)| *y));
        let (Some(x), Some(y)) = (self.x.lay_out(across), self.y.lay_out(along)) else {
            svg.text("", (self.width / 2.0, self.height / 2.0), Anchor::Middle, "nothing was measured");
            return svg;
        };
        let widest = y.ticks.iter().map(|(_, label)| text_width(label)).fold(0.0, f64::max);
        let left = (widest + 14.0).max(24.0);
        let frame = Frame {
            x,
            y,
            left,
            top: ABOVE,
            width: self.width - left - BESIDE,
            height: self.height - ABOVE - BELOW,
        };
        self.draw_axes(&mut svg, &frame);
        for layer in &self.layers {
            layer.draw(&mut svg, &frame);
        }
        for (tone, y, name) in &self.rules {
            let at = frame.y(*y);
            let right = frame.left + frame.width;
            svg.segment(&format!("rule {}", tone.class()), (frame.left, at), (right, at));
            svg.text(&format!("note {}", tone.class()), (right - 2.0, at - 4.0), Anchor::End, name);
        }
        svg
    }

    fn draw_axes(&self, svg: &mut Svg, frame: &Frame) {
        let (right, bottom) = (frame.left + frame.width, frame.top + frame.height);
        for (value, label) in &frame.y.ticks {
            let at = frame.y(*value);
            svg.segment("grid", (frame.left, at), (right, at));
            svg.text("", (frame.left - 8.0, at + 4.0), Anchor::End, label);
        }
        for (value, label) in &frame.x.ticks {
            let at = frame.x(*value);
            svg.segment("foot", (at, bottom), (at, bottom + 4.0));
            svg.text("", (at, bottom + 17.0), Anchor::Middle, label);
        }
        svg.segment("foot", (frame.left, bottom), (right, bottom));
        svg.text("", (right, bottom + 33.0), Anchor::End, &self.x.label);
        svg.text("", (frame.left - 8.0, 16.0), Anchor::Start, &self.y.label);
        // One layer needs no name: the axis has it.
        let layers = self.layers.iter().filter(|layer| !layer.name.is_empty());
        let named: Vec<_> =
            layers.map(|layer| (layer.shape.swatch(), layer.tone, layer.name.as_str())).collect();
        let length: f64 = named.iter().map(|(.., name)| text_width(name) + ENTRY).sum();
        let after_label = frame.left + text_width(&self.y.label) + 12.0;
        svg.legend(((right - length + 18.0).max(after_label), 16.0), &named);
    }
}

/// Where values lie in the picture.
struct Frame {
    x: Scale,
    y: Scale,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        self.left + self.width * self.x.place(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - self.y.place(value))
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x(x), self.y(y))
    }
}

impl Shape {
    fn swatch(&self) -> Swatch {
        match self {
            Self::Line(_) => Swatch::Line,
            Self::Dots(_) => Swatch::Dot,
            Self::Band(_) => Swatch::Fill("band"),
            Self::Columns(_) => Swatch::Fill("bar"),
        }
    }

    fn across(&self) -> Vec<f64> {
        match self {
            Self::Line(points) | Self::Dots(points) => points.iter().map(|&(x, _)| x).collect(),
            Self::Band(points) => points.iter().map(|&(x, ..)| x).collect(),
            Self::Columns(columns) => columns.iter().flat_map(|&(from, to, _)| [from, to]).collect(),
        }
    }

    fn along(&self) -> Vec<f64> {
        match self {
            Self::Line(points) | Self::Dots(points) => points.iter().map(|&(_, y)| y).collect(),
            Self::Band(points) => points.iter().flat_map(|&(_, low, high)| [low, high]).collect(),
            Self::Columns(columns) => columns.iter().map(|&(.., y)| y).collect(),
        }
    }
}

impl Layer {
    fn draw(&self, svg: &mut Svg, frame: &Frame) {
        let class = |kind: &str| format!("{kind} {}", self.tone.class());
        match &self.shape {
            Shape::Line(points) => svg.path(&class("line"), points.iter().map(|&point| frame.at(point))),
            Shape::Dots(points) => {
                let class = class("dot");
                for at in points.iter().map(|&point| frame.at(point)).filter(is_somewhere) {
                    svg.circle(&class, at, 2.6);
                }
            }
            Shape::Band(points) => {
                let whole = |&&(x, low, high): &&(f64, f64, f64)| {
                    is_somewhere(&frame.at((x, low))) && is_somewhere(&frame.at((x, high)))
                };
                let whole: Vec<_> = points.iter().filter(whole).collect();
                let upper = whole.iter().map(|&&(x, _, high)| frame.at((x, high)));
                let lower = whole.iter().rev().map(|&&(x, low, _)| frame.at((x, low)));
                svg.path(&class("band"), upper.chain(lower));
            }
            Shape::Columns(columns) => {
                let class = class("bar");
                let foot = frame.top + frame.height;
                for &(from, to, height) in columns {
                    let (left, top) = frame.at((from, height));
                    let right = frame.x(to);
                    if is_somewhere(&(left, top)) && right.is_finite() {
                        // A narrow one is still seen.
                        let width = (right - left).max(1.0);
                        let tip = format!("{from} to {to}: {height}");
                        svg.rectangle(&class, (left, top.min(foot)), (width, foot - top), &tip);
                    }
                }
            }
        }
    }
}

fn is_somewhere(&(x, y): &(f64, f64)) -> bool {
    x.is_finite() && y.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chart() -> Chart {
        Chart::new("Margin <&>", Axis::linear("s"), Axis::linear("ms"))
    }

    #[test]
    fn a_line_goes_through_its_points_and_breaks_at_gaps() {
        let points = [(0.0, 0.0), (1.0, 1.0), (2.0, f64::NAN), (3.0, 0.0), (4.0, 1.0)];
        let svg = chart().line(Tone::Blue, "a", points).inline();
        let line = svg.lines().rfind(|line| line.contains(r#"class="line blue""#)).unwrap();
        assert_eq!((line.matches('M').count(), line.matches('L').count()), (2, 2), "{line}");
    }

    #[test]
    fn names_cannot_end_their_element() {
        let svg = chart().dots(Tone::Red, "</svg><script>", [(0.0, 1.0)]).rule(Tone::Red, 2.0, "<b>");
        for text in [svg.inline(), svg.standalone()] {
            assert!(text.contains("&lt;/svg&gt;&lt;script&gt;") && text.contains("Margin &lt;&amp;&gt;"));
            assert!(!text.contains("<script") && !text.contains("<b>"));
        }
    }

    #[test]
    fn an_empty_chart_says_so() {
        assert!(chart().inline().contains("nothing was measured"));
    }

    proptest! {
        #[test]
        fn any_values_give_finite_places(
            points in prop::collection::vec((any::<f64>(), any::<f64>(), any::<f64>()), 0..12),
            logarithmic: bool,
        ) {
            let y = if logarithmic { Axis::logarithmic("y") } else { Axis::linear("y") };
            let pairs = points.iter().map(|&(x, y, _)| (x, y));
            let chart = Chart::new("any", Axis::linear("x"), y)
                .band(Tone::Blue, "band", points.clone())
                .columns(Tone::Gray, "columns", points.clone())
                .line(Tone::Amber, "line", pairs.clone())
                .dots(Tone::Red, "dots", pairs);
            let svg = chart.inline();
            for attribute in ["=\"NaN", "=\"inf", "=\"-inf", "MNaN", "LNaN", "Minf", "Linf"] {
                prop_assert!(!svg.contains(attribute), "{svg}");
            }
        }
    }
}
