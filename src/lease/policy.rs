//! Who may have a lease: rules on users, groups, programs and systemd units. The first rule that fits decides.
//!
//! [`Policy::judge`] reads no clock and asks no kernel; what it judges by was learned in [`super::identity`].

mod file;

use std::fmt;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid};
use serde::Deserialize;

use super::identity::{Identity, Unit};
pub use file::{PolicyError, user_named};

/// An ordered list of rules. Whoever fits none is denied, so the default policy denies everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// A rule. It fits whoever meets all of its conditions, hence everyone if it has none.
///
/// What a condition asks may be unknown, another user's program say. Then an allow rule does not fit and a deny rule
/// does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What happens to whom it fits.
    pub outcome: Outcome,
    /// The user.
    pub user: Option<Uid>,
    /// The group, or one of the groups.
    pub group: Option<Gid>,
    /// The program, with all symbolic links followed.
    pub executable: Option<PathBuf>,
    /// The systemd unit. A user can give a unit of their own any name, so in an allow rule that names neither user nor
    /// group, it has to be one of the system's.
    pub unit: Option<String>,
    /// The connectors that the rule is about; `None` for all.
    pub connectors: Option<Vec<String>>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Whom it fits may have the lease.
    Allow,
    /// Whom it fits may not.
    Deny,
}

/// Whether someone may have a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allowed,
    /// No; the sentence says by which rule, or that there was none.
    Denied(String),
}

impl Policy {
    /// The policy with these rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// The policy that allows this user everything, and no one else anything.
    pub fn only_user(uid: Uid) -> Self {
        Self::default().allow_user(uid)
    }

    /// Allows a user everything, whatever the rules so far say of them.
    #[must_use]
    pub fn allow_user(mut self, uid: Uid) -> Self {
        self.rules.insert(0, Rule { user: Some(uid), ..Rule::allow() });
        self
    }

    /// Reads a policy from a file's bytes, as [`parse`](Self::parse) does.
    ///
    /// # Errors
    /// Those, and where they are not UTF-8.
    pub fn read(bytes: &[u8]) -> Result<Self, PolicyError> {
        file::read(bytes).map(Self::new)
    }

    /// Reads a policy from TOML; `docs/policy.md` describes it. Names of users and groups are looked up now.
    ///
    /// # Errors
    /// When it is not TOML, or says what no policy can; the error names the line.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        file::parse(text).map(Self::new)
    }

    /// The rules, the first of which goes first.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether `who` may have a lease on all of these connectors; on some connector, where none is named.
    pub fn judge(&self, who: &Identity, connectors: &[String]) -> Verdict {
        if connectors.is_empty() {
            return self.judge_one(who, None);
        }
        let mut verdicts = connectors.iter().map(|connector| self.judge_one(who, Some(connector)));
        verdicts.find(|verdict| *verdict != Verdict::Allowed).unwrap_or(Verdict::Allowed)
    }

    fn judge_one(&self, who: &Identity, connector: Option<&str>) -> Verdict {
        let what = connector.unwrap_or("any connector");
        for (index, rule) in self.rules.iter().enumerate() {
            let number = index + 1;
            match (rule.outcome, rule.fits(who, connector)) {
                (Outcome::Allow, Some(true)) => return Verdict::Allowed,
                (Outcome::Deny, Some(true)) => {
                    return Verdict::Denied(format!("rule {number} ({rule}) denies {what} to {who}"));
                }
                (Outcome::Deny, None) => {
                    let sentence = format!("rule {number} ({rule}) denies {what}, as it may be about {who}");
                    return Verdict::Denied(sentence);
                }
                (_, Some(false)) | (Outcome::Allow, None) => {}
            }
        }
        Verdict::Denied(format!(
            "no rule allows {what} to {who}; serve's --allow-uid or --policy can add one"
        ))
    }

    /// Whether someone who is not `uid` could be allowed something.
    pub fn could_allow_others_than(&self, uid: Uid) -> bool {
        // What stands behind a rule that fits everyone is never asked.
        let last = self.rules.iter().position(|rule| rule.is_for_all()).unwrap_or(self.rules.len());
        let asked = self.rules.iter().take(last + 1);
        asked.filter(|rule| rule.outcome == Outcome::Allow).any(|rule| rule.user != Some(uid))
    }
}

impl Rule {
    /// The rule that allows everyone everything.
    pub fn allow() -> Self {
        Self {
            outcome: Outcome::Allow,
            user: None,
            group: None,
            executable: None,
            unit: None,
            connectors: None,
        }
    }

    /// The rule that denies everyone everything.
    pub fn deny() -> Self {
        Self { outcome: Outcome::Deny, ..Self::allow() }
    }

    fn is_for_all(&self) -> bool {
        *self == Self { outcome: self.outcome, ..Self::allow() }
    }

    /// Whether all conditions are met; `None` where that depends on what is unknown.
    fn fits(&self, who: &Identity, connector: Option<&str>) -> Option<bool> {
        let conditions = [
            Some(self.user.is_none_or(|user| user == who.uid)),
            Some(self.is_about(connector)),
            self.fits_group(who),
            self.fits_executable(who),
            self.fits_unit(who),
        ];
        if conditions.contains(&Some(false)) {
            return Some(false);
        }
        conditions.iter().all(Option::is_some).then_some(true)
    }

    fn is_about(&self, connector: Option<&str>) -> bool {
        match (&self.connectors, connector) {
            (None, _) => true,
            (Some(listed), Some(connector)) => listed.iter().any(|name| name == connector),
            // Some connector is among the allowed ones, and some among those that are not denied.
            (Some(_), None) => self.outcome == Outcome::Allow,
        }
    }

    fn fits_group(&self, who: &Identity) -> Option<bool> {
        match self.group {
            Some(group) if group != who.gid => who.groups.as_ref().map(|groups| groups.contains(&group)),
            _ => Some(true),
        }
    }

    fn fits_executable(&self, who: &Identity) -> Option<bool> {
        match &self.executable {
            Some(wanted) => who.executable.as_ref().map(|path| path == wanted),
            None => Some(true),
        }
    }

    fn fits_unit(&self, who: &Identity) -> Option<bool> {
        let Some(wanted) = &self.unit else { return Some(true) };
        let any_name_counts = self.outcome == Outcome::Deny || self.user.is_some() || self.group.is_some();
        match &who.unit {
            Unit::Unknown => None,
            Unit::None => Some(false),
            Unit::System(name) => Some(name == wanted),
            Unit::OfUser(_, name) => Some(name == wanted && any_name_counts),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions: Vec<String> = [
            self.user.map(|uid| format!("user {uid}")),
            self.group.map(|gid| format!("group {gid}")),
            self.executable.as_ref().map(|path| format!("executable {}", path.display())),
            self.unit.as_ref().map(|unit| format!("unit {unit}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let outcome = match self.outcome {
            Outcome::Allow => "allow",
            Outcome::Deny => "deny",
        };
        let who = if conditions.is_empty() { "everyone".to_owned() } else { conditions.join(", ") };
        write!(formatter, "{outcome} {who}")?;
        match &self.connectors {
            Some(connectors) => write!(formatter, " on {}", connectors.join(", ")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
