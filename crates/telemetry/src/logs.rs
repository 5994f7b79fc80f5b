//! Log lines in Charon's three formats, on standard error, in a file, and to Loki.
//!
//! Guarantees: standard output is never written to; an event's `error` field becomes part of the message, after a
//! colon; a field named `topic`, on the event or on a span around it, is the topic, else it follows from the module.
//! Not here: what is worth a line.

mod counters;
mod layer;
mod loki;
mod record;
mod topic;

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Write},
    path::PathBuf,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _,
    filter::Targets,
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

pub use counters::{LogCounters, log_counters};
pub use layer::Stderr;
pub use loki::{Loki, LokiConfig, Pusher};
pub use record::{Level, Record};
pub use topic::topic_of;

use crate::traces::{TRACE, Traces};

/// The three forms of a line (`--log-format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Console,
    /// `key=value`, with the console line as `pretty`.
    Logfmt,
    /// One object per line.
    Json,
}

/// The least important level that is shown (`--log-level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Steps of a duty.
    Debug,
    /// One line per finished duty.
    #[default]
    Info,
    /// Something was lost or tried again.
    Warn,
    /// Needs a person.
    Error,
}

/// When levels and topics are coloured (`--log-color`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogColor {
    /// If standard error is a terminal.
    #[default]
    Auto,
    /// Always.
    Force,
    /// Never.
    Disable,
}

/// A text that is none of the choices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not one of {choices}")]
pub struct UnknownChoice {
    /// What was given.
    pub value: String,
    /// What could have been.
    pub choices: &'static str,
}

impl FromStr for LogFormat {
    type Err = UnknownChoice;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "console" => Ok(Self::Console),
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            _ => Err(UnknownChoice {
                value: s.to_owned(),
                choices: "console, logfmt, json",
            }),
        }
    }
}

impl FromStr for LogLevel {
    type Err = UnknownChoice;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.to_ascii_lowercase().as_str() {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err(UnknownChoice {
                value: s.to_owned(),
                choices: "debug, info, warn, error",
            }),
        }
    }
}

impl FromStr for LogColor {
    type Err = UnknownChoice;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "auto" => Ok(Self::Auto),
            "force" => Ok(Self::Force),
            "disable" => Ok(Self::Disable),
            _ => Err(UnknownChoice {
                value: s.to_owned(),
                choices: "auto, force, disable",
            }),
        }
    }
}

/// The logging group of flags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogConfig {
    /// `--log-format`.
    pub format: LogFormat,
    /// `--log-level`.
    pub level: LogLevel,
    /// `--log-color`.
    pub color: LogColor,
    /// `--log-output-path`: besides, uncoloured console lines at debug level are appended to this file. As in Charon
    /// only with the console format.
    pub output_path: Option<PathBuf>,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log file.
    #[error("--log-output-path {path} cannot be opened: {source}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else set up logging in this process.
    #[error("logging is set up already")]
    Twice(#[from] TryInitError),
}

/// Where lines and spans go besides.
#[derive(Debug, Clone, Default)]
pub struct Outlets {
    /// Lines, once the command has said whose they are.
    pub loki: Option<Loki>,
    /// Spans and lines, once the node has said whose they are.
    pub traces: Option<Traces>,
}

/// Sets up logging for the whole process, and lets panics be logged as errors.
///
/// # Errors
///
/// If the log file cannot be opened, or logging is set up already.
pub fn init(config: &LogConfig, outlets: &Outlets) -> Result<(), LogError> {
    let color = match config.color {
        LogColor::Auto => io::stderr().is_terminal(),
        LogColor::Force => true,
        LogColor::Disable => false,
    };
    let stderr = Stderr::new(config.format, color, Sink::Stderr).with_filter(ours(config.level.filter()));
    let file = match (&config.output_path, config.format) {
        (Some(path), LogFormat::Console) => {
            let open = OpenOptions::new().create(true).append(true).open(path);
            let file = open.map_err(|source| LogError::Open {
                path: path.clone(),
                source,
            })?;
            let sink = Sink::File(Mutex::new(file));
            Some(Stderr::uncounted(LogFormat::Console, false, sink).with_filter(ours(LevelFilter::DEBUG)))
        }
        (Some(_) | None, _) => None,
    };
    let debug = || ours(LevelFilter::DEBUG);
    let loki = outlets.loki.clone().map(|loki| {
        let layer = Stderr::uncounted(LogFormat::Logfmt, true, Sink::Loki(loki));
        layer.with_filter(debug())
    });
    let traces = outlets.traces.as_ref().map(|t| t.layer().with_filter(traced()));
    // Each layer's filter speaks for that layer alone; this one keeps from being made what none of them wants.
    let wanted = match (&traces, &file, &loki) {
        (Some(_), _, _) => traced(),
        (None, None, None) => ours(config.level.filter()),
        (None, _, _) => ours(LevelFilter::DEBUG),
    };
    let registry = tracing_subscriber::registry().with(stderr).with(file);
    registry.with(loki).with(traces).with(wanted).try_init()?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let text = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(
            topic = "panic",
            place,
            error = text,
            "A task panicked, which is a bug in this program"
        );
    }));
    Ok(())
}

/// Our own lines at the level asked for, those of libraries only when something is wrong with them.
fn ours(level: LevelFilter) -> Targets {
    Targets::new()
        .with_target("trireme", level)
        .with_default(LevelFilter::ERROR)
}

/// Our own lines and what is for traces alone.
fn traced() -> Targets {
    ours(LevelFilter::DEBUG).with_target(TRACE, LevelFilter::DEBUG)
}

impl LogLevel {
    const fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
        }
    }
}

/// Where lines go.
pub(crate) enum Sink {
    Stderr,
    File(Mutex<File>),
    Loki(Loki),
    #[cfg(test)]
    Memory(std::sync::Arc<Mutex<Vec<u8>>>),
}

impl Sink {
    /// Writes a whole line. A line that cannot be written is lost: there is nowhere to say so.
    fn write(&self, line: &str) {
        let _lost = match self {
            Self::Stderr => io::stderr().lock().write_all(line.as_bytes()),
            Self::File(file) => file
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(line.as_bytes()),
            Self::Loki(loki) => {
                loki.push(line);
                Ok(())
            }
            #[cfg(test)]
            Self::Memory(m) => m
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(line.as_bytes()),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::traces::TraceConfig;

    /// The subscriber of a node with the most lines, and what it has written.
    fn lines(work: impl FnOnce(), traces: Option<&Traces>) -> String {
        let memory = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink::Memory(Arc::clone(&memory));
        let lines = Stderr::uncounted(LogFormat::Logfmt, false, sink).with_filter(ours(LevelFilter::DEBUG));
        let wanted = traces.map_or_else(|| ours(LevelFilter::DEBUG), |_| traced());
        let traces = traces.map(|t| t.layer().with_filter(traced()));
        let subscriber = tracing_subscriber::registry().with(lines).with(traces).with(wanted);
        tracing::subscriber::with_default(subscriber, work);
        let written = memory.lock().unwrap().clone();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn without_a_collector_what_is_for_traces_alone_is_not_made() {
        let written = lines(
            || {
                assert!(tracing::debug_span!(target: TRACE, "app/retry.DoAsync").is_disabled());
                assert!(!tracing::debug_span!("step").is_disabled());
                let _duty = tracing::info_span!("duty", duty = "1/attester").entered();
                tracing::debug!(target: TRACE, attempt = 1, "retry.attempt.start");
                tracing::debug!("a line");
            },
            None,
        );
        assert!(
            written.contains("a line") && written.contains("1/attester"),
            "{written}"
        );
        assert!(!written.contains("retry.attempt.start"), "{written}");
    }

    #[test]
    fn with_a_collector_it_is_made_and_no_line_shows_it() {
        let traces = Traces::new(TraceConfig {
            address: "nowhere".into(),
            headers: Vec::new(),
            insecure: true,
            service_name: "charon".into(),
        });
        let memory = traces.remember("abcdef0");
        let written = lines(
            || {
                let duty = tracing::info_span!("duty", duty = "1/attester").entered();
                let span = tracing::debug_span!(target: TRACE, parent: &duty, "app/retry.DoAsync", topic = "bcast");
                span.in_scope(|| {
                    tracing::debug!(target: TRACE, attempt = 1, "retry.attempt.start");
                    tracing::debug!(topic = "qbft", "a line");
                });
            },
            Some(&traces),
        );
        assert!(
            written.contains("a line") && written.contains("1/attester"),
            "{written}"
        );
        assert!(!written.contains("retry") && !written.contains("bcast"), "{written}");
        let spans = memory.spans();
        let events: Vec<_> = spans[0].events.iter().map(|e| e.0.as_str()).collect();
        assert_eq!(events, ["retry.attempt.start", "log.Debug: a line"]);
        assert_eq!(spans[0].attributes["topic"], "bcast");
        assert_eq!(spans[1].name, "core/duty.attester");
    }
}
