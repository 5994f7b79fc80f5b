//! Combining with a memory of coefficients.
//!
//! Guarantees: what is remembered is bounded.
//! Not here: the numbers themselves (`lagrange`, `relation`).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use blst::min_pk;

use crate::{
    lagrange::{CombineError, Weights},
    points::Signature,
    relation::Relation,
};

/// How many index sets a [`Combiner`] remembers: all of 7 operators, and far more than are live in any cluster.
const REMEMBERED: usize = 128;

/// By the share that is asked about and the set that determines it; `None` where no relation can be used.
type Relations = BTreeMap<(u8, Vec<u8>), Option<Arc<Relation>>>;

/// [`crate::combine`] with a memory of coefficients: all validators of a slot usually need the same set.
#[derive(Default)]
pub struct Combiner {
    known: Mutex<BTreeMap<Vec<u8>, Arc<Weights>>>,
    further: Mutex<Relations>,
}

impl Combiner {
    /// As [`crate::combine`].
    ///
    /// # Errors
    /// As [`crate::combine`].
    pub fn combine(&self, partials: &BTreeMap<u8, Signature>) -> Result<Signature, CombineError> {
        let indices: Vec<u8> = partials.keys().copied().collect();
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&indices)
            .cloned();
        let weights = match known {
            Some(weights) => weights,
            None => {
                let made = Arc::new(Weights::new(&indices)?);
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= REMEMBERED {
                    known.clear();
                }
                known.insert(indices, Arc::clone(&made));
                made
            }
        };
        weights.apply(partials)
    }

    /// Whether `bytes` are the partial of `share` that `right`, a threshold of right partials over one message, determine.
    /// `true` is certain if the public keys of the shares belong together, as those of a verified lock do; `false` says
    /// nothing: the signature may be wrong, or the numbers too large for this way.
    #[must_use]
    pub fn determines(&self, right: &BTreeMap<u8, Signature>, share: u8, bytes: &[u8; 96]) -> bool {
        let key = (share, right.keys().copied().collect::<Vec<u8>>());
        let known = self
            .further
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        let relation = known.unwrap_or_else(|| {
            let made = Relation::new(share, &key.1).map(Arc::new);
            let mut known = self.further.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(key, made.clone());
            made
        });
        // Not in the subgroup is not equal: see `Relation`.
        let point = min_pk::Signature::from_bytes(bytes);
        relation.is_some_and(|r| point.is_ok_and(|point| r.holds(right, point)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretKey;

    #[test]
    fn the_memory_of_coefficients_is_bounded() {
        let combiner = Combiner::default();
        let sign = |i: u8| SecretKey::from_bytes(&[i; 32]).unwrap().sign(b"m");
        for i in 1..=100 {
            combiner.combine(&[(i, sign(1)), (i + 1, sign(115))].into()).unwrap();
            combiner.combine(&[(i, sign(1)), (i + 2, sign(115))].into()).unwrap();
        }
        assert!(combiner.known.lock().unwrap().len() <= REMEMBERED);
    }
}
