//! Interpolation at zero: partial signatures to the group's signature.
//!
//! The group signature is `sum(l_i * S_i)` with `l_i = prod(x_j / (x_j - x_i), j != i)`, x being share indices. All
//! `l_i` are fractions of small integers, so they are written over one denominator: `l_i = a_i / d`. The sum with the
//! small `a_i` is cheap and a single long multiplication by `1/d` follows, none at all when `d` is 1.
//!
//! Guarantees: the result does not depend on the order of the partials. Coefficients are computed once per set of
//! indices by a [`Combiner`]; it remembers a bounded number of sets.
//! Not here: whether a partial or the result is valid. The caller verifies the result under the group key.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use blst::{MultiPoint, blst_p2_affine, min_pk};

use crate::{
    field::{Scalar, negate},
    points::{PointError, Signature},
};

/// Why partials could not be combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// There is nothing to combine.
    #[error("there are no partial signatures to combine")]
    Empty,
    /// Share indices begin at 1.
    #[error("share index 0 does not exist")]
    ShareZero,
    /// The partials cancel each other out, so at least one is wrong.
    #[error("the partial signatures give no signature: {0}")]
    Result(#[from] PointError),
}

/// Interpolation coefficients of one set of share indices, ready for use.
#[derive(Clone)]
struct Weights {
    /// `|a_i|` as little-endian bytes, `width` each.
    numerators: Vec<u8>,
    /// Bytes per numerator.
    width: usize,
    /// Whether `a_i` is negative.
    negative: Vec<bool>,
    /// `1/d` as 32 little-endian bytes; `None` when `d` is 1.
    inverse: Option<[u8; 32]>,
}

/// Interpolates the partials, keyed by share index, at zero. See [`Combiner`] for many calls.
///
/// # Errors
/// [`CombineError`] for no partials, an index 0, or partials that cancel out.
pub fn combine(partials: &BTreeMap<u8, Signature>) -> Result<Signature, CombineError> {
    let indices: Vec<u8> = partials.keys().copied().collect();
    Weights::new(&indices)?.apply(partials)
}

/// How many index sets a [`Combiner`] remembers: all of 7 operators, and far more than are live in any cluster.
const REMEMBERED: usize = 128;

/// [`combine`] with a memory of coefficients: all validators of a slot usually need the same set.
#[derive(Default)]
pub struct Combiner {
    known: Mutex<BTreeMap<Vec<u8>, Arc<Weights>>>,
}

impl Combiner {
    /// As [`combine`].
    ///
    /// # Errors
    /// As [`combine`].
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
}

impl Weights {
    fn new(indices: &[u8]) -> Result<Self, CombineError> {
        check(indices)?;
        Ok(Self::small(indices).unwrap_or_else(|| Self::general(indices)))
    }

    /// Coefficients over one small denominator; `None` when the numbers outgrow 128 bits.
    fn small(indices: &[u8]) -> Option<Self> {
        let fractions: Vec<(i128, i128)> = indices.iter().map(|i| fraction(indices, *i)).collect::<Option<_>>()?;
        let mut denominator = 1_i128;
        for (_, d) in &fractions {
            denominator = denominator.checked_div(gcd(denominator, *d))?.checked_mul(*d)?;
        }
        let numerators: Vec<i128> = fractions
            .iter()
            .map(|(n, d)| denominator.checked_div(*d).and_then(|f| n.checked_mul(f)))
            .collect::<Option<_>>()?;
        let width = numerators
            .iter()
            .map(|n| 16_u32.saturating_sub(n.unsigned_abs().leading_zeros() / 8))
            .max()?
            .max(1);
        let width = usize::try_from(width).ok()?;
        let inverse = if denominator == 1 {
            None
        } else {
            Some(scalar(denominator.unsigned_abs()).inverse_vartime()?.to_le_bytes())
        };
        Some(Self {
            numerators: numerators
                .iter()
                .flat_map(|n| n.unsigned_abs().to_le_bytes().into_iter().take(width))
                .collect(),
            width,
            negative: numerators.iter().map(|n| *n < 0).collect(),
            inverse,
        })
    }

    /// Coefficients as full scalars; always possible.
    fn general(indices: &[u8]) -> Self {
        let scalars = all_coefficients(indices);
        Self {
            numerators: scalars.iter().flat_map(Scalar::to_le_bytes).collect(),
            width: 32,
            negative: vec![false; scalars.len()],
            inverse: None,
        }
    }

    fn apply(&self, partials: &BTreeMap<u8, Signature>) -> Result<Signature, CombineError> {
        let signed = |(s, negative): (&Signature, &bool)| if *negative { negate(s.0.into()).into() } else { s.0 };
        let points: Vec<min_pk::Signature> = partials.values().zip(&self.negative).map(signed).collect();
        let sum = points
            .as_slice()
            .mult(&self.numerators, bits(&self.numerators, self.width))
            .to_signature();
        // A sum of points of the subgroup lies in it; all zero is infinity.
        if sum == min_pk::Signature::from(blst_p2_affine::default()) {
            return Err(PointError::Infinity.into());
        }
        let whole = match &self.inverse {
            None => sum,
            Some(inverse) => [sum].as_slice().mult(inverse, 255).to_signature(),
        };
        Ok(Signature(whole))
    }
}

/// The interpolation coefficients as field elements, in the order of `indices`, which are distinct.
pub(crate) fn coefficients(indices: &[u8]) -> Result<Vec<Scalar>, CombineError> {
    check(indices)?;
    Ok(all_coefficients(indices))
}

fn check(indices: &[u8]) -> Result<(), CombineError> {
    if indices.is_empty() {
        return Err(CombineError::Empty);
    }
    if indices.contains(&0) {
        return Err(CombineError::ShareZero);
    }
    Ok(())
}

fn all_coefficients(indices: &[u8]) -> Vec<Scalar> {
    let of = |x: &u8| Scalar::from(u64::from(*x));
    indices
        .iter()
        .map(|i| {
            let others = || indices.iter().filter(|j| *j != i);
            let over = others().fold(Scalar::from(1), |acc, j| acc.mul(&of(j)));
            let under = others().fold(Scalar::from(1), |acc, j| acc.mul(&of(j).sub(&of(i))));
            // Indices are keys of a map, hence distinct, so `under` is not zero.
            over.mul(&under.inverse_vartime().unwrap_or(Scalar::ZERO))
        })
        .collect()
}

/// `prod(x_j / (x_j - x_i))` in lowest terms with a positive denominator.
fn fraction(indices: &[u8], i: u8) -> Option<(i128, i128)> {
    indices
        .iter()
        .filter(|j| **j != i)
        .try_fold((1_i128, 1_i128), |(n, d), j| {
            let n = n.checked_mul(i128::from(*j))?;
            let d = d.checked_mul(i128::from(*j).checked_sub(i128::from(i))?)?;
            let g = gcd(n, d).checked_mul(d.signum())?;
            Some((n.checked_div(g)?, d.checked_div(g)?))
        })
}

/// Greatest common divisor, positive unless both are zero.
fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a.checked_rem(b).unwrap_or(0));
    }
    a.saturating_abs()
}

fn scalar(n: u128) -> Scalar {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().rev().zip(n.to_le_bytes()) {
        *to = from;
    }
    // 128 bits are below the order.
    Scalar::from_be_bytes(&bytes).unwrap_or(Scalar::ZERO)
}

/// Bits of the longest of the little-endian numbers of `width` bytes, at least one.
fn bits(scalars: &[u8], width: usize) -> usize {
    if width == 32 {
        return 255;
    }
    let of = |n: &[u8]| {
        let mut whole = [0; 16];
        for (to, from) in whole.iter_mut().zip(n) {
            *to = *from;
        }
        128_u32.saturating_sub(u128::from_le_bytes(whole).leading_zeros())
    };
    let needed = scalars.chunks(width).map(of).max().unwrap_or(1).max(1);
    // blst takes the numbers as ceil(bits / 8) bytes each: keep the width that they have.
    let floor = width.saturating_sub(1).saturating_mul(8).saturating_add(1);
    usize::try_from(needed).unwrap_or(floor).max(floor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{secret::SecretKey, shamir::split};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_set_of_shares_gives_the_signature_of_the_whole_key(
            seed: [u8; 32], set in proptest::collection::btree_set(1_u8..=40, 1..20),
        ) {
            let secret = SecretKey::from_bytes(&[9; 32]).unwrap();
            let threshold = u8::try_from(set.len()).unwrap();
            let mut n = 0_u8;
            let shares = split(&secret, threshold, 40, &mut |b| {
                n += 1;
                b[..32].copy_from_slice(&seed);
                b[63] = n;
            }).unwrap();
            let partials: BTreeMap<u8, Signature> = set.iter().map(|i| (*i, shares[i].sign(b"m"))).collect();
            prop_assert_eq!(combine(&partials).unwrap(), secret.sign(b"m"));
        }
    }

    #[test]
    fn the_short_and_the_long_way_agree() {
        for set in [
            &[1_u8, 2, 3][..],
            &[1, 2, 4],
            &[2, 3, 4],
            &[1, 3, 4],
            &[2, 3, 5, 6, 7],
            &[7],
            &[200, 255],
        ] {
            let partials: BTreeMap<u8, Signature> = set
                .iter()
                .map(|i| (*i, SecretKey::from_bytes(&[*i % 100 + 1; 32]).unwrap().sign(b"m")))
                .collect();
            let short = Weights::small(set).unwrap().apply(&partials).unwrap();
            assert_eq!(short, Weights::general(set).apply(&partials).unwrap(), "{set:?}");
        }
    }

    #[test]
    fn a_set_too_large_for_small_numbers_takes_the_long_way() {
        let set: Vec<u8> = (2..=200).collect();
        assert!(Weights::small(&set).is_none());
        assert_eq!(Weights::new(&set).unwrap().width, 32);
    }

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

    #[test]
    fn partials_that_cancel_each_other_give_no_signature() {
        let one = SecretKey::from_bytes(&[1; 32]).unwrap().sign(b"m");
        // The numbers of {1, 2} are 2 and -1.
        let twice = Signature([one.0, one.0].as_slice().mult(&[1, 1], 8).to_signature());
        let cancelled = combine(&[(1, one), (2, twice)].into());
        assert_eq!(cancelled, Err(CombineError::Result(PointError::Infinity)));
    }

    #[test]
    fn nothing_and_share_zero_are_refused() {
        let partial = SecretKey::from_bytes(&[1; 32]).unwrap().sign(b"m");
        assert_eq!(combine(&BTreeMap::new()), Err(CombineError::Empty));
        assert_eq!(
            combine(&[(0, partial), (1, partial)].into()),
            Err(CombineError::ShareZero)
        );
    }
}
