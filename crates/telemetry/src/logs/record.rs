//! One log line as a value, and its three forms.
//!
//! Guarantees: pure; the bytes are those that Charon writes for the same record (observability data, log samples).
//! Not here: where the parts come from.

use std::fmt::Write as _;

use serde_json::Value;

use super::LogFormat;

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Steps of a duty.
    Debug,
    /// State changes.
    Info,
    /// Something was lost or tried again.
    Warn,
    /// Needs a person.
    Error,
}

impl Level {
    /// The word in `logfmt` and `json`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The four letters of the console.
    const fn letters(self) -> &'static str {
        match self {
            Self::Debug => "DEBG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERRO",
        }
    }

    /// ANSI colour: magenta, blue, yellow, red.
    const fn color(self) -> u8 {
        match self {
            Self::Debug => 35,
            Self::Info => 34,
            Self::Warn => 33,
            Self::Error => 31,
        }
    }
}

/// ANSI green, for topics.
const TOPIC_COLOR: u8 = 32;

/// A line before it has a form.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// How serious.
    pub level: Level,
    /// Local time of day for the console, as in `15:04:05.000`.
    pub clock: String,
    /// RFC 3339 with nanoseconds, for the other two.
    pub ts: String,
    /// `folder/file:line`.
    pub caller: String,
    /// The text, an error's text after a colon included.
    pub msg: String,
    /// Lines `TAB file:line .function`, without a newline at the end.
    pub stack: Option<String>,
    /// In order, without the topic; the first of equal names counts.
    pub fields: Vec<(String, Value)>,
    /// Where the line belongs.
    pub topic: Option<String>,
}

impl Record {
    /// The line with its newline.
    #[must_use]
    pub fn render(&self, format: LogFormat, color: bool) -> String {
        match format {
            LogFormat::Console => self.console(color),
            LogFormat::Logfmt => self.logfmt(false),
            LogFormat::Json => self.json(),
        }
    }

    /// The line that is pushed to Loki: `logfmt` with a coloured console line in it.
    #[must_use]
    pub fn pushed(&self) -> String {
        self.logfmt(true)
    }

    fn console(&self, color: bool) -> String {
        let mut line = format!("{} {}", self.clock, self.pretty(color));
        if let Some(stack) = &self.stack {
            line.push_str(stack);
            line.push('\n');
        }
        line
    }

    /// The console line without time and stack.
    fn pretty(&self, color: bool) -> String {
        let topic = format!("{:10}", self.topic.as_deref().unwrap_or_default());
        let mut line = format!(
            "{} {} {:40}",
            painted(self.level.letters(), self.level.color(), color),
            painted(&topic, TOPIC_COLOR, color),
            self.msg
        );
        if !self.fields.is_empty() {
            line.push_str(" {");
            for (i, (name, value)) in self.fields.iter().enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                put(&mut line, format_args!("{comma}{}: {value}", quoted(name)));
            }
            line.push('}');
        }
        line.push('\n');
        line
    }

    fn logfmt(&self, color: bool) -> String {
        let mut line = format!("ts={} level={}", word(&self.ts), self.level.word());
        let mut pair = |name: &str, value: &str| put(&mut line, format_args!(" {name}={}", word(value)));
        if !self.caller.is_empty() {
            pair("caller", &self.caller);
        }
        pair("msg", &self.msg);
        if let Some(stack) = &self.stack {
            pair("stacktrace", stack);
        }
        for (name, value) in &self.fields {
            pair(name, &plain(value));
        }
        if let Some(topic) = &self.topic {
            pair("topic", topic);
        }
        pair("pretty", &self.pretty(color));
        line.push('\n');
        line
    }

    fn json(&self) -> String {
        let mut line = format!("{{\"level\":\"{}\",\"ts\":{}", self.level.word(), quoted(&self.ts));
        let mut pair = |name: &str, value: &str| put(&mut line, format_args!(",{}:{value}", quoted(name)));
        if !self.caller.is_empty() {
            pair("caller", &quoted(&self.caller));
        }
        pair("msg", &quoted(&self.msg));
        if let Some(stack) = &self.stack {
            pair("stacktrace", &quoted(stack));
        }
        for (name, value) in &self.fields {
            pair(name, &value.to_string());
        }
        if let Some(topic) = &self.topic {
            pair("topic", &quoted(topic));
        }
        line.push_str("}\n");
        line
    }
}

/// Writing to a `String` cannot go wrong.
fn put(line: &mut String, text: std::fmt::Arguments<'_>) {
    let _cannot_fail = line.write_fmt(text);
}

fn painted(text: &str, ansi: u8, color: bool) -> String {
    if color {
        format!("\u{1b}[{ansi}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A value of `logfmt`: quoted if it could be misread.
fn word(text: &str) -> String {
    let plain = text.chars().all(|c| !c.is_control() && !matches!(c, ' ' | '"' | '='));
    if plain { text.to_owned() } else { quoted(text) }
}

/// A field's value without the quotes of a string.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
