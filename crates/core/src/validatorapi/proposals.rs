//! Blocks out, signed blocks in.

use std::{collections::BTreeMap, sync::Arc};

use tracing::Instrument as _;
use trireme_eth2::{BlsSignature, DomainType, Root, Slot, VersionedProposal, VersionedSignedProposal, hash_tree_root};

use super::{Awaited, Refused, Unverified, ValidatorApi, told};
use crate::{
    compute,
    data::{ParSignedData, ParSignedDataSet, SignedData, SignedRandao},
    duty::{Duty, DutyType},
    ids::PubKey,
    ports::Lane,
};

impl ValidatorApi {
    /// The block that the cluster agreed on for `slot`; hands the randao reveal to the cluster and waits for the block.
    ///
    /// The reveal inside the block is the cluster's aggregated one, not the one given here.
    #[tracing::instrument(name = "core/validatorapi.Proposal", parent = self.trace(slot, DutyType::Proposer).id(), skip_all)]
    pub async fn produce_block(
        &self,
        slot: Slot,
        randao_reveal: BlsSignature,
        awaited: &Awaited,
    ) -> Result<Arc<VersionedProposal>, Refused> {
        told(async {
            let validator = self.proposer(slot, awaited).await?;
            let epoch = self.chain.epoch(slot);
            let randao = SignedRandao {
                epoch,
                signature: randao_reveal,
            };
            let root = self
                .chain
                .signing_root(hash_tree_root(&epoch), DomainType::Randao, epoch);
            awaited.set("the verification of the randao reveal");
            self.verify(
                Lane::Proposal,
                &[Unverified {
                    validator,
                    root,
                    signature: randao_reveal,
                }],
            )
            .await?;
            self.announce(
                Duty::new(slot, DutyType::Randao),
                self.one(validator, SignedData::Randao(randao)),
            )
            .await?;
            awaited.set(format!(
                "the cluster's agreement on a block for slot {}, which needs the randao reveals of {} of {} operators",
                slot.0, self.cluster.threshold, self.cluster.nodes
            ));
            self.unsigned
                .proposal(slot)
                .await
                .map_err(|why| Self::no_answer(awaited, why))
        })
        .await
    }

    /// Takes the validator client's signed block, which must be the one that the cluster agreed on.
    pub async fn submit_proposal(&self, block: VersionedSignedProposal, awaited: &Awaited) -> Result<(), Refused> {
        let duty = self.trace(block.slot(), DutyType::Proposer);
        let span = if block.is_blinded() {
            tracing::info_span!(parent: &duty, "core/validatorapi.SubmitBlindedProposal")
        } else {
            tracing::info_span!(parent: &duty, "core/validatorapi.SubmitProposal")
        };
        told(self.take_proposal(block, awaited)).instrument(span).await
    }

    async fn take_proposal(&self, block: VersionedSignedProposal, awaited: &Awaited) -> Result<(), Refused> {
        let slot = block.slot();
        let validator = self.proposer(slot, awaited).await?;
        awaited.set(format!("the cluster's agreement on a block for slot {}", slot.0));
        let agreed = self
            .unsigned
            .proposal(slot)
            .await
            .map_err(|why| Self::no_answer(awaited, why))?;
        awaited.set("the verification of the block");
        let (block, root) = {
            let preset = self.chain.preset;
            let job = move || {
                let root = compare(&agreed, &block, preset);
                root.map(|root| (block, root))
            };
            compute::call(self.compute.as_ref(), Lane::Proposal, job).await??
        };
        let root = self
            .chain
            .signing_root(root, DomainType::BeaconProposer, self.chain.epoch(slot));
        self.verify(
            Lane::Proposal,
            &[Unverified {
                validator,
                root,
                signature: block.signature(),
            }],
        )
        .await?;
        self.announce(
            Duty::new(slot, DutyType::Proposer),
            self.one(validator, SignedData::Proposal(Arc::new(block))),
        )
        .await
    }

    /// The only validator of the cluster that proposes in `slot`.
    async fn proposer(&self, slot: Slot, awaited: &Awaited) -> Result<PubKey, Refused> {
        awaited.set(format!("the cluster's duties of slot {}", slot.0));
        let set = self
            .definitions
            .definitions(Duty::new(slot, DutyType::Proposer))
            .await?
            .unwrap_or_default();
        let mut keys = set.0.keys();
        match (keys.next(), keys.next()) {
            (Some(key), None) => Ok(*key),
            _ => Err(Refused::NotOneProposer {
                slot,
                proposers: set.0.len(),
            }),
        }
    }

    fn one(&self, validator: PubKey, data: SignedData) -> ParSignedDataSet {
        ParSignedDataSet(BTreeMap::from([(
            validator,
            ParSignedData {
                data,
                share: self.cluster.share(),
            },
        )]))
    }
}

/// Checks that the signed block is the agreed one; returns the root that is signed.
fn compare(
    agreed: &VersionedProposal,
    block: &VersionedSignedProposal,
    preset: trireme_eth2::PresetKind,
) -> Result<Root, Refused> {
    if agreed.proposer_index() != block.proposer_index() {
        return Err(Refused::OtherBlock("proposer index"));
    }
    if agreed.is_blinded() != block.is_blinded() {
        return Err(Refused::OtherBlock("blinded or not"));
    }
    if agreed.fork() != block.fork() {
        return Err(Refused::OtherBlock("fork"));
    }
    let root = |r: Result<Root, _>| r.map_err(|_| Refused::OtherBlock("list limits"));
    let signed = root(block.block_root_in(preset))?;
    if root(agreed.block_root_in(preset))? != signed {
        return Err(Refused::OtherBlock("block root"));
    }
    Ok(signed)
}
