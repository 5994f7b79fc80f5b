//! The component behind the validator API: what a validator client asks for, and what it hands in.
//!
//! Guarantees: it hands out only what the cluster has agreed on; a partial signature leaves it only after it has verified
//! under our own public share; one that does not verify keeps its whole request from being announced.
//! Not here: HTTP, encodings, time limits (`trireme-vapi`).

mod aggregates;
mod attestations;
mod duties;
mod error;
mod keys;
mod members;
mod partials;
mod proposals;
mod questions;
mod selections;
mod simple;
mod validators;

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tracing::Span;
use trireme_eth2::{BlsSignature, ChainEvent, ChainSpec, Epoch, Root, Slot};

pub use self::{
    attestations::{SingleFork, SubmittedAttestations},
    error::{Refused, Told},
    questions::{AwaitAggregates, AwaitUnsigned, DutyDefinitions, PartialsHeld, PubKeyByAttestation},
    selections::Incomplete,
    validators::Ids,
};
use self::{keys::Keys, members::Members, selections::Lately};
use crate::{
    answers::{AwaitAggregated, NoAnswer},
    cluster::Cluster,
    compute,
    data::ParSignedDataSet,
    duty::{Duty, DutyType},
    event::{CxSource, Event},
    gate::DutyGate,
    ids::PubKey,
    ports::{BeaconError, BeaconNode, Compute, Entropy, Lane},
    scheme::{Claim, Scheme, Signer},
    spans,
};

/// Does what a request asks for, and tells its span how it ended.
async fn told<T>(work: impl Future<Output = Result<T, Refused>>) -> Result<T, Refused> {
    let done = work.await;
    if let Err(error) = &done {
        spans::failed(&Span::current(), error, error.kind());
    }
    done
}

/// What the validator API is built from.
pub struct Parts {
    /// Who we are.
    pub cluster: Arc<Cluster>,
    /// Timing, forks and domains of the chain.
    pub chain: Arc<ChainSpec>,
    /// Asked for what only it knows, with the cluster's keys.
    pub beacon: Arc<dyn BeaconNode>,
    /// Answered by `DutyDb`.
    pub unsigned: Arc<dyn AwaitUnsigned>,
    /// Answered by `DutyDb`.
    pub aggregates: Arc<dyn AwaitAggregates>,
    /// Answered by `AggSigDb`.
    pub selections: Arc<dyn AwaitAggregated>,
    /// Answered by `ParSigDb`.
    pub partials: Arc<dyn PartialsHeld>,
    /// Answered by `DutyDb`.
    pub pubkeys: Arc<dyn PubKeyByAttestation>,
    /// Answered by `Scheduler`.
    pub definitions: Arc<dyn DutyDefinitions>,
    /// Verifies partial signatures.
    pub scheme: Arc<dyn Scheme>,
    /// Where verification runs.
    pub compute: Arc<dyn Compute>,
    /// Seeds of batch verification.
    pub entropy: Arc<dyn Entropy>,
    /// Says which slots are too far ahead, and which one is now.
    pub gate: DutyGate,
    /// Makes the contexts of announced duties.
    pub cx: CxSource,
}

/// See the module's description.
pub struct ValidatorApi {
    /// Verified partial signatures of our own validator client, one set per duty.
    pub submitted: Event<ParSignedDataSet>,
    cluster: Arc<Cluster>,
    chain: Arc<ChainSpec>,
    keys: Keys,
    beacon: Arc<dyn BeaconNode>,
    members: Members,
    lately: Lately,
    unsigned: Arc<dyn AwaitUnsigned>,
    aggregates: Arc<dyn AwaitAggregates>,
    selections: Arc<dyn AwaitAggregated>,
    partials: Arc<dyn PartialsHeld>,
    pubkeys: Arc<dyn PubKeyByAttestation>,
    definitions: Arc<dyn DutyDefinitions>,
    scheme: Arc<dyn Scheme>,
    compute: Arc<dyn Compute>,
    entropy: Arc<dyn Entropy>,
    gate: DutyGate,
    cx: CxSource,
}

/// What a request is waiting for at the moment, as a noun phrase. The HTTP layer says it when time is up.
#[derive(Debug)]
pub struct Awaited(Mutex<String>);

impl Awaited {
    /// Begins with `what`.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self(Mutex::new(what.into()))
    }

    /// From now on it waits for `what`.
    pub fn set(&self, what: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    /// What it waits for.
    #[must_use]
    pub fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A partial signature before it is verified.
struct Unverified {
    validator: PubKey,
    /// Signing root.
    root: Root,
    signature: BlsSignature,
}

impl ValidatorApi {
    /// Builds the component; subscribe to `submitted` before the first request.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts {
            cluster,
            chain,
            beacon,
            unsigned,
            aggregates,
            selections,
            partials,
            pubkeys,
            definitions,
            scheme,
            compute,
            entropy,
            gate,
            cx,
        } = parts;
        Self {
            submitted: Event::new(),
            keys: Keys::new(&cluster),
            cluster,
            chain,
            beacon,
            members: Members::default(),
            lately: Lately::default(),
            unsigned,
            aggregates,
            selections,
            partials,
            pubkeys,
            definitions,
            scheme,
            compute,
            entropy,
            gate,
            cx,
        }
    }

    /// The epoch of a slot on this chain.
    #[must_use]
    pub fn epoch(&self, slot: Slot) -> Epoch {
        self.chain.epoch(slot)
    }

    /// Length of a slot on this chain.
    #[must_use]
    pub fn slot_duration(&self) -> Duration {
        self.chain.slot_duration()
    }

    /// What the beacon node tells of its chain from now on.
    #[must_use]
    pub fn events(&self) -> tokio::sync::broadcast::Receiver<ChainEvent> {
        self.beacon.events()
    }

    /// The root of a head of which a beacon node says that it is verified: what sync committee members sign (VC-61).
    ///
    /// # Errors
    ///
    /// If no beacon node says so.
    pub async fn verified_head(&self) -> Result<Root, BeaconError> {
        self.beacon.head_root().await
    }

    /// The span around everything that is done for a duty, so that a request about it is in the trace that all nodes of
    /// the cluster share.
    fn trace(&self, slot: Slot, kind: DutyType) -> Span {
        self.cx.cx(Duty::new(slot, kind)).span
    }

    /// The same for the duty of a request's first object; of an empty request there is none.
    fn trace_of(&self, first: Option<Slot>, kind: DutyType) -> Span {
        first.map_or_else(Span::none, |slot| self.trace(slot, kind))
    }

    /// Verifies partial signatures of our own share, all in one job. The first one that does not hold is the error.
    async fn verify(&self, lane: Lane, partials: &[Unverified]) -> Result<(), Refused> {
        if partials.is_empty() {
            return Ok(());
        }
        let share = self.cluster.share();
        let claims: Vec<Claim> = partials
            .iter()
            .map(|p| Claim {
                signer: Signer::Share(p.validator, share),
                root: p.root,
                signature: p.signature,
            })
            .collect();
        let mut seed = [0; 32];
        self.entropy.fill(&mut seed);
        let scheme = Arc::clone(&self.scheme);
        let verdicts = compute::call(self.compute.as_ref(), lane, move || scheme.verify_set(&claims, &seed)).await?;
        for (partial, verdict) in partials.iter().zip(verdicts) {
            verdict.map_err(|why| Refused::Signature {
                validator: partial.validator,
                why,
            })?;
        }
        Ok(())
    }

    /// Announces one duty's verified partial signatures.
    async fn announce(&self, duty: Duty, set: ParSignedDataSet) -> Result<(), Refused> {
        self.submitted
            .emit(&self.cx.cx(duty), Arc::new(set))
            .await
            .map_err(Refused::Publish)
    }

    fn no_answer(awaited: &Awaited, why: NoAnswer) -> Refused {
        Refused::NoAnswer {
            awaited: awaited.get(),
            why,
        }
    }
}
