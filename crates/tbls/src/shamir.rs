//! Shamir's secret sharing over the scalar field: cutting a key into shares and putting it together again.
//!
//! Guarantees: any `threshold` shares give the secret, fewer say nothing about it. Share indices are 1 to `total`, the
//! x coordinates of the polynomial.

use std::collections::BTreeMap;

use zeroize::{Zeroize, Zeroizing};

use crate::{
    field::Scalar,
    lagrange::{CombineError, coefficients},
    secret::SecretKey,
};

/// Why a key could not be split or put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The threshold must be from 1 to the number of shares.
    #[error("threshold {threshold} does not fit {total} shares")]
    Threshold {
        /// Shares needed.
        threshold: u8,
        /// Shares made.
        total: u8,
    },
    /// The shares name the key zero, or the randomness made a share zero (once in 2^255).
    #[error("the shares give no valid secret key")]
    NoKey,
    /// No share, or one with index 0.
    #[error(transparent)]
    Indices(#[from] CombineError),
}

/// Splits `secret` into `total` shares, keyed 1 to `total`, of which any `threshold` recover it.
///
/// `random` fills its argument with uniform bytes from a source fit for secrets; it is called `threshold - 1` times.
///
/// # Errors
/// [`ShareError`] if the threshold does not fit.
pub fn split(
    secret: &SecretKey,
    threshold: u8,
    total: u8,
    random: &mut dyn FnMut(&mut [u8; 64]),
) -> Result<BTreeMap<u8, SecretKey>, ShareError> {
    if threshold == 0 || threshold > total {
        return Err(ShareError::Threshold { threshold, total });
    }
    // The polynomial's coefficients, constant first.
    let mut polynomial = Zeroizing::new(vec![*secret.to_scalar()]);
    polynomial.reserve_exact(usize::from(threshold));
    for _ in 1..threshold {
        let mut bytes = Zeroizing::new([0; 64]);
        random(&mut bytes);
        polynomial.push(Scalar::from_wide_bytes(&bytes));
    }
    (1..=total)
        .map(|x| {
            let at = Scalar::from(u64::from(x));
            let mut y = polynomial.iter().rev().fold(Scalar::ZERO, |acc, c| acc.mul(&at).add(c));
            let share = SecretKey::from_scalar(&y);
            y.zeroize();
            Ok((x, share.map_err(|_| ShareError::NoKey)?))
        })
        .collect()
}

/// The secret from shares keyed by their index. Fewer shares than the threshold give another key, not an error: the
/// caller compares the public key.
///
/// # Errors
/// [`ShareError`] for no shares, a share with index 0, or shares of zero.
pub fn recover(shares: &BTreeMap<u8, SecretKey>) -> Result<SecretKey, ShareError> {
    let indices: Vec<u8> = shares.keys().copied().collect();
    let mut sum = Zeroizing::new(Scalar::ZERO);
    for (coefficient, share) in coefficients(&indices)?.iter().zip(shares.values()) {
        let term = Zeroizing::new(coefficient.mul(&share.to_scalar()));
        *sum = sum.add(&term);
    }
    SecretKey::from_scalar(&sum).map_err(|_| ShareError::NoKey)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    use super::*;

    #[test]
    fn any_threshold_of_shares_recovers_the_key_and_fewer_do_not() {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let secret = SecretKey::from_bytes(&[5; 32]).unwrap();
        for (threshold, total) in [(1, 1), (1, 3), (2, 3), (3, 4), (5, 7), (7, 10), (4, 4)] {
            let shares = split(&secret, threshold, total, &mut |b| rng.fill_bytes(b)).unwrap();
            assert_eq!(shares.len(), usize::from(total));
            for from in 0..=(total - threshold) {
                let some = |count: u8| -> BTreeMap<u8, SecretKey> {
                    shares
                        .iter()
                        .skip(usize::from(from))
                        .take(usize::from(count))
                        .map(|(i, s)| (*i, s.clone()))
                        .collect()
                };
                assert!(recover(&some(threshold)).unwrap().to_bytes() == secret.to_bytes());
                if threshold > 1 {
                    assert!(recover(&some(threshold - 1)).unwrap().to_bytes() != secret.to_bytes());
                }
            }
        }
    }

    #[test]
    fn a_threshold_of_zero_or_above_the_number_of_shares_is_refused() {
        let secret = SecretKey::from_bytes(&[5; 32]).unwrap();
        for (threshold, total) in [(0, 4), (5, 4), (1, 0)] {
            let refused = split(&secret, threshold, total, &mut |_| {}).err();
            assert_eq!(refused, Some(ShareError::Threshold { threshold, total }));
        }
    }
}
