//! A recording of a validator client and a node, and a bench that knows what that node knew.

use std::{collections::BTreeMap, str::FromStr as _, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::Value;
use trireme_core::{
    Duty, DutyType, PeerIdx, PubKey,
    cluster::{Cluster, Validator},
    data::SignedData,
    definitions::DutyDefinition,
    scheme::{Bls, Claim, Scheme as _, Signer},
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BeaconCommitteeSelection, BlsPubkey, BlsSignature, ChainSpec, CommitteeIndex,
    DomainType, Epoch, Fork, ForkedAttestation, ProposalResponse, ProposerDuty, Root, SingleAttestation, Slot,
    SyncCommitteeContribution, SyncCommitteeSelection, SyncDuty, ValidatorIndex, ValidatorInfo, Versioned as _,
    VersionedAttestation, VersionedProposal, VersionedSignedProposal, hash_tree_root,
};
use trireme_vapi::{Endpoint, Route, route};

use crate::fixture::{Bench, Known, Plan};

/// One request and, as far as it counts, its answer.
pub(super) struct Exchange {
    pub(super) name: String,
    pub(super) method: String,
    /// With query.
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) status: Option<u16>,
    /// `None` if it is not known completely.
    pub(super) answer: Option<Vec<u8>>,
}

impl Exchange {
    pub(super) fn route(&self) -> Route {
        route(&self.method.parse().unwrap(), self.path.split('?').next().unwrap())
    }

    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        match self.route() {
            Route::Here(endpoint, _) => Some(endpoint),
            _ => None,
        }
    }

    pub(super) fn query(&self, name: &str) -> Option<String> {
        let query = self.path.split_once('?')?.1;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    }

    /// The last segment of the path, a number.
    pub(super) fn number_in_path(&self) -> Option<u64> {
        self.path.split('?').next()?.rsplit('/').next()?.parse().ok()
    }

    pub(super) fn ok_json(&self) -> Option<Value> {
        let body = self.answer.as_ref().filter(|_| self.status == Some(200))?;
        serde_json::from_slice(body).ok()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The block in the body.
    fn block(&self, blinded: bool) -> Option<VersionedSignedProposal> {
        let fork: Fork = self.header("eth-consensus-version")?.parse().ok()?;
        if self.header("content-type") == Some("application/octet-stream") {
            VersionedSignedProposal::decode_ssz(fork, blinded, &self.body).ok()
        } else {
            VersionedSignedProposal::decode_json(fork, blinded, std::str::from_utf8(&self.body).ok()?).ok()
        }
    }

    pub(super) async fn replay(&self, bench: &Bench) -> crate::fixture::Got {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        bench.ask(&self.method, &self.path, &headers, self.body.clone()).await
    }

    /// Checks that the recorded answer can be read with our types.
    pub(super) fn read_answer(&self, endpoint: Endpoint) {
        let (Some(status), Some(body)) = (self.status, &self.answer) else {
            return;
        };
        if status >= 400 {
            let value: Value = self.read(body);
            assert_eq!(value["code"].as_u64(), Some(status.into()), "{}", self.name);
            assert!(value["message"].is_string(), "{}", self.name);
            return;
        }
        let data = |name: &str| self.read::<Value>(body)[name].clone();
        match endpoint {
            Endpoint::AttesterDuties => drop(of::<Vec<AttesterDuty>>(data("data"))),
            Endpoint::ProposerDuties | Endpoint::ProposerDutiesV2 => drop(of::<Vec<ProposerDuty>>(data("data"))),
            Endpoint::SyncCommitteeDuties => drop(of::<Vec<SyncDuty>>(data("data"))),
            Endpoint::AttestationData => drop(of::<AttestationData>(data("data"))),
            Endpoint::GetValidators => drop(of::<Vec<ValidatorInfo>>(data("data"))),
            Endpoint::GetValidator => drop(of::<ValidatorInfo>(data("data"))),
            Endpoint::ProposeBlockV3 => drop(self.read::<ProposalResponse>(body)),
            Endpoint::AggregateBeaconCommitteeSelections => drop(of::<Vec<BeaconCommitteeSelection>>(data("data"))),
            Endpoint::AggregateSyncCommitteeSelections => drop(of::<Vec<SyncCommitteeSelection>>(data("data"))),
            Endpoint::AggregateAttestationV2 => drop(self.read::<ForkedAttestation>(body)),
            Endpoint::SyncCommitteeContribution => drop(of::<SyncCommitteeContribution>(data("data"))),
            Endpoint::NodeVersion => assert!(data("data")["version"].is_string()),
            _ => {}
        }
        if matches!(endpoint, Endpoint::AttesterDuties | Endpoint::ProposerDuties) {
            let _: (Root, bool) = (of(data("dependent_root")), of(data("execution_optimistic")));
        }
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> T {
        serde_json::from_slice(body).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }
}

fn of<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{e}: {value}"))
}

/// A recording with the cluster that it belongs to.
pub(super) struct Session {
    pub(super) cluster: Cluster,
    pub(super) chain: ChainSpec,
    /// Whether the keys are real and known.
    pub(super) bls: bool,
    /// Index on the chain to group key.
    pub(super) indices: BTreeMap<ValidatorIndex, PubKey>,
    pub(super) exchanges: Vec<Exchange>,
}

impl Session {
    pub(super) fn plan(&self) -> Plan {
        Plan {
            cluster: self.cluster.clone(),
            chain: self.chain.clone(),
            bls: self.bls,
            ..Plan::synthetic(&[])
        }
    }

    /// Whether the cluster has the validator with this index.
    pub(super) fn knows(&self, index: &Value) -> bool {
        let index = index.as_str().and_then(|t| t.parse().ok()).map(ValidatorIndex);
        index.is_some_and(|i| self.indices.contains_key(&i))
    }

    /// Tells the bench what the recorded node knew.
    pub(super) fn teach(&self, bench: &Bench) {
        let verifier = self.bls.then(|| Bls::new(&self.cluster).unwrap());
        bench.know(|known| {
            for one in &self.exchanges {
                if let Some(endpoint) = one.endpoint() {
                    self.learn(known, endpoint, one, verifier.as_ref());
                }
            }
        });
    }

    fn group(&self, share: BlsPubkey) -> Option<PubKey> {
        let mine = |v: &&Validator| v.share(self.cluster.share()) == Some(&share.0);
        self.cluster.validators().iter().find(mine).map(|v| v.key)
    }

    fn learn(&self, known: &mut Known, endpoint: Endpoint, one: &Exchange, verifier: Option<&Bls>) {
        let json = one.ok_json();
        let list = || {
            json.as_ref()
                .and_then(|j| j["data"].as_array())
                .cloned()
                .unwrap_or_default()
        };
        match endpoint {
            Endpoint::GetValidators => {
                for mut v in list().into_iter().map(of::<ValidatorInfo>) {
                    if let Some(key) = self.group(v.validator.pubkey)
                        && known.validators.iter().all(|k| k.index != v.index)
                    {
                        v.validator.pubkey = BlsPubkey(key.0);
                        known.validators.push(v);
                    }
                }
            }
            Endpoint::AttesterDuties => {
                for mut d in list().into_iter().map(of::<AttesterDuty>) {
                    if let Some(key) = self.group(d.pubkey) {
                        d.pubkey = BlsPubkey(key.0);
                        known.attesters.push(d);
                    }
                }
            }
            Endpoint::ProposerDuties | Endpoint::ProposerDutiesV2 => {
                for mut d in list().into_iter().map(of::<ProposerDuty>) {
                    if let Some(key) = self.group(d.pubkey)
                        && known.proposers.iter().all(|k| k.slot != d.slot)
                    {
                        d.pubkey = BlsPubkey(key.0);
                        known.proposers.push(d);
                    }
                }
            }
            Endpoint::AttestationData => {
                let number = |name| one.query(name).and_then(|t| t.parse::<u64>().ok());
                let (Some(slot), Some(committee)) = (number("slot"), number("committee_index")) else {
                    return;
                };
                if let Some(json) = &json {
                    let data = of::<AttestationData>(json["data"].clone());
                    known
                        .attestation_data
                        .insert((Slot(slot), CommitteeIndex(committee)), data);
                } else if one.status == Some(408) {
                    known.unresolved.push(Slot(slot));
                }
                // Whose duty it was is of no matter here, but it was somebody's of the cluster.
                let set = known
                    .definitions
                    .entry(Duty::new(Slot(slot), DutyType::Attester))
                    .or_default();
                let somebody = duty(
                    BlsPubkey([u8::try_from(committee % 256).unwrap(); 48]),
                    Slot(slot),
                    committee,
                );
                set.0
                    .insert(PubKey(somebody.pubkey.0), DutyDefinition::Attester(somebody));
            }
            Endpoint::SubmitAttestationsV2 => {
                let Ok(votes) = serde_json::from_slice::<Vec<SingleAttestation>>(&one.body) else {
                    return self.learn_full(known, one);
                };
                for vote in votes {
                    let Some(key) = self.indices.get(&vote.attester_index) else {
                        continue;
                    };
                    for committee in [vote.committee_index, CommitteeIndex(0)] {
                        known
                            .pubkeys
                            .insert((vote.data.slot, committee, vote.attester_index), *key);
                    }
                    let mut duty = duty(BlsPubkey(key.0), vote.data.slot, vote.committee_index.0);
                    duty.validator_index = vote.attester_index;
                    known.attesters.push(duty);
                }
            }
            Endpoint::GetValidator => {
                if let Some(json) = &json {
                    let mut v = of::<ValidatorInfo>(json["data"].clone());
                    if let Some(key) = self.group(v.validator.pubkey)
                        && known.validators.iter().all(|k| k.index != v.index)
                    {
                        v.validator.pubkey = BlsPubkey(key.0);
                        known.validators.push(v);
                    }
                }
            }
            Endpoint::SyncCommitteeDuties => {
                for mut d in list().into_iter().map(of::<SyncDuty>) {
                    if let Some(key) = self.group(d.pubkey) {
                        d.pubkey = BlsPubkey(key.0);
                        known.syncers.push((Epoch(one.number_in_path().unwrap_or_default()), d));
                    }
                }
            }
            Endpoint::AggregateBeaconCommitteeSelections => {
                for selection in list().into_iter().map(of::<BeaconCommitteeSelection>) {
                    let Some(key) = self.indices.get(&selection.validator_index) else {
                        continue;
                    };
                    let duty = Duty::new(selection.slot, DutyType::PrepareAggregator);
                    let whole = Arc::new(SignedData::BeaconCommitteeSelection(selection));
                    known.selections.insert((duty, *key, 0), whole);
                }
            }
            Endpoint::AggregateSyncCommitteeSelections => {
                for selection in list().into_iter().map(of::<SyncCommitteeSelection>) {
                    let Some(key) = self.indices.get(&selection.validator_index) else {
                        continue;
                    };
                    let duty = Duty::new(selection.slot, DutyType::PrepareSyncContribution);
                    let whole = Arc::new(SignedData::SyncCommitteeSelection(selection));
                    known
                        .selections
                        .insert((duty, *key, selection.subcommittee_index), whole);
                }
            }
            Endpoint::AggregateAttestationV2 => {
                let number = |name| one.query(name).and_then(|t| t.parse::<u64>().ok());
                let root = one.query("attestation_data_root").and_then(|t| t.parse::<Root>().ok());
                let (Some(slot), Some(committee), Some(root)) = (number("slot"), number("committee_index"), root)
                else {
                    return;
                };
                // Somebody's of the cluster, or the recorded node would not have waited.
                let somebody = duty(
                    BlsPubkey([u8::try_from(committee % 256).unwrap(); 48]),
                    Slot(slot),
                    committee,
                );
                let set = known
                    .definitions
                    .entry(Duty::new(Slot(slot), DutyType::Attester))
                    .or_default();
                set.0
                    .insert(PubKey(somebody.pubkey.0), DutyDefinition::Attester(somebody));
                if let Some(json) = json {
                    let aggregate = VersionedAttestation {
                        validator_index: None,
                        attestation: of::<ForkedAttestation>(json),
                    };
                    let key = (Slot(slot), root, CommitteeIndex(committee));
                    known.aggregates.insert(key, Arc::new(aggregate));
                }
            }
            Endpoint::SyncCommitteeContribution => {
                let number = |name| one.query(name).and_then(|t| t.parse::<u64>().ok());
                let root = one.query("beacon_block_root").and_then(|t| t.parse::<Root>().ok());
                let (Some(slot), Some(subcommittee), Some(root)) = (number("slot"), number("subcommittee_index"), root)
                else {
                    return;
                };
                let member = SyncDuty {
                    pubkey: BlsPubkey([u8::try_from(subcommittee % 256).unwrap(); 48]),
                    validator_index: ValidatorIndex(0),
                    validator_sync_committee_indices: vec![subcommittee * self.chain.sync_subcommittee_size()],
                };
                known.contributors.push((Slot(slot), member));
                if let Some(json) = json {
                    let contribution = of::<SyncCommitteeContribution>(json["data"].clone());
                    let key = (Slot(slot), subcommittee, root);
                    known.contributions.insert(key, Arc::new(contribution));
                }
            }
            Endpoint::ProposeBlockV3 => {
                let Some(slot) = one.number_in_path().map(Slot) else {
                    return;
                };
                let reveal = one.query("randao_reveal").and_then(|t| BlsSignature::from_str(&t).ok());
                let block = json.map(of::<ProposalResponse>);
                let named = block.as_ref().map(|b| b.proposal.proposer_index());
                let epoch = self.chain.epoch(slot);
                let root = self
                    .chain
                    .signing_root(hash_tree_root(&epoch), DomainType::Randao, epoch);
                self.learn_proposer(known, one, slot, verifier.zip(reveal).map(|(v, s)| (v, root, s)), named);
                if let Some(block) = block {
                    known.proposals.insert(slot, Arc::new(block.proposal));
                }
            }
            Endpoint::SubmitProposalV1
            | Endpoint::SubmitProposalV2
            | Endpoint::SubmitBlindedBlockV1
            | Endpoint::SubmitBlindedBlockV2 => {
                let blinded = matches!(
                    endpoint,
                    Endpoint::SubmitBlindedBlockV1 | Endpoint::SubmitBlindedBlockV2
                );
                let Some(signed) = one.block(blinded).filter(|_| one.status == Some(200)) else {
                    return;
                };
                let epoch = self.chain.epoch(signed.slot());
                let root = self
                    .chain
                    .signing_root(signed.block_root(), DomainType::BeaconProposer, epoch);
                let signature = signed.signature();
                let claim = verifier.map(|v| (v, root, signature));
                self.learn_proposer(known, one, signed.slot(), claim, Some(signed.proposer_index()));
                // The recording may lack the answer that this block was in.
                known
                    .proposals
                    .entry(signed.slot())
                    .or_insert_with(|| Arc::new(unsigned(&signed)));
            }
            _ => {}
        }
    }

    /// The proposer is who made the signature; without real keys, whom the block names.
    fn learn_proposer(
        &self,
        known: &mut Known,
        one: &Exchange,
        slot: Slot,
        claim: Option<(&Bls, Root, BlsSignature)>,
        named: Option<ValidatorIndex>,
    ) {
        let signer = match claim {
            Some((bls, root, signature)) => self.signer(bls, root, signature),
            None => named.and_then(|index| self.indices.get(&index).copied()),
        };
        let Some(key) = signer else {
            assert_ne!(one.status, Some(200), "{}: the signature is nobody's", one.name);
            return;
        };
        known.proposers.retain(|d| d.slot != slot);
        known.proposers.push(ProposerDuty {
            pubkey: BlsPubkey(key.0),
            slot,
            validator_index: ValidatorIndex(0),
        });
    }

    fn signer(&self, bls: &Bls, root: Root, signature: BlsSignature) -> Option<PubKey> {
        let keys = self.cluster.keys();
        let claim = |key: &PubKey| Claim {
            signer: Signer::Share(*key, self.cluster.share()),
            root,
            signature,
        };
        let claims: Vec<_> = keys.iter().map(claim).collect();
        let verdicts = bls.verify_set(&claims, &[1; 32]);
        keys.into_iter()
            .zip(verdicts)
            .find_map(|(key, verdict)| verdict.is_ok().then_some(key))
    }

    /// Attestations from before Electra: the validator at the bit of its committee.
    fn learn_full(&self, known: &mut Known, one: &Exchange) {
        let list: Vec<Value> = serde_json::from_slice(&one.body).unwrap_or_default();
        for attestation in list {
            let Ok(attestation) = ForkedAttestation::decode_json(Fork::Deneb, &attestation.to_string()) else {
                continue;
            };
            let (data, bits) = (*attestation.data(), attestation.set_bits());
            let duty = known.attesters.iter().find(|d| {
                (d.slot, d.committee_index) == (data.slot, data.index)
                    && bits.len() == 1
                    && usize::try_from(d.validator_committee_index).ok() == bits.first().copied()
            });
            if let Some(duty) = duty.copied() {
                let key = PubKey(duty.pubkey.0);
                known.pubkeys.insert((data.slot, data.index, duty.validator_index), key);
            }
        }
    }
}

fn duty(pubkey: BlsPubkey, slot: Slot, committee: u64) -> AttesterDuty {
    AttesterDuty {
        pubkey,
        slot,
        validator_index: ValidatorIndex(0),
        committee_index: CommitteeIndex(committee),
        committee_length: 1,
        committees_at_slot: 1,
        validator_committee_index: 0,
    }
}

/// The block without its signature, by way of JSON.
fn unsigned(signed: &VersionedSignedProposal) -> VersionedProposal {
    let mut text = Vec::new();
    signed
        .serialize_data(&mut serde_json::Serializer::new(&mut text))
        .unwrap();
    let mut json: Value = serde_json::from_slice(&text).unwrap();
    let inner = match json.get("signed_block").map(|b| b["message"].clone()) {
        Some(block) => {
            let map = json.as_object_mut().unwrap();
            map.remove("signed_block");
            map.insert("block".to_owned(), block);
            json
        }
        None => json["message"].clone(),
    };
    VersionedProposal::decode_json(signed.fork(), signed.is_blinded(), &inner.to_string()).unwrap()
}

/// A cluster of these validators: group key and the shares in the order of the operators.
pub(super) fn cluster(me: u8, threshold: usize, validators: Vec<(BlsPubkey, Vec<BlsPubkey>)>) -> Cluster {
    let nodes = validators.first().map_or(1, |v| v.1.len());
    let validators = validators.into_iter().map(|(key, shares)| Validator {
        key: PubKey(key.0),
        shares: shares.into_iter().map(|s| s.0).collect(),
        fee_recipient: [0; 20],
    });
    Cluster::new([7; 32], nodes, threshold, PeerIdx(me), validators.collect())
}

pub(super) fn key(value: &Value) -> BlsPubkey {
    value.as_str().unwrap().parse().unwrap()
}
