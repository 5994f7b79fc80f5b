//! Signed objects that need no agreement before: sync committee messages and voluntary exits.
//!
//! Guarantees: an exited validator is taken too, it owes its sync committee duties to the end of the period; an exit is
//! handed on only with a signature of our share, and the validator leaves only when a threshold of operators want it.
//! Not here: what comes of them.

use trireme_eth2::{Epoch, SignedVoluntaryExit, Slot, SyncCommitteeMessage};

use super::{Awaited, Refused, ValidatorApi, partials::Item, told};
use crate::{
    data::SignedData,
    duty::{Duty, DutyType},
};

impl ValidatorApi {
    /// Takes sync committee messages: verifies all of them in one job and announces one set per slot.
    #[tracing::instrument(name = "core/validatorapi.SubmitSyncCommitteeMessages", parent = self.trace_of(list.first().map(|m| m.slot), DutyType::SyncMessage).id(), skip_all, fields(num_messages = list.len()))]
    pub async fn submit_sync_messages(
        &self,
        list: Vec<SyncCommitteeMessage>,
        awaited: &Awaited,
    ) -> Result<(), Refused> {
        told(async {
            let keys = self.keys_of(list.iter().map(|m| m.validator_index), awaited).await?;
            let items = keys.into_iter().zip(list).map(|(validator, message)| Item {
                duty: Duty::new(message.slot, DutyType::SyncMessage),
                validator,
                data: SignedData::SyncMessage(message),
                proof: None,
            });
            self.hand_in(items.collect(), awaited).await
        })
        .await
    }

    /// Takes a signed exit. Its duty stands at the first slot of the epoch that the message names.
    #[tracing::instrument(name = "core/validatorapi.SubmitVoluntaryExit", parent = self.trace_of(self.first_slot(exit.message.epoch), DutyType::Exit).id(), skip_all, fields(validator_index = exit.message.validator_index.0))]
    pub async fn submit_exit(&self, exit: SignedVoluntaryExit, awaited: &Awaited) -> Result<(), Refused> {
        told(async {
            let keys = self
                .keys_of(std::iter::once(exit.message.validator_index), awaited)
                .await?;
            let epoch = exit.message.epoch;
            let slot = self.first_slot(epoch).ok_or(Refused::NoSuchEpoch(epoch))?;
            let items = keys.into_iter().map(|validator| Item {
                duty: Duty::new(slot, DutyType::Exit),
                validator,
                data: SignedData::Exit(exit),
                proof: None,
            });
            self.hand_in(items.collect(), awaited).await
        })
        .await
    }

    /// `None` for an epoch that is beyond all slots.
    fn first_slot(&self, epoch: Epoch) -> Option<Slot> {
        epoch.0.checked_mul(self.chain.slots_per_epoch).map(Slot)
    }
}
