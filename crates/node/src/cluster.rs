//! From the lock file and the key file to what the node works with.
//!
//! Guarantees: a lock is used only if it verifies (or `--no-verify` is given); what verified once is remembered by the
//! hash of the file's bytes and this program's version, so that a restart reads a hash instead of checking thousands of
//! signatures (performance, move 8). Keys are decoded by the signature scheme, once.
//! Not here: formats and checks (`trireme-cluster`).

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use sha2::{Digest as _, Sha256};
use trireme_cluster::{Lock, Networks, Order, VerifyError, Workers};
use trireme_core::{
    PeerIdx, PubKey,
    cluster::{Cluster, Validator},
    ports::Peer,
    registrations::registration,
};
use trireme_eth2::{ForkVersion, SignedValidatorRegistrationV1};
use trireme_keys::{Enr, IdentityKey, PeerId, peer_name};
use zeroize::Zeroizing;

use crate::{CustomNetwork, NodeConfig, NodeError, files};

/// A key file has 64 digits and perhaps a line end.
const KEY_FILE_LIMIT: usize = 4096;
/// In the data folder: hashes of what verified, one per line.
const MEMORY: &str = "verified-locks";
/// Older lines than these are forgotten.
const MEMORY_LINES: usize = 8;

/// Everything that the lock and the key say.
pub(crate) struct Loaded {
    /// For the workflow.
    pub(crate) cluster: Cluster,
    /// Registrations with builders; none in locks of old schemas.
    pub(crate) registrations: Vec<SignedValidatorRegistrationV1>,
    /// All operators in lock order.
    pub(crate) peers: Vec<Peer>,
    /// Our key.
    pub(crate) identity: IdentityKey,
    /// Our record as it stands in the lock.
    pub(crate) enr: String,
    /// Cosmetic name.
    pub(crate) name: String,
    /// The definition's UUID.
    pub(crate) uuid: String,
    /// The definition's preferred consensus protocol; may be empty.
    pub(crate) consensus_protocol: String,
    /// Genesis fork version.
    pub(crate) fork_version: ForkVersion,
    /// Name of the network, or `unknown`.
    pub(crate) network: String,
}

impl Loaded {
    /// Our own name.
    pub(crate) fn my_name(&self) -> &str {
        self.peers
            .get(usize::from(self.cluster.me.0))
            .map_or("", |p| p.name.as_str())
    }

    /// First 7 hex digits of the lock hash.
    pub(crate) fn short_hash(&self) -> String {
        hex::encode(self.cluster.hash).chars().take(7).collect()
    }
}

/// Reads the operator's key.
pub(crate) fn identity(path: &Path) -> Result<IdentityKey, NodeError> {
    const WHAT: &str = "private key";
    const HINT: &str = "make one with `trireme create enr`, or restore it from a backup";
    let bytes = Zeroizing::new(files::read(WHAT, path, KEY_FILE_LIMIT, HINT)?);
    let fail = |reason: String| NodeError::File {
        what: WHAT,
        path: path.to_owned(),
        reason,
        hint: HINT,
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| fail("it is not text".to_owned()))?;
    IdentityKey::from_file_text(text).map_err(|e| fail(e.to_string()))
}

/// Reads, checks and combines both files.
pub(crate) fn load(config: &NodeConfig, identity: IdentityKey) -> Result<Loaded, NodeError> {
    let path = &config.lock_file;
    let hint = "copy cluster-lock.json from the ceremony there, or give --lock-file";
    let bytes = files::read("cluster lock", path, trireme_cluster::MAX_FILE, hint)?;
    let bad = |reason: String| NodeError::Lock {
        path: path.clone(),
        reason,
    };
    let lock = Lock::from_json(&bytes).map_err(|e| bad(e.to_string()))?;
    let networks = networks(config.testnet.as_ref());
    verify(config, &bytes, &lock, &networks)?;

    let peers = peers(&lock).map_err(bad)?;
    let ours = PeerId::from_public_key(identity.public_key());
    let me = peers
        .iter()
        .find(|p| p.id == ours)
        .map(|p| p.idx)
        .ok_or_else(|| NodeError::NotAnOperator {
            path: config.private_key_file.clone(),
            cluster: lock.definition.name.clone(),
            ours: hex::encode(identity.public_key().as_bytes()),
        })?;
    let fork_version = fixed::<4>(&lock.definition.fork_version)
        .ok_or_else(|| bad("its fork version does not have 4 bytes".to_owned()))?;
    let enr = lock
        .definition
        .operators
        .get(usize::from(me.0))
        .map(|o| o.enr.clone())
        .unwrap_or_default();
    let network = networks
        .by_fork_version(&fork_version)
        .map_or_else(|| "unknown".to_owned(), |n| n.name.clone());
    Ok(Loaded {
        cluster: workflow_cluster(&lock, me, peers.len()).map_err(bad)?,
        registrations: registrations(&lock),
        name: lock.definition.name.clone(),
        uuid: lock.definition.uuid.clone(),
        consensus_protocol: lock.definition.consensus_protocol.clone(),
        fork_version: ForkVersion(fork_version),
        peers,
        identity,
        enr,
        network,
    })
}

/// The known networks and the one of the flags.
#[must_use]
pub fn networks(custom: Option<&CustomNetwork>) -> Networks {
    let known = Networks::known();
    match custom {
        None => known,
        Some(custom) => known.with(trireme_cluster::Network {
            name: custom.name.clone(),
            genesis_fork_version: custom.genesis_fork_version,
            chain_id: custom.chain_id,
            genesis_time: custom.genesis_time,
            capella_fork_version: custom.capella_fork_version,
        }),
    }
}

fn verify(config: &NodeConfig, bytes: &[u8], lock: &Lock, networks: &Networks) -> Result<(), NodeError> {
    let memory = config.data_dir.join(MEMORY);
    let mark = mark(bytes, &config.version.text, &config.version.git_hash);
    if remembered(&memory, &mark) {
        tracing::debug!("The cluster lock is the one that was verified before");
        return Ok(());
    }
    match lock.verify_by(&Cores, Order::HashesFirst, networks, &config.wallets) {
        Ok(_) => remember(&memory, &mark),
        Err(error) if config.no_verify => warn_unverified(&error),
        Err(error) => {
            return Err(NodeError::Lock {
                path: config.lock_file.clone(),
                reason: error.to_string(),
            });
        }
    }
    Ok(())
}

/// All cores, for a second or two at the start.
struct Cores;

impl Workers for Cores {
    fn parts(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count {
                    return;
                }
                job(at);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.parts().min(count) {
                scope.spawn(work);
            }
            work();
        });
    }
}

fn warn_unverified(error: &VerifyError) {
    tracing::warn!(%error, "The cluster lock does not verify and is used all the same because of --no-verify");
}

/// Names a file's content and the program that checked it.
fn mark(bytes: &[u8], version: &str, git_hash: &str) -> String {
    let hash = Sha256::new().chain_update(bytes).finalize();
    format!("{} {version} {git_hash}", hex::encode(hash))
}

fn remembered(memory: &Path, mark: &str) -> bool {
    fs::read_to_string(memory).is_ok_and(|text| text.lines().any(|line| line == mark))
}

/// A memory that cannot be written only costs time at the next start.
fn remember(memory: &Path, mark: &str) {
    let old = fs::read_to_string(memory).unwrap_or_default();
    let mut lines: Vec<&str> = old.lines().rev().take(MEMORY_LINES.saturating_sub(1)).collect();
    lines.reverse();
    lines.push(mark);
    let text = lines.join("\n");
    let draft = files::beside(memory, ".new");
    let write = || {
        memory.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&draft, text)?;
        fs::rename(&draft, memory)
    };
    if let Err(error) = write() {
        tracing::warn!(%error, "What was verified cannot be remembered; the next start takes as long as this one");
    }
}

fn peers(lock: &Lock) -> Result<Vec<Peer>, String> {
    let listed = &lock.definition.operators;
    if listed.is_empty() || listed.len() > trireme_cluster::MAX_OPERATORS {
        return Err(format!("it has {} operators", listed.len()));
    }
    let mut peers: Vec<Peer> = Vec::with_capacity(listed.len());
    for (idx, operator) in (0..=u8::MAX).zip(listed) {
        let enr: Enr = operator
            .enr
            .parse()
            .map_err(|e| format!("the ENR of operator {idx} is unusable: {e}"))?;
        let id = PeerId::from_public_key(enr.public_key());
        if peers.iter().any(|p| p.id == id) {
            return Err(format!("operator {idx} has the same node key as another one"));
        }
        peers.push(Peer {
            idx: PeerIdx(idx),
            id,
            name: peer_name(&id),
        });
    }
    Ok(peers)
}

/// The plain values of the workflow. The points are decoded later, once, by the signature scheme.
fn workflow_cluster(lock: &Lock, me: PeerIdx, nodes: usize) -> Result<Cluster, String> {
    let threshold = usize::try_from(lock.definition.threshold).unwrap_or(usize::MAX);
    if threshold == 0 || threshold > nodes {
        return Err(format!("threshold {threshold} does not fit {nodes} operators"));
    }
    let found = lock.validators.len();
    if found == 0 || found != lock.definition.validators.len() {
        return Err(format!(
            "it holds {found} validators, its definition {}",
            lock.definition.validators.len()
        ));
    }
    let mut validators = Vec::with_capacity(found);
    for (at, (validator, addresses)) in lock.validators.iter().zip(&lock.definition.validators).enumerate() {
        let key = fixed::<48>(&validator.public_key).ok_or_else(|| format!("the key of validator {at} is none"))?;
        let shares: Option<Vec<[u8; 48]>> = validator.public_shares.iter().map(|s| fixed::<48>(s)).collect();
        let shares = shares.filter(|s| s.len() == nodes);
        let fee_recipient = match addresses.fee_recipient.as_str() {
            // Old locks may leave it out.
            "" => [0; 20],
            text => trireme_cluster::address::parse(text).map_err(|e| format!("validator {at}: {e}"))?,
        };
        validators.push(Validator {
            key: PubKey(key),
            shares: shares.ok_or_else(|| format!("validator {at} does not have one public share per operator"))?,
            fee_recipient,
        });
    }
    let hash = fixed::<32>(&lock.lock_hash).ok_or_else(|| "its lock hash does not have 32 bytes".to_owned())?;
    Ok(Cluster::new(hash, nodes, threshold, me, validators))
}

/// Those that were made: their fields are checked with the lock, except where a schema has none.
fn registrations(lock: &Lock) -> Vec<SignedValidatorRegistrationV1> {
    let all = lock.validators.iter().filter_map(|validator| {
        let key = PubKey(fixed(&validator.public_key)?);
        let made = &validator.registration;
        let timestamp = u64::try_from(made.timestamp).ok()?;
        Some(registration(key, made.gas_limit, timestamp, fixed(&made.signature)?))
    });
    all.collect()
}

fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_holds_what_verified_under_this_version_only() {
        let dir = tempfile::tempdir().unwrap();
        let memory = dir.path().join("deep/verified-locks");
        let one = mark(b"lock", "v1", "aa");
        assert!(!remembered(&memory, &one));
        remember(&memory, &one);
        assert!(remembered(&memory, &one));
        assert!(!remembered(&memory, &mark(b"lock", "v2", "aa")));
        assert!(!remembered(&memory, &mark(b"lock", "v1", "bb")));
        assert!(!remembered(&memory, &mark(b"locc", "v1", "aa")));
    }

    #[test]
    fn memory_keeps_the_last_few_only() {
        let dir = tempfile::tempdir().unwrap();
        let memory = dir.path().join("verified-locks");
        for n in 0..20_u8 {
            remember(&memory, &mark(&[n], "v1", "aa"));
        }
        assert!(remembered(&memory, &mark(&[19], "v1", "aa")) && remembered(&memory, &mark(&[12], "v1", "aa")));
        assert!(!remembered(&memory, &mark(&[11], "v1", "aa")));
    }
}
