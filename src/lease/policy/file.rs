//! A policy as TOML.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Component, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};
use serde::Deserialize;
use toml::Spanned;

use super::{Outcome, Rule};
use crate::error::{Class, Classified};

/// Why a policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// It is not text.
    #[error("reading the policy: line {line} is not UTF-8; save the file as UTF-8 text")]
    NotText {
        /// Where, counted from 1.
        line: usize,
    },
    /// It is not TOML, lacks a key, or has one that means nothing.
    #[error("reading the policy: line {line}: {cause}; correct it, docs/policy.md has an example")]
    Toml {
        /// Where, counted from 1.
        line: usize,
        /// What is wrong.
        cause: String,
    },
    /// A value cannot be right.
    #[error("reading the policy: line {line}: {key} {found:?} is {wrong}; {remedy}")]
    Value {
        /// Where, counted from 1.
        line: usize,
        /// The value's key.
        key: &'static str,
        /// What is there.
        found: String,
        /// What is wrong with it.
        wrong: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
}

impl Classified for PolicyError {
    fn class(&self) -> Class {
        Class::Config
    }
}

/// The user with this number or name.
pub fn user_named(text: &str) -> Option<Uid> {
    let named = || User::from_name(text).ok().flatten().map(|user| user.uid);
    text.parse().ok().map(Uid::from_raw).or_else(named)
}

fn group_named(text: &str) -> Option<Gid> {
    let named = || Group::from_name(text).ok().flatten().map(|group| group.gid);
    text.parse().ok().map(Gid::from_raw).or_else(named)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Written>,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    outcome: Outcome,
    user: Option<Spanned<NumberOrName>>,
    group: Option<Spanned<NumberOrName>>,
    executable: Option<Spanned<PathBuf>>,
    unit: Option<Spanned<String>>,
    connectors: Option<Spanned<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "this should be a number or a name")]
enum NumberOrName {
    Number(u32),
    Name(String),
}

/// The rules that a file holds.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Rule>, PolicyError> {
    let text = std::str::from_utf8(bytes);
    parse(text.map_err(|error| PolicyError::NotText { line: line(bytes, error.valid_up_to()) })?)
}

pub(super) fn parse(text: &str) -> Result<Vec<Rule>, PolicyError> {
    let file: File = toml::from_str(text).map_err(|error| PolicyError::Toml {
        line: line(text.as_bytes(), error.span().unwrap_or_default().start),
        cause: on_one_line(error.message()),
    })?;
    file.rule.into_iter().map(|written| written.understood(text)).collect()
}

impl Written {
    fn understood(self, text: &str) -> Result<Rule, PolicyError> {
        let fail = |key, span: Range<usize>, found: &dyn Display, wrong, remedy| {
            let line = line(text.as_bytes(), span.start);
            Err(PolicyError::Value { line, key, found: found.to_string(), wrong, remedy })
        };
        let mut rule = Rule { outcome: self.outcome, ..Rule::allow() };
        if let Some(user) = self.user {
            rule.user = user_named(&user.get_ref().text());
            if rule.user.is_none() {
                let remedy = "give a number or a name that 'getent passwd' knows";
                return fail("user", user.span(), &user.get_ref().text(), "no user here", remedy);
            }
        }
        if let Some(group) = self.group {
            rule.group = group_named(&group.get_ref().text());
            if rule.group.is_none() {
                let remedy = "give a number or a name that 'getent group' knows";
                return fail("group", group.span(), &group.get_ref().text(), "no group here", remedy);
            }
        }
        if let Some(path) = &self.executable {
            let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
            if !path.get_ref().is_absolute() || !path.get_ref().components().all(plain) {
                let remedy = "give the one that 'readlink -f' prints";
                return fail("executable", path.span(), &path.get_ref().display(), "no full path", remedy);
            }
        }
        if let Some(unit) = &self.unit {
            let name = unit.get_ref();
            if name.contains('/') || !(name.ends_with(".service") || name.ends_with(".scope")) {
                let remedy = "give its whole name, which ends in .service or .scope";
                return fail("unit", unit.span(), name, "no unit that a process can be in", remedy);
            }
        }
        if let Some(connectors) = &self.connectors
            && connectors.get_ref().is_empty()
        {
            let remedy = "name some, or leave the key out for all";
            return fail("connectors", connectors.span(), &"[]", "about no connector", remedy);
        }
        rule.executable = self.executable.map(Spanned::into_inner);
        rule.unit = self.unit.map(Spanned::into_inner);
        rule.connectors = self.connectors.map(Spanned::into_inner);
        Ok(rule)
    }
}

impl NumberOrName {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Name(name) => name.clone(),
        }
    }
}

/// The line, counted from 1, that this byte is on.
fn line(text: &[u8], byte: usize) -> usize {
    1 + text.iter().take(byte).filter(|&&byte| byte == b'\n').count()
}

/// What a key or value in the file makes of the message must not break it up.
fn on_one_line(message: &str) -> String {
    message.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
