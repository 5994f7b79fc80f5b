//! What a client hands in: everything signed, and what it makes known of itself.

use reqwest::{Method, header};
use serde::Serialize;
use serde_json::{Value, json};
use trireme_eth2::{
    Fork, SignedContributionAndProof, SignedValidatorRegistrationV1, SignedVoluntaryExit, SyncCommitteeMessage,
    ValidatorIndex, VersionedSignedAggregateAndProof, VersionedSignedProposal,
};

use super::{Api, ApiFailure};

/// Who gets the fees of a validator's blocks, says the client; a node has its own word in this.
pub(in crate::vc) const RECIPIENT: &str = "0x4242424242424242424242424242424242424242";
/// The header that names the fork of a body.
const VERSION: &str = "eth-consensus-version";

impl Api {
    async fn hand_in(&self, what: &'static str, path: &str, body: &(impl Serialize + Sync)) -> Result<(), ApiFailure> {
        let request = self.request(Method::POST, path).json(body);
        self.send(what, request).await.map(drop)
    }

    async fn hand_in_of(
        &self,
        what: &'static str,
        path: &str,
        fork: Fork,
        body: &(impl Serialize + Sync),
    ) -> Result<(), ApiFailure> {
        let request = self.request(Method::POST, path).json(body);
        self.send(what, request.header(VERSION, fork.name())).await.map(drop)
    }

    pub(in crate::vc) async fn attestations(&self, fork: Fork, list: &[Value]) -> Result<(), ApiFailure> {
        self.hand_in_of("attestations", "/eth/v2/beacon/pool/attestations", fork, &list)
            .await
    }

    pub(in crate::vc) async fn aggregates(
        &self,
        fork: Fork,
        list: &[VersionedSignedAggregateAndProof],
    ) -> Result<(), ApiFailure> {
        use trireme_eth2::Versioned as _;

        let list: Vec<_> = list.iter().map(|signed| signed.data_only()).collect();
        self.hand_in_of("aggregates", "/eth/v2/validator/aggregate_and_proofs", fork, &list)
            .await
    }

    pub(in crate::vc) async fn sync_messages(&self, list: &[SyncCommitteeMessage]) -> Result<(), ApiFailure> {
        self.hand_in("sync messages", "/eth/v1/beacon/pool/sync_committees", &list)
            .await
    }

    pub(in crate::vc) async fn contributions(&self, list: &[SignedContributionAndProof]) -> Result<(), ApiFailure> {
        self.hand_in("contributions", "/eth/v1/validator/contribution_and_proofs", &list)
            .await
    }

    pub(in crate::vc) async fn publish(&self, block: &VersionedSignedProposal) -> Result<(), ApiFailure> {
        let path = if block.is_blinded() {
            "/eth/v2/beacon/blinded_blocks"
        } else {
            "/eth/v2/beacon/blocks"
        };
        let request = self.request(Method::POST, path).body(block.to_ssz());
        let request = request.header(header::CONTENT_TYPE, "application/octet-stream");
        let request = request.header(VERSION, block.fork().name());
        self.send("publish", request).await.map(drop)
    }

    pub(in crate::vc) async fn exit(&self, exit: &SignedVoluntaryExit) -> Result<(), ApiFailure> {
        self.hand_in("exit", "/eth/v1/beacon/pool/voluntary_exits", exit).await
    }

    pub(in crate::vc) async fn prepare(&self, indices: &[ValidatorIndex]) -> Result<(), ApiFailure> {
        let entry = |index: &ValidatorIndex| json!({"validator_index": index, "fee_recipient": RECIPIENT});
        let list: Vec<Value> = indices.iter().map(entry).collect();
        self.hand_in("preparation", "/eth/v1/validator/prepare_beacon_proposer", &list)
            .await
    }

    pub(in crate::vc) async fn register(&self, list: &[SignedValidatorRegistrationV1]) -> Result<(), ApiFailure> {
        self.hand_in("registration", "/eth/v1/validator/register_validator", &list)
            .await
    }

    pub(in crate::vc) async fn committee_subscriptions(&self, list: &[Value]) -> Result<(), ApiFailure> {
        let path = "/eth/v1/validator/beacon_committee_subscriptions";
        self.hand_in("committee subscriptions", path, &list).await
    }

    pub(in crate::vc) async fn sync_subscriptions(&self, list: &[Value]) -> Result<(), ApiFailure> {
        let path = "/eth/v1/validator/sync_committee_subscriptions";
        self.hand_in("sync subscriptions", path, &list).await
    }
}
