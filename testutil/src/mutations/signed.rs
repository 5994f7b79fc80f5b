//! A cluster with all of its secrets, so that everything can be signed again after a change.

use trireme_cluster::{
    Addresses, Creator, Definition, Lock, Network, Networks, Version, Wallets, address,
    create::{Created, Request, create},
    eip712,
};
use trireme_keys::{IdentityKey, keccak256};
use trireme_tbls::{SecretKey, aggregate, recover};

/// Operators of every cluster here.
const NODES: u8 = 4;
/// Validators of every cluster here.
const VALIDATORS: u8 = 2;

/// Bytes that look random and are always the same: a counter hashed.
pub fn fixed_bytes(seed: u8) -> impl FnMut(&mut [u8]) {
    let mut count = 0_u64;
    move |out: &mut [u8]| {
        for chunk in out.chunks_mut(32) {
            let mut text = vec![seed];
            text.extend(count.to_be_bytes());
            for (to, from) in chunk.iter_mut().zip(keccak256(&text)) {
                *to = from;
            }
            count = count.wrapping_add(1);
        }
    }
}

/// A lock, right in every way that its schema has, and the keys behind it.
#[derive(Clone)]
pub struct Signed {
    /// The lock.
    pub lock: Lock,
    /// Answers of smart-contract wallets; nobody has answered at first.
    pub wallets: Wallets,
    pub(super) network: Network,
    /// Wallet of the creator, then those of the operators.
    pub(super) keys: Vec<IdentityKey>,
    /// In the order of the operators.
    pub(super) nodes: Vec<IdentityKey>,
    /// Per validator, in the order of the operators.
    pub(super) shares: Vec<Vec<SecretKey>>,
    /// Per validator.
    pub(super) groups: Vec<SecretKey>,
}

impl Signed {
    /// Four operators, two validators, on hoodi. Where the schema has wallets' signatures, everybody signed.
    ///
    /// # Panics
    /// If this project cannot create a cluster.
    #[must_use]
    #[expect(clippy::expect_used, reason = "for tests, from fixed values that are fine")]
    pub fn new(version: Version) -> Self {
        let networks = Networks::known();
        let network = networks.by_name("hoodi").expect("a known network").clone();
        let mut fill = fixed_bytes(1);
        let created = create(&request(version, &network), &mut fill).expect("the request is fine");
        let Created { lock, nodes } = created;
        let keys: Vec<IdentityKey> = (0..=NODES).map(|_| IdentityKey::generate(&mut fill)).collect();
        let shares: Vec<Vec<SecretKey>> = (0..usize::from(VALIDATORS))
            .map(|v| {
                nodes
                    .iter()
                    .filter_map(|n| Some(n.shares.get(v)?.secret.clone()))
                    .collect()
            })
            .collect();
        let groups = shares.iter().map(|shares| {
            let indexed = (1_u8..).zip(shares.iter().cloned()).collect();
            recover(&indexed).expect("shares of one key")
        });
        let mut signed = Self {
            lock,
            wallets: Wallets::default(),
            network,
            groups: groups.collect(),
            keys,
            nodes: nodes.into_iter().map(|n| n.identity).collect(),
            shares,
        };
        if version.has_wallet_signatures() {
            signed.take_addresses();
        }
        signed.sign();
        signed
    }

    /// Gives everybody the address of their wallet.
    fn take_addresses(&mut self) {
        let addresses: Vec<String> = self
            .keys
            .iter()
            .map(|k| address::checksummed(&k.public_key().eth_address()))
            .collect();
        let mut addresses = addresses.into_iter();
        let creator = addresses.next().unwrap_or_default();
        if self.lock.definition.version.has_creator() {
            self.lock.definition.creator.address = creator;
        }
        for (operator, address) in self.lock.definition.operators.iter_mut().zip(addresses) {
            operator.address = address;
        }
    }

    /// Makes every hash and every signature anew.
    pub fn sign(&mut self) {
        self.hash_config();
        self.sign_wallets();
        self.hash_definition();
        self.sign_registrations();
        self.sign_lock();
    }

    /// What comes after the config hash: wallets, definition hash, lock.
    pub fn sign_from_config_hash(&mut self) {
        self.sign_wallets();
        self.hash_definition();
        self.sign_lock();
    }

    /// The config hash.
    pub fn hash_config(&mut self) {
        // What cannot be hashed gets a hash that is wrong.
        let hash = self.lock.definition.compute_config_hash().unwrap_or_default();
        self.lock.definition.config_hash = hash.to_vec();
    }

    /// The definition hash.
    pub fn hash_definition(&mut self) {
        let hash = self.lock.definition.compute_definition_hash().unwrap_or_default();
        self.lock.definition.definition_hash = hash.to_vec();
    }

    /// Wallets sign the config hash that is there, and the ENRs; only where there is an address.
    pub fn sign_wallets(&mut self) {
        let definition = &mut self.lock.definition;
        if !definition.version.has_wallet_signatures() {
            return;
        }
        let (hash, chain) = (definition.config_hash.clone(), self.network.chain_id);
        let config = if definition.version.has_creator() {
            eip712::operator_config_digest(&hash, chain)
        } else {
            eip712::config_digest(&hash, chain)
        };
        let mut keys = self.keys.iter();
        if let Some(key) = keys.next().filter(|_| !definition.creator.address.is_empty()) {
            let digest = eip712::creator_config_digest(&hash, chain);
            definition.creator.config_signature = key.sign_digest(&digest).to_vec();
        }
        for (operator, key) in definition.operators.iter_mut().zip(keys) {
            if !operator.address.is_empty() {
                operator.config_signature = key.sign_digest(&config).to_vec();
                let enr = eip712::enr_digest(&operator.enr, chain);
                operator.enr_signature = key.sign_digest(&enr).to_vec();
            }
        }
    }

    /// Groups sign their registrations, for the definition's fee recipients.
    fn sign_registrations(&mut self) {
        if !self.lock.definition.version.has_registrations() {
            return;
        }
        for (validator, group) in self.lock.validators.iter_mut().zip(&self.groups) {
            let registration = &mut validator.registration;
            let root = registration
                .signing_root(self.network.genesis_fork_version)
                .unwrap_or_default();
            registration.signature = group.sign(&root).to_bytes().to_vec();
        }
    }

    /// The lock hash, signed by every share and by every node.
    pub fn sign_lock(&mut self) {
        let hash = self.lock.compute_lock_hash().unwrap_or_default();
        self.lock.lock_hash = hash.to_vec();
        let signatures: Vec<_> = self.shares.iter().flatten().map(|share| share.sign(&hash)).collect();
        self.lock.signature_aggregate = aggregate(&signatures).map_or_else(Vec::new, |s| s.to_bytes().to_vec());
        if self.lock.definition.version.has_node_signatures() {
            self.lock.node_signatures = self.nodes.iter().map(|n| n.sign_digest(&hash).to_vec()).collect();
        }
    }
}

fn request(version: Version, network: &Network) -> Request {
    let pair = Addresses {
        fee_recipient: address::checksummed(&[0x38; 20]),
        withdrawal: address::checksummed(&[0xb7; 20]),
    };
    let definition = Definition {
        name: "an <example> & more".into(),
        creator: Creator::default(),
        operators: Vec::new(),
        uuid: "05B4C5D0-9B1D-43C5-9911-CC7FBC027DAB".into(),
        version,
        timestamp: "2026-01-02T03:04:05+01:00".into(),
        num_validators: VALIDATORS.into(),
        threshold: 3,
        validators: vec![pair; VALIDATORS.into()],
        dkg_algorithm: "default".into(),
        fork_version: network.genesis_fork_version.to_vec(),
        deposit_amounts: None,
        consensus_protocol: if version >= Version::V1_9 {
            "qbft".into()
        } else {
            String::new()
        },
        target_gas_limit: if version.has_gas_limit() { 60_000_000 } else { 0 },
        compounding: false,
        config_hash: Vec::new(),
        definition_hash: Vec::new(),
    };
    Request {
        registration_time: network.genesis_time,
        definition,
        nodes: NODES,
        network: network.clone(),
        existing: None,
    }
}
