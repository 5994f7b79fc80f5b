//! Selection proofs: partial ones in, the cluster's whole ones out.
//!
//! Who aggregates is decided by a signature, and a validator client alone has only a share of it. So it hands in its
//! partial proofs and gets the cluster's, made of the partial proofs of a threshold of operators.
//!
//! Guarantees: the answer has the order of the request; what did not come in time is left out of it if something did,
//! and otherwise the error says how many partial proofs there are and whose are missing.
//! Not here: the time limit, which the caller brings.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use trireme_eth2::{BeaconCommitteeSelection, Epoch, Slot, SyncCommitteeSelection, ValidatorIndex};

use super::{Awaited, Refused, ValidatorApi, partials::Item, told};
use crate::{
    answers::NoAnswer,
    data::SignedData,
    duty::{Duty, DutyType},
    ids::{PubKey, ShareIdx},
};

/// Proofs of an epoch that are looked at to learn who sends any.
const SAMPLE: usize = 256;

/// A proof by its place in the stores: duty, validator, subcommittee.
type Key = (Duty, PubKey, u64);

/// Proofs that were asked for lately, to tell once an epoch whose validator clients never send any.
#[derive(Default)]
pub(super) struct Lately(Mutex<(Epoch, BTreeSet<Key>)>);

impl Lately {
    /// Adds to the sample of `now`; the sample of the epoch before if this is the first of a new one.
    fn note(&self, now: Epoch, keys: &[Key]) -> BTreeSet<Key> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if state.0 == now {
            BTreeSet::new()
        } else {
            state.0 = now;
            std::mem::take(&mut state.1)
        };
        let room = SAMPLE.saturating_sub(state.1.len());
        state.1.extend(keys.iter().take(room));
        before
    }
}

/// Why selection proofs are not complete, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cluster's selection proofs: none of {asked} is complete; that of validator {index} for slot {slot} needs the partial proofs of {threshold} of {nodes} operators and has those of {} only, operators {} sent none \
    (are their validator clients running in distributed mode?)", list(.have), list(.lack)
)]
pub struct Incomplete {
    /// How many proofs were asked for.
    asked: usize,
    /// The validator of the first of them.
    index: ValidatorIndex,
    /// Its slot.
    slot: Slot,
    /// Partial proofs that make a whole one.
    threshold: usize,
    /// Operators of the cluster.
    nodes: usize,
    /// Shares whose partial proof is there.
    have: Vec<ShareIdx>,
    /// Shares whose partial proof is not there.
    lack: Vec<ShareIdx>,
}

/// Operators by their position in the lock, from 0.
fn list(shares: &[ShareIdx]) -> String {
    if shares.is_empty() {
        return "none".to_owned();
    }
    let names = shares.iter().filter_map(|s| s.peer()).map(|p| p.to_string());
    names.collect::<Vec<_>>().join(", ")
}

impl ValidatorApi {
    /// The cluster's selection proofs for aggregating attestations; waits for them until `limit` ends.
    #[tracing::instrument(name = "core/validatorapi.BeaconCommitteeSelections", parent = self.trace_of(list.first().map(|s| s.slot), DutyType::PrepareAggregator).id(), skip_all, fields(num_selections = list.len()))]
    pub async fn beacon_committee_selections(
        &self,
        list: Vec<BeaconCommitteeSelection>,
        limit: impl Future<Output = ()>,
        awaited: &Awaited,
    ) -> Result<Vec<BeaconCommitteeSelection>, Refused> {
        told(async {
            let keys = self.keys_of(list.iter().map(|s| s.validator_index), awaited).await?;
            let items = keys.iter().zip(&list).map(|(key, selection)| Item {
                duty: Duty::new(selection.slot, DutyType::PrepareAggregator),
                validator: *key,
                data: SignedData::BeaconCommitteeSelection(*selection),
                proof: None,
            });
            let proofs = self
                .select(items.collect(), list.iter().map(|s| s.validator_index), limit, awaited)
                .await?;
            let whole = list.into_iter().zip(proofs).filter_map(|(asked, proof)| {
                Some(BeaconCommitteeSelection {
                    selection_proof: proof?.signature(),
                    ..asked
                })
            });
            Ok(whole.collect())
        })
        .await
    }

    /// The cluster's selection proofs for aggregating sync committee messages; waits for them until `limit` ends.
    #[tracing::instrument(name = "core/validatorapi.SyncCommitteeSelections", parent = self.trace_of(list.first().map(|s| s.slot), DutyType::PrepareSyncContribution).id(), skip_all, fields(num_selections = list.len()))]
    pub async fn sync_committee_selections(
        &self,
        list: Vec<SyncCommitteeSelection>,
        limit: impl Future<Output = ()>,
        awaited: &Awaited,
    ) -> Result<Vec<SyncCommitteeSelection>, Refused> {
        told(async {
            let keys = self.keys_of(list.iter().map(|s| s.validator_index), awaited).await?;
            let items = keys.iter().zip(&list).map(|(key, selection)| Item {
                duty: Duty::new(selection.slot, DutyType::PrepareSyncContribution),
                validator: *key,
                data: SignedData::SyncCommitteeSelection(*selection),
                proof: None,
            });
            let proofs = self
                .select(items.collect(), list.iter().map(|s| s.validator_index), limit, awaited)
                .await?;
            let whole = list.into_iter().zip(proofs).filter_map(|(asked, proof)| {
                Some(SyncCommitteeSelection {
                    selection_proof: proof?.signature(),
                    ..asked
                })
            });
            Ok(whole.collect())
        })
        .await
    }

    /// Hands the partial proofs in and waits for the whole ones, in order; `None` for those that did not come.
    async fn select(
        &self,
        items: Vec<Item>,
        indices: impl Iterator<Item = ValidatorIndex>,
        limit: impl Future<Output = ()>,
        awaited: &Awaited,
    ) -> Result<Vec<Option<Arc<SignedData>>>, Refused> {
        let keys: Vec<Key> = items
            .iter()
            .map(|i| (i.duty, i.validator, i.data.subcommittee().unwrap_or_default()))
            .collect();
        self.hand_in(items, awaited).await?;
        awaited.set("the cluster's selection proofs");
        self.tell_silent_operators(&keys);
        let mut coming: FuturesUnordered<_> = keys
            .iter()
            .enumerate()
            .map(|(at, (duty, validator, subcommittee))| async move {
                (
                    at,
                    self.selections.aggregated_in(*duty, *validator, *subcommittee).await,
                )
            })
            .collect();
        let mut got: BTreeMap<usize, Arc<SignedData>> = BTreeMap::new();
        let mut limit = std::pin::pin!(limit);
        loop {
            tokio::select! { biased;
                next = coming.next() => match next {
                    Some((at, Ok(proof))) => drop(got.insert(at, proof)),
                    // Its time is over. The others may still come.
                    Some((_, Err(NoAnswer::Expired))) => {}
                    Some((_, Err(why @ NoAnswer::Stopped))) => return Err(Self::no_answer(awaited, why)),
                    None => break,
                },
                () = limit.as_mut() => break,
            }
        }
        if got.is_empty()
            && let Some(incomplete) = self.incomplete(&keys, indices)
        {
            return Err(Refused::Incomplete(Box::new(incomplete)));
        }
        Ok((0..keys.len()).map(|at| got.remove(&at)).collect())
    }

    fn incomplete(&self, keys: &[Key], mut indices: impl Iterator<Item = ValidatorIndex>) -> Option<Incomplete> {
        let (duty, validator, subcommittee) = keys.first()?;
        let have = self.partials.shares(*duty, *validator, *subcommittee);
        Some(Incomplete {
            asked: keys.len(),
            index: indices.next()?,
            slot: duty.slot,
            threshold: self.cluster.threshold,
            nodes: self.cluster.nodes,
            lack: self.all_shares().filter(|s| !have.contains(s)).collect(),
            have: have.into_iter().collect(),
        })
    }

    fn all_shares(&self) -> impl Iterator<Item = ShareIdx> + use<> {
        (1..=u8::MAX).map(ShareIdx).take(self.cluster.nodes)
    }

    /// Once an epoch: which operators sent no partial proof at all in the epoch before, although ours asked for some.
    fn tell_silent_operators(&self, keys: &[Key]) {
        let now = self.gate.now();
        let before = self.lately.note(self.chain.epoch(now), keys);
        // Proofs of slots to come may still be sent.
        let over: Vec<_> = before.into_iter().filter(|(duty, _, _)| duty.slot < now).collect();
        if over.is_empty() {
            return;
        }
        let mut heard = BTreeSet::new();
        for (duty, validator, subcommittee) in over {
            heard.extend(self.partials.shares(duty, validator, subcommittee));
        }
        let silent: Vec<_> = self.all_shares().filter(|s| !heard.contains(s)).collect();
        if !heard.is_empty() && !silent.is_empty() {
            tracing::warn!(
                topic = "vapi",
                operators = list(&silent),
                threshold = self.cluster.threshold,
                "These operators' validator clients sent no selection proofs in the last epoch; if fewer than the \
                threshold do, the cluster aggregates nothing. Their clients need the flag for distributed validators"
            );
        }
    }
}
