//! Domains and signing roots.
//!
//! A signature covers `signing_root(object root, domain)`; the domain mixes purpose, fork version and chain.

use crate::{
    Domain, ForkVersion, Root, hash_tree_root,
    phase0::{ForkData, SigningData},
};

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DomainType {
    /// Blocks.
    BeaconProposer,
    /// Attestations.
    BeaconAttester,
    /// Randao reveals.
    Randao,
    /// Deposits.
    Deposit,
    /// Exits.
    VoluntaryExit,
    /// Selection of attestation aggregators.
    SelectionProof,
    /// Aggregates.
    AggregateAndProof,
    /// Sync committee messages.
    SyncCommittee,
    /// Selection of sync committee aggregators.
    SyncCommitteeSelectionProof,
    /// Sync committee contributions.
    ContributionAndProof,
    /// Changes of withdrawal credentials.
    BlsToExecutionChange,
    /// Registrations for builders.
    ApplicationBuilder,
}

impl DomainType {
    /// Every type.
    pub const ALL: [Self; 12] = [
        Self::BeaconProposer,
        Self::BeaconAttester,
        Self::Randao,
        Self::Deposit,
        Self::VoluntaryExit,
        Self::SelectionProof,
        Self::AggregateAndProof,
        Self::SyncCommittee,
        Self::SyncCommitteeSelectionProof,
        Self::ContributionAndProof,
        Self::BlsToExecutionChange,
        Self::ApplicationBuilder,
    ];

    /// The key in the answer of `/eth/v1/config/spec`.
    #[must_use]
    pub const fn spec_key(self) -> &'static str {
        match self {
            Self::BeaconProposer => "DOMAIN_BEACON_PROPOSER",
            Self::BeaconAttester => "DOMAIN_BEACON_ATTESTER",
            Self::Randao => "DOMAIN_RANDAO",
            Self::Deposit => "DOMAIN_DEPOSIT",
            Self::VoluntaryExit => "DOMAIN_VOLUNTARY_EXIT",
            Self::SelectionProof => "DOMAIN_SELECTION_PROOF",
            Self::AggregateAndProof => "DOMAIN_AGGREGATE_AND_PROOF",
            Self::SyncCommittee => "DOMAIN_SYNC_COMMITTEE",
            Self::SyncCommitteeSelectionProof => "DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF",
            Self::ContributionAndProof => "DOMAIN_CONTRIBUTION_AND_PROOF",
            Self::BlsToExecutionChange => "DOMAIN_BLS_TO_EXECUTION_CHANGE",
            Self::ApplicationBuilder => "DOMAIN_APPLICATION_BUILDER",
        }
    }

    /// The value in the specification; every network uses it.
    #[must_use]
    pub const fn bytes(self) -> [u8; 4] {
        match self {
            Self::BeaconProposer => [0, 0, 0, 0],
            Self::BeaconAttester => [1, 0, 0, 0],
            Self::Randao => [2, 0, 0, 0],
            Self::Deposit => [3, 0, 0, 0],
            Self::VoluntaryExit => [4, 0, 0, 0],
            Self::SelectionProof => [5, 0, 0, 0],
            Self::AggregateAndProof => [6, 0, 0, 0],
            Self::SyncCommittee => [7, 0, 0, 0],
            Self::SyncCommitteeSelectionProof => [8, 0, 0, 0],
            Self::ContributionAndProof => [9, 0, 0, 0],
            Self::BlsToExecutionChange => [10, 0, 0, 0],
            Self::ApplicationBuilder => [0, 0, 0, 1],
        }
    }
}

/// The domain of a purpose under a fork version on a chain.
#[must_use]
pub fn compute_domain(kind: [u8; 4], version: ForkVersion, genesis_validators_root: Root) -> Domain {
    let fork_root = hash_tree_root(&ForkData {
        current_version: version,
        genesis_validators_root,
    });
    let mut domain = [0; 32];
    for (to, from) in domain.iter_mut().zip(kind.into_iter().chain(fork_root.0)) {
        *to = from;
    }
    Domain(domain)
}

/// What is signed: the object's root under a domain.
#[must_use]
pub fn signing_root(object_root: Root, domain: Domain) -> Root {
    hash_tree_root(&SigningData { object_root, domain })
}

/// The domain of deposits: genesis fork version, no chain, so that they are valid before genesis.
#[must_use]
pub fn deposit_domain(genesis_fork_version: ForkVersion) -> Domain {
    compute_domain(DomainType::Deposit.bytes(), genesis_fork_version, Root::ZERO)
}

/// The domain of registrations for builders: genesis fork version, no chain, whatever the later forks.
#[must_use]
pub fn builder_domain(genesis_fork_version: ForkVersion) -> Domain {
    compute_domain(DomainType::ApplicationBuilder.bytes(), genesis_fork_version, Root::ZERO)
}

/// The domain of exits: the Capella version for good (EIP-7044).
#[must_use]
pub fn exit_domain(capella_fork_version: ForkVersion, genesis_validators_root: Root) -> Domain {
    compute_domain(
        DomainType::VoluntaryExit.bytes(),
        capella_fork_version,
        genesis_validators_root,
    )
}
