//! How a command shows its facts: as text for people, or as JSON for programs.
//!
//! Guarantees: what is shown goes to standard output alone; JSON is one value on one line with a line end. Members are only
//! ever added, so a program that reads one may rely on it.

use std::{io::Write, str::FromStr};

use serde_json::Value;

/// The value of `--output`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// A value that is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither text nor json")]
pub struct UnknownOutput(String);

impl FromStr for Output {
    type Err = UnknownOutput;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(UnknownOutput(other.to_owned())),
        }
    }
}

/// Writes one JSON value as a line.
///
/// # Errors
/// If `out` is closed.
pub fn write_json(out: &mut dyn Write, value: &Value) -> std::io::Result<()> {
    writeln!(out, "{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_named_exactly_and_what_is_none_is_shown() {
        assert_eq!("text".parse(), Ok(Output::Text));
        assert_eq!("json".parse(), Ok(Output::Json));
        let error = "JSON".parse::<Output>().unwrap_err().to_string();
        assert_eq!(error, "\"JSON\" is neither text nor json");
    }

    #[test]
    fn json_is_one_line() {
        let mut out = Vec::new();
        write_json(&mut out, &serde_json::json!({"a": "b\nc"})).unwrap();
        assert_eq!(out, b"{\"a\":\"b\\nc\"}\n");
    }
}
