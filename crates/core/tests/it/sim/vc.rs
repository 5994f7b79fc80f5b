//! A validator client that knows nothing of slashing: it signs whatever it is served, again and again.

use std::{sync::Arc, time::Duration};

use trireme_core::{
    ShareIdx,
    life::Life,
    ports::Clock,
    scheduler::SlotTicker,
    validatorapi::{Awaited, SingleFork, SubmittedAttestations, ValidatorApi},
};
use trireme_eth2::{
    ChainSpec, CommitteeIndex, DomainType, Epoch, SingleAttestation, Slot, ValidatorIndex, hash_tree_root,
};

use super::{SPE, Witness, node::PATIENCE, timing};
use crate::fakes::{key, scheme};

/// One share's client.
struct Client {
    vapi: Arc<ValidatorApi>,
    chain: Arc<ChainSpec>,
    clock: Arc<dyn Clock>,
    share: ShareIdx,
    witness: Arc<Witness>,
}

/// Follows the slots; in slot `s` validator `s mod SPE + 1` proposes and attests.
pub(super) fn start(
    life: &Life,
    vapi: Arc<ValidatorApi>,
    chain: Arc<ChainSpec>,
    clock: Arc<dyn Clock>,
    share: ShareIdx,
    witness: Arc<Witness>,
) {
    let mut ticker = SlotTicker::new(Arc::clone(&clock), timing());
    let client = Arc::new(Client {
        vapi,
        chain,
        clock,
        share,
        witness,
    });
    let tasks = life.clone();
    life.task("vc", async move {
        loop {
            let (tick, _) = ticker.next().await;
            let n = u8::try_from(tick.slot.0 % SPE + 1).unwrap();
            tasks.task("vc.attest", Arc::clone(&client).attest(tick.slot, n));
            tasks.task("vc.propose", Arc::clone(&client).propose(tick.slot, tick.epoch, n));
        }
    });
}

impl Client {
    async fn attest(self: Arc<Self>, slot: Slot, n: u8) {
        self.clock
            .sleep_until(timing().start(slot).after(timing().slot_duration / 3))
            .await;
        let awaited = Awaited::new("");
        loop {
            let asked = self.vapi.attestation_data(slot, CommitteeIndex(0), &awaited);
            if let Ok(Ok(data)) = tokio::time::timeout(PATIENCE, asked).await {
                let root = hash_tree_root(&data);
                self.witness.served("attestation", slot, self.share, root);
                let signed = self
                    .chain
                    .signing_root(root, DomainType::BeaconAttester, data.target.epoch);
                self.witness.signed("attestation", key(n), self.share, slot, signed);
                let single = SingleAttestation {
                    committee_index: CommitteeIndex(n.into()),
                    attester_index: ValidatorIndex(n.into()),
                    data,
                    signature: scheme::sign(key(n), self.share, signed),
                };
                let submitted = SubmittedAttestations::Single(SingleFork::Fulu, vec![single]);
                if self.vapi.submit_attestations(submitted, &awaited).await.is_ok() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            if self.clock.now() > timing().start(Slot(slot.0 + 1)) {
                return;
            }
        }
    }

    async fn propose(self: Arc<Self>, slot: Slot, epoch: Epoch, n: u8) {
        let awaited = Awaited::new("");
        let root = self
            .chain
            .signing_root(hash_tree_root(&epoch), DomainType::Randao, epoch);
        let reveal = scheme::sign(key(n), self.share, root);
        loop {
            let asked = self.vapi.produce_block(slot, reveal, &awaited);
            if let Ok(Ok(block)) = tokio::time::timeout(PATIENCE, asked).await {
                let root = block.block_root();
                self.witness.served("block", slot, self.share, root);
                let signed = self.chain.signing_root(root, DomainType::BeaconProposer, epoch);
                self.witness.signed("block", key(n), self.share, slot, signed);
                let block = block.as_ref().clone().sign(scheme::sign(key(n), self.share, signed));
                if self.vapi.submit_proposal(block, &awaited).await.is_ok() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            if self.clock.now() > timing().start(slot).after(timing().slot_duration / 3) {
                return;
            }
        }
    }
}
