//! The chain that a run's nodes live on: our own, which the judge shows and checks, or one outside.
//!
//! Not here: what nodes make of it (`harness`), how it looks (`table`).

pub(crate) mod ours;
mod outside;

use std::time::Duration;

use trireme_eth2::Fork;
use trireme_tbls::SecretKey;
use trireme_testutil::judge::{Door, Now, Server, wall_clock};

use crate::{
    config::{DevnetConfig, DevnetError},
    folder::Folder,
};
pub(crate) use outside::Outside;

/// See the module.
pub(crate) enum Beacon {
    /// Beacon nodes of ours, which see everything.
    Judge(Server),
    /// Beacon nodes of somebody else; what came of the duties is what the nodes say.
    Outside(Outside),
}

impl Beacon {
    /// Starts our chain, or asks the one outside what it is. `keys` are the share keys of each node.
    pub(crate) async fn of(
        config: &DevnetConfig,
        cluster: &Folder,
        keys: &[Vec<SecretKey>],
    ) -> Result<Self, DevnetError> {
        if config.beacon_node.is_empty() {
            let fork: Fork = config
                .fork
                .parse()
                .map_err(|e| DevnetError::Config(format!("--fork: {e}")))?;
            return ours::start(config, fork, cluster, keys).await.map(Self::Judge);
        }
        Outside::learn(&config.beacon_node, cluster.fork_version)
            .await
            .map(Self::Outside)
    }

    /// Its clockwork.
    pub(crate) fn clock(&self) -> Clock {
        match self {
            Self::Judge(server) => server.with(|judge| {
                let chain = judge.chain();
                Clock::new(chain.genesis_time, chain.slot_duration(), chain.slots_per_epoch)
            }),
            Self::Outside(outside) => outside.clock(),
        }
    }

    /// The flags that tell a node about it.
    pub(crate) fn flags(&self, node: usize) -> Vec<String> {
        let (urls, rest) = match self {
            Self::Judge(server) => {
                let doors = (0..).map(|face| server.url_of(Door { face, asker: node }));
                (doors.map_while(|url| url).collect::<Vec<_>>(), Vec::new())
            }
            Self::Outside(outside) => (outside.urls.clone(), outside.network_flags.clone()),
        };
        let endpoints = format!("--beacon-node-endpoints={}", urls.join(","));
        std::iter::once(endpoints).chain(rest).collect()
    }

    /// The judge, if the chain is ours.
    pub(crate) const fn judge(&self) -> Option<&Server> {
        match self {
            Self::Judge(server) => Some(server),
            Self::Outside(_) => None,
        }
    }
}

/// Slots as times since 1970.
#[derive(Clone)]
pub(crate) struct Clock {
    genesis: Duration,
    slot: Duration,
    /// Slots in an epoch.
    pub(crate) slots_per_epoch: u64,
    now: Now,
}

impl Clock {
    fn new(genesis: Duration, slot: Duration, slots_per_epoch: u64) -> Self {
        Self {
            genesis,
            slot,
            slots_per_epoch,
            now: wall_clock(),
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> Duration {
        (self.now)()
    }

    /// Length of a slot.
    pub(crate) const fn slot(&self) -> Duration {
        self.slot
    }

    /// Start of a slot.
    pub(crate) fn start(&self, slot: u64) -> Duration {
        let since = u32::try_from(slot).ok().and_then(|n| self.slot.checked_mul(n));
        self.genesis.saturating_add(since.unwrap_or(Duration::MAX))
    }

    /// The slot that runs; 0 before genesis.
    pub(crate) fn slot_now(&self) -> u64 {
        let since = self.now().saturating_sub(self.genesis).as_nanos();
        let slots = since.checked_div(self.slot.as_nanos()).unwrap_or_default();
        u64::try_from(slots).unwrap_or(u64::MAX)
    }

    /// The first slot of the next epoch.
    pub(crate) fn next_epoch(&self) -> u64 {
        let epoch = self.slot_now().checked_div(self.slots_per_epoch).unwrap_or_default();
        epoch.saturating_add(1).saturating_mul(self.slots_per_epoch)
    }

    /// Whether a slot is the last of its epoch.
    pub(crate) const fn ends_epoch(&self, slot: u64) -> bool {
        matches!(slot.saturating_add(1).checked_rem(self.slots_per_epoch), Some(0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn slots_and_epochs_follow_genesis() {
        let at = |seconds| {
            let now: Now = Arc::new(move || Duration::from_secs(seconds));
            let clock = Clock::new(Duration::from_secs(1000), Duration::from_secs(6), 16);
            Clock { now, ..clock }
        };
        assert_eq!(
            (at(900).slot_now(), at(1005).slot_now(), at(1006).slot_now()),
            (0, 0, 1)
        );
        assert_eq!((at(1000).next_epoch(), at(1096).next_epoch()), (16, 32));
        assert_eq!(at(0).start(2), Duration::from_secs(1012));
        assert_eq!(
            [14, 15, 16, 31].map(|slot| at(0).ends_epoch(slot)),
            [false, true, false, true]
        );
    }
}
