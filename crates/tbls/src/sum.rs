//! Sums of a few points, each times a whole number.
//!
//! blst's multi-scalar multiplication builds tables of multiples first. The coefficients of interpolation are a few bits
//! long, for which doubling and adding needs less than the tables alone.
//!
//! Not here: which numbers.

use blst::{MultiPoint, blst_p2_affine, min_pk};

/// Longest numbers, in bits, that are multiplied by doubling and adding.
const SHORT: usize = 24;

/// The sum of `points`, each times its number: little-endian, `width` bytes each. As many numbers as points.
pub(crate) fn sum(points: &[min_pk::Signature], numbers: &[u8], width: usize) -> min_pk::Signature {
    let bits = bits(numbers, width);
    if bits > SHORT {
        return points.mult(numbers, bits).to_signature();
    }
    let mut sum = min_pk::AggregateSignature::from_signature(&infinity());
    for bit in (0..bits).rev() {
        let half = sum;
        sum.add_aggregate(&half);
        for (point, number) in points.iter().zip(numbers.chunks(width)) {
            if number.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1) {
                // It fails only if it is to check the subgroup.
                let _ = sum.add_signature(point, false);
            }
        }
    }
    sum.to_signature()
}

/// Bits that every number fits in; blst takes no fewer than fill the last byte in part.
fn bits(numbers: &[u8], width: usize) -> usize {
    if width == 32 {
        return 255;
    }
    let of = |n: &[u8]| {
        let top = n.iter().rposition(|byte| *byte != 0)?;
        let byte = n.get(top)?;
        let in_byte = 8_usize.saturating_sub(usize::try_from(byte.leading_zeros()).ok()?);
        Some(top.saturating_mul(8).saturating_add(in_byte))
    };
    let needed = numbers.chunks(width).filter_map(of).max().unwrap_or(1);
    needed.max(width.saturating_sub(1).saturating_mul(8).saturating_add(1))
}

/// The neutral point.
pub(crate) fn infinity() -> min_pk::Signature {
    blst_p2_affine::default().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::SecretKey;

    fn points(n: u8) -> Vec<min_pk::Signature> {
        let one = |i: u8| SecretKey::from_bytes(&[i + 1; 32]).unwrap().sign(b"m").0;
        (0..n).map(one).collect()
    }

    #[test]
    fn nothing_times_anything_is_infinity() {
        assert_eq!(sum(&[], &[], 1), infinity());
        assert_eq!(sum(&points(2), &[0, 0], 1), infinity());
        assert_eq!(sum(&[infinity(), infinity()], &[3, 5], 1), infinity());
        assert_eq!(sum(&points(1), &[1], 1), points(1)[0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn doubling_and_adding_gives_what_the_library_gives(numbers in proptest::collection::vec(1_u32..1 << 24, 1..9)) {
            let points = points(u8::try_from(numbers.len()).unwrap());
            let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes().into_iter().take(3)).collect();
            let library = points.as_slice().mult(&bytes, 24).to_signature();
            prop_assert_eq!(sum(&points, &bytes, 3), library);
        }
    }
}
