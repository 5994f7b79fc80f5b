//! Creating a cluster in one place: keys, shares, deposit data, registrations, the lock, and every file of every node's
//! folder (cluster.md section 13).
//!
//! Guarantees: the lock verifies; what is random comes from the caller alone, so the same randomness gives the same files.
//! Encrypting keystores at full cost is slow, so the files of a keystore are made one by one, on any thread.
//! Not here: writing to disk, and the ceremony in which no one ever sees a whole key.

use std::collections::BTreeMap;

use trireme_keys::{
    Enr, EnrAddress, IdentityKey, Keystore,
    keystore::{Cost, DerivedKey, Nonces},
};
use trireme_tbls::{SecretKey, field::Scalar, split};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    address,
    definition::{Addresses, Creator, Definition, Operator, WriteError},
    deposit::DepositData,
    deposit::{self, AmountError, DepositError},
    lock::{DistributedValidator, Lock, Registration},
    merkle::HashError,
    network::Network,
    version::{Deposits, Version},
    workers::{Alone, Workers, each},
};

/// Gas limit of registrations where the definition gives none.
pub const DEFAULT_GAS_LIMIT: u64 = 30_000_000;
/// Fewest nodes of a cluster.
pub const MIN_NODES: u8 = 3;
/// Fewest shares that may be enough.
pub const MIN_THRESHOLD: u64 = 2;

/// The usual threshold: two thirds, rounded up.
#[must_use]
pub fn usual_threshold(nodes: u64) -> u64 {
    nodes.saturating_mul(2).div_ceil(3)
}

/// What to create.
pub struct Request {
    /// What the cluster is to be. Its operators are replaced by the nodes made here, its hashes computed anew.
    pub definition: Definition,
    /// How many nodes.
    pub nodes: u8,
    /// The network whose genesis fork version the definition names.
    pub network: Network,
    /// Keys of existing validators to split, in the order of the definition's addresses; `None` to make new ones.
    pub existing: Option<Vec<SecretKey>>,
    /// Timestamp of the registrations; the network's genesis for new validators, now for existing ones.
    pub registration_time: u64,
}

/// A created cluster.
pub struct Created {
    /// The lock, equal in every folder.
    pub lock: Lock,
    /// In the order of peer indices.
    pub nodes: Vec<NodeFolder>,
}

/// One node's folder before it is written.
pub struct NodeFolder {
    /// The node's identity.
    pub identity: IdentityKey,
    /// This node's share of each validator, in the lock's order.
    pub shares: Vec<Share>,
    common: Vec<File>,
}

/// One share with all that its keystore needs.
pub struct Share {
    /// The secret.
    pub secret: SecretKey,
    public: [u8; 48],
    nonces: Nonces,
    /// 32 hex digits.
    password: Zeroizing<String>,
}

/// A file to write.
pub struct File {
    /// Relative to the node's folder, with `/`.
    pub path: String,
    /// Unix permission bits.
    pub mode: u32,
    /// The bytes; wiped on drop, for some are secret.
    pub content: Zeroizing<Vec<u8>>,
}

/// A keystore with its password file, and the check of what was read back.
pub struct SealedKeystore {
    /// Keystore, then password.
    pub files: [File; 2],
    /// For the keystore's content.
    pub check: KeystoreCheck,
}

/// Knows what a keystore must hold, with the key still in hand that its password gave.
pub struct KeystoreCheck {
    key: DerivedKey,
    secret: Zeroizing<[u8; 32]>,
}

impl KeystoreCheck {
    /// Whether these bytes are a keystore whose checksum fits and which holds the secret.
    #[must_use]
    pub fn holds(&self, keystore: &[u8]) -> bool {
        let opened = Keystore::from_json(keystore).and_then(|keystore| keystore.open_with(&self.key));
        opened.is_ok_and(|secret| *secret == *self.secret)
    }
}

/// Why no cluster is created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// Too few.
    #[error("a cluster needs at least {MIN_NODES} nodes, got {0}")]
    Nodes(u8),
    /// Out of range.
    #[error("threshold {threshold} must be at least {MIN_THRESHOLD} and at most the number of nodes, {nodes}")]
    Threshold {
        /// As given.
        threshold: u64,
        /// As given.
        nodes: u8,
    },
    /// None.
    #[error("a cluster needs at least one validator")]
    NoValidators,
    /// Not one pair of addresses, or one key, per validator.
    #[error("{found} {what} for {validators} validators")]
    Count {
        /// Addresses or keys.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        validators: u64,
    },
    /// Not an address.
    #[error(transparent)]
    Address(#[from] address::AddressError),
    /// What it receives would be lost.
    #[error("the zero address may receive neither withdrawals nor fees on {0}")]
    ZeroAddress(String),
    /// Refused amounts.
    #[error(transparent)]
    Amounts(#[from] AmountError),
    /// The definition belongs to another network.
    #[error("the definition's fork version is not that of the network {0}")]
    Network(String),
    /// A field is too long, for example the name.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The schema cannot express it.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Not to be expected: our own deposit does not verify.
    #[error(transparent)]
    Deposit(#[from] DepositError),
    /// Not to be expected of randomness worth the name.
    #[error("the randomness gave no usable key")]
    Randomness,
}

/// Creates the cluster. `fill` must give bytes fit for secrets.
///
/// # Errors
/// [`CreateError`] for the first thing in the request that is not acceptable.
pub fn create(request: &Request, fill: &mut dyn FnMut(&mut [u8])) -> Result<Created, CreateError> {
    create_by(&Alone, request, fill)
}

/// As [`create`], on as many threads as the workers have; the randomness gives the same cluster whoever they are.
///
/// # Errors
/// As [`create`].
pub fn create_by(
    workers: &dyn Workers,
    request: &Request,
    fill: &mut dyn FnMut(&mut [u8]),
) -> Result<Created, CreateError> {
    let secrets = checked_secrets(request, fill)?;
    let Request {
        definition,
        nodes,
        network,
        registration_time,
        ..
    } = request;
    let mut folders: Vec<NodeFolder> = (0..*nodes)
        .map(|_| NodeFolder {
            identity: IdentityKey::generate(&mut *fill),
            shares: Vec::new(),
            common: Vec::new(),
        })
        .collect();
    let definition = with_operators(definition, &folders)?;
    let threshold = u8::try_from(definition.threshold).map_err(|_| CreateError::Randomness)?;

    let amounts = deposit::amounts_to_sign(
        definition.deposit_amounts.as_deref().unwrap_or_default(),
        definition.compounding,
    );
    let shares = secrets
        .iter()
        .map(|secret| split(secret, threshold, *nodes, &mut |bytes| fill(bytes)))
        .collect::<Result<Vec<BTreeMap<u8, SecretKey>>, _>>()
        .map_err(|_| CreateError::Randomness)?;
    let signed = each(workers, secrets.len(), |at| {
        let (secret, shares) = (secrets.get(at)?, shares.get(at)?);
        let pair = definition.validators.get(at)?;
        let signer = Signer {
            secret,
            public: secret.public_key().to_bytes(),
            network,
        };
        Some(signer.validator(&definition, pair, shares.values(), &amounts, *registration_time))
    });
    let mut validators = Vec::with_capacity(secrets.len());
    for (signed, shares) in signed.into_iter().flatten().zip(shares) {
        let (validator, public_shares) = signed?;
        validators.push(validator);
        hand_out(shares, &public_shares, &mut folders, fill);
    }

    let deposit_files = deposit_files(workers, &validators, &amounts, network)?;
    for validator in &mut validators {
        validator.keep_what_the_schema_has(definition.version);
    }
    let lock = sign_lock(definition, validators, &folders)?;
    let lock_json = lock.to_json(1)?;
    for folder in &mut folders {
        let key = folder.identity.to_file_text().as_bytes().to_vec();
        folder.common.push(File {
            path: "charon-enr-private-key".into(),
            mode: 0o600,
            content: Zeroizing::new(key),
        });
        for (name, content) in &deposit_files {
            folder.common.push(File {
                path: name.clone(),
                mode: 0o444,
                content: Zeroizing::new(content.clone()),
            });
        }
        folder.common.push(File {
            path: "cluster-lock.json".into(),
            mode: 0o400,
            content: Zeroizing::new(lock_json.clone()),
        });
    }
    Ok(Created { lock, nodes: folders })
}

/// Checks the request and gives the validators' keys, made new or existing.
fn checked_secrets(request: &Request, fill: &mut dyn FnMut(&mut [u8])) -> Result<Vec<SecretKey>, CreateError> {
    let Request {
        definition,
        nodes,
        network,
        existing,
        ..
    } = request;
    if *nodes < MIN_NODES {
        return Err(CreateError::Nodes(*nodes));
    }
    let threshold = definition.threshold;
    if threshold < MIN_THRESHOLD || threshold > u64::from(*nodes) {
        return Err(CreateError::Threshold {
            threshold,
            nodes: *nodes,
        });
    }
    let validators = definition.num_validators;
    if validators == 0 {
        return Err(CreateError::NoValidators);
    }
    let count = |what, found: usize| match u64::try_from(found) == Ok(validators) {
        true => Ok(()),
        false => Err(CreateError::Count {
            what,
            found,
            validators,
        }),
    };
    count("pairs of addresses", definition.validators.len())?;
    if definition.fork_version != network.genesis_fork_version {
        return Err(CreateError::Network(network.name.clone()));
    }
    deposit::check_amounts(
        definition.deposit_amounts.as_deref().unwrap_or_default(),
        definition.compounding,
    )?;
    for pair in &definition.validators {
        let fee_recipient = address::parse(&pair.fee_recipient)?;
        let withdrawal = address::parse(&pair.withdrawal)?;
        if (withdrawal == [0; 20] || fee_recipient == [0; 20]) && network.has_value() {
            return Err(CreateError::ZeroAddress(network.name.clone()));
        }
    }
    match existing {
        Some(keys) => {
            count("keys", keys.len())?;
            keys.iter()
                .map(|key| SecretKey::from_bytes(&key.to_bytes()).map_err(|_| CreateError::Randomness))
                .collect()
        }
        None => (0..validators)
            .map(|_| {
                let mut bytes = [0; 64];
                fill(&mut bytes);
                SecretKey::from_randomness(bytes).ok_or(CreateError::Randomness)
            })
            .collect(),
    }
}

/// The definition with the new nodes as operators. A creator's signature is kept only while it fits the config hash.
fn with_operators(definition: &Definition, folders: &[NodeFolder]) -> Result<Definition, CreateError> {
    let enr = |folder: &NodeFolder| Enr::create(&folder.identity, EnrAddress::default()).to_string();
    let mut out = definition.clone();
    out.operators = folders.iter().map(|f| Operator::of_enr(enr(f))).collect();
    out.update_hashes()?;
    if out.config_hash != definition.config_hash {
        out.creator = Creator::default();
        out.update_hashes()?;
    }
    Ok(out)
}

/// A validator's whole key, while there is one.
struct Signer<'a> {
    secret: &'a SecretKey,
    public: [u8; 48],
    network: &'a Network,
}

impl Signer<'_> {
    /// All that the key signs, and its shares' public keys.
    fn validator<'s>(
        &self,
        definition: &Definition,
        pair: &Addresses,
        shares: impl Iterator<Item = &'s SecretKey>,
        amounts: &[u64],
        registration_time: u64,
    ) -> Result<(DistributedValidator, Vec<[u8; 48]>), CreateError> {
        let withdrawal = address::parse(&pair.withdrawal)?;
        let public_shares: Vec<[u8; 48]> = shares.map(|s| s.public_key().to_bytes()).collect();
        let validator = DistributedValidator {
            public_key: self.public.to_vec(),
            public_shares: public_shares.iter().map(|p| p.to_vec()).collect(),
            deposit_data: self.deposits(amounts, &withdrawal, definition.compounding)?,
            registration: self.registration(definition, &pair.fee_recipient, registration_time)?,
        };
        Ok((validator, public_shares))
    }

    fn deposits(
        &self,
        amounts: &[u64],
        withdrawal: &[u8; 20],
        compounding: bool,
    ) -> Result<Vec<DepositData>, HashError> {
        amounts
            .iter()
            .map(|amount| {
                let mut data = DepositData {
                    pubkey: self.public.to_vec(),
                    withdrawal_credentials: deposit::withdrawal_credentials(withdrawal, compounding).to_vec(),
                    amount: *amount,
                    signature: Vec::new(),
                };
                let root = data.signing_root(self.network.genesis_fork_version)?;
                data.signature = self.secret.sign(&root).to_bytes().to_vec();
                Ok(data)
            })
            .collect()
    }

    fn registration(
        &self,
        definition: &Definition,
        fee_recipient: &str,
        time: u64,
    ) -> Result<Registration, CreateError> {
        let gas_limit = match definition.target_gas_limit {
            0 => DEFAULT_GAS_LIMIT,
            given => given,
        };
        let mut registration = Registration {
            fee_recipient: address::parse(fee_recipient)?.to_vec(),
            gas_limit,
            timestamp: time.cast_signed(),
            pubkey: self.public.to_vec(),
            signature: Vec::new(),
        };
        let root = registration.signing_root(self.network.genesis_fork_version)?;
        registration.signature = self.secret.sign(&root).to_bytes().to_vec();
        Ok(registration)
    }
}

/// Gives each node its share with fresh nonces and a fresh password. Shares come in the order of their index, which is
/// that of the nodes.
fn hand_out(
    shares: BTreeMap<u8, SecretKey>,
    public: &[[u8; 48]],
    folders: &mut [NodeFolder],
    fill: &mut dyn FnMut(&mut [u8]),
) {
    for ((folder, secret), public) in folders.iter_mut().zip(shares.into_values()).zip(public) {
        let mut password = Zeroizing::new([0; 16]);
        fill(password.as_mut_slice());
        folder.shares.push(Share {
            secret,
            public: *public,
            nonces: Nonces::generate(&mut *fill),
            password: Zeroizing::new(hex::encode(password.as_slice())),
        });
    }
}

fn deposit_files(
    workers: &dyn Workers,
    validators: &[DistributedValidator],
    amounts: &[u64],
    network: &Network,
) -> Result<Vec<(String, Vec<u8>)>, DepositError> {
    let files = each(workers, amounts.len(), |at| {
        let amount = *amounts.get(at)?;
        let of_amount = |v: &DistributedValidator| v.deposit_data.iter().find(|d| d.amount == amount).cloned();
        let deposits: Vec<DepositData> = validators.iter().filter_map(of_amount).collect();
        Some(deposit::to_json(&deposits, network).map(|json| (deposit::file_name(amount), json)))
    });
    files.into_iter().flatten().collect()
}

/// The key whose signature is the aggregate of the signatures of all these keys: their sum.
fn sum<'a>(mut keys: impl Iterator<Item = &'a SecretKey>) -> Option<SecretKey> {
    let scalar = |key: &SecretKey| Scalar::from_be_bytes(&key.to_bytes());
    let mut sum = scalar(keys.next()?)?;
    for key in keys {
        let mut next = scalar(key)?;
        sum = sum.add(&next);
        next.zeroize();
    }
    let bytes = Zeroizing::new(sum.to_be_bytes());
    sum.zeroize();
    SecretKey::from_bytes(&bytes).ok()
}

/// Every share signs the lock hash, then every node does.
fn sign_lock(
    definition: Definition,
    validators: Vec<DistributedValidator>,
    folders: &[NodeFolder],
) -> Result<Lock, CreateError> {
    let node_signatures = definition.version.schema().node_signatures;
    let mut lock = Lock {
        definition,
        validators,
        signature_aggregate: Vec::new(),
        lock_hash: Vec::new(),
        node_signatures: Vec::new(),
        null_aggregate: false,
    };
    let lock_hash = lock.compute_lock_hash()?;
    let shares = folders.iter().flat_map(|f| f.shares.iter().map(|s| &s.secret));
    let all_together = sum(shares).ok_or(CreateError::Randomness)?;
    lock.signature_aggregate = all_together.sign(&lock_hash).to_bytes().to_vec();
    lock.lock_hash = lock_hash.to_vec();
    if node_signatures {
        lock.node_signatures = folders
            .iter()
            .map(|f| f.identity.sign_digest(&lock_hash).to_vec())
            .collect();
    }
    Ok(lock)
}

impl DistributedValidator {
    /// Leaves out what older schemas have no place for, so that memory and file agree.
    fn keep_what_the_schema_has(&mut self, version: Version) {
        match version.schema().deposits {
            Deposits::None => self.deposit_data.clear(),
            Deposits::Flat | Deposits::One => self.deposit_data.truncate(1),
            Deposits::PerAmount => {}
        }
        if !version.schema().registrations {
            self.registration = Registration::default();
        }
    }
}

impl NodeFolder {
    /// The node's record.
    #[must_use]
    pub fn enr(&self) -> Enr {
        Enr::create(&self.identity, EnrAddress::default())
    }

    /// Identity key, deposit data and lock.
    #[must_use]
    pub fn common_files(&self) -> &[File] {
        &self.common
    }

    /// As [`NodeFolder::common_files`], given away.
    #[must_use]
    pub fn into_common_files(self) -> Vec<File> {
        self.common
    }

    /// Keystore and password of the share of one validator; `None` past the last. At full cost about 0.1 s.
    #[must_use]
    pub fn keystore_files(&self, validator: usize, cost: Cost) -> Option<[File; 2]> {
        self.sealed_keystore(validator, cost).map(|sealed| sealed.files)
    }

    /// As [`NodeFolder::keystore_files`], with what it takes to check the keystore once it was read back from the disk.
    #[must_use]
    pub fn sealed_keystore(&self, validator: usize, cost: Cost) -> Option<SealedKeystore> {
        let share = self.shares.get(validator)?;
        let name = match cost {
            Cost::Full => format!("validator_keys/keystore-{validator}"),
            Cost::Insecure => format!("validator_keys/keystore-insecure-{validator}"),
        };
        let secret = share.secret.to_bytes();
        let (keystore, key) =
            Keystore::encrypt_keeping_key(&secret, &share.public, &share.password, cost, &share.nonces);
        let password = share.password.as_bytes().to_vec();
        let files = [
            File {
                path: format!("{name}.json"),
                mode: 0o444,
                content: Zeroizing::new(keystore.to_json()),
            },
            File {
                path: format!("{name}.txt"),
                mode: 0o400,
                content: Zeroizing::new(password),
            },
        ];
        Some(SealedKeystore {
            files,
            check: KeystoreCheck { key, secret },
        })
    }

    /// Every file of the folder, in the order in which it is safe to write them: the lock last, for its presence says that
    /// the folder is whole.
    #[must_use]
    pub fn files(self, cost: Cost) -> Vec<File> {
        let keystores = (0..self.shares.len())
            .filter_map(|v| self.keystore_files(v, cost))
            .flatten();
        keystores.collect::<Vec<_>>().into_iter().chain(self.common).collect()
    }
}
