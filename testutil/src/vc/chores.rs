//! What a client does besides its duties: once per epoch it names fee recipients, registers for builders and asks whether
//! its validators were seen at work; and it signs the exit that it was told to sign.

use trireme_eth2::{
    DomainType, Epoch, SignedValidatorRegistrationV1, SignedVoluntaryExit, ValidatorRegistrationV1, VoluntaryExit,
    hash_tree_root,
};

use super::{ApiFailure, api::RECIPIENT, slot::Slotwork};

/// What stock clients register with, if nothing else is set.
const GAS_LIMIT: u64 = 36_000_000;

impl Slotwork {
    pub(super) async fn chores(&self) {
        self.note(self.exit().await);
        let epoch = self.epoch();
        let indices = self.indices();
        if indices.is_empty() || self.shared.state().chores_of.replace(epoch) == Some(epoch) {
            return;
        }
        self.note(self.shared.api.prepare(&indices).await);
        self.note(self.register().await);
        let before = Epoch(epoch.0.saturating_sub(1));
        if let Some(live) = self.note(self.shared.api.liveness(before, &indices).await) {
            self.shared.activity().live = Some((before, live));
        }
    }

    /// As stock clients do: for the share's key, which no builder knows.
    async fn register(&self) -> Result<(), ApiFailure> {
        let keys: Vec<_> = self.shared.state().indices.values().copied().collect();
        let timestamp = self.chain.start(self.slot).as_secs();
        let one = |pubkey| {
            let message = ValidatorRegistrationV1 {
                fee_recipient: RECIPIENT.parse().ok()?,
                gas_limit: GAS_LIMIT,
                timestamp,
                pubkey,
            };
            let signature = self.sign(&pubkey, hash_tree_root(&message), DomainType::ApplicationBuilder)?;
            Some(SignedValidatorRegistrationV1 { message, signature })
        };
        let list: Vec<_> = keys.into_iter().filter_map(one).collect();
        self.shared.api.register(&list).await
    }

    /// The exit is due from its slot on, until the node takes it.
    async fn exit(&self) -> Result<(), ApiFailure> {
        let due = {
            let state = self.shared.state();
            let order = state.exit.filter(|order| self.slot >= order.slot);
            order.and_then(|order| Some((order, *state.indices.get(&order.validator)?)))
        };
        let Some((order, key)) = due else { return Ok(()) };
        // The same epoch at every operator, however late one signs.
        let message = VoluntaryExit {
            epoch: self.chain.epoch(order.slot),
            validator_index: order.validator,
        };
        let Some(signature) = self.sign(&key, hash_tree_root(&message), DomainType::VoluntaryExit) else {
            return Ok(());
        };
        self.shared
            .api
            .exit(&SignedVoluntaryExit { message, signature })
            .await?;
        self.shared.state().exit = None;
        let mut activity = self.shared.activity();
        activity.exits = activity.exits.saturating_add(1);
        Ok(())
    }
}
