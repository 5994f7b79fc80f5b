use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use trireme_telemetry::{
    LogFormat,
    health::CHECKS,
    logs::{Level, Record},
};

/// An object whose members keep their order.
struct Ordered(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut out = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    out.push(pair);
                }
                Ok(Ordered(out))
            }
        }
        from.deserialize_map(V)
    }
}

fn level(word: &str) -> Level {
    match word {
        "debug" | "DEBG" => Level::Debug,
        "info" | "INFO" => Level::Info,
        "warn" | "WARN" => Level::Warn,
        "error" | "ERRO" => Level::Error,
        other => panic!("level {other}"),
    }
}

fn from_json(line: &str) -> Record {
    let Ordered(mut members) = serde_json::from_str(line).unwrap();
    let mut take = |name: &str| {
        let at = members.iter().position(|(n, _)| n == name)?;
        Some(members.remove(at).1.as_str().unwrap().to_owned())
    };
    let ts = take("ts").unwrap();
    Record {
        level: level(&take("level").unwrap()),
        clock: ts.clone(),
        ts,
        caller: take("caller").unwrap_or_default(),
        msg: take("msg").unwrap(),
        stack: take("stacktrace"),
        topic: take("topic"),
        fields: members,
    }
}

/// Reads coloured console lines back; a line that begins with a tab belongs to the stack of the one before.
fn from_console(text: &str) -> Vec<Record> {
    let mut out: Vec<Record> = Vec::new();
    for line in text.lines() {
        if line.starts_with('\t') {
            let record = out.last_mut().unwrap();
            let stack = record
                .stack
                .take()
                .map_or_else(|| line.to_owned(), |s| format!("{s}\n{line}"));
            record.stack = Some(stack);
            continue;
        }
        let (clock, rest) = line.split_once(' ').unwrap();
        let paint = |rest: &str| -> (String, String) {
            let (_, rest) = rest.split_once('m').unwrap();
            let (text, rest) = rest.split_once("\u{1b}[0m ").unwrap();
            (text.to_owned(), rest.to_owned())
        };
        let (letters, rest) = paint(rest);
        let (topic, rest) = paint(&rest);
        let (msg, fields) = match rest.find(" {\"") {
            Some(at) => (
                rest[..at].to_owned(),
                serde_json::from_str::<Ordered>(&rest[at..]).unwrap().0,
            ),
            None => (rest.clone(), Vec::new()),
        };
        assert!(clock.len() == "15:04:05.000".len(), "{clock}");
        out.push(Record {
            level: level(&letters),
            clock: clock.to_owned(),
            ts: String::new(),
            caller: String::new(),
            msg: msg.trim_end().to_owned(),
            stack: None,
            fields,
            topic: Some(topic.trim_end().to_owned()).filter(|t| !t.is_empty()),
        });
    }
    out
}

#[test]
fn log_sample() {
    trireme_vectors::each("dashboards", "log-sample", |e| {
        let text = e.text();
        let form = e.opt::<String>("form");
        let format = form.as_deref().map_or(LogFormat::Console, |f| f.parse().unwrap());
        let json = match (e.twin(), format) {
            (Some(twin), _) => Some(twin.text()),
            (None, LogFormat::Json) => Some(text.clone()),
            (None, _) => None,
        };
        let records = match json {
            Some(json) => json.lines().map(from_json).collect(),
            None => from_console(&text),
        };
        assert!(!records.is_empty());
        let rendered: String = records.iter().map(|r| r.render(format, true)).collect();
        assert_eq!(rendered, text);
    });
}

#[test]
fn health_checks() {
    #[derive(serde::Deserialize)]
    struct Known {
        name: String,
        severity: String,
        description: String,
    }
    trireme_vectors::each("dashboards", "health-checks", |e| {
        let known: Vec<Known> = e.parse();
        let theirs: BTreeMap<_, _> = known.iter().map(|k| (k.name.as_str(), k.severity.as_str())).collect();
        let ours: BTreeMap<_, _> = CHECKS.iter().map(|c| (c.name, c.severity.word())).collect();
        assert_eq!(ours, theirs);
        for check in CHECKS {
            let same = known.iter().any(|k| k.description == check.description);
            assert!(!same, "the description of {} is not in our own words", check.name);
        }
    });
}
