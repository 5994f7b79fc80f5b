//! Verifies sets of peers' partial signatures, several messages in one batch where they wait together.
//!
//! Guarantees: a verdict per claim, never a guess; one bad message costs the batch that it is in a search, after which its
//! sender is verified alone for a while; urgent lanes never wait for others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    compute::{self, Broken},
    ids::PeerIdx,
    ports::{Clock, Compute, Entropy, Lane},
    scheme::{Claim, Refusal, Scheme},
    time::UnixTime,
};

/// Claims that are verified in one job at most, unless a single message has more.
const LARGEST_BATCH: usize = 2_048;

type Verdicts = Vec<Result<(), Refusal>>;

struct Waiting {
    claims: Vec<Claim>,
    answer: oneshot::Sender<Verdicts>,
}

#[derive(Default)]
struct LaneState {
    waiting: Mutex<Vec<Waiting>>,
    busy: tokio::sync::Mutex<()>,
}

/// See the module's description.
pub struct Verifier {
    scheme: Arc<dyn Scheme>,
    compute: Arc<dyn Compute>,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    /// How long a peer that was caught is verified alone.
    suspicion: Duration,
    suspects: Mutex<BTreeMap<PeerIdx, UnixTime>>,
    proposal: LaneState,
    attestation: LaneState,
    other: LaneState,
}

impl Verifier {
    /// A verifier that stays suspicious for `suspicion`.
    #[must_use]
    pub fn new(
        scheme: Arc<dyn Scheme>,
        compute: Arc<dyn Compute>,
        entropy: Arc<dyn Entropy>,
        clock: Arc<dyn Clock>,
        suspicion: Duration,
    ) -> Self {
        let (suspects, proposal, attestation, other) = Default::default();
        Self {
            scheme,
            compute,
            entropy,
            clock,
            suspicion,
            suspects,
            proposal,
            attestation,
            other,
        }
    }

    /// The verdicts of one message's claims, in order.
    pub async fn verify(&self, from: PeerIdx, lane: Lane, claims: Vec<Claim>) -> Result<Verdicts, Broken> {
        let verdicts = if self.is_suspect(from) {
            self.compute(lane, claims).await?
        } else {
            self.with_others(lane, claims).await?
        };
        if verdicts.iter().any(Result::is_err) {
            let until = self.clock.now().after(self.suspicion);
            self.suspects
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(from, until);
        }
        Ok(verdicts)
    }

    /// Whether the peer sent something wrong lately.
    #[must_use]
    pub fn is_suspect(&self, peer: PeerIdx) -> bool {
        let now = self.clock.now();
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.retain(|_, until| *until > now);
        suspects.contains_key(&peer)
    }

    /// While a batch of the lane is computed, further messages gather; whoever comes first then takes all of them.
    async fn with_others(&self, lane: Lane, claims: Vec<Claim>) -> Result<Verdicts, Broken> {
        let state = match lane {
            Lane::Proposal => &self.proposal,
            Lane::Attestation => &self.attestation,
            Lane::Other => &self.other,
        };
        let (answer, mut verdicts) = oneshot::channel();
        state
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Waiting { claims, answer });
        loop {
            let _one_at_a_time = state.busy.lock().await;
            match verdicts.try_recv() {
                Ok(verdicts) => return Ok(verdicts),
                Err(oneshot::error::TryRecvError::Closed) => return Err(Broken),
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            let batch = take(&mut state.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            let (mut all, mut answers) = (Vec::new(), Vec::with_capacity(batch.len()));
            for waiting in batch {
                answers.push((waiting.answer, waiting.claims.len()));
                all.extend(waiting.claims);
            }
            let mut found = self.compute(lane, all).await?.into_iter();
            for (sender, n) in answers {
                // Whoever asked may be gone.
                let _ = sender.send(found.by_ref().take(n).collect());
            }
        }
    }

    async fn compute(&self, lane: Lane, claims: Vec<Claim>) -> Result<Verdicts, Broken> {
        let mut seed = [0; 32];
        self.entropy.fill(&mut seed);
        let scheme = Arc::clone(&self.scheme);
        compute::call(self.compute.as_ref(), lane, move || scheme.verify_set(&claims, &seed)).await
    }
}

/// The longest part of the queue that fits a batch, at least one message.
fn take(waiting: &mut Vec<Waiting>) -> Vec<Waiting> {
    let mut claims = 0_usize;
    let fits = waiting.iter().take_while(|w| {
        claims = claims.saturating_add(w.claims.len());
        claims <= LARGEST_BATCH
    });
    let n = fits.count().max(1).min(waiting.len());
    waiting.drain(..n).collect()
}
