//! Data on stdout.

use std::io::{ErrorKind, Write};

use super::Failure;

/// Prints a line. A reader that has gone away is no failure.
pub fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{}", text.as_ref()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::config(format!("could not write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a JSON object.
pub fn json(object: &serde_json::Value) -> Result<(), Failure> {
    line(format!("{object:#}"))
}
