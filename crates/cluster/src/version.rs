//! The schema versions of cluster files, and what each of them has. They count independently of any program's version.
//!
//! What differs between versions is data: one row per version, each written as what changed since the one before. The
//! readers, writers, hashes and checks ask the row; they never compare versions.

use std::{fmt, str::FromStr};

use crate::json::Bytes;

/// A schema version, `v1.0.0` to `v1.11.0`, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it: version 1.x.0")]
pub enum Version {
    V1_0,
    V1_1,
    V1_2,
    V1_3,
    V1_4,
    V1_5,
    V1_6,
    V1_7,
    V1_8,
    V1_9,
    V1_10,
    V1_11,
}

/// What a version has. All of it decides bytes that others compute, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schema {
    /// The text in files; it is hashed, too.
    pub(crate) text: &'static str,
    /// How hashes, signatures and public shares stand in the file.
    pub(crate) bytes: Bytes,
    /// Operators carry a nonce that is always zero; it is hashed.
    pub(crate) nonce: bool,
    /// How the definition is hashed.
    pub(crate) hashing: Hashing,
    /// The definition hash covers the timestamp.
    pub(crate) timestamp_hashed: bool,
    /// How wallets sign the definition.
    pub(crate) wallets: Wallets,
    /// The definition names its creator.
    pub(crate) creator: bool,
    /// Each validator has its own addresses.
    pub(crate) addresses_each: bool,
    /// The definition lists deposit amounts.
    pub(crate) amounts: bool,
    /// The definition names a consensus protocol.
    pub(crate) protocol: bool,
    /// The definition gives a gas limit, and whether validators compound.
    pub(crate) gas_and_compounding: bool,
    /// How a validator of the lock is hashed.
    pub(crate) validators: ValidatorHashing,
    /// The deposits of a validator in the lock.
    pub(crate) deposits: Deposits,
    /// Validators carry a registration with builders.
    pub(crate) registrations: bool,
    /// The operators' nodes sign the lock.
    pub(crate) node_signatures: bool,
    /// The lock may lack the aggregate signature; then nothing of it is signed.
    pub(crate) aggregate_optional: bool,
    /// Validators could once have a fee recipient in the lock, which nobody supports any more.
    pub(crate) old_fee_recipient: bool,
}

/// The families of the definition's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hashing {
    /// Texts as they stand, without their length.
    Texts,
    /// Texts with their length; what is empty among addresses and signatures adds no leaf.
    Lengths,
    /// Everything of full width.
    Widths,
    /// As `Widths`, but signatures are lists of signatures.
    SignatureLists,
}

/// The families of a validator's hash in the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValidatorHashing {
    /// The public key as text, lists without limit.
    Texts,
    /// The public key as bytes of any length, lists with limits.
    Limits,
    /// The public key of full width.
    Widths,
}

/// How creators and operators sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wallets {
    /// In ways that nobody verifies any more; unsigned files are fine.
    Forgotten,
    /// Operators sign the message type `ConfigHash`; there is no creator.
    ConfigHash,
    /// Operators sign `OperatorConfigHash`, the creator `CreatorConfigHash`; one signature each.
    Typed,
    /// As `Typed`, but a smart-contract wallet may give several signatures side by side.
    Several,
}

/// What a lock holds of a validator's deposits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deposits {
    /// Nothing.
    None,
    /// One, whose fields are hashed among the validator's own.
    Flat,
    /// One.
    One,
    /// One per amount.
    PerAmount,
}

const V1_0: Schema = Schema {
    text: "v1.0.0",
    bytes: Bytes::Base64,
    nonce: true,
    hashing: Hashing::Texts,
    timestamp_hashed: false,
    wallets: Wallets::Forgotten,
    creator: false,
    addresses_each: false,
    amounts: false,
    protocol: false,
    gas_and_compounding: false,
    validators: ValidatorHashing::Texts,
    deposits: Deposits::None,
    registrations: false,
    node_signatures: false,
    aggregate_optional: true,
    old_fee_recipient: true,
};
const V1_1: Schema = Schema {
    text: "v1.1.0",
    timestamp_hashed: true,
    ..V1_0
};
const V1_2: Schema = Schema {
    text: "v1.2.0",
    bytes: Bytes::Hex,
    nonce: false,
    aggregate_optional: false,
    ..V1_1
};
const V1_3: Schema = Schema {
    text: "v1.3.0",
    hashing: Hashing::Lengths,
    validators: ValidatorHashing::Limits,
    wallets: Wallets::ConfigHash,
    ..V1_2
};
const V1_4: Schema = Schema {
    text: "v1.4.0",
    wallets: Wallets::Typed,
    creator: true,
    ..V1_3
};
const V1_5: Schema = Schema {
    text: "v1.5.0",
    hashing: Hashing::Widths,
    validators: ValidatorHashing::Widths,
    addresses_each: true,
    ..V1_4
};
const V1_6: Schema = Schema {
    text: "v1.6.0",
    deposits: Deposits::Flat,
    old_fee_recipient: false,
    ..V1_5
};
const V1_7: Schema = Schema {
    text: "v1.7.0",
    deposits: Deposits::One,
    registrations: true,
    node_signatures: true,
    ..V1_6
};
const V1_8: Schema = Schema {
    text: "v1.8.0",
    deposits: Deposits::PerAmount,
    amounts: true,
    ..V1_7
};
const V1_9: Schema = Schema {
    text: "v1.9.0",
    protocol: true,
    ..V1_8
};
const V1_10: Schema = Schema {
    text: "v1.10.0",
    gas_and_compounding: true,
    ..V1_9
};
const V1_11: Schema = Schema {
    text: "v1.11.0",
    hashing: Hashing::SignatureLists,
    wallets: Wallets::Several,
    ..V1_10
};

impl Version {
    /// Every version that is read and written, oldest first.
    pub const ALL: [Self; 12] = [
        Self::V1_0,
        Self::V1_1,
        Self::V1_2,
        Self::V1_3,
        Self::V1_4,
        Self::V1_5,
        Self::V1_6,
        Self::V1_7,
        Self::V1_8,
        Self::V1_9,
        Self::V1_10,
        Self::V1_11,
    ];

    /// The version that new clusters get: both Charon lines read it.
    pub const DEFAULT: Self = Self::V1_10;

    pub(crate) const fn schema(self) -> &'static Schema {
        match self {
            Self::V1_0 => &V1_0,
            Self::V1_1 => &V1_1,
            Self::V1_2 => &V1_2,
            Self::V1_3 => &V1_3,
            Self::V1_4 => &V1_4,
            Self::V1_5 => &V1_5,
            Self::V1_6 => &V1_6,
            Self::V1_7 => &V1_7,
            Self::V1_8 => &V1_8,
            Self::V1_9 => &V1_9,
            Self::V1_10 => &V1_10,
            Self::V1_11 => &V1_11,
        }
    }

    /// The text in files; it is hashed, too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.schema().text
    }

    /// Whether each validator has its own pair of addresses in the definition; before, all share one.
    #[must_use]
    pub const fn has_addresses_per_validator(self) -> bool {
        self.schema().addresses_each
    }

    /// Whether the definition names a creator, who signs it.
    #[must_use]
    pub const fn has_creator(self) -> bool {
        self.schema().creator
    }

    /// Whether wallets' signatures over the definition are verified; older schemas must be unsigned.
    #[must_use]
    pub const fn has_wallet_signatures(self) -> bool {
        !matches!(self.schema().wallets, Wallets::Forgotten)
    }

    /// Whether the definition lists deposit amounts, and the lock one deposit per amount.
    #[must_use]
    pub const fn has_deposit_amounts(self) -> bool {
        self.schema().amounts
    }

    /// Whether the lock holds deposits at all.
    #[must_use]
    pub const fn has_deposits(self) -> bool {
        !matches!(self.schema().deposits, Deposits::None)
    }

    /// Whether the definition gives a gas limit, and whether validators compound.
    #[must_use]
    pub const fn has_gas_limit(self) -> bool {
        self.schema().gas_and_compounding
    }

    /// Whether the lock holds a registration with builders per validator.
    #[must_use]
    pub const fn has_registrations(self) -> bool {
        self.schema().registrations
    }

    /// Whether the operators' nodes sign the lock.
    #[must_use]
    pub const fn has_node_signatures(self) -> bool {
        self.schema().node_signatures
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A version that we do not know; matched exactly, so `v1.7` is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cluster file version {0:?} is not supported; known are v1.0.0 to v1.11.0, so a newer trireme may be needed")]
pub struct UnknownVersion(pub String);

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|v| v.as_str() == s)
            .ok_or_else(|| UnknownVersion(s.chars().take(40).collect()))
    }
}
