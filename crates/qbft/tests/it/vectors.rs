//! Formulas and reports of another implementation.

use std::collections::BTreeMap;

use serde::Deserialize;
use trireme_qbft::{Kind, Nodes, Process, Round, RoundReport};

#[derive(Deserialize)]
struct Quorums {
    cases: Vec<Quorum>,
}

#[derive(Deserialize)]
struct Quorum {
    nodes: u8,
    quorum: usize,
    faulty: usize,
}

#[test]
fn qbft_quorum() {
    trireme_vectors::each("core", "qbft-quorum", |entry| {
        let file: Quorums = entry.parse();
        for case in file.cases {
            let nodes = Nodes::new(case.nodes).unwrap();
            assert_eq!(
                (nodes.quorum(), nodes.faulty()),
                (case.quorum, case.faulty),
                "{} nodes",
                case.nodes
            );
        }
    });
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    steps: Vec<String>,
    reason: String,
}

#[test]
fn qbft_round_steps() {
    trireme_vectors::each("core", "qbft-round-steps", |entry| {
        let nodes = Nodes::new(entry.field("nodes")).unwrap();
        let leader: u8 = entry.field("leader");
        let round: u64 = entry.field("round");
        let messages: BTreeMap<String, Vec<u8>> = entry.field("messages");
        assert_eq!(nodes.quorum(), entry.field::<usize>("quorum"));
        let heard = messages.iter().flat_map(|(name, senders)| {
            let kind = Kind::ALL.into_iter().find(|k| k.name() == name).unwrap();
            senders.iter().map(move |s| (kind, Process(*s)))
        });
        let report = RoundReport::new(nodes, Round(round), Some(Process(leader)), heard);
        let expected: Report = entry.parse();
        assert_eq!(report.steps().as_slice(), expected.steps);
        assert_eq!(report.reason(), expected.reason);
    });
}
