//! A chain's configuration as its beacon node tells it: timing, fork schedule, domains.
//!
//! Guarantees: a [`ChainSpec`] that was read has slots and epochs of a length above zero and a version for every epoch.
//! Not here: the time now (`core::time` has slot arithmetic on wall time).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    Domain, DomainType, Epoch, Fork, ForkInfo, ForkVersion, Genesis, PresetKind, Root, Slot, compute_domain,
    networks::Network, signing,
};

/// Why a beacon node's configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A key that we need is not there.
    #[error("the beacon node's configuration lacks {0}")]
    Missing(&'static str),
    /// A value has the wrong form.
    #[error("the beacon node's configuration has {key} = {value}, which is not {expected}")]
    Invalid {
        /// The key.
        key: String,
        /// The beginning of its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Not a preset that we know.
    #[error("the beacon node uses the preset {0:?}; only mainnet and gnosis are supported")]
    Preset(String),
}

/// A version and when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledFork {
    /// The fork; `None` if this version of Trireme does not know it.
    pub fork: Option<Fork>,
    /// Its version.
    pub version: ForkVersion,
    /// Its first epoch.
    pub epoch: Epoch,
}

/// When each fork begins. The first begins at epoch 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkSchedule {
    first: ScheduledFork,
    rest: Vec<ScheduledFork>,
}

impl ForkSchedule {
    /// The schedule that begins with phase0 at the genesis version. Later forks in any order; a stable sort by epoch
    /// decides which of several at one epoch is the last.
    #[must_use]
    pub fn new(genesis_fork_version: ForkVersion, later: Vec<ScheduledFork>) -> Self {
        let first = ScheduledFork {
            fork: Some(Fork::Phase0),
            version: genesis_fork_version,
            epoch: Epoch(0),
        };
        let mut rest = later;
        rest.sort_by_key(|f| f.epoch);
        Self { first, rest }
    }

    /// The schedule of `/eth/v1/config/fork_schedule`, whose entries are the forks in order from phase0.
    ///
    /// # Errors
    ///
    /// If it is empty.
    pub fn from_list(list: &[ForkInfo]) -> Result<Self, SpecError> {
        let (first, rest) = list.split_first().ok_or(SpecError::Missing("a fork schedule"))?;
        let known = Fork::ALL.into_iter().skip(1).map(Some).chain(std::iter::repeat(None));
        let later = rest
            .iter()
            .zip(known)
            .map(|(f, fork)| ScheduledFork {
                fork,
                version: f.current_version,
                epoch: f.epoch,
            })
            .collect();
        Ok(Self::new(first.current_version, later))
    }

    /// The version that signatures of an epoch are made under.
    #[must_use]
    pub fn version_at(&self, epoch: Epoch) -> ForkVersion {
        self.scheduled_at(epoch).version
    }

    /// The fork of an epoch; `None` if it is one that this version of Trireme does not know.
    #[must_use]
    pub fn fork_at(&self, epoch: Epoch) -> Option<Fork> {
        self.scheduled_at(epoch).fork
    }

    /// The first epoch of a fork; `None` if it is not scheduled.
    #[must_use]
    pub fn epoch_of(&self, fork: Fork) -> Option<Epoch> {
        self.iter()
            .find(|f| f.fork == Some(fork))
            .map(|f| f.epoch)
            .filter(|e| *e != Epoch::FAR_FUTURE)
    }

    /// The version of a fork, if the schedule has it.
    #[must_use]
    pub fn version_of(&self, fork: Fork) -> Option<ForkVersion> {
        self.iter().find(|f| f.fork == Some(fork)).map(|f| f.version)
    }

    /// Every fork, earliest first; those that are not scheduled begin at [`Epoch::FAR_FUTURE`].
    pub fn iter(&self) -> impl Iterator<Item = &ScheduledFork> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    fn scheduled_at(&self, epoch: Epoch) -> &ScheduledFork {
        self.rest.iter().rev().find(|f| f.epoch <= epoch).unwrap_or(&self.first)
    }
}

/// A chain's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainSpec {
    /// `CONFIG_NAME`; empty if the node does not tell.
    pub config_name: String,
    /// How the chain began.
    pub genesis: Genesis,
    /// List limits.
    pub preset: PresetKind,
    /// Length of a slot in milliseconds, above zero.
    pub slot_duration_ms: u64,
    /// Slots in an epoch, above zero.
    pub slots_per_epoch: u64,
    /// Epochs for which a sync committee serves, above zero.
    pub epochs_per_sync_committee_period: u64,
    /// Members of a sync committee.
    pub sync_committee_size: u64,
    /// Subcommittees of a sync committee, above zero.
    pub sync_committee_subnet_count: u64,
    /// Wished number of aggregators per attestation committee.
    pub target_aggregators_per_committee: u64,
    /// Wished number of aggregators per sync subcommittee.
    pub target_aggregators_per_sync_subcommittee: u64,
    /// Chain id of the execution layer, where the node tells.
    pub deposit_chain_id: Option<u64>,
    /// When each fork begins.
    pub forks: ForkSchedule,
    /// The version that exits are signed under (EIP-7044); `None` if neither the node nor the table of networks knows.
    pub capella_fork_version: Option<ForkVersion>,
    domains: BTreeMap<DomainType, [u8; 4]>,
}

impl ChainSpec {
    /// Reads the `data` object of `/eth/v1/config/spec`. Values are strings or numbers; unknown keys are ignored.
    ///
    /// # Errors
    ///
    /// If a key that is needed is missing or unreadable, or the preset is not supported.
    pub fn read(data: &Map<String, Value>, genesis: Genesis) -> Result<Self, SpecError> {
        let spec = Spec(data);
        let slot_duration_ms = match spec.number("SLOT_DURATION_MS")? {
            Some(ms) => ms,
            None => spec.needed("SECONDS_PER_SLOT")?.saturating_mul(1000),
        };
        let mut domains = BTreeMap::new();
        for kind in DomainType::ALL {
            domains.insert(kind, spec.version(kind.spec_key())?.map_or(kind.bytes(), |v| v.0));
        }
        let forks = spec.forks(genesis.genesis_fork_version)?;
        let known = Network::by_fork_version(genesis.genesis_fork_version);
        Ok(Self {
            config_name: spec.text("CONFIG_NAME").unwrap_or_default().to_owned(),
            genesis,
            preset: spec.preset()?,
            slot_duration_ms: above_zero("SECONDS_PER_SLOT", slot_duration_ms)?,
            slots_per_epoch: above_zero("SLOTS_PER_EPOCH", spec.needed("SLOTS_PER_EPOCH")?)?,
            epochs_per_sync_committee_period: above_zero(
                "EPOCHS_PER_SYNC_COMMITTEE_PERIOD",
                spec.number("EPOCHS_PER_SYNC_COMMITTEE_PERIOD")?.unwrap_or(256),
            )?,
            sync_committee_size: spec.number("SYNC_COMMITTEE_SIZE")?.unwrap_or(512),
            sync_committee_subnet_count: above_zero(
                "SYNC_COMMITTEE_SUBNET_COUNT",
                spec.number("SYNC_COMMITTEE_SUBNET_COUNT")?.unwrap_or(4),
            )?,
            target_aggregators_per_committee: spec.number("TARGET_AGGREGATORS_PER_COMMITTEE")?.unwrap_or(16),
            target_aggregators_per_sync_subcommittee: spec
                .number("TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE")?
                .unwrap_or(16),
            deposit_chain_id: spec.number("DEPOSIT_CHAIN_ID")?,
            capella_fork_version: forks
                .version_of(Fork::Capella)
                .or_else(|| known.and_then(|n| n.capella_fork_version)),
            forks,
            domains,
        })
    }

    /// The domain of a purpose in an epoch. Exits use the Capella version (EIP-7044), deposits and builder
    /// registrations the genesis version without chain, whatever the epoch.
    #[must_use]
    pub fn domain(&self, kind: DomainType, epoch: Epoch) -> Domain {
        let chain = self.genesis.genesis_validators_root;
        let bytes = self.domains.get(&kind).copied().unwrap_or_else(|| kind.bytes());
        match kind {
            DomainType::VoluntaryExit => {
                let version = self
                    .capella_fork_version
                    .unwrap_or_else(|| self.forks.version_at(epoch));
                compute_domain(bytes, version, chain)
            }
            DomainType::ApplicationBuilder | DomainType::Deposit => {
                compute_domain(bytes, self.genesis.genesis_fork_version, Root::ZERO)
            }
            DomainType::BlsToExecutionChange => compute_domain(bytes, self.genesis.genesis_fork_version, chain),
            DomainType::BeaconProposer
            | DomainType::BeaconAttester
            | DomainType::Randao
            | DomainType::SelectionProof
            | DomainType::AggregateAndProof
            | DomainType::SyncCommittee
            | DomainType::SyncCommitteeSelectionProof
            | DomainType::ContributionAndProof => compute_domain(bytes, self.forks.version_at(epoch), chain),
        }
    }

    /// What is signed: an object's root under the domain of a purpose in an epoch.
    #[must_use]
    pub fn signing_root(&self, object_root: Root, kind: DomainType, epoch: Epoch) -> Root {
        signing::signing_root(object_root, self.domain(kind, epoch))
    }

    /// The epoch of a slot.
    #[must_use]
    pub fn epoch(&self, slot: Slot) -> Epoch {
        Epoch(slot.0.checked_div(self.slots_per_epoch).unwrap_or_default())
    }

    /// The first slot of an epoch; the last of all if there is no such slot.
    #[must_use]
    pub fn first_slot(&self, epoch: Epoch) -> Slot {
        Slot(epoch.0.saturating_mul(self.slots_per_epoch))
    }

    /// The fork of a slot; `None` if it is one that this version of Trireme does not know.
    #[must_use]
    pub fn fork_at(&self, slot: Slot) -> Option<Fork> {
        self.forks.fork_at(self.epoch(slot))
    }

    /// Length of a slot.
    #[must_use]
    pub const fn slot_duration(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.slot_duration_ms)
    }

    /// Members of a sync subcommittee.
    #[must_use]
    pub fn sync_subcommittee_size(&self) -> u64 {
        self.sync_committee_size
            .checked_div(self.sync_committee_subnet_count)
            .unwrap_or_default()
    }
}

fn above_zero(key: &'static str, value: u64) -> Result<u64, SpecError> {
    if value == 0 {
        return Err(SpecError::Invalid {
            key: key.to_owned(),
            value: "0".to_owned(),
            expected: "above zero",
        });
    }
    Ok(value)
}

/// Typed reading of the map.
struct Spec<'a>(&'a Map<String, Value>);

impl Spec<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    fn invalid(&self, key: &str, expected: &'static str) -> SpecError {
        let value = self.0.get(key).map(ToString::to_string).unwrap_or_default();
        SpecError::Invalid {
            key: key.to_owned(),
            value: value.chars().take(80).collect(),
            expected,
        }
    }

    fn number(&self, key: &str) -> Result<Option<u64>, SpecError> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let number = value.as_u64().or_else(|| value.as_str().and_then(|s| s.parse().ok()));
        number.map(Some).ok_or_else(|| self.invalid(key, "a number below 2^64"))
    }

    fn needed(&self, key: &'static str) -> Result<u64, SpecError> {
        self.number(key)?.ok_or(SpecError::Missing(key))
    }

    fn version(&self, key: &str) -> Result<Option<ForkVersion>, SpecError> {
        if !self.0.contains_key(key) {
            return Ok(None);
        }
        let version = self.text(key).and_then(|s| s.parse().ok());
        version
            .map(Some)
            .ok_or_else(|| self.invalid(key, "0x and 8 hex digits"))
    }

    /// `PRESET_BASE` names it; the limit that makes the difference decides where it is told.
    fn preset(&self) -> Result<PresetKind, SpecError> {
        match self.text("PRESET_BASE").unwrap_or("mainnet") {
            "mainnet" => Ok(match self.number("MAX_WITHDRAWALS_PER_PAYLOAD")? {
                Some(8) => PresetKind::Gnosis,
                Some(_) | None => PresetKind::Mainnet,
            }),
            "gnosis" => Ok(PresetKind::Gnosis),
            other => Err(SpecError::Preset(other.chars().take(40).collect())),
        }
    }

    /// All pairs `X_FORK_VERSION`, `X_FORK_EPOCH`, those of unknown names too: signatures need only the version.
    fn forks(&self, genesis_fork_version: ForkVersion) -> Result<ForkSchedule, SpecError> {
        let mut later = Vec::new();
        for fork in Fork::ALL.into_iter().skip(1) {
            let name = fork.name().to_ascii_uppercase();
            later.extend(self.scheduled(&name, Some(fork))?);
        }
        for key in self.0.keys() {
            let Some(name) = key.strip_suffix("_FORK_VERSION") else {
                continue;
            };
            if name != "GENESIS" && name.parse::<Fork>().is_err() {
                later.extend(self.scheduled(name, None)?);
            }
        }
        Ok(ForkSchedule::new(genesis_fork_version, later))
    }

    fn scheduled(&self, name: &str, fork: Option<Fork>) -> Result<Option<ScheduledFork>, SpecError> {
        let version = self.version(&format!("{name}_FORK_VERSION"))?;
        let epoch = self.number(&format!("{name}_FORK_EPOCH"))?;
        Ok(version.map(|version| ScheduledFork {
            fork,
            version,
            epoch: epoch.map_or(Epoch::FAR_FUTURE, Epoch),
        }))
    }
}

#[cfg(test)]
mod tests;
