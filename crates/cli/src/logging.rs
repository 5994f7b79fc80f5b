//! The logging flags, and the line that shows a command's settings.

use clap::{ArgMatches, Command};
use trireme_telemetry::{LogConfig, redacted};

use crate::{
    flags::LogFlags,
    values::{Problems, given},
};

/// Reads the logging group.
pub(crate) fn log_config(flags: &LogFlags, problems: &mut Problems) -> LogConfig {
    LogConfig {
        format: problems.or_default("log-format", flags.log_format.parse()),
        level: problems.or_default("log-level", flags.log_level.parse()),
        color: problems.or_default("log-color", flags.log_color.parse()),
        output_path: given(&flags.log_output_path).map(Into::into),
    }
}

/// Every flag of the command with its value, sorted by name, secrets redacted: `name=value` separated by spaces.
#[must_use]
pub(crate) fn shown_settings(command: &Command, matches: &ArgMatches) -> String {
    let mut all: Vec<String> = command
        .get_arguments()
        .filter_map(|argument| {
            let flag = argument.get_long().filter(|f| !matches!(*f, "help" | "version"))?;
            let values = matches.get_raw(argument.get_id().as_str()).into_iter().flatten();
            let shown: Vec<String> = values.map(|v| shown(flag, &v.to_string_lossy())).collect();
            Some(format!("{flag}={}", shown.join(",")))
        })
        .collect();
    all.sort();
    all.join(" ")
}

fn shown(flag: &str, value: &str) -> String {
    if flag.contains("auth-token") {
        return "xxxxx".to_owned();
    }
    let each = value.split(',').map(|item| {
        if flag.contains("header") {
            item.split_once('=')
                .map_or_else(|| "xxxxx".to_owned(), |(name, _)| format!("{name}=xxxxx"))
        } else if flag.contains("beacon-node-endpoints") || flag.contains("endpoint") && item.contains("://") {
            shown_endpoint(item)
        } else if item.contains("://") {
            redacted(item)
        } else {
            item.to_owned()
        }
    });
    each.collect::<Vec<_>>().join(",")
}

/// An address without what may be a secret in it: hosted nodes and services have their key in the path or the query.
#[must_use]
pub(crate) fn shown_endpoint(address: &str) -> String {
    host_of(&redacted(address)).to_owned()
}

/// The address without its path.
fn host_of(address: &str) -> &str {
    let host = address.find("://").map_or(0, |at| at.saturating_add(3));
    let end = address.get(host..).and_then(|rest| rest.find('/'));
    end.and_then(|end| address.get(..host.saturating_add(end)))
        .unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown("keymanager-auth-tokens", "abc"), "xxxxx");
        assert_eq!(shown("beacon-node-headers", "a=secret,b=other"), "a=xxxxx,b=xxxxx");
        assert!(!shown("beacon-node-endpoints", "http://user:secret@host:5052").contains("secret"));
        assert_eq!(
            shown(
                "fallback-beacon-node-endpoints",
                "https://bn/K3Y?key=K3Y,http://[::1]:5052,https://u:K3Y@x:1/K3Y/"
            ),
            "https://bn,http://[::1]:5052,https://x:1"
        );
        assert_eq!(
            shown("execution-client-rpc-endpoint", "https://mainnet.example/v3/K3Y"),
            "https://mainnet.example"
        );
        assert_eq!(
            shown("monitoring-endpoint", "https://m.example/a?k=K3Y"),
            "https://m.example"
        );
        assert_eq!(shown("monitoring-endpoint-period", "120"), "120");
        assert_eq!(shown("validator-api-address", "127.0.0.1:3600"), "127.0.0.1:3600");
    }
}
