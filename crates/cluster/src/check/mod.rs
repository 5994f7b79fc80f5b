//! May money be sent to this cluster? What was handed out (a lock, a definition, the folders of operators) is looked at as
//! a whole, and every check gives findings: what is right, what is wrong, what is missing, what could not be looked at.
//!
//! ```text
//!   Folder (bytes, opened keystores, modes) ─► folders ─┐
//!   a lock's bytes ────────────────────────► lock_alone ─┼─► Report: facts and findings ─► Verdict
//!   a definition's bytes ────────────► definition_alone ─┘
//! ```
//!
//! Guarantees: a check that fails does not hide the others; each finding names its check by a name that stays, and its
//! place; the verdict is a function of the findings; equal bytes in several folders are verified once.
//! Not here: reading folders, opening keystores (both take files and threads), and words for people.

mod deposits;
mod facts;
mod fault;
mod kind;
mod lock;
mod operator;
mod together;

use std::collections::BTreeMap;

use trireme_tbls::SecretKey;
use zeroize::Zeroizing;

pub use facts::{Facts, OperatorFacts, ValidatorFacts};
pub use fault::{DepositProblem, Fault, Severity};
pub use kind::{Kind, kind_of};
pub use together::any_threshold_fits;

use crate::{Networks, Wallets, folder::FolderError};

/// The checks, in the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// An interrupted command left nothing behind.
    FilesMoved,
    /// There is a lock.
    LockPresent,
    /// The lock or the definition is a file of that kind, of a known version.
    Readable,
    /// The config hash is that of the content.
    ConfigHash,
    /// The definition hash is that of the content.
    DefinitionHash,
    /// The lock has as many validators as its definition says.
    ValidatorCount,
    /// The lock hash is that of the content.
    LockHash,
    /// The wallets of creator and operators signed, or nobody did.
    DefinitionSignatures,
    /// Operators, validators and shares are real, distinct keys.
    Keys,
    /// Any threshold of the public shares gives the validator's key.
    PublicShares,
    /// Every share signed the lock.
    SignatureAggregate,
    /// Every validator signed its registration with builders.
    BuilderRegistrations,
    /// Every operator's node signed the lock.
    NodeSignatures,
    /// The deposits within the lock are signed and go to the withdrawal address.
    LockDeposits,
    /// Withdrawal and fee addresses are ones that somebody can own, and carry their checksum.
    Addresses,
    /// All folders hold the same lock.
    LocksIdentical,
    /// The node's key belongs to an operator of the lock, to another in each folder.
    IdentityKey,
    /// There is a keystore with its password for every validator.
    KeystoresComplete,
    /// Every keystore opens.
    KeystoresOpen,
    /// Every key is this operator's share.
    KeystoreShares,
    /// Any threshold of the folders' shares gives the validators' keys.
    AnyThreshold,
    /// There are deposit files, with every validator in each.
    DepositsComplete,
    /// The deposit files are such.
    DepositsReadable,
    /// Every deposit is for a validator of the lock.
    DepositKeys,
    /// Every deposit is for the network of the lock.
    DepositNetwork,
    /// Every deposit returns to the withdrawal address of the lock.
    DepositCredentials,
    /// Every deposit's amount is one that the validator may have.
    DepositAmounts,
    /// Every deposit is signed by its validator.
    DepositSignatures,
    /// The roots beside a deposit are those of its content.
    DepositRoots,
    /// Files can be read and written by no more people than need be.
    FileModes,
}

impl Check {
    /// Every check.
    pub const ALL: [Self; 30] = [
        Self::FilesMoved,
        Self::LockPresent,
        Self::Readable,
        Self::ConfigHash,
        Self::DefinitionHash,
        Self::ValidatorCount,
        Self::LockHash,
        Self::DefinitionSignatures,
        Self::Keys,
        Self::PublicShares,
        Self::SignatureAggregate,
        Self::BuilderRegistrations,
        Self::NodeSignatures,
        Self::LockDeposits,
        Self::Addresses,
        Self::LocksIdentical,
        Self::IdentityKey,
        Self::KeystoresComplete,
        Self::KeystoresOpen,
        Self::KeystoreShares,
        Self::AnyThreshold,
        Self::DepositsComplete,
        Self::DepositsReadable,
        Self::DepositKeys,
        Self::DepositNetwork,
        Self::DepositCredentials,
        Self::DepositAmounts,
        Self::DepositSignatures,
        Self::DepositRoots,
        Self::FileModes,
    ];

    /// The name by which programs know it; it never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FilesMoved => "files_moved",
            Self::LockPresent => "lock_present",
            Self::Readable => "readable",
            Self::ConfigHash => "config_hash",
            Self::DefinitionHash => "definition_hash",
            Self::ValidatorCount => "validator_count",
            Self::LockHash => "lock_hash",
            Self::DefinitionSignatures => "definition_signatures",
            Self::Keys => "keys",
            Self::PublicShares => "public_shares",
            Self::SignatureAggregate => "signature_aggregate",
            Self::BuilderRegistrations => "builder_registrations",
            Self::NodeSignatures => "node_signatures",
            Self::LockDeposits => "lock_deposits",
            Self::Addresses => "addresses",
            Self::LocksIdentical => "locks_identical",
            Self::IdentityKey => "identity_key",
            Self::KeystoresComplete => "keystores_complete",
            Self::KeystoresOpen => "keystores_open",
            Self::KeystoreShares => "keystore_shares",
            Self::AnyThreshold => "any_threshold",
            Self::DepositsComplete => "deposits_complete",
            Self::DepositsReadable => "deposits_readable",
            Self::DepositKeys => "deposit_keys",
            Self::DepositNetwork => "deposit_network",
            Self::DepositCredentials => "deposit_credentials",
            Self::DepositAmounts => "deposit_amounts",
            Self::DepositSignatures => "deposit_signatures",
            Self::DepositRoots => "deposit_roots",
            Self::FileModes => "file_modes",
        }
    }
}

/// Why a check was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// It needs a lock whose content can be used.
    NoLock,
    /// It needs what another check found missing or broken.
    NothingToCheck,
    /// Keystores were not to be opened; their `pubkey` fields were compared instead.
    NotOpened,
    /// Passwords are missing.
    NoPassword,
    /// It needs the folders of more operators.
    TooFewFolders {
        /// Operators whose shares are here.
        here: usize,
        /// Operators needed.
        needed: usize,
    },
    /// The lock is not signed at all, as the two oldest schemas allow.
    Unsigned,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// Not made.
    Skipped(Skipped),
    /// Something to be told.
    Fault(Fault),
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// By which check.
    pub check: Check,
    /// In which folder or file, as the caller named them.
    pub place: String,
    /// What.
    pub outcome: Outcome,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The folders of this many operators.
    Folders(usize),
    /// A lock by itself.
    Lock,
    /// A definition by itself.
    Definition,
    /// Deposit files by themselves.
    Deposits,
}

/// The end of it all; the worst finding decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was looked at is right.
    Verified,
    /// Nothing is wrong, but something is missing or unsigned.
    Incomplete,
    /// Nothing is wrong, but something could not be looked at.
    Unchecked,
    /// Something is wrong.
    Wrong,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was looked at.
    pub subject: Subject,
    /// What the lock or definition says; none if it cannot be read. Of several different locks, the first's.
    pub facts: Option<Facts>,
    /// In the order of the checks, then of the places.
    pub findings: Vec<Finding>,
}

impl Report {
    /// What follows from the findings.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let worst = self.faults().map(|(_, fault)| fault.severity()).max();
        match worst {
            None | Some(Severity::Note) => Verdict::Verified,
            Some(Severity::Lacking) => Verdict::Incomplete,
            Some(Severity::Unchecked) => Verdict::Unchecked,
            Some(Severity::Wrong) => Verdict::Wrong,
        }
    }

    /// All faults with their findings.
    pub fn faults(&self) -> impl Iterator<Item = (&Finding, &Fault)> {
        self.findings.iter().filter_map(|finding| match &finding.outcome {
            Outcome::Fault(fault) => Some((finding, fault)),
            Outcome::Passed | Outcome::Skipped(_) => None,
        })
    }

    /// Adds a finding of the caller's at its place in the order.
    pub fn add(&mut self, finding: Finding) {
        let at = self.findings.partition_point(|f| f.check <= finding.check);
        self.findings.insert(at, finding);
    }
}

/// The content of a file, or why it could not be had.
pub type Content = Result<Zeroizing<Vec<u8>>, String>;

/// A file that was read.
#[derive(Clone)]
pub struct NamedContent {
    /// Within its folder.
    pub name: String,
    /// What is in it.
    pub content: Content,
}

/// Permission bits of a file, and which it should have at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    /// Within its folder, with `/`.
    pub name: String,
    /// The nine bits.
    pub found: u32,
    /// No more than these (cluster.md section 10).
    pub widest: u32,
}

/// What became of a keystore.
#[derive(Clone)]
pub enum Opened {
    /// The secret.
    Key(SecretKey),
    /// It was not to be opened.
    NotTried,
    /// It does not open.
    Failed(FolderError),
    /// It could not be read.
    Unreadable(String),
}

/// One keystore.
#[derive(Clone)]
pub struct FoundKeystore {
    /// Within the folder, as in `validator_keys/keystore-0.json`.
    pub name: String,
    /// The key that its `pubkey` field names; none if it names none.
    pub claims: Option<[u8; 48]>,
    /// Whether its password file is there.
    pub has_password: bool,
    /// What became of it.
    pub opened: Opened,
}

/// One operator's folder.
#[derive(Clone, Default)]
pub struct Folder {
    /// As the user named it.
    pub name: String,
    /// `cluster-lock.json`.
    pub lock: Option<Content>,
    /// `charon-enr-private-key`.
    pub identity: Option<Content>,
    /// `validator_keys/keystore-*.json`.
    pub keystores: Vec<FoundKeystore>,
    /// `deposit-data*.json`.
    pub deposits: Vec<NamedContent>,
    /// Of every file that is known.
    pub modes: Vec<Mode>,
}

impl Folder {
    fn place(&self, name: &str) -> String {
        if self.name.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.name.trim_end_matches('/'))
        }
    }
}

/// What is known besides the files.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// By genesis fork version.
    pub networks: &'a Networks,
    /// Answers of smart-contract wallets.
    pub wallets: &'a Wallets,
}

/// Looks at the folders of one or several operators.
#[must_use]
pub fn folders(folders: &[Folder], known: Known<'_>) -> Report {
    let mut findings = Findings::default();
    let mut locks = lock::Locks::default();
    for folder in folders {
        lock::of_folder(folder, known, &mut locks, &mut findings);
    }
    together::locks_identical(folders, &mut findings);
    let mut all: Vec<operator::Holding<'_>> = Vec::new();
    for folder in folders {
        let lock = locks.of(folder);
        all.push(operator::check(folder, lock, &mut findings));
    }
    together::operators(&all, &mut findings);
    let amounts = deposits::check(folders, &locks, known, &mut findings);
    for folder in folders {
        operator::modes(folder, &mut findings);
    }
    let facts = locks.first().map(|lock| {
        let here = all.iter().filter_map(|holding| holding.operator).collect();
        let mut facts = Facts::of_lock(lock, known.networks);
        facts.mark(&here);
        facts.add_amounts(&amounts);
        facts
    });
    Report {
        subject: Subject::Folders(folders.len()),
        facts,
        findings: findings.sorted(),
    }
}

/// Looks at a lock by itself. `place` is its file.
#[must_use]
pub fn lock_alone(place: &str, bytes: &[u8], known: Known<'_>) -> Report {
    let mut findings = Findings::default();
    let checked = lock::check(place, bytes, known, &mut findings);
    Report {
        subject: Subject::Lock,
        facts: checked.lock.as_ref().map(|lock| Facts::of_lock(lock, known.networks)),
        findings: findings.sorted(),
    }
}

/// Looks at a definition by itself. `place` is its file.
#[must_use]
pub fn definition_alone(place: &str, bytes: &[u8], known: Known<'_>) -> Report {
    let mut findings = Findings::default();
    let definition = lock::definition(place, bytes, known, &mut findings);
    Report {
        subject: Subject::Definition,
        facts: definition.map(|d| Facts::of_definition(&d, known.networks)),
        findings: findings.sorted(),
    }
}

/// Deposit data without any lock: nobody can tell who holds the keys.
#[must_use]
pub fn deposits_alone(place: &str) -> Report {
    let mut findings = Findings::default();
    findings.fault(Check::LockPresent, place.to_owned(), Fault::NoLock { deposits: true });
    Report {
        subject: Subject::Deposits,
        facts: None,
        findings: findings.sorted(),
    }
}

/// Collects findings; what a check found in a place is either faults or that it passed.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn push(&mut self, check: Check, place: String, outcome: Outcome) {
        self.0.push(Finding { check, place, outcome });
    }

    fn fault(&mut self, check: Check, place: String, fault: Fault) {
        self.push(check, place, Outcome::Fault(fault));
    }

    fn skip(&mut self, check: Check, place: &str, why: Skipped) {
        self.push(check, place.to_owned(), Outcome::Skipped(why));
    }

    /// The result of one check in `place`: its faults, each with the file it is in. Notes alone do not fail it.
    fn settle(&mut self, check: Check, place: &str, faults: Vec<(String, Fault)>) {
        if faults.iter().all(|(_, fault)| fault.severity() == Severity::Note) {
            self.push(check, place.to_owned(), Outcome::Passed);
        }
        for (at, fault) in faults {
            self.fault(check, at, fault);
        }
    }

    fn sorted(mut self) -> Vec<Finding> {
        // Stable, so places stay in the order of the folders.
        self.0.sort_by_key(|f| f.check);
        self.0
    }
}

/// Faults by check, for files that are looked at once and found in several places.
type ByCheck = BTreeMap<Check, Vec<Fault>>;
