//! JSON that a person can read and that is small: objects over several lines, rows of tables on one each.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// `value` as JSON. An array stands on one line; an array of arrays has a line for each.
///
/// # Panics
/// When `value` has a map whose keys can be none of JSON's.
pub fn tidy(value: &impl Serialize) -> String {
    let mut json = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut json, Tidy::default()))
        .expect("plain data has no key that is no text, and memory takes all bytes");
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// What is open now, outermost first: the kind of each and whether it has something in it.
#[derive(Default)]
struct Tidy {
    open: Vec<Open>,
}

struct Open {
    is_object: bool,
    /// Whether what it holds stands on lines of its own.
    has_lines: bool,
}

impl Tidy {
    fn line<W: ?Sized + io::Write>(&self, writer: &mut W, depth: usize) -> io::Result<()> {
        write!(writer, "\n{:1$}", "", 2 * depth)
    }

    fn begin<W: ?Sized + io::Write>(&mut self, writer: &mut W, is_object: bool) -> io::Result<()> {
        // An array in an array is a row, and so is an object in one.
        let depth = self.open.len();
        if let Some(around) = self.open.last_mut().filter(|around| !around.is_object) {
            around.has_lines = true;
            self.line(writer, depth)?;
        }
        let in_array = self.open.iter().any(|around| !around.is_object);
        self.open.push(Open { is_object, has_lines: is_object && !in_array });
        writer.write_all(if is_object { b"{" } else { b"[" })
    }

    fn end<W: ?Sized + io::Write>(&mut self, writer: &mut W, closing: &[u8]) -> io::Result<()> {
        if self.open.pop().is_some_and(|ended| ended.has_lines) {
            self.line(writer, self.open.len())?;
        }
        writer.write_all(closing)
    }
}

impl Formatter for Tidy {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, false)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, true)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        match self.open.last() {
            Some(open) if open.has_lines => self.line(writer, self.open.len()),
            _ if first => Ok(()),
            _ => writer.write_all(b" "),
        }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn rows_have_a_line_each_and_nothing_is_lost() {
        let value = json!({"a": {"b": 1, "none": {}}, "columns": ["x", "y"], "empty": [],
                           "events": [{"event": "lost", "at_ns": 5}], "rows": [[1, 2.5], [null, "z"]]});
        let text = tidy(&value);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert!(text.contains("\n  \"columns\": [\"x\",\"y\"],\n"), "{text}");
        assert!(text.contains("\"rows\": [\n    [1,2.5],\n    [null,\"z\"]\n  ]"), "{text}");
        assert!(text.contains("\n    {\"at_ns\": 5, \"event\": \"lost\"}\n"), "{text}");
    }
}
