//! What was found: a code, what it is about, a sentence, and what to do.

use serde::Serialize;

use super::code::Code;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It keeps a headset from being had.
    Error,
    /// Frames will be late or slow.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// As JSON and people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: a card, a connector, a socket, a device.
    pub about: String,
    /// What is wrong, in one sentence.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}

impl Finding {
    /// One that stands between this user and a headset.
    pub fn error(
        code: Code,
        about: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { code, severity: Severity::Error, about: about.into(), why: why.into(), remedy: remedy.into() }
    }

    /// The same, mattering as much as `severity` says.
    #[must_use]
    pub fn of(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }
}
