//! What can be found, as data.

use trireme_keys::KeyFileError;

use crate::{ParseError, VerifyError, Version, deposit::DepositError, folder::FolderError, verify::DefinitionError};

/// How much a fault weighs; the later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Something is missing or unsigned.
    Lacking,
    /// Something could not be looked at.
    Unchecked,
    /// Something is wrong.
    Wrong,
}

/// One fault. Positions count from 0, as peers and validators do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A file or folder cannot be read.
    Unreadable(String),
    /// An interrupted command left files that are not in their place, and this is what is known of them.
    HalfMoved(String),
    /// No lock; worse if there are deposit files all the same.
    NoLock {
        /// There are.
        deposits: bool,
    },
    /// The lock or definition is none.
    Parse(ParseError),
    /// The lock fails its verification.
    Verify(VerifyError),
    /// The definition's signatures are wrong.
    Definition(DefinitionError),
    /// A wallet signed in a way that only a contract can judge, and none was asked.
    ContractNotAsked(DefinitionError),
    /// The chain id that wallets sign is unknown.
    UnknownNetwork(Vec<u8>),
    /// Nobody signed the lock.
    UnsignedLock(Version),
    /// Nobody signed the definition.
    UnsignedDefinition,
    /// The deposits of one validator within the lock.
    LockDeposit {
        /// Position in the lock.
        validator: usize,
        /// Gwei.
        amount: u64,
        /// What is wrong.
        problem: DepositProblem,
    },
    /// Nobody can own this address, on a network where money counts.
    ZeroAddress {
        /// Position in the lock.
        validator: usize,
        /// Withdrawals go there; otherwise fees do.
        withdrawal: bool,
        /// The network.
        network: String,
        /// Whether the network is one of those where money counts.
        real: bool,
    },
    /// The mix of upper and lower case contradicts the address: a digit was mistyped.
    AddressChecksum {
        /// Position in the lock.
        validator: usize,
        /// As it stands there.
        found: String,
    },
    /// Another lock than in the first folder.
    OtherLock {
        /// The first folder's.
        first: String,
    },
    /// No identity key.
    NoIdentity,
    /// The identity key is none.
    Identity(KeyFileError),
    /// The identity key belongs to nobody in the lock.
    IdentityForeign {
        /// The record of that key.
        enr: String,
    },
    /// Two folders hold the same operator's key.
    OperatorTwice {
        /// Peer index.
        operator: usize,
        /// The first folder.
        first: String,
    },
    /// No keystore at all.
    NoKeystores,
    /// No password beside a keystore.
    NoPassword,
    /// A keystore does not open.
    Keystore(FolderError),
    /// The `pubkey` field is not that of the secret, so a validator client takes it for another key.
    ClaimDiffers,
    /// The `pubkey` field names no key, and the keystore was not to be opened.
    NoClaim,
    /// A share of no validator of the lock.
    ShareForeign,
    /// Another operator's share.
    ShareOfOther {
        /// Position in the lock.
        validator: usize,
        /// Peer index of the owner.
        owner: usize,
        /// Peer index of this folder.
        me: usize,
    },
    /// A second keystore of the same share.
    ShareTwice {
        /// The first.
        first: String,
    },
    /// The number in the name is not the validator's position.
    ShareOrder {
        /// Position in the lock.
        validator: usize,
    },
    /// Validators without a keystore here.
    SharesMissing {
        /// Positions in the lock.
        validators: Vec<usize>,
        /// In the lock.
        of: usize,
    },
    /// Anybody can open keystores that were encrypted for tests.
    InsecureKeystores {
        /// The network.
        network: String,
        /// Whether it is one where money counts.
        real: bool,
    },
    /// The shares of the folders do not give the validator's key.
    SharesDoNotFit {
        /// Position in the lock.
        validator: usize,
    },
    /// No deposit file.
    NoDeposits {
        /// The lock holds deposits, from which the files can be made again.
        in_lock: bool,
    },
    /// Validators without a deposit of an amount that others have.
    DepositsMissing {
        /// Gwei.
        amount: u64,
        /// Positions in the lock.
        validators: Vec<usize>,
        /// In the lock.
        of: usize,
    },
    /// Not a deposit file.
    DepositFile(DepositError),
    /// A deposit in a file.
    Deposit {
        /// The key that it is for, hex.
        pubkey: String,
        /// Gwei.
        amount: u64,
        /// What is wrong.
        problem: DepositProblem,
    },
    /// More people may do more with a file than need be.
    Exposed {
        /// The permission bits.
        found: u32,
        /// The widest that are fine.
        widest: u32,
    },
    /// The owner may do more with a file than need be.
    WiderThanUsual {
        /// The permission bits.
        found: u32,
        /// The widest that are usual.
        widest: u32,
    },
}

/// What is wrong with a deposit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DepositProblem {
    /// For a key that is no validator of the lock.
    Foreign,
    /// Not signed by its key for this network.
    Signature,
    /// For another network.
    Network {
        /// As the deposit says, or by its signature.
        found: String,
        /// The lock's.
        expected: String,
    },
    /// Withdrawals would go elsewhere.
    Credentials {
        /// Hex.
        found: String,
        /// Hex.
        expected: String,
    },
    /// The lock names no withdrawal address to compare with.
    CredentialsUnknown,
    /// Below 1 ETH or above what the validator may have.
    Amount,
    /// The same deposit a second time.
    Twice,
    /// A root beside it is not that of its content.
    Roots,
}

impl Fault {
    /// How much it weighs.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::ShareOrder { .. } | Self::WiderThanUsual { .. } => Severity::Note,
            Self::ZeroAddress { real, .. } | Self::InsecureKeystores { real, .. } => {
                if *real {
                    Severity::Wrong
                } else {
                    Severity::Note
                }
            }
            Self::NoLock { deposits } => {
                if *deposits {
                    Severity::Wrong
                } else {
                    Severity::Lacking
                }
            }
            Self::UnsignedLock(_)
            | Self::UnsignedDefinition
            | Self::NoIdentity
            | Self::NoKeystores
            | Self::NoPassword
            | Self::SharesMissing { .. }
            | Self::NoDeposits { .. }
            | Self::DepositsMissing { .. }
            | Self::HalfMoved(_) => Severity::Lacking,
            Self::Unreadable(_)
            | Self::ContractNotAsked(_)
            | Self::UnknownNetwork(_)
            | Self::NoClaim
            | Self::Deposit {
                problem: DepositProblem::CredentialsUnknown,
                ..
            }
            | Self::LockDeposit {
                problem: DepositProblem::CredentialsUnknown,
                ..
            } => Severity::Unchecked,
            Self::Parse(_)
            | Self::Verify(_)
            | Self::Definition(_)
            | Self::LockDeposit { .. }
            | Self::AddressChecksum { .. }
            | Self::OtherLock { .. }
            | Self::Identity(_)
            | Self::IdentityForeign { .. }
            | Self::OperatorTwice { .. }
            | Self::Keystore(_)
            | Self::ClaimDiffers
            | Self::ShareForeign
            | Self::ShareOfOther { .. }
            | Self::ShareTwice { .. }
            | Self::SharesDoNotFit { .. }
            | Self::DepositFile(_)
            | Self::Deposit { .. }
            | Self::Exposed { .. } => Severity::Wrong,
        }
    }
}
