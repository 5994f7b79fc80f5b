//! What is known of signatures that were met before.
//!
//! A partial signature is decoded when it is verified and again when it is combined, and decoding takes as long as its
//! share of a batch's verification; the last partials of a validator come when the others have settled what they must be.
//!
//! Guarantees: memory is bounded; what is found was decoded from exactly the bytes asked for, or verified for exactly the
//! validator and root asked for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use trireme_eth2::Root;
use trireme_tbls::Signature;

use crate::ids::{PubKey, ShareIdx};

/// Most entries of one generation, about 300 bytes each.
const MOST: usize = 8_192;

/// Two generations of entries: the older one goes when the newer one is full.
struct Recent<K, V> {
    newer: BTreeMap<K, V>,
    older: BTreeMap<K, V>,
    capacity: usize,
}

impl<K: Ord, V> Recent<K, V> {
    fn new(capacity: usize) -> Self {
        let (newer, older) = Default::default();
        Self {
            newer,
            older,
            capacity: capacity.min(MOST),
        }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    fn insert(&mut self, key: K, value: V) {
        if self.newer.len() >= self.capacity {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key, value);
    }
}

/// See the module's description.
pub(super) struct Seen {
    threshold: usize,
    /// Signatures by their bytes, verified or made here.
    points: Mutex<Recent<[u8; 96], Signature>>,
    /// Right partials by share, a threshold at most.
    right: Mutex<Recent<(PubKey, Root), BTreeMap<u8, Signature>>>,
}

impl Seen {
    /// Room for two slots in which all `validators` sign with all shares.
    pub(super) fn new(validators: usize, operators: usize, threshold: usize) -> Self {
        Self {
            threshold,
            points: Mutex::new(Recent::new(validators.saturating_mul(operators).saturating_mul(2))),
            right: Mutex::new(Recent::new(validators.saturating_mul(2))),
        }
    }

    pub(super) fn point(&self, bytes: &[u8; 96]) -> Option<Signature> {
        lock(&self.points).get(bytes).copied()
    }

    /// Keeps a signature of the group that was put together here.
    pub(super) fn made(&self, bytes: [u8; 96], point: Signature) {
        lock(&self.points).insert(bytes, point);
    }

    /// Keeps partials that were verified.
    pub(super) fn verified(&self, partials: impl Iterator<Item = (PubKey, Root, ShareIdx, [u8; 96], Signature)>) {
        let (mut points, mut right) = (lock(&self.points), lock(&self.right));
        for (validator, root, share, bytes, point) in partials {
            points.insert(bytes, point);
            let mut known = right.get(&(validator, root)).cloned().unwrap_or_default();
            if known.len() < self.threshold {
                known.insert(share.0, point);
                right.insert((validator, root), known);
            }
        }
    }

    /// How many right partials of a validator over a root are kept.
    pub(super) fn count(&self, validator: PubKey, root: Root) -> usize {
        lock(&self.right).get(&(validator, root)).map_or(0, BTreeMap::len)
    }

    /// A threshold of right partials of a validator over a root, if so many were seen and `other` is none of them.
    pub(super) fn enough(&self, validator: PubKey, root: Root, other: ShareIdx) -> Option<BTreeMap<u8, Signature>> {
        let right = lock(&self.right);
        let known = right.get(&(validator, root))?;
        (known.len() == self.threshold && !known.contains_key(&other.0)).then(|| known.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use trireme_tbls::SecretKey;

    use super::*;

    #[test]
    fn entries_last_for_two_generations() {
        let mut recent = Recent::new(2);
        for n in 1..=4 {
            recent.insert(n, n);
        }
        assert!((1..=4).all(|n| recent.get(&n) == Some(&n)));
        recent.insert(5, 5);
        let left: Vec<_> = (1..=5).filter(|n| recent.get(n).is_some()).collect();
        assert_eq!(left, [3, 4, 5]);
    }

    #[test]
    fn a_threshold_of_partials_is_kept_for_each_validator_and_root() {
        let seen = Seen::new(2, 4, 2);
        let (a, b) = (PubKey([1; 48]), PubKey([2; 48]));
        let root = Root([9; 32]);
        let point = |n: u8| SecretKey::from_randomness([n; 64]).unwrap().sign(b"m");
        let partial = |validator, root, share: u8| {
            let point = point(share);
            (validator, root, ShareIdx(share), point.to_bytes(), point)
        };
        seen.verified([partial(a, root, 1), partial(b, root, 2), partial(a, Root([8; 32]), 3)].into_iter());
        assert!(seen.enough(a, root, ShareIdx(4)).is_none(), "one is less than two");
        seen.verified([partial(a, root, 2), partial(a, root, 3)].into_iter());
        let enough = seen.enough(a, root, ShareIdx(4)).unwrap();
        assert_eq!(enough.into_keys().collect::<Vec<_>>(), [1, 2]);
        assert!(seen.enough(a, root, ShareIdx(2)).is_none());
        assert_eq!(seen.point(&point(3).to_bytes()), Some(point(3)));
        let mut other = point(3).to_bytes();
        other[95] ^= 1;
        assert_eq!(seen.point(&other), None);
    }
}
