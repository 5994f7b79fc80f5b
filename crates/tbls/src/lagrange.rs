//! Interpolation: partial signatures to the group's signature, and to another share's partial.
//!
//! The group signature is `sum(l_i * S_i)` with `l_i = prod(x_j / (x_j - x_i), j != i)`, x being share indices. All
//! `l_i` are fractions of small integers, so they are written over one denominator: `l_i = a_i / d`. The sum with the
//! small `a_i` is cheap and a single long multiplication by `1/d` follows, none at all when `d` is 1.
//!
//! Guarantees: the result does not depend on the order of the partials.
//! Not here: whether a partial or the result is valid: the caller verifies the result under the group key. Memory of
//! coefficients (`combiner`).

use std::collections::BTreeMap;

use blst::min_pk;

use crate::{
    field::{Scalar, negate, times},
    points::{PointError, Signature},
    sum::{infinity, sum},
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
pub(crate) struct Weights {
    /// `|a_i|` as little-endian bytes, `width` each.
    numerators: Vec<u8>,
    /// Bytes per numerator.
    width: usize,
    /// Whether `a_i` is negative.
    negative: Vec<bool>,
    /// `1/d` as 32 little-endian bytes; `None` when `d` is 1.
    inverse: Option<[u8; 32]>,
}

/// Interpolates the partials, keyed by share index, at zero. See [`crate::Combiner`] for many calls.
///
/// # Errors
/// [`CombineError`] for no partials, an index 0, or partials that cancel out.
pub fn combine(partials: &BTreeMap<u8, Signature>) -> Result<Signature, CombineError> {
    let indices: Vec<u8> = partials.keys().copied().collect();
    Weights::new(&indices)?.apply(partials)
}

impl Weights {
    pub(crate) fn new(indices: &[u8]) -> Result<Self, CombineError> {
        check(indices)?;
        Ok(Self::small(indices).unwrap_or_else(|| Self::general(indices)))
    }

    /// Coefficients over one small denominator; `None` when the numbers outgrow 128 bits.
    fn small(indices: &[u8]) -> Option<Self> {
        let (numbers, denominator) = small_numbers(indices, 0)?;
        let inverse = if denominator == 1 {
            None
        } else {
            Some(scalar(denominator.unsigned_abs()).inverse_vartime()?.to_le_bytes())
        };
        let (numerators, width) = little_endian(&numbers);
        Some(Self {
            numerators,
            width,
            negative: numbers.iter().map(|n| *n < 0).collect(),
            inverse,
        })
    }

    fn general(indices: &[u8]) -> Self {
        let scalars = all_coefficients(indices);
        Self {
            numerators: scalars.iter().flat_map(Scalar::to_le_bytes).collect(),
            width: 32,
            negative: vec![false; scalars.len()],
            inverse: None,
        }
    }

    pub(crate) fn apply(&self, partials: &BTreeMap<u8, Signature>) -> Result<Signature, CombineError> {
        let sum = sum(&signed(partials, &self.negative), &self.numerators, self.width);
        // A sum of points of the subgroup lies in it.
        if sum == infinity() {
            return Err(PointError::Infinity.into());
        }
        let whole = match &self.inverse {
            None => sum,
            Some(inverse) => times(&sum.into(), inverse).into(),
        };
        Ok(Signature(whole))
    }
}

/// The interpolation coefficients as field elements, in the order of `indices`, which are distinct.
pub(crate) fn coefficients(indices: &[u8]) -> Result<Vec<Scalar>, CombineError> {
    check(indices)?;
    Ok(all_coefficients(indices))
}

pub(crate) fn check(indices: &[u8]) -> Result<(), CombineError> {
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

/// The coefficients of interpolation at `at` as numerators over one denominator, which is positive; `None` when the
/// numbers outgrow 128 bits.
pub(crate) fn small_numbers(indices: &[u8], at: u8) -> Option<(Vec<i128>, i128)> {
    let fractions: Vec<(i128, i128)> = indices
        .iter()
        .map(|i| fraction(indices, *i, at))
        .collect::<Option<_>>()?;
    let mut denominator = 1_i128;
    for (_, d) in &fractions {
        denominator = denominator.checked_div(gcd(denominator, *d))?.checked_mul(*d)?;
    }
    let numerators = fractions
        .iter()
        .map(|(n, d)| denominator.checked_div(*d).and_then(|f| n.checked_mul(f)))
        .collect::<Option<_>>()?;
    Some((numerators, denominator))
}

/// The numbers without their signs, one after the other, and the bytes that each takes.
pub(crate) fn little_endian(numbers: &[i128]) -> (Vec<u8>, usize) {
    let bytes = |n: &i128| 16_u32.saturating_sub(n.unsigned_abs().leading_zeros() / 8);
    let width = usize::try_from(numbers.iter().map(bytes).max().unwrap_or(1).max(1)).unwrap_or(16);
    let short = |n: &i128| n.unsigned_abs().to_le_bytes().into_iter().take(width);
    (numbers.iter().flat_map(short).collect(), width)
}

/// The points, those negated whose coefficient is negative.
pub(crate) fn signed(partials: &BTreeMap<u8, Signature>, negative: &[bool]) -> Vec<min_pk::Signature> {
    let one = |(s, negative): (&Signature, &bool)| if *negative { negate(s.0.into()).into() } else { s.0 };
    partials.values().zip(negative).map(one).collect()
}

/// `prod((x_j - at) / (x_j - x_i))` in lowest terms with a positive denominator.
fn fraction(indices: &[u8], i: u8, at: u8) -> Option<(i128, i128)> {
    indices
        .iter()
        .filter(|j| **j != i)
        .try_fold((1_i128, 1_i128), |(n, d), j| {
            let n = n.checked_mul(i128::from(*j).checked_sub(i128::from(at))?)?;
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
    fn partials_that_cancel_each_other_give_no_signature() {
        let one = SecretKey::from_bytes(&[1; 32]).unwrap().sign(b"m");
        // The numbers of {1, 2} are 2 and -1.
        let twice = Signature(sum(&[one.0, one.0], &[1, 1], 1));
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
