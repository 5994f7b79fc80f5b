//! What nodes say of themselves on `/metrics`.
//!
//! Guarantees: a node that does not answer, or does not say, is `None`, never zero. Not here: judging by it.

use std::collections::BTreeMap;

/// One sample: the metric's name, its labels and value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Everything that a node said at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scrape(Vec<Sample>);

/// What a node's tracker has counted of one kind of duty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tracked {
    /// Duties that it looked at.
    pub(crate) expected: u64,
    /// Those that it saw succeed.
    pub(crate) done: u64,
    /// Those that it saw fail.
    pub(crate) failed: u64,
}

impl Tracked {
    /// What came on top of `before`; all of it if the node began anew in between.
    pub(crate) const fn since(self, before: Self) -> Self {
        match (
            self.expected.checked_sub(before.expected),
            self.done.checked_sub(before.done),
            self.failed.checked_sub(before.failed),
        ) {
            (Some(expected), Some(done), Some(failed)) => Self { expected, done, failed },
            _ => self,
        }
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            expected: self.expected.saturating_add(other.expected),
            done: self.done.saturating_add(other.done),
            failed: self.failed.saturating_add(other.failed),
        }
    }
}

impl Scrape {
    /// Reads the text format; lines that are not samples are skipped.
    pub(crate) fn read(text: &str) -> Self {
        Self(
            text.lines()
                .filter(|l| !l.starts_with('#'))
                .filter_map(sample)
                .collect(),
        )
    }

    /// The round in which the newest duty of this kind was decided.
    pub(crate) fn round(&self, duty: &str) -> Option<u64> {
        let found = self
            .0
            .iter()
            .filter(|s| s.name == "core_consensus_decided_rounds")
            .filter(|s| s.has("duty", duty));
        found.map(|s| whole(s.value)).max()
    }

    /// Decisions on duties of this kind so far.
    pub(crate) fn agreements(&self, duty: &str) -> u64 {
        let name = "core_consensus_duration_seconds_count";
        let found = self.0.iter().filter(|s| s.name == name && s.has("duty", duty));
        found.map(|s| whole(s.value)).fold(0, u64::saturating_add)
    }

    /// What the node's tracker says of its duties so far, by kind.
    pub(crate) fn tracked(&self) -> BTreeMap<String, Tracked> {
        let mut all: BTreeMap<String, Tracked> = BTreeMap::new();
        for sample in &self.0 {
            let Some(duty) = sample.labels.get("duty") else {
                continue;
            };
            let count = whole(sample.value);
            let add = |n: &mut u64| *n = n.saturating_add(count);
            match sample.name.as_str() {
                "core_tracker_expect_duties_total" => add(&mut all.entry(duty.clone()).or_default().expected),
                "core_tracker_success_duties_total" => add(&mut all.entry(duty.clone()).or_default().done),
                "core_tracker_failed_duties_total" => add(&mut all.entry(duty.clone()).or_default().failed),
                _ => {}
            }
        }
        all.retain(|_, t| *t != Tracked::default());
        all
    }

    /// Partial signatures of this kind stored so far, by the position of their sender.
    pub(crate) fn partials(&self, duty: &str) -> BTreeMap<usize, u64> {
        let found = self
            .0
            .iter()
            .filter(|s| s.name == "core_parsigdb_store_count")
            .filter(|s| s.has("duty", duty));
        found
            .filter_map(|s| Some((s.labels.get("peer_idx")?.parse().ok()?, whole(s.value))))
            .collect()
    }
}

impl Sample {
    fn has(&self, label: &str, value: &str) -> bool {
        self.labels.get(label).is_some_and(|v| v == value)
    }
}

/// Counters are whole numbers.
fn whole(value: f64) -> u64 {
    // `f64` has no checked conversion; its text without fraction is exact.
    format!("{:.0}", value.max(0.0)).parse().unwrap_or(u64::MAX)
}

fn sample(line: &str) -> Option<Sample> {
    let (head, value) = line.trim().rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let (name, labels) = match head.split_once('{') {
        Some((name, rest)) => (name, labels(rest.trim_end().strip_suffix('}')?)?),
        None => (head, BTreeMap::new()),
    };
    Some(Sample {
        name: name.trim().to_owned(),
        labels,
        value,
    })
}

/// `a="b",c="d"`, with backslash escapes in the values.
fn labels(text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    let mut rest = text.trim_start_matches(',');
    while !rest.trim().is_empty() {
        let (name, after) = rest.split_once("=\"")?;
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (at, c) in after.char_indices() {
            match c {
                _ if escaped => {
                    value.push(if c == 'n' { '\n' } else { c });
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    end = Some(at);
                    break;
                }
                _ => value.push(c),
            }
        }
        labels.insert(name.trim().to_owned(), value);
        rest = after.get(end?.saturating_add(1)..)?.trim_start_matches([',', ' ']);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP core_consensus_decided_rounds Rounds
# TYPE core_consensus_decided_rounds gauge
core_consensus_decided_rounds{cluster_name="a \"b\", c",duty="attester",protocol="qbft",timer="eager_dlinear"} 2
core_consensus_decided_rounds{duty="proposer"} 1
core_parsigdb_store_count{duty="attester",peer_idx="0"} 17
core_parsigdb_store_count{duty="attester",peer_idx="3"} 1.6e+01
core_parsigdb_store_count{duty="randao",peer_idx="0"} 4
core_consensus_duration_seconds_count{duty="info_sync",timer="inc"} 2
core_consensus_duration_seconds_bucket{duty="info_sync",le="1"} 9
core_tracker_expect_duties_total{duty="attester"} 5
core_tracker_success_duties_total{duty="attester"} 4
core_tracker_failed_duties_total{duty="attester"} 1
core_tracker_failed_duties_total{duty="exit"} 0
plain 7
broken{duty="x 1
"#;

    #[test]
    fn rounds_and_partials_are_read_by_duty() {
        let scrape = Scrape::read(TEXT);
        assert_eq!(
            (
                scrape.round("attester"),
                scrape.round("proposer"),
                scrape.round("randao")
            ),
            (Some(2), Some(1), None)
        );
        assert_eq!(scrape.partials("attester"), BTreeMap::from([(0, 17), (3, 16)]));
        assert_eq!(scrape.partials("proposer"), BTreeMap::new());
        assert_eq!((scrape.agreements("info_sync"), scrape.agreements("attester")), (2, 0));
        let attester = Tracked {
            expected: 5,
            done: 4,
            failed: 1,
        };
        assert_eq!(scrape.tracked(), BTreeMap::from([("attester".to_owned(), attester)]));
        assert_eq!(scrape.0.len(), 12);
    }

    #[test]
    fn nothing_is_read_from_nonsense() {
        assert_eq!(Scrape::read("<html>not found</html>\n\n{} x"), Scrape::default());
    }
}
