//! Duties as the validator client sees them: the beacon node's, with our public shares in place of the group keys.
//!
//! Guarantees: a list is what the beacon node answered to this very question, never an older answer and never an empty
//! list of our own; no duty stands in it twice.

use std::collections::BTreeSet;

use trireme_eth2::{AttesterDuty, BlsPubkey, Epoch, ProposerDuty, SyncDuty, ValidatorIndex};

use super::{Awaited, Refused, ValidatorApi, told};
use crate::{ids::PubKey, ports::Duties};

impl ValidatorApi {
    /// Attester duties of the given validators; of all validators of the cluster if none is given.
    #[tracing::instrument(name = "core/validatorapi.AttesterDuties", skip_all, fields(epoch = epoch.0))]
    pub async fn attester_duties(
        &self,
        epoch: Epoch,
        indices: Vec<ValidatorIndex>,
        awaited: &Awaited,
    ) -> Result<Duties<AttesterDuty>, Refused> {
        told(async {
            let indices = if indices.is_empty() {
                self.own_indices(awaited).await?
            } else {
                indices
            };
            awaited.set(format!("the beacon node's attester duties of epoch {}", epoch.0));
            let mut answer = self.beacon.attester_duties(epoch, &indices).await?;
            let mut seen = BTreeSet::new();
            answer.duties.retain(|d| seen.insert((d.slot, d.validator_index)));
            for duty in &mut answer.duties {
                duty.pubkey = self.share_of(duty.pubkey)?;
            }
            Ok(answer)
        })
        .await
    }

    /// Proposer duties of the cluster's own validators; those of others are left out, as their keys mean nothing to the
    /// validator client.
    #[tracing::instrument(name = "core/validatorapi.ProposerDuties", skip_all, fields(epoch = epoch.0))]
    pub async fn proposer_duties(&self, epoch: Epoch, awaited: &Awaited) -> Result<Duties<ProposerDuty>, Refused> {
        told(async {
            awaited.set(format!("the beacon node's proposer duties of epoch {}", epoch.0));
            let mut answer = self.beacon.proposer_duties(epoch).await?;
            let mut seen = BTreeSet::new();
            answer.duties.retain_mut(|duty| match self.share_of(duty.pubkey) {
                Ok(share) => {
                    duty.pubkey = share;
                    seen.insert(duty.slot)
                }
                Err(_) => false,
            });
            Ok(answer)
        })
        .await
    }

    /// Sync committee duties of the given validators; of all validators of the cluster if none is given, also of those
    /// that have exited: they owe them to the end of the period.
    #[tracing::instrument(name = "core/validatorapi.SyncCommitteeDuties", skip_all, fields(epoch = epoch.0))]
    pub async fn sync_duties(
        &self,
        epoch: Epoch,
        mut indices: Vec<ValidatorIndex>,
        awaited: &Awaited,
    ) -> Result<Vec<SyncDuty>, Refused> {
        told(async {
            if indices.is_empty() {
                indices = self.members_at_head(awaited).await?.iter().map(|v| v.index).collect();
                if indices.is_empty() {
                    return Err(Refused::NoValidators);
                }
            }
            awaited.set(format!("the beacon node's sync committee duties of epoch {}", epoch.0));
            let mut duties = self.beacon.sync_duties(epoch, &indices).await?.duties;
            let mut seen = BTreeSet::new();
            duties.retain(|d| seen.insert(d.validator_index));
            for duty in &mut duties {
                duty.pubkey = self.share_of(duty.pubkey)?;
            }
            Ok(duties)
        })
        .await
    }

    /// Our public share of a validator that the beacon node named.
    pub fn share_of(&self, group: BlsPubkey) -> Result<BlsPubkey, Refused> {
        let key = PubKey(group.0);
        self.keys.share(key).ok_or(Refused::NotOfCluster(key))
    }

    /// Indices of the active validators of the cluster; of all that have one if none is active yet, because the beacon
    /// node answers for those too, and an empty list of ours would be a lie.
    pub async fn own_indices(&self, awaited: &Awaited) -> Result<Vec<ValidatorIndex>, Refused> {
        let all = self.members_at_head(awaited).await?;
        let active: Vec<_> = all.iter().filter(|v| v.status.is_active()).map(|v| v.index).collect();
        let some = if active.is_empty() {
            all.iter().map(|v| v.index).collect()
        } else {
            active
        };
        if some.is_empty() {
            Err(Refused::NoValidators)
        } else {
            Ok(some)
        }
    }
}
