//! Attestation data: by the best head among the beacon nodes that answer in time (docs/decisions/0003).
//!
//! Guarantees: an answer that votes for the slot's own block is taken at once, so waiting costs nothing when the block
//! is there; otherwise the others get a short time more. Data of beacon nodes whose head is not verified are refused.
//! Not here: which of several answers is best (`select`).

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::Instant;
use trireme_core::ports::{BeaconError, BeaconNode as _};
use trireme_eth2::{AttestationData, Slot};

use super::{
    Shared,
    read::{Asking, asking, run},
};
use crate::{
    Status, answers,
    calls::Call,
    client::optimistic,
    endpoint::{Endpoint, Role},
    select,
};

/// The part of a slot that the others get after the first answer: 100 ms of 12 seconds.
const GRACE: u32 = 120;

impl Shared {
    pub(super) async fn attestation_data(
        self: &Arc<Self>,
        slot: Slot,
        committee: u64,
    ) -> Result<AttestationData, BeaconError> {
        let shared = Arc::clone(self);
        let ask: Asking<AttestationData> = asking(move |endpoint: Arc<Endpoint>| {
            let shared = Arc::clone(&shared);
            async move {
                shared.refuse_unverified(&endpoint).await?;
                let data = endpoint.client.attestation_data(slot, committee).await?;
                answers::attestation_data(&data, slot, committee, &shared.chain)?;
                Ok(data)
            }
        });
        if self.best_head {
            let began = Instant::now();
            if let Some(data) = self.by_best_head(&ask).await {
                self.metrics.request(Call::AttestationData, began.elapsed(), true);
                self.metrics.using_fallback(false);
                return Ok(data);
            }
        }
        self.first(Call::AttestationData, &ask).await
    }

    /// `None` if there is no choice, or no answer.
    async fn by_best_head(&self, ask: &Asking<AttestationData>) -> Option<AttestationData> {
        let ranked = self.ranked(Call::AttestationData);
        let synced: Vec<_> = ranked
            .into_iter()
            .filter(|e| e.role == Role::Primary && e.status() == Status::Ok)
            .collect();
        if synced.len() < 2 {
            return None;
        }
        let mut asked: FuturesUnordered<_> = synced
            .iter()
            .map(|endpoint| endpoint.ask(Call::AttestationData, run(ask, endpoint)))
            .collect();
        let slot_of = |root| self.slot_of(root);
        let mut found = Vec::new();
        let grace = tokio::time::sleep(Duration::MAX);
        tokio::pin!(grace);
        loop {
            tokio::select! { biased;
                answer = asked.next() => match answer {
                    Some(Ok(data)) => {
                        if select::is_newest(&data, &slot_of) {
                            return Some(data);
                        }
                        if found.is_empty() {
                            let wait = self.timing.slot_duration.checked_div(GRACE).unwrap_or_default();
                            grace.as_mut().reset(Instant::now() + wait);
                        }
                        found.push(data);
                    }
                    Some(Err(_)) => {}
                    None => break,
                },
                () = &mut grace, if !found.is_empty() => break,
            }
        }
        let best = select::best(&found, &slot_of)?;
        found.get(best).copied()
    }

    /// A beacon node that said at the last look that its head is not verified is looked at again before it is refused.
    async fn refuse_unverified(&self, endpoint: &Endpoint) -> Result<(), BeaconError> {
        if !self.refuse_optimistic || !endpoint.is_optimistic() {
            return Ok(());
        }
        endpoint.refresh(&self.chain, self.now()).await;
        if endpoint.is_optimistic() {
            return Err(optimistic(Call::AttestationData));
        }
        Ok(())
    }
}
