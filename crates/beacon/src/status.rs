//! What is known of a beacon node: whether it may be asked, and what the last look at it showed (vc-behaviours.md 1.1).
//!
//! Guarantees: pure; a beacon node is of another chain only by its genesis fork version or preset, other differences
//! are told and tolerated; of its configuration only what is compared is read.
//! Not here: asking it (`endpoint`).

use serde_json::{Map, Value};
use trireme_eth2::{ChainSpec, Epoch, Fork, ForkVersion, Slot, SyncingStatus};

/// A beacon node that lacks fewer slots counts as synced even if it says that it is syncing.
const NEARLY_SYNCED: u64 = 4;

/// Whether a beacon node may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Yes.
    Ok,
    /// It lacks blocks, or its execution client is away: asked when no other answers.
    NotSynced,
    /// Not looked at yet.
    Uninitialized,
    /// It did not answer, or not well.
    Offline,
    /// It serves another chain: never asked.
    Incompatible,
}

impl Status {
    /// For logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotSynced => "not synced",
            Self::Uninitialized => "not looked at yet",
            Self::Offline => "offline",
            Self::Incompatible => "of another chain",
        }
    }

    /// Whether it may be asked, a synced one first.
    #[must_use]
    pub const fn usable(self) -> bool {
        matches!(self, Self::Ok | Self::NotSynced)
    }
}

/// How many beacon nodes are how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Usable and synced.
    pub synced: usize,
    /// Usable.
    pub available: usize,
    /// Configured.
    pub total: usize,
}

impl Counts {
    pub(crate) fn of(all: impl Iterator<Item = Status>) -> Self {
        let mut counts = Self::default();
        for status in all {
            counts.total = counts.total.saturating_add(1);
            counts.available = counts.available.saturating_add(usize::from(status.usable()));
            counts.synced = counts.synced.saturating_add(usize::from(status == Status::Ok));
        }
        counts
    }
}

/// The status that follows from a beacon node's word about itself.
pub(crate) const fn sync_status(said: &SyncingStatus) -> Status {
    if (said.is_syncing && said.sync_distance >= NEARLY_SYNCED) || said.el_offline {
        Status::NotSynced
    } else {
        Status::Ok
    }
}

/// Slots between what a beacon node takes for the present and ours; `None` if it is at most one.
pub(crate) fn clock_apart(said: &SyncingStatus, now: Slot) -> Option<u64> {
    let theirs = said.head_slot.0.saturating_add(said.sync_distance);
    Some(theirs.abs_diff(now.0)).filter(|apart| *apart > 1)
}

/// How a beacon node's configuration differs from the cluster's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// It is another chain.
    OtherChain(String),
    /// It has a fork at another time: it will go another way there, or is not up to date.
    Fork { fork: Fork, theirs: Epoch, ours: Epoch },
}

/// Compares the `data` of `/eth/v1/config/spec` with the chain. A fork that is not in it is one that it does not plan.
pub(crate) fn differences(theirs: &Map<String, Value>, ours: &ChainSpec) -> Vec<Difference> {
    let text = |key: &str| theirs.get(key).and_then(Value::as_str);
    let expected = ours.genesis.genesis_fork_version;
    if let Some(version) = text("GENESIS_FORK_VERSION")
        && version.parse::<ForkVersion>().ok() != Some(expected)
    {
        let version: String = version.chars().take(20).collect();
        return vec![Difference::OtherChain(format!(
            "its genesis fork version is {version}, the cluster's {expected}"
        ))];
    }
    if let Some(preset) = text("PRESET_BASE")
        && !matches!(preset, "mainnet" | "gnosis")
    {
        let preset: String = preset.chars().take(20).collect();
        return vec![Difference::OtherChain(format!("its preset is {preset}"))];
    }
    let later = Fork::ALL.into_iter().filter(|fork| *fork != Fork::Phase0);
    later
        .filter_map(|fork| {
            let key = format!("{}_FORK_EPOCH", fork.name().to_ascii_uppercase());
            let told = theirs.get(&key);
            let number = told.and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok()));
            let theirs = number.map_or(Epoch::FAR_FUTURE, Epoch);
            let ours = ours.forks.epoch_of(fork).unwrap_or(Epoch::FAR_FUTURE);
            (theirs != ours).then_some(Difference::Fork { fork, theirs, ours })
        })
        .collect()
}

/// An epoch for people.
pub(crate) fn epoch_text(epoch: Epoch) -> String {
    if epoch == Epoch::FAR_FUTURE {
        "never".to_owned()
    } else {
        format!("epoch {}", epoch.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trireme_eth2::Genesis;

    use super::*;

    fn said(head: u64, distance: u64, is_syncing: bool) -> SyncingStatus {
        SyncingStatus {
            head_slot: Slot(head),
            sync_distance: distance,
            is_syncing,
            is_optimistic: false,
            el_offline: false,
        }
    }

    fn spec() -> Map<String, Value> {
        let Value::Object(map) = json!({
            "GENESIS_FORK_VERSION": "0x10000910", "PRESET_BASE": "mainnet",
            "SECONDS_PER_SLOT": "12", "SLOTS_PER_EPOCH": "32",
            "ALTAIR_FORK_EPOCH": "0", "ALTAIR_FORK_VERSION": "0x20000910",
            "BELLATRIX_FORK_EPOCH": "5", "BELLATRIX_FORK_VERSION": "0x30000910",
        }) else {
            panic!("an object was written");
        };
        map
    }

    fn chain() -> ChainSpec {
        let genesis = Genesis {
            genesis_time: 1,
            genesis_validators_root: trireme_eth2::Root([1; 32]),
            genesis_fork_version: ForkVersion([0x10, 0, 9, 0x10]),
        };
        ChainSpec::read(&spec(), genesis).unwrap()
    }

    #[test]
    fn a_beacon_node_that_lacks_little_is_synced_unless_its_execution_client_is_away() {
        assert_eq!(sync_status(&said(9, 0, false)), Status::Ok);
        assert_eq!(sync_status(&said(9, 3, true)), Status::Ok);
        assert_eq!(sync_status(&said(9, 4, true)), Status::NotSynced);
        let headless = SyncingStatus {
            el_offline: true,
            ..said(9, 0, false)
        };
        assert_eq!(sync_status(&headless), Status::NotSynced);
    }

    #[test]
    fn clocks_may_differ_by_one_slot() {
        assert_eq!(clock_apart(&said(9, 1, false), Slot(11)), None);
        assert_eq!(clock_apart(&said(9, 0, false), Slot(11)), Some(2));
        assert_eq!(clock_apart(&said(20, 0, false), Slot(11)), Some(9));
    }

    #[test]
    fn vc_07_only_the_genesis_fork_version_makes_another_chain() {
        assert_eq!(differences(&spec(), &chain()), []);
        let mut other = spec();
        other.insert("GENESIS_FORK_VERSION".into(), json!("0x00000000"));
        assert!(
            matches!(&differences(&other, &chain())[..], [Difference::OtherChain(why)] if why.contains("0x00000000"))
        );
        let mut later = spec();
        later.insert("BELLATRIX_FORK_EPOCH".into(), json!("6"));
        let expected = Difference::Fork {
            fork: Fork::Bellatrix,
            theirs: Epoch(6),
            ours: Epoch(5),
        };
        assert_eq!(differences(&later, &chain()), [expected]);
    }

    #[test]
    fn vc_08_fork_that_is_missing_in_the_configuration_is_in_the_far_future() {
        let mut older = spec();
        older.remove("BELLATRIX_FORK_EPOCH");
        let expected = Difference::Fork {
            fork: Fork::Bellatrix,
            theirs: Epoch::FAR_FUTURE,
            ours: Epoch(5),
        };
        assert_eq!(differences(&older, &chain()), [expected]);
        let mut never = spec();
        never.insert("CAPELLA_FORK_EPOCH".into(), json!(Epoch::FAR_FUTURE.0.to_string()));
        assert_eq!(differences(&never, &chain()), []);
    }

    #[test]
    fn vc_09_fields_that_are_not_needed_are_not_read() {
        let mut more = spec();
        for n in 0..50 {
            more.insert(format!("UNKNOWN_{n}"), json!([{"even": null}]));
        }
        assert_eq!(differences(&more, &chain()), []);
    }

    #[test]
    fn counts_are_those_of_usable_and_synced_ones() {
        let all = [Status::Ok, Status::NotSynced, Status::Offline, Status::Ok];
        let expected = Counts {
            synced: 2,
            available: 3,
            total: 4,
        };
        assert_eq!(Counts::of(all.into_iter()), expected);
    }
}
