//! Vectors of the exchange of priorities: messages, scores, results, and what follows from them.

use std::collections::BTreeMap;

use serde::Deserialize;
use trireme_core::{
    Duty, DutyType,
    infosync::enough_for_plural,
    priority::{
        Topic,
        calculate::calculate,
        message::{open, signed, signing_digest},
        result::PriorityResult,
    },
};
use trireme_eth2::Slot;
use trireme_keys::{IdentityKey, PeerId};

/// A message of `peer` without signature that wants `priorities` for one topic.
fn wish(peer: &str, priorities: &[String]) -> trireme_proto::core::v1::PriorityMsg {
    let topics = [Topic {
        name: "topic".to_owned(),
        priorities: priorities.to_vec(),
    }];
    let key = IdentityKey::from_bytes(&[1; 32]).unwrap();
    let mut msg = signed(Duty::new(Slot(7), DutyType::InfoSync), &topics, &key);
    msg.peer_id = peer.to_owned();
    msg
}

/// Priorities and scores of the only topic.
fn scored(result: &PriorityResult) -> Vec<(String, i64)> {
    let texts = result.texts().unwrap().remove("topic").unwrap();
    let scores = result.0.topics[0].priorities.iter().map(|p| p.score);
    texts.into_iter().zip(scores).collect()
}

mod vectors {
    use prost::Message as _;
    use trireme_core::consensus::{hash::digest, wire::Carried};

    use super::*;

    #[test]
    fn core_priority_scores() {
        #[derive(Deserialize)]
        struct Case {
            name: String,
            proposals: Vec<Vec<String>>,
            result: Vec<String>,
            scores: Vec<i64>,
        }
        #[derive(Deserialize)]
        struct File {
            min_required: usize,
            cases: Vec<Case>,
        }
        trireme_vectors::each("core", "priority-scores", |e| {
            let file: File = e.parse();
            for case in file.cases {
                let wishes = case.proposals.iter().enumerate();
                let mut msgs: Vec<_> = wishes.map(|(i, list)| wish(&i.to_string(), list)).collect();
                let expected: Vec<_> = case.result.into_iter().zip(case.scores).collect();
                for _ in 0..2 {
                    let result = calculate(&msgs, file.min_required).unwrap();
                    assert_eq!(scored(&result), expected, "{}", case.name);
                    assert_eq!(result.0.msgs, msgs, "{}: messages stay in their order", case.name);
                    msgs.reverse();
                }
            }
        });
    }

    #[test]
    fn p2p_priority_calculate() {
        #[derive(Deserialize)]
        struct Wish {
            peer_id: String,
            priorities: Vec<String>,
        }
        #[derive(Deserialize)]
        struct Scored {
            priority: String,
            score: i64,
        }
        #[derive(Deserialize)]
        struct Case {
            name: String,
            min_required: usize,
            messages: Vec<Wish>,
            expected: Vec<Scored>,
        }
        #[derive(Deserialize)]
        struct File {
            cases: Vec<Case>,
        }
        trireme_vectors::each("p2p", "priority-calculate", |e| {
            let file: File = e.parse();
            for case in file.cases {
                let mut msgs: Vec<_> = case.messages.iter().map(|w| wish(&w.peer_id, &w.priorities)).collect();
                let expected: Vec<_> = case.expected.into_iter().map(|s| (s.priority, s.score)).collect();
                for _ in 0..2 {
                    assert_eq!(
                        scored(&calculate(&msgs, case.min_required).unwrap()),
                        expected,
                        "{}",
                        case.name
                    );
                    msgs.reverse();
                }
            }
        });
    }

    #[test]
    fn p2p_priority_msg() {
        #[derive(Deserialize)]
        struct Proposal {
            topic: String,
            priorities: Vec<String>,
        }
        #[derive(Deserialize)]
        struct Case {
            private_key_hex: String,
            peer_id: String,
            slot: u64,
            duty_type: i64,
            topics: Vec<Proposal>,
            hash_hex: String,
            message_hex: String,
        }
        #[derive(Deserialize)]
        struct File {
            cases: Vec<Case>,
        }
        trireme_vectors::each("p2p", "priority-msg", |e| {
            let file: File = e.parse();
            for case in file.cases {
                let key: [u8; 32] = hex::decode(&case.private_key_hex).unwrap().try_into().unwrap();
                let key = IdentityKey::from_bytes(&key).unwrap();
                let topics: Vec<_> = case
                    .topics
                    .into_iter()
                    .map(|t| Topic {
                        name: t.topic,
                        priorities: t.priorities,
                    })
                    .collect();
                let duty = Duty::new(Slot(case.slot), DutyType::try_from(case.duty_type).unwrap());
                let msg = signed(duty, &topics, &key);
                assert_eq!(hex::encode(signing_digest(&msg)), case.hash_hex);
                assert_eq!(hex::encode(msg.encode_to_vec()), case.message_hex);

                let from = PeerId::from(key.public_key());
                assert_eq!(from.to_string(), case.peer_id);
                let opened = open(msg.encode_to_vec().into(), from).unwrap();
                assert_eq!(opened.duty(), (case.slot, case.duty_type));
                assert_eq!(opened.verify().unwrap(), msg);
            }
        });
    }

    #[test]
    fn p2p_priority_result() {
        #[derive(Deserialize)]
        struct Scored {
            priority: String,
            score: i64,
        }
        #[derive(Deserialize)]
        struct Case {
            name: String,
            min_required: usize,
            message_hex: Vec<String>,
            result_hex: String,
            hash_hex: String,
            topic_order: Vec<String>,
            topics: BTreeMap<String, Vec<Scored>>,
        }
        #[derive(Deserialize)]
        struct File {
            cases: Vec<Case>,
        }
        trireme_vectors::each("p2p", "priority-result", |e| {
            let file: File = e.parse();
            for case in file.cases {
                let msgs: Vec<_> = case
                    .message_hex
                    .iter()
                    .map(|m| trireme_proto::core::v1::PriorityMsg::decode(hex::decode(m).unwrap().as_slice()).unwrap())
                    .collect();
                for msg in &msgs {
                    let from: PeerId = msg.peer_id.parse().unwrap();
                    open(msg.encode_to_vec().into(), from).unwrap().verify().unwrap();
                }
                let result = calculate(&msgs, case.min_required).unwrap();
                let bytes = result.0.encode_to_vec();
                assert_eq!(hex::encode(&bytes), case.result_hex, "{}", case.name);
                assert_eq!(hex::encode(digest(&bytes)), case.hash_hex, "{}", case.name);

                let value = Carried::of_priorities(&result);
                let hash = value.hash().unwrap().unwrap();
                assert_eq!(hex::encode(hash.as_bytes()), case.hash_hex, "{}", case.name);
                let decided = value.priorities().unwrap();
                assert_eq!(decided, result);
                assert!(value.set().is_err(), "it is no set of data to sign");

                let texts = decided.texts().unwrap();
                let order: Vec<_> = result.0.topics.iter().map(|t| t.topic.clone().unwrap()).collect();
                let expected: Vec<_> = case
                    .topic_order
                    .iter()
                    .map(|t| trireme_core::priority::result::wrap(t))
                    .collect();
                assert_eq!(order, expected, "{}", case.name);
                for (topic, name) in result.0.topics.iter().zip(&case.topic_order) {
                    let scores = topic.priorities.iter().map(|p| p.score);
                    let got: Vec<_> = texts[name].iter().cloned().zip(scores).collect();
                    let expected = case.topics[name].iter().map(|s| (s.priority.clone(), s.score));
                    assert_eq!(got, expected.collect::<Vec<_>>(), "{} {name}", case.name);
                }
            }
        });
    }

    #[test]
    fn core_sync_contribution_gate() {
        #[derive(Deserialize)]
        struct Case {
            versions: Vec<String>,
            enabled: bool,
        }
        #[derive(Deserialize)]
        struct File {
            cases: Vec<Case>,
        }
        trireme_vectors::each("core", "sync-contribution-gate", |e| {
            let file: File = e.parse();
            for case in file.cases {
                assert_eq!(enough_for_plural(&case.versions), case.enabled, "{:?}", case.versions);
            }
        });
    }
}
