//! Nodes killed without warning while they work.
//!
//! Five nodes, a relay and five validator clients run against the judge; the sixth operator is a peer in this process
//! that only listens. Again and again a node is killed with SIGKILL at a random instant and started anew, with a
//! validator client that has forgotten everything. Then:
//!
//! * whatever the killed node had served before is served again byte for byte, or refused because the duty is over;
//! * no operator ever signs two different consensus messages for one duty, type and round, nor two different partial
//!   signatures for one duty, validator and share; the listening peer records them all;
//! * nobody ever serves two different answers for one duty, whichever node is asked;
//! * the judge has seen nothing slashable.
//!
//! And `create cluster`, killed thirty times, ten of them while it moves its folders into place.
//!
//! It takes minutes, so it runs only when asked for: `just kill-test`. `KILLS` (50), `SEED` (from the clock, printed) and
//! `SLOT_SECONDS` (2) change the run. The seed determines which nodes are killed when, not how the processes interleave.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod create_cluster;
#[cfg(test)]
mod history;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod record;
#[cfg(test)]
mod run;

/// A number from the environment.
#[cfg(test)]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|v| v.parse().unwrap_or_else(|e| panic!("{name}={v}: {e}")))
}
