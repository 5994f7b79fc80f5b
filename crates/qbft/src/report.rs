//! What was missing when a round ended: the picture and the reason that operators read.

use std::fmt;

use crate::{
    message::{Kind, Process, Round},
    quorum::{Nodes, Senders},
};

/// Who was heard in a round, per kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundReport {
    nodes: Nodes,
    round: Round,
    leader: Option<Process>,
    pre_prepare: Senders,
    prepare: Senders,
    commit: Senders,
    round_change: Senders,
}

impl RoundReport {
    /// The report of a round with messages of the given kinds and sources; DECIDED messages do not belong to a round.
    #[must_use]
    pub fn new(
        nodes: Nodes,
        round: Round,
        leader: Option<Process>,
        heard: impl IntoIterator<Item = (Kind, Process)>,
    ) -> Self {
        let none = Senders::default();
        let mut report = Self {
            nodes,
            round,
            leader,
            pre_prepare: none,
            prepare: none,
            commit: none,
            round_change: none,
        };
        for (kind, source) in heard {
            report.hear(kind, source);
        }
        report
    }

    pub(crate) fn collect(nodes: Nodes, round: Round, leader: Option<Process>, of: impl Fn(Kind) -> Senders) -> Self {
        Self {
            nodes,
            round,
            leader,
            pre_prepare: of(Kind::PrePrepare),
            prepare: of(Kind::Prepare),
            commit: of(Kind::Commit),
            round_change: of(Kind::RoundChange),
        }
    }

    /// The round.
    #[must_use]
    pub const fn round(&self) -> Round {
        self.round
    }

    fn hear(&mut self, kind: Kind, source: Process) {
        match kind {
            Kind::PrePrepare => self.pre_prepare.insert(source),
            Kind::Prepare => self.prepare.insert(source),
            Kind::Commit => self.commit.insert(source),
            Kind::RoundChange => self.round_change.insert(source),
            Kind::Decided => false,
        };
    }

    /// Whether this is a round after the first that fewer than a quorum of processes came to.
    #[must_use]
    pub fn few_round_changes(&self) -> bool {
        self.round > Round::FIRST && self.round_change.count() < self.nodes.quorum()
    }

    /// One line per kind (pre_prepare, prepare, commit, round_change) with one character per process: `*` heard,
    /// `?` missing, `_` not expected.
    #[must_use]
    pub fn steps(&self) -> [String; 4] {
        let line = |heard: &Senders, expected: &dyn Fn(Process) -> bool| {
            let mark = |p: Process| match (heard.has(p), expected(p)) {
                (true, _) => '*',
                (false, true) => '?',
                (false, false) => '_',
            };
            self.nodes.all().map(mark).collect()
        };
        [
            line(&self.pre_prepare, &|p| self.leader == Some(p)),
            line(&self.prepare, &|_| true),
            line(&self.commit, &|_| true),
            line(&self.round_change, &|_| self.round > Round::FIRST),
        ]
    }

    /// Why the round came to no decision, as far as this process can tell.
    #[must_use]
    pub fn reason(&self) -> String {
        let quorum = self.nodes.quorum();
        let missing = |heard: &Senders| Indices(self.nodes.all().filter(|p| !heard.has(*p)).collect());
        if self.few_round_changes() {
            format!(
                "insufficient round-changes, missing peers={}",
                missing(&self.round_change)
            )
        } else if self.pre_prepare.count() == 0 {
            format!(
                "no pre-prepare, missing leader={}",
                Indices(self.leader.into_iter().collect())
            )
        } else if self.prepare.count() < quorum {
            format!("insufficient prepares, missing peers={}", missing(&self.prepare))
        } else if self.commit.count() < quorum {
            format!("insufficient commits, missing peers={}", missing(&self.commit))
        } else {
            "unknown reason".to_owned()
        }
    }
}

/// `[0 2 3]`.
struct Indices(Vec<Process>);

impl fmt::Display for Indices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(Process::to_string).collect();
        write!(f, "[{}]", texts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(round: u64, heard: &[(Kind, &[u8])]) -> RoundReport {
        let heard = heard
            .iter()
            .flat_map(|(k, sources)| sources.iter().map(|s| (*k, Process(*s))));
        RoundReport::new(Nodes::new(4).unwrap(), Round(round), Some(Process(1)), heard)
    }

    #[test]
    fn the_first_thing_missing_is_the_reason() {
        use Kind::{Commit, PrePrepare, Prepare, RoundChange};
        assert_eq!(
            report(2, &[(RoundChange, &[0, 3])]).reason(),
            "insufficient round-changes, missing peers=[1 2]"
        );
        assert_eq!(
            report(2, &[(RoundChange, &[0, 1, 3])]).reason(),
            "no pre-prepare, missing leader=[1]"
        );
        assert_eq!(report(1, &[]).reason(), "no pre-prepare, missing leader=[1]");
        let heard = report(1, &[(PrePrepare, &[1]), (Prepare, &[2])]);
        assert_eq!(heard.reason(), "insufficient prepares, missing peers=[0 1 3]");
        assert_eq!(heard.steps(), ["_*__", "??*?", "????", "____"]);
        let heard = report(1, &[(PrePrepare, &[1]), (Prepare, &[0, 1, 2]), (Commit, &[0, 1])]);
        assert_eq!(heard.reason(), "insufficient commits, missing peers=[2 3]");
    }
}
