//! The checks of definitions and locks, one by one, in the order in which other nodes make them (cluster.md 4.1 and 5).
//!
//! A refused file is known by the first check that it fails; two programs that agree on that read it the same way.

use crate::{
    verify::{DefinitionError, MISSING, UNEXPECTED, VerifyError, What, Who},
    view::ClusterError,
};

/// One check. The order is that of a node that starts; with [`crate::Order::SignaturesFirst`] the hashes come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The config hash is that of the content.
    ConfigHash,
    /// The definition hash is that of the content.
    DefinitionHash,
    /// The lock has as many validators as its definition says.
    ValidatorCount,
    /// The lock hash is that of the content.
    LockHash,
    /// Files of the oldest schemas are not signed by wallets.
    OldSignatures,
    /// The creator's signature has a length that the schema allows.
    CreatorLength,
    /// The fork version belongs to a known network.
    Network,
    /// An operator with an address, or with any signature, signed its ENR.
    EnrSignatureMissing,
    /// An operator with an address, or with any signature, signed the config hash.
    ConfigSignatureMissing,
    /// The operators' signatures have lengths that the schema allows.
    OperatorLength,
    /// The operator's wallet signed the config hash.
    ConfigSignature,
    /// The operator's wallet signed the ENR.
    EnrSignature,
    /// All operators signed, or none.
    Partly,
    /// The creator's signature is there, or left out, as it must be.
    CreatorMissing,
    /// The creator's wallet signed the config hash.
    CreatorSignature,
    /// The signature of all shares is there.
    AggregateMissing,
    /// Every validator has as many public shares as there are operators.
    ShareCount,
    /// Public keys and shares are points of the curve.
    Keys,
    /// No two validators have one public key.
    DuplicateKey,
    /// No two shares of a validator are the same.
    DuplicateShare,
    /// The threshold is one that the number of operators allows.
    Threshold,
    /// Public shares interpolate to the public key.
    Shares,
    /// Every share signed the lock hash.
    Aggregate,
    /// A registration is there, or left out, as the schema has it.
    RegistrationMissing,
    /// The registration is signed by the validator's key, for the definition's fee recipient.
    Registration,
    /// There is one node signature per operator, or none, as the schema has it.
    NodeSignatureCount,
    /// The operators' records can be used.
    Operators,
    /// Every operator's node signed the lock hash.
    NodeSignature,
    /// The lock has what a node needs beyond all this.
    Usable,
}

impl Stage {
    /// Every check, in order.
    pub const ALL: [Self; 29] = [
        Self::ConfigHash,
        Self::DefinitionHash,
        Self::ValidatorCount,
        Self::LockHash,
        Self::OldSignatures,
        Self::CreatorLength,
        Self::Network,
        Self::EnrSignatureMissing,
        Self::ConfigSignatureMissing,
        Self::OperatorLength,
        Self::ConfigSignature,
        Self::EnrSignature,
        Self::Partly,
        Self::CreatorMissing,
        Self::CreatorSignature,
        Self::AggregateMissing,
        Self::ShareCount,
        Self::Keys,
        Self::DuplicateKey,
        Self::DuplicateShare,
        Self::Threshold,
        Self::Shares,
        Self::Aggregate,
        Self::RegistrationMissing,
        Self::Registration,
        Self::NodeSignatureCount,
        Self::Operators,
        Self::NodeSignature,
        Self::Usable,
    ];
}

impl VerifyError {
    /// The check that failed.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::ConfigHash(_) => Stage::ConfigHash,
            Self::DefinitionHash(_) => Stage::DefinitionHash,
            Self::ValidatorCount { .. } => Stage::ValidatorCount,
            Self::LockHash(_) => Stage::LockHash,
            Self::Definition(error) => error.stage(),
            Self::Cluster(error) => error.stage(),
            Self::Shares(_) => Stage::Shares,
            Self::Aggregate(problem) if *problem == MISSING => Stage::AggregateMissing,
            Self::Aggregate(_) => Stage::Aggregate,
            Self::Registration { problem, .. } if [MISSING, UNEXPECTED].contains(problem) => Stage::RegistrationMissing,
            Self::Registration { .. } => Stage::Registration,
            Self::NodeSignatureCount { .. } => Stage::NodeSignatureCount,
            Self::NodeSignature { .. } => Stage::NodeSignature,
        }
    }
}

impl DefinitionError {
    /// The check that failed.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self {
            Self::Unsupported(_) => Stage::OldSignatures,
            Self::UnknownNetwork(_) => Stage::Network,
            Self::Length { who, .. } => match who {
                Who::Creator => Stage::CreatorLength,
                Who::Operator(_) => Stage::OperatorLength,
            },
            Self::Missing { who, what } => match (who, what) {
                (Who::Creator, _) => Stage::CreatorMissing,
                (Who::Operator(_), What::Enr) => Stage::EnrSignatureMissing,
                (Who::Operator(_), What::Config) => Stage::ConfigSignatureMissing,
            },
            Self::Unexpected { .. } => Stage::CreatorMissing,
            Self::Wrong { who, what, .. } | Self::Refused { who, what, .. } => match (who, what) {
                (Who::Creator, _) => Stage::CreatorSignature,
                (Who::Operator(_), What::Config) => Stage::ConfigSignature,
                (Who::Operator(_), What::Enr) => Stage::EnrSignature,
            },
            // The address is read when the first signature is verified.
            Self::Address { who, .. } => match who {
                Who::Creator => Stage::CreatorSignature,
                Who::Operator(_) => Stage::ConfigSignature,
            },
            Self::Partly { .. } => Stage::Partly,
        }
    }
}

impl ClusterError {
    /// The check that failed.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self {
            Self::ValidatorCount { .. } => Stage::ValidatorCount,
            Self::ShareCount { .. } => Stage::ShareCount,
            Self::Key { .. } => Stage::Keys,
            Self::DuplicateValidator(_) => Stage::DuplicateKey,
            Self::DuplicateShare(_) => Stage::DuplicateShare,
            Self::Threshold { .. } => Stage::Threshold,
            Self::Enr { .. } | Self::DuplicateOperator { .. } => Stage::Operators,
            Self::ForkVersion(_) | Self::OperatorCount(_) | Self::Address { .. } => Stage::Usable,
        }
    }
}
