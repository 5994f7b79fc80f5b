//! The registry as Prometheus' text format, and that text read back.
//!
//! Guarantees: what [`prometheus`] gives is version 0.0.4 of the format, which every scraper reads: a counter's family
//! has the name of its series, so that a gauge `x` and a counter `x_total` stand side by side, and whole bucket bounds
//! have no fraction. [`Samples`] reads nothing but such text of our own.
//! Not here: which metrics there are.

use std::collections::BTreeMap;

/// The media type of [`prometheus`].
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Text that the registry's encoder wrote (OpenMetrics), as Prometheus' text format.
#[must_use]
pub fn prometheus(openmetrics: &str) -> String {
    let mut out = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "gauge" | "histogram" | "summary" => ("", kind),
                _ => ("", "untyped"),
            };
            if let Some((_, text)) = help.take().filter(|(of, _)| *of == name) {
                push(&mut out, &["# HELP ", name, suffix, " ", text, "\n"]);
            }
            push(&mut out, &["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            match bound(line) {
                Some((before, whole, after)) => push(&mut out, &[before, whole, after, "\n"]),
                None => push(&mut out, &[line, "\n"]),
            }
        }
    }
    out
}

fn push(out: &mut String, parts: &[&str]) {
    out.extend(parts.iter().copied());
}

/// A bucket's line around the `.0` of its bound.
fn bound(line: &str) -> Option<(&str, &str, &str)> {
    const LE: &str = "le=\"";
    let at = line
        .find(&format!("{{{LE}"))
        .or_else(|| line.find(&format!(",{LE}")))?
        .checked_add(LE.len())?
        .checked_add(1)?;
    let (before, rest) = line.split_at_checked(at)?;
    let (value, after) = rest.split_at_checked(rest.find('"')?)?;
    Some((before, value.strip_suffix(".0")?, after))
}

/// One series with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Sample {
    /// A label's value; empty if there is none, which means the same.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// All series of a text by the name that they begin with (`…_bucket`, `…_sum` and `…_count` are names of their own).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples(BTreeMap<String, Vec<Sample>>);

impl Samples {
    /// Reads lines for which `wanted` says so by name; lines that are no series are passed over.
    #[must_use]
    pub fn read(text: &str, wanted: impl Fn(&str) -> bool) -> Self {
        let mut all: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let Some((name, sample)) = series(line, &wanted) else {
                continue;
            };
            all.entry(name.to_owned()).or_default().push(sample);
        }
        Self(all)
    }

    /// The series of a name.
    #[must_use]
    pub fn of(&self, name: &str) -> &[Sample] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every name with its series.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Sample])> {
        self.0.iter().map(|(name, all)| (name.as_str(), all.as_slice()))
    }
}

/// The name that a line begins with.
#[must_use]
pub fn name_of(line: &str) -> &str {
    line.split(['{', ' ']).next().unwrap_or_default()
}

fn series<'a>(line: &'a str, wanted: &impl Fn(&str) -> bool) -> Option<(&'a str, Sample)> {
    let name = name_of(line);
    if !wanted(name) {
        return None;
    }
    let mut rest = line.strip_prefix(name)?;
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(label.to_owned(), value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name, Sample { labels, value }))
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at.checked_add(1)?..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prometheus_client::{
        encoding::text::encode,
        metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
        registry::Registry,
    };

    use super::*;

    fn both() -> String {
        let mut registry = Registry::default();
        let counter = Family::<Vec<(String, String)>, Counter>::default();
        let gauge = Gauge::<i64>::default();
        let histogram = Histogram::new([0.5, 4.0]);
        counter
            .get_or_create(&vec![("path".into(), "a\"b\\c\nd, le=\"1.0\"}".into())])
            .inc();
        histogram.observe(1.0);
        registry.register("x", "A state", gauge);
        registry.register("x", "A count", counter);
        registry.register("y_seconds", "A time", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        prometheus(&text)
    }

    #[test]
    fn gauge_and_counter_of_one_name_are_two_families() {
        let text = both();
        assert!(text.starts_with("# HELP x A state.\n# TYPE x gauge\nx 0\n"), "{text}");
        assert!(
            text.contains("# HELP x_total A count.\n# TYPE x_total counter\nx_total{"),
            "{text}"
        );
        let mut families: Vec<_> = text.lines().filter(|l| l.starts_with("# TYPE")).collect();
        let all = families.len();
        families.sort_unstable();
        families.dedup();
        assert_eq!(families.len(), all, "{text}");
        assert!(!text.contains("# EOF"), "{text}");
    }

    #[test]
    fn whole_bounds_have_no_fraction_and_others_keep_theirs() {
        let text = both();
        for line in [
            "y_seconds_bucket{le=\"0.5\"} 0",
            "y_seconds_bucket{le=\"4\"} 1",
            "y_seconds_bucket{le=\"+Inf\"} 1",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let samples = Samples::read(&both(), |_| true);
        assert_eq!(samples.of("x").first().unwrap().value, 0.0);
        let counted = samples.of("x_total").first().unwrap();
        assert_eq!((counted.value, counted.label("path")), (1.0, "a\"b\\c\nd, le=\"1.0\"}"));
        assert_eq!(samples.of("y_seconds_bucket").len(), 3);
        assert_eq!(samples.of("y_seconds_count").first().unwrap().value, 1.0);
        assert_eq!(samples.of("nothing"), []);
    }

    #[test]
    fn lines_that_are_no_series_are_passed_over() {
        for line in ["", "a", "a{", "a{b=\"", "a{b=\"c\"", "a{b=\"c\"}", "a{b} 1", "a x"] {
            assert_eq!(Samples::read(line, |_| true), Samples::default(), "{line}");
        }
    }
}
