//! Signatures that the judge is shown: what each must cover, and its verification, each distinct one once.
//!
//! Guarantees: domains and signing roots follow from the chain's own forks; the answer for a signature never depends on
//! the cache. Not here: what a genuine signature is worth (`state`).

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use trireme_eth2::{
    BlsPubkey, BlsSignature, Domain, Epoch, Fork, ForkVersion, Root, hash_tree_root,
    phase0::{ForkData, SigningData},
};
use trireme_tbls::{Check, Culprits, verify_set};

use super::chain::{ChainConfig, digest};

/// The four bytes in front of a domain (consensus-specs, "Domain types").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Blocks.
    Proposer,
    /// Attestations.
    Attester,
    /// Randao reveals.
    Randao,
    /// Exits: since Capella under its version, whatever comes later (EIP-7044).
    Exit,
    /// Proofs of selection of attesters.
    Selection,
    /// Aggregates.
    Aggregate,
    /// Messages of the sync committee.
    Sync,
    /// Proofs of selection of sync committee members.
    SyncSelection,
    /// Contributions.
    Contribution,
    /// Registrations for builders: genesis version, no chain.
    Builder,
}

impl Purpose {
    const fn bytes(self) -> [u8; 4] {
        match self {
            Self::Proposer => [0, 0, 0, 0],
            Self::Attester => [1, 0, 0, 0],
            Self::Randao => [2, 0, 0, 0],
            Self::Exit => [4, 0, 0, 0],
            Self::Selection => [5, 0, 0, 0],
            Self::Aggregate => [6, 0, 0, 0],
            Self::Sync => [7, 0, 0, 0],
            Self::SyncSelection => [8, 0, 0, 0],
            Self::Contribution => [9, 0, 0, 0],
            Self::Builder => [0, 0, 0, 1],
        }
    }
}

/// The domain for `purpose` in `epoch` of `chain`.
#[must_use]
pub fn domain(chain: &ChainConfig, purpose: Purpose, epoch: Epoch) -> Domain {
    let (version, genesis) = match purpose {
        Purpose::Builder => {
            let version = chain
                .forks
                .first()
                .map_or(ForkVersion::default(), |(_, version, _)| *version);
            (version, Root::ZERO)
        }
        Purpose::Exit if chain.fork_at(epoch).fork > Fork::Capella => {
            let capella = chain.forks.iter().find(|(fork, _, _)| *fork == Fork::Capella);
            (
                capella.map_or(ForkVersion::default(), |(_, version, _)| *version),
                chain.genesis_validators_root,
            )
        }
        Purpose::Proposer
        | Purpose::Attester
        | Purpose::Randao
        | Purpose::Exit
        | Purpose::Selection
        | Purpose::Aggregate
        | Purpose::Sync
        | Purpose::SyncSelection
        | Purpose::Contribution => (chain.fork_at(epoch).current, chain.genesis_validators_root),
    };
    let fork = hash_tree_root(&ForkData {
        current_version: version,
        genesis_validators_root: genesis,
    });
    let mut domain = [0; 32];
    for (to, from) in domain.iter_mut().zip(purpose.bytes().into_iter().chain(fork.0)) {
        *to = from;
    }
    Domain(domain)
}

/// The root that a signature of `object` covers.
#[must_use]
pub fn signing_root(object: Root, domain: Domain) -> Root {
    hash_tree_root(&SigningData {
        object_root: object,
        domain,
    })
}

/// A claim: the owner of `key` signed `root`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The group key.
    pub key: BlsPubkey,
    /// The signing root.
    pub root: Root,
    /// The signature.
    pub signature: BlsSignature,
}

impl Claim {
    /// Whether it is true. About a millisecond.
    #[must_use]
    pub fn holds(&self) -> bool {
        let key = trireme_tbls::PublicKey::from_bytes(&self.key.0);
        let signature = trireme_tbls::Signature::from_bytes(&self.signature.0);
        match (key, signature) {
            (Ok(key), Ok(signature)) => trireme_tbls::verify(&key, self.root.as_slice(), &signature),
            (Err(_), _) | (_, Err(_)) => false,
        }
    }
}

/// Remembers which claims hold, so that the same submission of every node costs one verification.
#[derive(Debug, Default)]
pub struct Verifier {
    known: Mutex<BTreeMap<Claim, bool>>,
    busy: Mutex<()>,
}

/// Claims to remember; 1,000 validators make some thousands per epoch, and each claim is asked about within seconds.
const REMEMBERED: usize = 32_768;

impl Verifier {
    /// Whether each claim holds. Blocks for about a tenth of a millisecond per new claim, a millisecond for one alone;
    /// concurrent callers take turns, so that the same claim is not verified twice.
    pub fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        let _turn = self.busy.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut new = Vec::new();
        {
            let known = self.known();
            new.extend(claims.iter().filter(|claim| !known.contains_key(claim)).copied());
        }
        new.sort_unstable();
        new.dedup();
        let answers = all_hold(&new);
        let mut known = self.known();
        if known.len().saturating_add(new.len()) > REMEMBERED {
            known.clear();
        }
        known.extend(new.into_iter().zip(answers));
        let answer = |claim| known.get(claim).copied().unwrap_or_else(|| claim.holds());
        claims.iter().map(answer).collect()
    }

    /// The answers, if all claims are known already. Never blocks for long.
    pub fn recall(&self, claims: &[Claim]) -> Option<Vec<bool>> {
        let known = self.known();
        claims.iter().map(|claim| known.get(claim).copied()).collect()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Claim, bool>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Which claims are true, found together.
fn all_hold(claims: &[Claim]) -> Vec<bool> {
    if let [one] = claims {
        return vec![one.holds()];
    }
    let mut holds = vec![false; claims.len()];
    let points = claims.iter().enumerate().filter_map(|(index, claim)| {
        let key = trireme_tbls::PublicKey::from_bytes(&claim.key.0).ok()?;
        let signature = trireme_tbls::Signature::from_bytes(&claim.signature.0).ok()?;
        Some((index, key, signature, claim.root))
    });
    let points: Vec<_> = points.collect();
    let checks: Vec<_> = points
        .iter()
        .map(|(_, key, signature, root)| Check {
            key: *key,
            message: root.as_slice(),
            signature: *signature,
        })
        .collect();
    // Weights that nobody can know who did not make all of the claims; a test network needs no more.
    let parts: Vec<&[u8]> = claims
        .iter()
        .flat_map(|c| [c.key.0.as_slice(), c.root.as_slice(), c.signature.0.as_slice()])
        .collect();
    let wrong = match verify_set(&checks, &digest(&parts).0) {
        Ok(()) => Vec::new(),
        Err(Culprits(wrong)) => wrong,
    };
    for (nth, (index, ..)) in points.iter().enumerate() {
        if let Some(answer) = holds.get_mut(*index) {
            *answer = !wrong.contains(&nth);
        }
    }
    holds
}
