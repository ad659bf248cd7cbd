//! Why a verb failed, and the exit code that tells scripts.

use crate::error::{Class, Classified};
use crate::files::edid_cache;

/// A verb that did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    message: String,
    class: Class,
    usage: bool,
}

impl Failure {
    /// One in the command line itself.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { usage: true, ..Self::config(message) }
    }

    /// One that the user has to mend: bad input, a missing file.
    pub fn config(message: impl Into<String>) -> Self {
        Self { message: message.into(), class: Class::Config, usage: false }
    }

    /// One with a class of its own.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { message: message.into(), class, usage: false }
    }

    /// Where there is no headset, what is known of those that do not answer.
    pub fn with_silent_headsets(mut self) -> Self {
        if self.class == Class::NoHeadset {
            for sentence in edid_cache::look_around() {
                self.message = format!("{}; {sentence}", self.message);
            }
        }
        self
    }

    /// What the process exits with: 2 usage, 3 no headset, 4 lease denied, 5 lease lost, else 1.
    pub fn exit_code(&self) -> u8 {
        match self.class {
            _ if self.usage => 2,
            Class::NoHeadset => 3,
            Class::LeaseDenied => 4,
            Class::LeaseLost => 5,
            Class::Retry | Class::DeviceLost | Class::Config | Class::Bug => 1,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl<E: Classified> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            // Some say it in their own sentence.
            if !message.contains(&cause.to_string()) {
                message.push_str(&format!(": {cause}"));
            }
            source = cause.source();
        }
        Self { message, class: error.class(), usage: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_tell_failures_by_the_codes_that_are_promised() {
        assert_eq!(Failure::usage("").exit_code(), 2);
        for (class, code) in [
            (Class::NoHeadset, 3),
            (Class::LeaseDenied, 4),
            (Class::LeaseLost, 5),
            (Class::Retry, 1),
            (Class::DeviceLost, 1),
            (Class::Config, 1),
            (Class::Bug, 1),
        ] {
            assert_eq!(Failure::new(class, "").exit_code(), code, "{class:?}");
        }
    }
}
