//! What a client asks: the chain, its validators and duties, and everything that it then signs.

use reqwest::{Method, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use trireme_eth2::{
    AttestationData, AttesterDuty, BeaconCommitteeSelection, BlsPubkey, BlsSignature, ChainSpec, CommitteeIndex, Epoch,
    ForkedAttestation, Genesis, ProposalResponse, ProposerDuty, Root, Slot, SyncCommitteeContribution,
    SyncCommitteeSelection, SyncDuty, ValidatorIndex, ValidatorInfo, VersionedProposal,
};

use super::{Api, ApiFailure, Data, read};

/// An answer with the body that it came in.
pub(in crate::vc) type Answer<T> = Result<(T, Vec<u8>), ApiFailure>;

#[derive(Debug, Deserialize)]
struct BlockRoot {
    root: Root,
}

/// Whether a validator was seen at work.
#[derive(Debug, Deserialize)]
struct Liveness {
    index: ValidatorIndex,
    is_live: bool,
}

impl Api {
    /// Genesis and spec.
    pub(in crate::vc) async fn chain(&self) -> Result<ChainSpec, ApiFailure> {
        let genesis: Genesis = self.get("genesis", "/eth/v1/beacon/genesis").await?;
        let spec: Map<String, Value> = self.get("spec", "/eth/v1/config/spec").await?;
        ChainSpec::read(&spec, genesis).map_err(|e| ApiFailure::Malformed {
            what: "spec",
            reason: e.to_string(),
        })
    }

    /// The validators with these keys, as the node sees them.
    pub(in crate::vc) async fn validators(&self, keys: &[BlsPubkey]) -> Result<Vec<ValidatorInfo>, ApiFailure> {
        let ask = json!({"ids": keys, "statuses": ["active_ongoing", "active_exiting"]});
        self.post("validators", "/eth/v1/beacon/states/head/validators", &ask)
            .await
    }

    pub(in crate::vc) async fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> Result<Vec<AttesterDuty>, ApiFailure> {
        let path = format!("/eth/v1/validator/duties/attester/{epoch}");
        self.post("attester duties", &path, &json!(indices)).await
    }

    pub(in crate::vc) async fn proposer_duties(&self, epoch: Epoch) -> Result<Vec<ProposerDuty>, ApiFailure> {
        self.get("proposer duties", &format!("/eth/v1/validator/duties/proposer/{epoch}"))
            .await
    }

    pub(in crate::vc) async fn sync_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> Result<Vec<SyncDuty>, ApiFailure> {
        let path = format!("/eth/v1/validator/duties/sync/{epoch}");
        self.post("sync duties", &path, &json!(indices)).await
    }

    /// How many of the validators were seen at work in an epoch.
    pub(in crate::vc) async fn liveness(&self, epoch: Epoch, indices: &[ValidatorIndex]) -> Result<u64, ApiFailure> {
        let path = format!("/eth/v1/validator/liveness/{epoch}");
        let list: Vec<Liveness> = self.post("liveness", &path, &json!(indices)).await?;
        let live = list.iter().filter(|l| l.is_live && indices.contains(&l.index)).count();
        Ok(u64::try_from(live).unwrap_or(u64::MAX))
    }

    pub(in crate::vc) async fn attestation_data(&self, slot: Slot, committee: u64) -> Answer<AttestationData> {
        let path = format!("/eth/v1/validator/attestation_data?slot={slot}&committee_index={committee}");
        self.served("attestation data", &path).await
    }

    /// The head's root.
    pub(in crate::vc) async fn head_root(&self) -> Result<Root, ApiFailure> {
        let found: BlockRoot = self.get("head root", "/eth/v1/beacon/blocks/head/root").await?;
        Ok(found.root)
    }

    /// Aggregated proofs for partial ones.
    pub(in crate::vc) async fn committee_selections(
        &self,
        partial: &[BeaconCommitteeSelection],
    ) -> Result<Vec<BeaconCommitteeSelection>, ApiFailure> {
        let path = "/eth/v1/validator/beacon_committee_selections";
        self.post("beacon committee selections", path, &json!(partial)).await
    }

    /// Aggregated proofs for partial ones.
    pub(in crate::vc) async fn sync_selections(
        &self,
        partial: &[SyncCommitteeSelection],
    ) -> Result<Vec<SyncCommitteeSelection>, ApiFailure> {
        let path = "/eth/v1/validator/sync_committee_selections";
        self.post("sync committee selections", path, &json!(partial)).await
    }

    /// The aggregate of the committee's votes for the data with this root.
    pub(in crate::vc) async fn aggregate(
        &self,
        slot: Slot,
        committee: CommitteeIndex,
        root: Root,
    ) -> Answer<ForkedAttestation> {
        let what = "aggregate";
        let path = format!(
            "/eth/v2/validator/aggregate_attestation?slot={slot}&committee_index={committee}&attestation_data_root={root}"
        );
        let body = self.bytes(what, self.request(Method::GET, &path)).await?;
        Ok((read(what, &body)?, body))
    }

    /// A contribution of the subcommittee for this block.
    pub(in crate::vc) async fn contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        root: Root,
    ) -> Answer<SyncCommitteeContribution> {
        let path = format!(
            "/eth/v1/validator/sync_committee_contribution?slot={slot}&subcommittee_index={subcommittee}&beacon_block_root={root}"
        );
        self.served("contribution", &path).await
    }

    async fn served<T: serde::de::DeserializeOwned>(&self, what: &'static str, path: &str) -> Answer<T> {
        let body = self.bytes(what, self.request(Method::GET, path)).await?;
        Ok((read::<Data<T>>(what, &body)?.data, body))
    }

    /// A block to sign; SSZ is preferred.
    pub(in crate::vc) async fn block(&self, slot: Slot, randao: BlsSignature, boost: u64) -> Answer<VersionedProposal> {
        let what = "block";
        let malformed = |reason: String| ApiFailure::Malformed { what, reason };
        let path = format!("/eth/v3/validator/blocks/{slot}?randao_reveal={randao}&builder_boost_factor={boost}");
        let request = self.request(Method::GET, &path);
        let request = request.header(header::ACCEPT, "application/octet-stream;q=1.0,application/json;q=0.9");
        let answer = self.send(what, request).await?;
        let field = |name: &str| {
            answer
                .headers()
                .get(name)
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let is_ssz = field("content-type").starts_with("application/octet-stream");
        let (version, blinded) = (
            field("eth-consensus-version"),
            field("eth-execution-payload-blinded") == "true",
        );
        let body = answer.bytes().await;
        let body = body
            .map_err(|_| ApiFailure::NoAnswer {
                what,
                reason: "the answer broke off",
            })?
            .to_vec();
        let proposal = if is_ssz {
            let fork = version.parse().map_err(|e| malformed(format!("{e}")))?;
            VersionedProposal::decode_ssz(fork, blinded, &body).map_err(|e| malformed(e.to_string()))?
        } else {
            read::<ProposalResponse>(what, &body)?.proposal
        };
        Ok((proposal, body))
    }
}
