//! Messages of the network vectors, decoded, checked and encoded again.

use prost::Message;
use prost_types::Timestamp;
use serde::Deserialize;
use trireme_proto::{
    core::v1::{ParSigExMsg, PriorityMsg, PriorityResult, QbftConsensusMsg, QbftMsg},
    dkg::v1::{BCastMessage, BCastSigRequest, FrostRound1Casts, FrostRound1P2p, FrostRound2Casts},
    peerinfo::v1::PeerInfo,
    presence::Presence,
};

#[derive(Deserialize)]
struct Cases<T> {
    cases: Vec<T>,
}

#[derive(Deserialize)]
struct NilCheck {
    message: String,
    message_hex: String,
    accepted: bool,
}

fn accepted<M: Message + Presence + Default>(bytes: &[u8]) -> bool {
    M::decode(bytes).is_ok_and(|m| m.present().is_ok())
}

#[test]
fn nil_check() {
    trireme_vectors::each("p2p", "nil-check", |e| {
        for case in e.parse::<Cases<NilCheck>>().cases {
            let bytes = hex::decode(&case.message_hex).expect("hex");
            let got = match case.message.rsplit('.').next().unwrap_or_default() {
                "ParSigExMsg" => accepted::<ParSigExMsg>(&bytes),
                "PriorityMsg" => accepted::<PriorityMsg>(&bytes),
                "PriorityResult" => accepted::<PriorityResult>(&bytes),
                "QBFTMsg" => accepted::<QbftMsg>(&bytes),
                "QBFTConsensusMsg" => accepted::<QbftConsensusMsg>(&bytes),
                "PeerInfo" => accepted::<PeerInfo>(&bytes),
                "BCastSigRequest" => accepted::<BCastSigRequest>(&bytes),
                "BCastMessage" => accepted::<BCastMessage>(&bytes),
                "FrostRound1Casts" => accepted::<FrostRound1Casts>(&bytes),
                "FrostRound1P2P" => accepted::<FrostRound1P2p>(&bytes),
                "FrostRound2Casts" => accepted::<FrostRound2Casts>(&bytes),
                other => panic!("no message {other}"),
            };
            assert_eq!(got, case.accepted, "{} {}", case.message, case.message_hex);
        }
    });
}

#[derive(Deserialize)]
struct PeerInfoCase {
    name: String,
    charon_version: String,
    lock_hash_hex: String,
    sent_at: Option<(i64, i32)>,
    git_hash: String,
    started_at: Option<(i64, i32)>,
    builder_api_enabled: bool,
    nickname: String,
    dv_client: String,
    message_hex: String,
    frame_hex: String,
}

#[test]
fn peerinfo_msg() {
    let time = |(seconds, nanos)| Timestamp { seconds, nanos };
    trireme_vectors::each("p2p", "peerinfo-msg", |e| {
        for case in e.parse::<Cases<PeerInfoCase>>().cases {
            let msg = PeerInfo {
                charon_version: case.charon_version,
                lock_hash: hex::decode(&case.lock_hash_hex).expect("hex").into(),
                sent_at: case.sent_at.map(time),
                git_hash: case.git_hash,
                started_at: case.started_at.map(time),
                builder_api_enabled: case.builder_api_enabled,
                nickname: case.nickname,
                dv_client: case.dv_client,
            };
            assert_eq!(hex::encode(msg.encode_to_vec()), case.message_hex, "{}", case.name);
            assert_eq!(
                hex::encode(msg.encode_length_delimited_to_vec()),
                case.frame_hex,
                "{}",
                case.name
            );
            let bytes = hex::decode(&case.message_hex).expect("hex");
            assert_eq!(PeerInfo::decode(&bytes[..]).expect("a message"), msg, "{}", case.name);
        }
    });
}
