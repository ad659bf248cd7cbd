//! Reads a report that was written, by us or by anyone.

use serde_json::Value;

use super::run::Report;

/// Why a file is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It is no JSON at all.
    #[error("this is no JSON ({0}): give a file that 'leasehold demo --report' wrote")]
    NotJson(serde_json::Error),
    /// It is JSON of another kind.
    #[error(
        "this is {found}, not a run's report (\"{SCHEMA}\"): give a file that 'leasehold demo --report' wrote"
    )]
    OtherSchema {
        /// What it says it is.
        found: String,
    },
    /// It says that it is a report, and lacks what one has.
    #[error("this says that it is a run's report and is not whole ({0}): have it written anew")]
    NotWhole(serde_json::Error),
}

/// What a run's report says of itself.
const SCHEMA: &str = "leasehold.demo/1";

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// When `bytes` are no JSON, another kind of it, or lack a field.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        let value: Value = serde_json::from_slice(bytes).map_err(ReportError::NotJson)?;
        match value.get("schema") {
            Some(Value::String(schema)) if schema == SCHEMA => {}
            Some(Value::String(schema)) => {
                let found: String = schema.chars().filter(|letter| !letter.is_control()).take(40).collect();
                return Err(ReportError::OtherSchema { found: format!("\"{found}\"") });
            }
            _ => return Err(ReportError::OtherSchema { found: "JSON without a schema".to_string() }),
        }
        serde_json::from_value(value).map_err(ReportError::NotWhole)
    }
}
