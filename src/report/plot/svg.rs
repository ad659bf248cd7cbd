//! Writes SVG elements.

use std::fmt::Write;

use super::{STYLE, Tone};

/// The text as it stands in HTML and SVG, between tags and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML 1.0 has no other control characters, escaped or not.
            control if control.is_control() && !matches!(control, '\t' | '\n' | '\r') => {
                escaped.push('\u{fffd}')
            }
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            plain => escaped.push(plain),
        }
    }
    escaped
}

/// Where a text is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture while it is drawn, in pixels from its top left.
#[derive(Debug)]
pub struct Svg {
    body: String,
    pub width: f64,
    pub height: f64,
}

impl Svg {
    pub fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height }
    }

    pub fn segment(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.write(format_args!(r#"<path class="{class}" d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}"/>"#));
    }

    pub fn rectangle(&mut self, class: &str, at: (f64, f64), size: (f64, f64), tip: &str) {
        let ((x, y), (width, height)) = (at, size);
        let place =
            format!(r#"x="{x:.1}" y="{y:.1}" width="{:.1}" height="{:.1}""#, width.max(0.0), height.max(0.0));
        match tip {
            "" => self.write(format_args!(r#"<rect class="{class}" {place}/>"#)),
            tip => self.write(format_args!(
                r#"<rect class="{class}" {place}><title>{}</title></rect>"#,
                escape(tip)
            )),
        }
    }

    pub fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        self.write(format_args!(r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}"/>"#));
    }

    /// Text that stands on `at`.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.write(format_args!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
            escape(text)
        ));
    }

    /// Lines through points; one that is no number ends a line, and the next begins another.
    pub fn path(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let mut path = String::new();
        let mut pen = 'M';
        for (x, y) in points {
            if x.is_finite() && y.is_finite() {
                let _ = write!(path, "{pen}{x:.1} {y:.1}");
                pen = 'L';
            } else {
                pen = 'M';
            }
        }
        if !path.is_empty() {
            self.write(format_args!(r#"<path class="{class}" d="{path}"/>"#));
        }
    }

    /// Names of what is drawn, one beside the other from `at` on.
    pub fn legend(&mut self, (mut x, y): (f64, f64), entries: &[(Swatch, Tone, &str)]) {
        for &(swatch, tone, name) in entries {
            let class = |kind: &str| format!("{kind} {}", tone.class());
            match swatch {
                Swatch::Fill(kind) => self.rectangle(&class(kind), (x, y - 8.0), (10.0, 8.0), ""),
                Swatch::Line => self.segment(&class("line"), (x, y - 4.0), (x + 10.0, y - 4.0)),
                Swatch::Tick => self.segment(&class("tick"), (x + 5.0, y - 9.0), (x + 5.0, y + 1.0)),
                Swatch::Dot => self.circle(&class("dot"), (x + 5.0, y - 4.0), 2.6),
            }
            self.text("", (x + 15.0, y), Anchor::Start, name);
            x += ENTRY + text_width(name);
        }
    }

    /// The whole picture as a part of a page.
    pub fn inline(&self, title: &str) -> String {
        format!(
            r#"<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>"#,
            self.width,
            self.height,
            escape(title),
            self.body
        )
    }

    /// The whole picture as a file, with its title above it.
    pub fn standalone(&self, title: &str) -> String {
        let (width, height, title) = (self.width, self.height + TITLE, escape(title));
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" class="plot" width="{width}" height="{height}" viewBox="0 {} {width} {height}" role="img" aria-label="{title}"><style>{STYLE}</style><rect class="paper" y="{}" width="{width}" height="{height}"/><text class="title" x="12" y="-8">{title}</text>{}</svg>
"#,
            -TITLE, -TITLE, self.body
        )
    }

    fn write(&mut self, element: std::fmt::Arguments<'_>) {
        self.body.write_fmt(element).expect("a string takes all text");
        self.body.push('\n');
    }
}

/// What stands before a name in a legend: a small one of what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swatch {
    /// An area, of this class.
    Fill(&'static str),
    Line,
    Tick,
    Dot,
}

/// What an entry of a legend takes beside its name.
pub const ENTRY: f64 = 31.0;

/// What a standalone picture is higher by.
const TITLE: f64 = 32.0;

/// About how wide a text of 12 pixels is: no font is asked.
pub fn text_width(text: &str) -> f64 {
    6.3 * text.chars().count() as f64
}
