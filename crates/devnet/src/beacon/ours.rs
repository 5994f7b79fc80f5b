//! Our own chain: made of what the cluster's folder says, running already when the nodes start.

use std::{collections::BTreeSet, time::Duration};

use trireme_eth2::Fork;
use trireme_tbls::SecretKey;
use trireme_testutil::judge::{ChainConfig, DutyKind, Judge, JudgeConfig, Server, TRANSACTION_BYTES, wall_clock};

use crate::{
    config::{Clients, DevnetConfig, DevnetError},
    folder::{Folder, group_secrets},
};

/// Whole epochs that the chain is old when the nodes start.
const CHAIN_AGE_EPOCHS: u64 = 3;
/// Nodes are ready after some seconds; the chain's next epoch begins about then.
const START_SECONDS: u64 = 20;

/// A judge whose chain runs already.
pub(super) async fn start(
    config: &DevnetConfig,
    fork: Fork,
    cluster: &Folder,
    keys: &[Vec<SecretKey>],
) -> Result<Server, DevnetError> {
    let now = wall_clock();
    let left = START_SECONDS
        .div_ceil(config.slot_seconds.max(1))
        .min(config.slots_per_epoch);
    let age = config
        .slots_per_epoch
        .saturating_mul(CHAIN_AGE_EPOCHS.saturating_add(1))
        .saturating_sub(left);
    let genesis = now().as_secs().saturating_sub(age.saturating_mul(config.slot_seconds));
    let (versions, chain_id) = versions(cluster.fork_version)?;
    let mut chain = ChainConfig::new(Duration::from_secs(genesis), fork, versions, cluster.validators.clone());
    chain.seconds_per_slot = config.slot_seconds;
    chain.slots_per_epoch = config.slots_per_epoch;
    chain.deposit_chain_id = chain_id;
    chain.blobs_per_block = config.blobs;
    chain.transactions_per_block = config.transactions_kib.saturating_mul(1024).div_ceil(TRANSACTION_BYTES);
    let judge = JudgeConfig {
        counted: counted(config),
        faces: config.beacon_nodes,
        builder: config.builder,
        sync_members: config.sync_committee.min(cluster.validators.len()),
        secrets: group_secrets(&cluster.validators, cluster.threshold, keys),
        registrations: cluster.registrations.clone(),
        ..JudgeConfig::new(chain)
    };
    Server::start_for(Judge::with(judge), now, cluster.nodes)
        .await
        .map_err(|e| DevnetError::Config(e.to_string()))
}

/// The kinds of duty that the run has to perform.
fn counted(config: &DevnetConfig) -> BTreeSet<DutyKind> {
    let is_counted = |kind: &DutyKind| match kind {
        DutyKind::Attester
        | DutyKind::Proposer
        | DutyKind::Aggregator
        | DutyKind::SyncMessage
        | DutyKind::SyncContribution => true,
        DutyKind::BuilderRegistration => config.builder,
        // Only our own clients are told to sign one.
        DutyKind::Exit => config.vc == Clients::Mock,
    };
    DutyKind::ALL.into_iter().filter(is_counted).collect()
}

/// The fork versions of the network with this genesis version, phase0 to fulu, and its chain id.
pub(crate) fn versions(genesis: [u8; 4]) -> Result<([[u8; 4]; 7], u64), DevnetError> {
    let [a, b, c, d] = genesis;
    // Networks count their forks in the first byte, hoodi in its upper half, sepolia in the last byte.
    let step: fn([u8; 4], u8) -> [u8; 4] = match genesis {
        [0x10, 0, 0x09, 0x10] => |[a, b, c, d], n| [a.saturating_add(n.saturating_mul(0x10)), b, c, d],
        [0x90, 0, 0, 0x69] => |[a, b, c, d], n| {
            // Altair is 0x70; from there one by one.
            [a, b, c, if n == 0 { d } else { 0x6f_u8.saturating_add(n) }]
        },
        _ => |[a, b, c, d], n| [a.saturating_add(n), b, c, d],
    };
    let networks = trireme_cluster::Networks::known();
    let chain_id = networks.by_fork_version(&genesis).map_or(560_048, |n| n.chain_id);
    let mut all = [[0; 4]; 7];
    for (n, version) in (0..).zip(all.iter_mut()) {
        *version = step([a, b, c, d], n);
    }
    Ok((all, chain_id))
}

#[cfg(test)]
mod tests {
    use super::versions;

    #[test]
    fn fork_versions_follow_the_network() {
        let (hoodi, id) = versions([0x10, 0, 0x09, 0x10]).unwrap();
        assert_eq!((hoodi, id), (trireme_testutil::judge::HOODI, 560_048));
        let (mainnet, id) = versions([0; 4]).unwrap();
        assert_eq!((mainnet[6], id), ([6, 0, 0, 0], 1));
        let (sepolia, _) = versions([0x90, 0, 0, 0x69]).unwrap();
        assert_eq!((sepolia[1], sepolia[6]), ([0x90, 0, 0, 0x70], [0x90, 0, 0, 0x75]));
    }
}
