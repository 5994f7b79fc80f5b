//! The whole workflow on one screen: which component hears what from which.
//!
//! Guarantees: order is part of the contract. A decision is stored before anybody waits for it in vain; an aggregate that
//! contradicts an earlier one is not broadcast. The five background steps are those that are retried until the deadline.
//! Not here: questions between components (constructor arguments), slot subscribers, tracker (`node` connects them).

use std::sync::Arc;

use crate::{
    aggsigdb::AggSigDb,
    bcast::Broadcaster,
    consensus::Consensus,
    dutydb::DutyDb,
    fetcher::Fetcher,
    infosync::InfoSync,
    life::Life,
    parsigdb::ParSigDb,
    parsigex::ParSigEx,
    ports::ServeGuard,
    priority::Priority,
    scheduler::Scheduler,
    sigagg::SigAgg,
    step::{Policy, StepError, StepName as S},
    validatorapi::ValidatorApi,
};

/// The components of one node, complete before they are wired.
#[derive(Clone)]
pub struct Components {
    /// Says when a duty begins.
    pub scheduler: Arc<Scheduler>,
    /// Gets what is to be signed.
    pub fetcher: Arc<Fetcher>,
    /// Agrees on it.
    pub consensus: Arc<Consensus>,
    /// Keeps what was decided.
    pub dutydb: Arc<DutyDb>,
    /// Takes our validator client's signatures.
    pub vapi: Arc<ValidatorApi>,
    /// Counts partial signatures.
    pub parsigdb: Arc<ParSigDb>,
    /// Exchanges them with peers.
    pub parsigex: Arc<ParSigEx>,
    /// Combines them.
    pub sigagg: Arc<SigAgg>,
    /// Keeps the results.
    pub aggsigdb: Arc<AggSigDb>,
    /// Sends them to the beacon node.
    pub bcast: Arc<Broadcaster>,
}

/// Connects the components. Read top to bottom: this is the life of a duty.
#[rustfmt::skip]
pub fn wire(c: &Components, p: &Policy) {
    // Decide what to sign.
    c.scheduler.on_duty  .to(p.background(S::FetcherFetch),        &c.fetcher,   Fetcher::fetch);
    c.scheduler.on_duty  .to(p.background(S::ConsensusParticipate), &c.consensus, Consensus::participate);
    c.fetcher.fetched    .to(p.background(S::ConsensusPropose),    &c.consensus, Consensus::propose);
    c.consensus.decided  .to(p.inline(S::DutyDbStore),             &c.dutydb,    DutyDb::store);
    // Collect partial signatures: ours from the validator client, theirs from peers.
    c.vapi.submitted     .to(p.inline(S::ParSigDbStoreInternal),   &c.parsigdb,  ParSigDb::store_internal);
    c.parsigdb.stored_own.to(p.background(S::ParSigExBroadcast),   &c.parsigex,  ParSigEx::broadcast);
    c.parsigex.received  .to(p.inline(S::ParSigDbStoreExternal),   &c.parsigdb,  ParSigDb::store_external);
    // Combine and publish.
    c.parsigdb.threshold .to(p.inline(S::SigAggAggregate),         &c.sigagg,    SigAgg::aggregate);
    c.sigagg.aggregated  .to(p.inline(S::AggSigDbStore),           &c.aggsigdb,  AggSigDb::store);
    c.sigagg.aggregated  .to(p.background(S::BcastBroadcast),      &c.bcast,     Broadcaster::broadcast);
}

/// Connects what the nodes agree on about themselves. Nothing of a duty passes here.
#[rustfmt::skip]
pub fn wire_info_sync(priority: &Priority, consensus: &Arc<Consensus>, infosync: &Arc<InfoSync>, p: &Policy) {
    priority.calculated  .to(p.background(S::PriorityPropose),     consensus,    Consensus::propose_priorities);
    consensus.preferred  .to(p.inline(S::InfoSyncStore),           infosync,     InfoSync::store);
}

/// Keeps the workflow open to peers.
pub struct Serving(#[expect(dead_code, reason = "held for what dropping it does")] [ServeGuard; 2]);

/// After [`wire`]: starts the stores' housekeeping as tasks of `life`, opens the node to its peers, and sends own
/// partials of open duties again. The scheduler's `run` and the validator API's listener are started by the caller, after
/// this.
pub async fn start(c: &Components, life: &Life) -> Result<Serving, StepError> {
    life.standing("dutydb", Arc::clone(&c.dutydb).run());
    life.standing("parsigdb", Arc::clone(&c.parsigdb).run());
    life.standing("aggsigdb", Arc::clone(&c.aggsigdb).run());
    let serving = Serving([c.consensus.serve(), c.parsigex.serve()]);
    Arc::clone(&c.parsigdb).resume().await?;
    Ok(serving)
}
