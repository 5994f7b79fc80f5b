//! The Ethereum consensus layer's data as values: containers of every fork, their SSZ and JSON forms, hash tree roots,
//! signing roots, fork schedule and the constants of the known networks.
//!
//! Guarantees: no clock, no network, no files; decoding never panics and accepts exactly one SSZ form per value.
//! Not here: signatures as points (`tbls`), the wire envelopes of the duty workflow (`core::data`).

#![deny(clippy::wildcard_enum_match_arm)]

pub mod altair;
pub mod api;
mod attestation;
pub mod bellatrix;
mod block;
pub mod capella;
mod container;
pub mod deneb;
pub mod electra;
mod fork;
pub mod fulu;
pub mod networks;
pub mod phase0;
pub mod primitives;
mod proposal;
mod selection;
mod signing;
mod spec;
mod versioned;

/// The SSZ codec, so that users need not name its crates.
pub use {ssz, ssz_derive, ssz_types};

pub use altair::{
    ContributionAndProof, SignedContributionAndProof, SyncAggregatorSelectionData, SyncCommitteeContribution,
    SyncCommitteeMessage,
};
pub use api::*;
pub use attestation::*;
pub use block::VersionedSignedBlock;
pub use container::*;
pub use electra::SingleAttestation;
pub use fork::{Fork, UnknownFork};
pub use phase0::{
    AttestationData, BeaconBlockHeader, Checkpoint, DepositData, DepositMessage, ForkData, ForkInfo,
    SignedBeaconBlockHeader, SignedVoluntaryExit, SigningData, VoluntaryExit,
};
pub use primitives::*;
pub use proposal::*;
pub use selection::{is_attestation_aggregator, is_sync_aggregator};
pub use signing::*;
pub use spec::{ChainSpec, ForkSchedule, ScheduledFork, SpecError};
pub use versioned::{DataOnly, Versioned, VersionedError};
