//! Requests of a well-behaved validator client, with real signatures.

mod aggregates;
mod attestations;
mod blocks;
mod selections;
mod simple;
mod validators;

use std::{collections::BTreeMap, sync::Arc};

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use ssz::Encode as _;
use tracing::Level;
use trireme_core::{
    Duty, DutyType, PeerIdx, PubKey, ShareIdx,
    answers::NoAnswer,
    cluster::{Cluster, Validator},
    data::SignedData,
    ports::BeaconError,
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BlsPubkey, BlsSignature, ChainSpec, CommitteeIndex, DomainType, Epoch, ForkedBlock,
    Gwei, ProposerDuty, Root, SingleAttestation, Slot, ValidatorIndex, ValidatorInfo, ValidatorRecord, ValidatorStatus,
    VersionedProposal, electra, fulu, hash_tree_root,
};
use trireme_tbls::{SecretKey, split};
use trireme_testutil::sim::Lines;

use crate::fixture::{Bench, CLUSTER_HASH, Got, NODE_VERSION, Plan, chain, config};

/// Two validators with indices 100 and 101; this node is the second of four.
pub(crate) struct Keyed {
    pub(crate) bench: Bench,
    pub(crate) chain: ChainSpec,
    pub(crate) groups: Vec<PubKey>,
    /// Our shares.
    pub(crate) own: Vec<SecretKey>,
    /// The whole keys, which nobody has.
    pub(crate) whole: Vec<SecretKey>,
}

pub(crate) const SLOT: Slot = Slot(70);

fn secret(n: u8) -> SecretKey {
    SecretKey::from_randomness([n; 64]).unwrap()
}

pub(crate) fn keyed() -> Keyed {
    keyed_with(config(), &[])
}

/// With settings and beacon nodes.
pub(crate) fn keyed_with(config: trireme_vapi::Config, upstreams: &[&str]) -> Keyed {
    keyed_on(|plan| {
        plan.config = config;
        plan.upstreams = upstreams
            .iter()
            .map(|url| trireme_vapi::Upstream {
                url: url.parse().unwrap(),
                headers: http::HeaderMap::new(),
            })
            .collect();
    })
}

/// On a bench whose plan is changed.
pub(crate) fn keyed_on(change: impl FnOnce(&mut Plan)) -> Keyed {
    let (mut groups, mut own, mut whole, mut validators) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for n in [1, 2] {
        let group = secret(n);
        let shares = split(&group, 3, 4, &mut |out: &mut [u8; 64]| out.fill(n + 10)).unwrap();
        groups.push(PubKey(group.public_key().to_bytes()));
        own.push(shares[&2].clone());
        whole.push(group.clone());
        validators.push(Validator {
            key: PubKey(group.public_key().to_bytes()),
            shares: shares.values().map(|s| s.public_key().to_bytes()).collect(),
            fee_recipient: [0; 20],
        });
    }
    let chain = chain(&json!({}), Root([9; 32]));
    let mut plan = Plan {
        cluster: Cluster::new(CLUSTER_HASH, 4, 3, PeerIdx(1), validators),
        chain: chain.clone(),
        bls: true,
        ..Plan::synthetic(&[])
    };
    change(&mut plan);
    let bench = Bench::new(plan);
    Keyed {
        bench,
        chain,
        groups,
        own,
        whole,
    }
}

pub(crate) fn info(key: PubKey, index: u64, status: ValidatorStatus) -> ValidatorInfo {
    ValidatorInfo {
        index: ValidatorIndex(index),
        balance: Gwei(32_000_000_000),
        status,
        validator: ValidatorRecord {
            pubkey: BlsPubkey(key.0),
            withdrawal_credentials: Root([1; 32]),
            effective_balance: Gwei(32_000_000_000),
            slashed: false,
            activation_eligibility_epoch: Epoch(0),
            activation_epoch: Epoch(0),
            exit_epoch: Epoch(u64::MAX),
            withdrawable_epoch: Epoch(u64::MAX),
        },
    }
}

pub(crate) fn data() -> AttestationData {
    let mut data = AttestationData {
        slot: SLOT,
        beacon_block_root: Root([3; 32]),
        ..AttestationData::default()
    };
    data.target.epoch = Epoch(2);
    data
}

impl Keyed {
    /// The beacon node knows both validators.
    pub(crate) fn active(&self) {
        self.bench.know(|k| {
            k.validators = vec![
                info(self.groups[0], 100, ValidatorStatus::ActiveOngoing),
                info(self.groups[1], 101, ValidatorStatus::ActiveOngoing),
            ];
        });
    }

    /// What `key` signs of an object under a domain in the epoch of `SLOT`.
    pub(crate) fn sign(&self, key: &SecretKey, root: Root, domain: DomainType) -> BlsSignature {
        let root = self.chain.signing_root(root, domain, Epoch(2));
        BlsSignature(key.sign(&root.0).to_bytes())
    }

    pub(crate) fn share(&self, n: usize) -> String {
        format!("0x{}", hex::encode(self.own[n].public_key().to_bytes()))
    }

    pub(crate) fn duty(&self, n: usize, committee: u64) -> AttesterDuty {
        AttesterDuty {
            pubkey: BlsPubkey(self.groups[n].0),
            slot: SLOT,
            validator_index: ValidatorIndex(100 + n as u64),
            committee_index: CommitteeIndex(committee),
            committee_length: 10,
            committees_at_slot: 4,
            validator_committee_index: n as u64,
        }
    }

    /// Both attest in `SLOT`, the first in committee 3, the second in 1, and it has been decided.
    pub(crate) fn decided(&self) {
        self.bench.know(|k| {
            k.attesters = vec![self.duty(0, 3), self.duty(1, 1)];
            for (n, committee) in [(0, 3), (1, 1)] {
                for c in [committee, 0] {
                    k.attestation_data.insert((SLOT, CommitteeIndex(c)), data());
                    k.pubkeys.insert(
                        (SLOT, CommitteeIndex(c), ValidatorIndex(100 + n as u64)),
                        self.groups[n],
                    );
                }
            }
        });
    }

    pub(crate) fn single(&self, n: usize, committee: u64) -> SingleAttestation {
        let root = self
            .chain
            .signing_root(hash_tree_root(&data()), DomainType::BeaconAttester, Epoch(2));
        SingleAttestation {
            committee_index: CommitteeIndex(committee),
            attester_index: ValidatorIndex(100 + n as u64),
            data: data(),
            signature: BlsSignature(self.own[n].sign(&root.0).to_bytes()),
        }
    }

    pub(crate) async fn attest(&self, list: &[SingleAttestation]) -> Got {
        let path = "/eth/v2/beacon/pool/attestations";
        self.bench
            .post(path, &[("eth-consensus-version", "fulu")], &json!(list))
            .await
    }

    /// The second validator proposes in `SLOT`, and the block has been decided.
    pub(crate) fn proposes(&self) -> Arc<VersionedProposal> {
        let mut contents = fulu::BlockContents::default();
        contents.block.slot = SLOT;
        contents.block.proposer_index = ValidatorIndex(101);
        let block = Arc::new(VersionedProposal::Full(ForkedBlock::Fulu(contents)));
        self.bench.know(|k| {
            k.proposers = vec![ProposerDuty {
                pubkey: BlsPubkey(self.groups[1].0),
                slot: SLOT,
                validator_index: ValidatorIndex(101),
            }];
            k.proposals.insert(SLOT, Arc::clone(&block));
        });
        block
    }

    pub(crate) fn randao(&self) -> BlsSignature {
        let root = self
            .chain
            .signing_root(hash_tree_root(&Epoch(2)), DomainType::Randao, Epoch(2));
        BlsSignature(self.own[1].sign(&root.0).to_bytes())
    }

    pub(crate) fn signed(&self, block: &VersionedProposal) -> trireme_eth2::VersionedSignedProposal {
        let root = self
            .chain
            .signing_root(block.block_root(), DomainType::BeaconProposer, Epoch(2));
        block.clone().sign(BlsSignature(self.own[1].sign(&root.0).to_bytes()))
    }
}

#[tokio::test]
async fn vc_41_and_46_registrations_and_preparations_are_accepted_unread_and_retired_routes_are_not_found() {
    let k = keyed();
    for path in [
        "/eth/v1/validator/register_validator",
        "/eth/v1/validator/prepare_beacon_proposer",
    ] {
        let got = k.bench.ask("POST", path, &[], "not even json").await;
        assert_eq!(
            (got.status, got.body.len(), got.header("content-type")),
            (StatusCode::OK, 0, None)
        );
    }
    for (method, path) in [
        ("GET", "/teku_proposer_config"),
        ("POST", "/eth/v1/beacon/pool/attestations"),
    ] {
        assert_eq!(
            k.bench.ask(method, path, &[], Body::empty()).await.error(404),
            "NotFound"
        );
    }
}

#[tokio::test]
async fn the_node_version_is_the_configured_text_and_the_client_is_remembered() {
    let k = keyed();
    let got = k
        .bench
        .ask(
            "GET",
            "/eth/v1/node/version",
            &[("user-agent", "Vouch/1.13.1")],
            Body::empty(),
        )
        .await;
    assert_eq!(got.json(), json!({ "data": { "version": NODE_VERSION } }));
    let metrics = k.bench.metrics();
    for part in [
        r#"core_validatorapi_vc_user_agent{user_agent="Vouch/1.13.1"} 1"#,
        r#"core_validatorapi_request_total{endpoint="node_version",content_type="application/json"} 1"#,
        r#"core_validatorapi_request_latency_seconds_count{endpoint="node_version"} 1"#,
    ] {
        assert!(metrics.contains(part), "{part}\n{metrics}");
    }
}
