//! Whether public shares belong to the group keys that they are said to belong to.
//!
//! The shares 1..=n of a validator lie on one polynomial of degree below the threshold t whose value at zero is the group
//! key exactly if shares 1..=t interpolate to it, and so do 1..=t-1 with each of the others. The coefficients are the same
//! for every validator, so the equations of all of them are summed with random 128-bit weights first.

use std::iter;

use blst::{MultiPoint, min_pk};
use sha2::{Digest, Sha256};

use crate::{lagrange::coefficients, points::PublicKey};

/// Bytes of a random weight.
const WEIGHT: usize = 16;

/// Checks the public shares of every validator (group key, shares in the order of their index from 1) against its group
/// key. `seed` must not be known to whoever chose the keys, or be a hash over all of them.
///
/// # Errors
/// The position of the first validator whose shares do not fit; also for a threshold outside 1 to the number of shares,
/// and for validators with different numbers of shares.
pub fn shares_fit(validators: &[(PublicKey, &[PublicKey])], threshold: u8, seed: &[u8; 32]) -> Result<(), usize> {
    if all_fit(validators, threshold, seed) {
        return Ok(());
    }
    // By halving: the half that is looked into holds a wrong one, and nothing before it does.
    let (mut rest, mut before) = (validators, 0_usize);
    while rest.len() > 1 {
        let (left, right) = rest.split_at(rest.len() / 2);
        if all_fit(left, threshold, seed) {
            before = before.saturating_add(left.len());
            rest = right;
        } else {
            rest = left;
        }
    }
    Err(before)
}

fn all_fit(validators: &[(PublicKey, &[PublicKey])], threshold: u8, seed: &[u8; 32]) -> bool {
    let Some((_, first)) = validators.first() else {
        return true;
    };
    let total = first.len();
    let Ok(last) = u8::try_from(total) else { return false };
    if threshold == 0 || threshold > last || validators.iter().any(|(_, shares)| shares.len() != total) {
        return false;
    }
    let weights: Vec<u8> = (0..validators.len()).flat_map(|at| weight(seed, at)).collect();
    let sum = |keys: Vec<min_pk::PublicKey>| keys.as_slice().mult(&weights, WEIGHT * 8).to_public_key();
    let group = sum(validators.iter().map(|(key, _)| key.0).collect());
    let shares: Vec<min_pk::PublicKey> = (0..total)
        .map(|at| {
            sum(validators
                .iter()
                .filter_map(|(_, shares)| shares.get(at))
                .map(|key| key.0)
                .collect())
        })
        .collect();
    (threshold..=last).all(|x| {
        let indices: Vec<u8> = (1..threshold).chain(iter::once(x)).collect();
        let picked: Vec<min_pk::PublicKey> = indices
            .iter()
            .filter_map(|i| shares.get(usize::from(*i).checked_sub(1)?))
            .copied()
            .collect();
        let Ok(coefficients) = coefficients(&indices) else {
            return false;
        };
        let scalars: Vec<u8> = coefficients.iter().flat_map(|c| c.to_le_bytes()).collect();
        picked.as_slice().mult(&scalars, 255).to_public_key() == group
    })
}

/// Never zero.
fn weight(seed: &[u8; 32], at: usize) -> [u8; WEIGHT] {
    let digest = Sha256::new()
        .chain_update(seed)
        .chain_update(at.to_le_bytes())
        .finalize();
    let mut out = [0; WEIGHT];
    for (to, from) in out.iter_mut().zip(digest) {
        *to = from;
    }
    if let Some(low) = out.first_mut() {
        *low |= 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SecretKey, split};

    fn validator(n: u8, threshold: u8, total: u8) -> (PublicKey, Vec<PublicKey>) {
        let secret = SecretKey::from_bytes(&[n; 32]).unwrap();
        let shares = split(&secret, threshold, total, &mut |b| b.fill(n.wrapping_add(1))).unwrap();
        (
            secret.public_key(),
            shares.values().map(SecretKey::public_key).collect(),
        )
    }

    fn fit(all: &[(PublicKey, Vec<PublicKey>)], threshold: u8) -> Result<(), usize> {
        let borrowed: Vec<_> = all.iter().map(|(k, s)| (*k, s.as_slice())).collect();
        shares_fit(&borrowed, threshold, &[7; 32])
    }

    #[test]
    fn shares_of_one_polynomial_fit_and_only_with_their_threshold() {
        for (threshold, total) in [(1, 1), (2, 3), (3, 4), (5, 7), (7, 10)] {
            let all: Vec<_> = (1..4).map(|n| validator(n, threshold, total)).collect();
            assert_eq!(fit(&all, threshold), Ok(()));
            if threshold > 1 {
                assert_eq!(fit(&all, threshold - 1), Err(0));
            }
            assert_eq!(fit(&all, total + 1), Err(0));
        }
    }

    #[test]
    fn the_validator_with_a_foreign_share_or_key_is_named() {
        let mut all: Vec<_> = (1..5).map(|n| validator(n, 3, 4)).collect();
        for at in 0..4 {
            let right = all[2].1[at];
            all[2].1[at] = all[0].1[at];
            assert_eq!(fit(&all, 3), Err(2), "share {at}");
            all[2].1[at] = right;
        }
        all[3].0 = all[1].0;
        assert_eq!(fit(&all, 3), Err(3));
    }

    #[test]
    fn of_several_wrong_validators_the_first_is_named() {
        let right: Vec<_> = (1..10).map(|n| validator(n, 2, 3)).collect();
        for first in 0..right.len() {
            let mut all = right.clone();
            for wrong in (first..all.len()).step_by(3) {
                all[wrong].1.swap(0, 2);
            }
            assert_eq!(fit(&all, 2), Err(first));
        }
    }

    #[test]
    fn missing_shares_and_swapped_shares_do_not_fit() {
        let mut all: Vec<_> = (1..3).map(|n| validator(n, 3, 4)).collect();
        all[1].1.swap(0, 1);
        assert_eq!(fit(&all, 3), Err(1));
        all[1].1.swap(0, 1);
        all[1].1.pop();
        assert!(fit(&all, 3).is_err());
        assert_eq!(fit(&[], 3), Ok(()));
    }
}
