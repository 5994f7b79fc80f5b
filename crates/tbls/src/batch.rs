//! Many signatures in one multi-pairing, and the search for the wrong ones.
//!
//! A valid signature satisfies `e(g, S) = e(K, H(m))`. The set's equations are summed with random 64-bit weights, as
//! consensus clients do: a wrong signature makes the sum wrong except with probability 2^-63, and whoever tries is known
//! after the first time. Where the seed comes from the very bytes that are verified, as with a file, their author could
//! try seeds at home; there the weights have 128 bits. Equations over one message share one pairing,
//! since `sum(w*K)` and `sum(w*S)` are computed first: since Electra a whole slot signs one attestation root.
//!
//! Guarantees: `Ok` means that every signature of the set verifies alone. On failure the indices are exactly those
//! that do not verify alone, found by halving.
//! Not here: checks of points; [`PublicKey`] and [`Signature`] are checked by construction.

use blst::{BLST_ERROR, MultiPoint, Pairing, blst_p1_affine, blst_p2_affine, min_pk};
use sha2::{Digest, Sha256};

use crate::points::{DST, PublicKey, Signature, verify};

/// One claim: the owner of `key` signed `message`.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    /// Whose signature it is said to be; usually a public share.
    pub key: PublicKey,
    /// What is said to be signed; usually a signing root.
    pub message: &'a [u8],
    /// The signature.
    pub signature: Signature,
}

/// The positions in the set of the signatures that do not verify, ascending.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} signatures of the set are wrong, the first at position {:?}", .0.len(), .0.first())]
pub struct Culprits(pub Vec<usize>);

/// Bytes of a random weight, if nobody knows the seed before.
const FRESH: usize = 8;

/// Bytes of a weight, if the seed is made of what is verified.
const DERIVED: usize = 16;

/// Verifies the whole set at once. `seed` must be fresh and unknown to whoever made the signatures.
///
/// About 0.1 ms per signature at 32 over one message, a millisecond alone. Each culprit costs about `log2(len)` more
/// passes over parts of the set.
///
/// # Errors
/// [`Culprits`] with the signatures that are wrong.
pub fn verify_set(set: &[Check<'_>], seed: &[u8; 32]) -> Result<(), Culprits> {
    verify_weighted(set, seed, FRESH)
}

/// As [`verify_set`], with a seed that is a hash over all that is verified: for pure functions, to which nobody gives
/// randomness. A third slower.
///
/// # Errors
/// [`Culprits`] with the signatures that are wrong.
pub fn verify_derived_set(set: &[Check<'_>], seed: &[u8; 32]) -> Result<(), Culprits> {
    verify_weighted(set, seed, DERIVED)
}

fn verify_weighted(set: &[Check<'_>], seed: &[u8; 32], width: usize) -> Result<(), Culprits> {
    // Equal messages side by side, so that halving keeps them together.
    let mut order: Vec<usize> = (0..set.len()).collect();
    order.sort_by_key(|i| set.get(*i).map(|c| c.message));
    let sorted: Vec<(usize, &Check<'_>)> = order.into_iter().filter_map(|i| Some((i, set.get(i)?))).collect();

    let mut wrong = Vec::new();
    let mut search = Search {
        weights: Weights {
            seed: *seed,
            width,
            used: 0,
        },
        wrong: &mut wrong,
    };
    search.split(&sorted, false);
    wrong.sort_unstable();
    if wrong.is_empty() { Ok(()) } else { Err(Culprits(wrong)) }
}

struct Search<'a> {
    weights: Weights,
    wrong: &'a mut Vec<usize>,
}

impl Search<'_> {
    /// Adds the wrong ones of `part`; `known_bad` says that there is at least one. Returns whether there was any.
    fn split(&mut self, part: &[(usize, &Check<'_>)], known_bad: bool) -> bool {
        match part {
            [] => false,
            [(index, check)] => {
                let bad = known_bad || !verify(&check.key, check.message, &check.signature);
                if bad {
                    self.wrong.push(*index);
                }
                bad
            }
            _ => {
                if !known_bad && all_verify(part, &mut self.weights) {
                    return false;
                }
                let (left, right) = part.split_at(part.len() / 2);
                let left_bad = self.split(left, false);
                // What is wrong must be in the other half if this one is clean.
                let right_bad = self.split(right, !left_bad);
                left_bad || right_bad
            }
        }
    }
}

/// One randomised multi-pairing over `part`, which has equal messages side by side.
fn all_verify(part: &[(usize, &Check<'_>)], weights: &mut Weights) -> bool {
    let width = weights.width;
    let scalars: Vec<u8> = part.iter().flat_map(|_| weights.next()).collect();
    let signatures: Vec<min_pk::Signature> = part.iter().map(|(_, c)| c.signature.0).collect();
    let sum = signatures
        .as_slice()
        .mult(&scalars, width.saturating_mul(8))
        .to_signature();
    let mut sum: Option<&blst_p2_affine> = Some((&sum).into());

    let mut pairing = Pairing::new(true, DST);
    let mut rest = scalars.as_slice();
    for group in part.chunk_by(|(_, a), (_, b)| a.message == b.message) {
        let Some((mine, others)) = rest.split_at_checked(group.len().saturating_mul(width)) else {
            return false;
        };
        rest = others;
        let Some((_, first)) = group.first() else { return false };
        let key = key_sum(group, mine, width);
        let key: &blst_p1_affine = (&key).into();
        // The first group carries the sum of all signatures, the others none: blst looks at the type.
        let done = match sum.take() {
            Some(sum) => pairing.aggregate(key, false, sum, false, first.message, &[]),
            None => pairing.aggregate(key, false, &(), false, first.message, &[]),
        };
        if done != BLST_ERROR::BLST_SUCCESS {
            return false;
        }
    }
    pairing.commit();
    pairing.finalverify(None)
}

fn key_sum(group: &[(usize, &Check<'_>)], scalars: &[u8], width: usize) -> min_pk::PublicKey {
    let keys: Vec<min_pk::PublicKey> = group.iter().map(|(_, c)| c.key.0).collect();
    keys.as_slice().mult(scalars, width.saturating_mul(8)).to_public_key()
}

/// Random weights as a hash chain over the seed; never zero.
struct Weights {
    seed: [u8; 32],
    /// Bytes of each.
    width: usize,
    used: u64,
}

impl Weights {
    fn next(&mut self) -> impl Iterator<Item = u8> + use<> {
        let mut digest: [u8; 32] = Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.used.to_le_bytes())
            .finalize()
            .into();
        self.used = self.used.wrapping_add(1);
        // Odd, so that no weight is zero.
        if let Some(low) = digest.first_mut() {
            *low |= 1;
        }
        digest.into_iter().take(self.width)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::SecretKey;

    fn key(i: usize) -> SecretKey {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&(u64::try_from(i).unwrap() + 1).to_be_bytes());
        SecretKey::from_bytes(&bytes).unwrap()
    }

    fn set_of<'a>(messages: &[&'a [u8]]) -> Vec<Check<'a>> {
        let one = |(i, m): (usize, &&'a [u8])| Check {
            key: key(i).public_key(),
            message: m,
            signature: key(i).sign(m),
        };
        messages.iter().enumerate().map(one).collect()
    }

    #[test]
    fn an_empty_set_and_sets_of_right_signatures_pass() {
        assert_eq!(verify_set(&[], &[1; 32]), Ok(()));
        for messages in [
            &[&b"a"[..]][..],
            &[b"a", b"a"],
            &[b"a", b"b"],
            &[b"b", b"a", b"b", b"", b"a"],
        ] {
            assert_eq!(verify_set(&set_of(messages), &[1; 32]), Ok(()));
        }
    }

    #[test]
    fn two_swapped_signatures_over_one_message_are_caught_though_their_sum_is_right() {
        let mut set = set_of(&[b"a", b"a", b"a", b"a"]);
        (set[1].signature, set[3].signature) = (set[3].signature, set[1].signature);
        assert_eq!(verify_set(&set, &[1; 32]), Err(Culprits(vec![1, 3])));
    }

    #[test]
    fn the_same_claim_twice_is_fine_and_wrong_twice_if_wrong() {
        let mut set = set_of(&[b"a", b"b"]);
        set.push(set[0]);
        assert_eq!(verify_set(&set, &[1; 32]), Ok(()));
        set[0].signature = set[1].signature;
        set[2].signature = set[1].signature;
        assert_eq!(verify_set(&set, &[1; 32]), Err(Culprits(vec![0, 2])));
    }

    #[test]
    fn opposite_keys_over_one_message_do_not_hide_each_other() {
        // The key of order - 1 is minus the generator: the plain sum of both keys is infinity.
        let mut minus_one = *crate::field::Scalar::ZERO
            .sub(&crate::field::Scalar::from(1))
            .to_be_bytes()
            .first_chunk()
            .unwrap();
        let minus = SecretKey::from_bytes(&minus_one).unwrap();
        minus_one.fill(0);
        let plus = key(0);
        let claim = |k: &SecretKey, s: Signature| Check {
            key: k.public_key(),
            message: b"a",
            signature: s,
        };
        let good = [claim(&plus, plus.sign(b"a")), claim(&minus, minus.sign(b"a"))];
        assert_eq!(verify_set(&good, &[1; 32]), Ok(()));
        let bad = [claim(&plus, minus.sign(b"a")), claim(&minus, plus.sign(b"a"))];
        assert_eq!(verify_set(&bad, &[1; 32]), Err(Culprits(vec![0, 1])));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn exactly_the_wrong_ones_are_found(
            seed: [u8; 32],
            which in proptest::collection::vec((0_usize..3, proptest::bool::weighted(0.15)), 1..24),
        ) {
            let names: [&[u8]; 3] = [b"a", b"b", b"c"];
            let messages: Vec<&[u8]> = which.iter().map(|(m, _)| names[*m]).collect();
            let mut set = set_of(&messages);
            for (i, (_, wrong)) in which.iter().enumerate() {
                if *wrong {
                    set[i].signature = key(i).sign(b"other");
                }
            }
            let expected: Vec<usize> = which.iter().enumerate().filter(|(_, (_, w))| *w).map(|(i, _)| i).collect();
            for verify in [verify_set, verify_derived_set] {
                let found = verify(&set, &seed).err().map(|c| c.0).unwrap_or_default();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
