//! What a threshold of right partial signatures says about any further one.
//!
//! A BLS signature is unique: of a key and a message there is one. Once a threshold of partials is known to be right, any
//! further one is right if and only if it is what interpolation at its share's index gives; no pairing is needed to see it.
//!
//! Guarantees: a relation holds for one point of the whole curve only, the partial that the others determine.
//! Not here: whether the others are right.

use std::collections::BTreeMap;

use blst::min_pk;

use crate::{
    field::negate,
    lagrange::{check, little_endian, signed, small_numbers},
    points::Signature,
    sum::{infinity, sum},
};

/// `sum(a_i * S_i) = d * S` of partials and one more, for `d` prime to the cofactor of the curve's group. Multiplication
/// by such a `d` keeps different points different, so that `S` is the one point that fits, in the subgroup or not.
pub(crate) struct Relation {
    /// `|a_i|`, then `d`, as little-endian bytes, `width` each.
    numbers: Vec<u8>,
    width: usize,
    /// Whether `a_i` is negative.
    negative: Vec<bool>,
}

/// Primes below 256 that divide the cofactor of G2; the denominators have no larger ones.
const COFACTOR_PRIMES: [i128; 2] = [13, 23];

impl Relation {
    /// `None` if the numbers outgrow 128 bits, share a factor with the cofactor, or `share` is none that the others leave.
    pub(crate) fn new(share: u8, indices: &[u8]) -> Option<Self> {
        if check(indices).is_err() || share == 0 || indices.contains(&share) {
            return None;
        }
        let (mut numbers, denominator) = small_numbers(indices, share)?;
        let shared = |p: &i128| denominator.checked_rem(*p).is_none_or(|rest| rest == 0);
        if COFACTOR_PRIMES.iter().any(shared) {
            return None;
        }
        let negative = numbers.iter().map(|n| *n < 0).collect();
        numbers.push(denominator);
        let (numbers, width) = little_endian(&numbers);
        Some(Self {
            numbers,
            width,
            negative,
        })
    }

    pub(crate) fn holds(&self, partials: &BTreeMap<u8, Signature>, other: min_pk::Signature) -> bool {
        let mut points = signed(partials, &self.negative);
        points.push(negate(other.into()).into());
        sum(&points, &self.numbers, self.width) == infinity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{Combiner, Signature, secret::SecretKey, shamir::split};
    use std::collections::BTreeMap;

    fn partials(threshold: u8, shares: u8) -> BTreeMap<u8, Signature> {
        let mut n = 0_u8;
        let shares = split(&SecretKey::from_bytes(&[9; 32]).unwrap(), threshold, shares, &mut |b| {
            n += 1;
            b.fill(n);
        });
        shares.unwrap().iter().map(|(i, s)| (*i, s.sign(b"m"))).collect()
    }

    /// `0x` and the compressed form of a point of the curve outside the subgroup, as `from_bytes` tells.
    fn outside() -> [u8; 96] {
        let mut bytes = [0; 96];
        bytes[0] = 0x80;
        for x in 1..=u8::MAX {
            bytes[95] = x;
            if let Err(crate::PointError::Subgroup) = Signature::from_bytes(&bytes) {
                return bytes;
            }
        }
        panic!("half of all numbers are coordinates of a point");
    }

    #[test]
    fn of_four_operators_any_three_determine_the_fourth() {
        let all = partials(3, 4);
        let combiner = Combiner::default();
        for missing in 1..=4 {
            let mut others = all.clone();
            let fourth = others.remove(&missing).unwrap();
            assert!(combiner.determines(&others, missing, &fourth.to_bytes()), "{missing}");
            for wrong in others.values() {
                assert!(!combiner.determines(&others, missing, &wrong.to_bytes()));
            }
            assert!(!combiner.determines(&others, missing, &outside()));
            assert!(!combiner.determines(&others, missing, &[0xff; 96]));
            let mut infinity = [0; 96];
            infinity[0] = 0xc0;
            assert!(!combiner.determines(&others, missing, &infinity));
        }
    }

    #[test]
    fn nothing_is_said_of_shares_that_are_among_the_others_or_do_not_exist() {
        let mut others = partials(3, 4);
        let fourth = others.remove(&4).unwrap().to_bytes();
        let combiner = Combiner::default();
        assert!(!combiner.determines(&others, 0, &fourth));
        assert!(!combiner.determines(&others, 3, &others[&3].to_bytes()));
        assert!(!combiner.determines(&BTreeMap::new(), 4, &fourth));
    }

    #[test]
    fn numbers_that_share_a_factor_with_the_cofactor_are_not_used() {
        let all = partials(2, 24);
        let combiner = Combiner::default();
        let of = |i: u8, j: u8| BTreeMap::from([(i, all[&i]), (j, all[&j])]);
        // Interpolation between 1 and 14 divides by 13.
        assert!(!combiner.determines(&of(1, 14), 3, &all[&3].to_bytes()));
        assert!(!combiner.determines(&of(1, 24), 3, &all[&3].to_bytes()));
        assert!(combiner.determines(&of(1, 13), 3, &all[&3].to_bytes()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_threshold_determines_any_other_share(
            mut set in proptest::collection::btree_set(1_u8..=13, 3..8), swap in 0_u8..=1,
        ) {
            let threshold = u8::try_from(set.len() - 1).unwrap();
            let all = partials(threshold, 13);
            let missing = set.pop_last().unwrap();
            let others: BTreeMap<u8, Signature> = set.iter().map(|i| (*i, all[i])).collect();
            let claimed = if swap == 1 { all[set.first().unwrap()] } else { all[&missing] };
            prop_assert_eq!(Combiner::default().determines(&others, missing, &claimed.to_bytes()), swap == 0);
        }
    }
}
