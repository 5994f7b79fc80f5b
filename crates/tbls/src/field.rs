//! The scalar field of BLS12-381, integers modulo the order of the groups.
//!
//! Guarantees: a [`Scalar`] is always reduced; its operations are those of `blst`. The only file of the workspace with
//! `unsafe`: blst offers scalar arithmetic as C functions alone. The tests compare each with slow integer arithmetic.
//! Not here: points, except for the two things that blst's safe functions do not offer: the negative of one, and one
//! times a full scalar by way of the curve's endomorphism.

#![expect(
    unsafe_code,
    reason = "blst offers scalar arithmetic only as C functions; see each SAFETY line"
)]

use blst::{
    blst_bendian_from_scalar, blst_fp2_cneg, blst_fr, blst_fr_add, blst_fr_eucl_inverse, blst_fr_from_scalar,
    blst_fr_from_uint64, blst_fr_mul, blst_fr_sub, blst_lendian_from_scalar, blst_p2, blst_p2_affine,
    blst_p2_from_affine, blst_p2_mult, blst_p2_to_affine, blst_scalar, blst_scalar_fr_check, blst_scalar_from_be_bytes,
    blst_scalar_from_bendian, blst_scalar_from_fr,
};
use zeroize::Zeroize;

/// An integer modulo the group order, about 2^255. It may be a secret: no `Debug`, and `Zeroize` wipes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Scalar(blst_fr);

impl Zeroize for Scalar {
    fn zeroize(&mut self) {
        self.0.l.zeroize();
    }
}

impl From<u64> for Scalar {
    fn from(n: u64) -> Self {
        let limbs = [n, 0, 0, 0];
        let mut out = blst_fr::default();
        // SAFETY: `out` is a valid blst_fr, `limbs` holds the four words that the function reads.
        unsafe { blst_fr_from_uint64(&raw mut out, limbs.as_ptr()) };
        Self(out)
    }
}

impl Scalar {
    /// Zero.
    pub const ZERO: Self = Self(blst_fr { l: [0; 4] });

    /// Reads 32 big-endian bytes; `None` if the number is not below the group order.
    #[must_use]
    pub fn from_be_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let mut plain = blst_scalar::default();
        // SAFETY: `plain` is a valid blst_scalar, `bytes` has the 32 bytes that the function reads.
        unsafe { blst_scalar_from_bendian(&raw mut plain, bytes.as_ptr()) };
        // SAFETY: `plain` is a valid blst_scalar.
        unsafe { blst_scalar_fr_check(&raw const plain) }.then(|| Self::from_plain(&plain))
    }

    /// The number of 64 big-endian bytes modulo the group order: uniform if the bytes are.
    #[must_use]
    pub fn from_wide_bytes(bytes: &[u8; 64]) -> Self {
        let mut plain = blst_scalar::default();
        // SAFETY: `plain` is a valid blst_scalar, the length is that of `bytes`. The returned flag says only whether
        // the result differs from zero, and zero is a fine scalar.
        unsafe { blst_scalar_from_be_bytes(&raw mut plain, bytes.as_ptr(), bytes.len()) };
        Self::from_plain(&plain)
    }

    /// The 32 big-endian bytes.
    #[must_use]
    pub fn to_be_bytes(&self) -> [u8; 32] {
        let mut out = [0; 32];
        let plain = self.to_plain();
        // SAFETY: `out` has the 32 bytes that the function writes, the scalar is valid.
        unsafe { blst_bendian_from_scalar(out.as_mut_ptr(), &raw const plain) };
        out
    }

    /// The 32 little-endian bytes, the form that multi-scalar products take.
    #[must_use]
    pub fn to_le_bytes(&self) -> [u8; 32] {
        let mut out = [0; 32];
        let plain = self.to_plain();
        // SAFETY: `out` has the 32 bytes that the function writes, the scalar is valid.
        unsafe { blst_lendian_from_scalar(out.as_mut_ptr(), &raw const plain) };
        out
    }

    /// `self + other`.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: all three are valid blst_fr.
        unsafe { blst_fr_add(&raw mut out, &raw const self.0, &raw const other.0) };
        Self(out)
    }

    /// `self - other`.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: all three are valid blst_fr.
        unsafe { blst_fr_sub(&raw mut out, &raw const self.0, &raw const other.0) };
        Self(out)
    }

    /// `self * other`.
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: all three are valid blst_fr.
        unsafe { blst_fr_mul(&raw mut out, &raw const self.0, &raw const other.0) };
        Self(out)
    }

    /// The number whose product with `self` is one; `None` for zero. Its run time depends on the value: for public
    /// numbers only.
    #[must_use]
    pub fn inverse_vartime(&self) -> Option<Self> {
        if *self == Self::ZERO {
            return None;
        }
        let mut out = blst_fr::default();
        // SAFETY: both are valid blst_fr.
        unsafe { blst_fr_eucl_inverse(&raw mut out, &raw const self.0) };
        Some(Self(out))
    }

    fn from_plain(plain: &blst_scalar) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: `out` is a valid blst_fr; callers pass a reduced scalar.
        unsafe { blst_fr_from_scalar(&raw mut out, plain) };
        Self(out)
    }

    /// Out of Montgomery form. `blst_scalar` wipes itself on drop.
    fn to_plain(self) -> blst_scalar {
        let mut out = blst_scalar::default();
        // SAFETY: both are valid values of their types.
        unsafe { blst_scalar_from_fr(&raw mut out, &raw const self.0) };
        out
    }
}

/// The point whose sum with `point` is infinity.
pub(crate) fn negate(mut point: blst_p2_affine) -> blst_p2_affine {
    let y = point.y;
    // SAFETY: both are valid elements of the coordinate field.
    unsafe { blst_fp2_cneg(&raw mut point.y, &raw const y, true) };
    point
}

/// `scalar` (little-endian, below the order) times a point of the subgroup. A quarter of what a multi-scalar
/// multiplication of one point takes.
pub(crate) fn times(point: &blst_p2_affine, scalar: &[u8; 32]) -> blst_p2_affine {
    let (mut from, mut product, mut out) = (blst_p2::default(), blst_p2::default(), blst_p2_affine::default());
    // SAFETY: all are valid values of their types, and `scalar` has the 255 bits that are read.
    unsafe {
        blst_p2_from_affine(&raw mut from, point);
        blst_p2_mult(&raw mut product, &raw const from, scalar.as_ptr(), 255);
        blst_p2_to_affine(&raw mut out, &raw const product);
    }
    out
}

#[cfg(test)]
mod tests {
    use blst::{MultiPoint as _, min_pk};
    use proptest::prelude::*;

    use super::{Scalar, times};

    /// The group order, big-endian.
    const ORDER: [u8; 32] = [
        0x73, 0xed, 0xa7, 0x53, 0x29, 0x9d, 0x7d, 0x48, 0x33, 0x39, 0xd8, 0x08, 0x09, 0xa1, 0xd8, 0x05, 0x53, 0xbd,
        0xa4, 0x02, 0xff, 0xfe, 0x5b, 0xfe, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01,
    ];

    /// `(2a + bit) mod order` over big-endian bytes: the slow reference everything is compared with.
    fn double_and_add(a: &[u8; 32], bit: u8) -> [u8; 32] {
        let mut out = [0; 32];
        let mut carry = u16::from(bit);
        for i in (0..32).rev() {
            let v = u16::from(a[i]) * 2 + carry;
            out[i] = v.to_le_bytes()[0];
            carry = v >> 8;
        }
        // The order is below 2^255, so twice a reduced number fits and one subtraction reduces it.
        if out >= ORDER { minus_order(&out) } else { out }
    }

    fn minus_order(a: &[u8; 32]) -> [u8; 32] {
        let mut out = [0; 32];
        let mut borrow = 0_i16;
        for i in (0..32).rev() {
            let v = i16::from(a[i]) - i16::from(ORDER[i]) - borrow;
            borrow = i16::from(v < 0);
            out[i] = u8::try_from(v + 256 * borrow).unwrap();
        }
        out
    }

    fn slow_add(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
        let mut out = [0; 32];
        let mut carry = 0_u16;
        for i in (0..32).rev() {
            let v = u16::from(a[i]) + u16::from(b[i]) + carry;
            out[i] = v.to_le_bytes()[0];
            carry = v >> 8;
        }
        if out >= ORDER { minus_order(&out) } else { out }
    }

    fn slow_reduce(bytes: &[u8]) -> [u8; 32] {
        bytes
            .iter()
            .flat_map(|b| (0..8).rev().map(move |i| b >> i & 1))
            .fold([0; 32], |acc, bit| double_and_add(&acc, bit))
    }

    fn slow_mul(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
        let bits = a.iter().flat_map(|x| (0..8).rev().map(move |i| x >> i & 1));
        bits.fold([0; 32], |acc, bit| {
            let doubled = double_and_add(&acc, 0);
            if bit == 1 { slow_add(&doubled, b) } else { doubled }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_scalar_times_a_point_is_what_the_multiplication_of_many_gives(n: u64, key in 1_u8..=255) {
            let point = crate::secret::SecretKey::from_bytes(&[key % 100 + 1; 32]).unwrap().sign(b"m").0;
            let scalar = Scalar::from(n).mul(&Scalar::from(u64::MAX)).mul(&Scalar::from(n)).mul(&Scalar::from(n)).to_le_bytes();
            let many = [point].as_slice().mult(&scalar, 255).to_signature();
            prop_assert_eq!(min_pk::Signature::from(times(&point.into(), &scalar)), many);
        }
    }

    proptest! {
        #[test]
        fn arithmetic_agrees_with_schoolbook_arithmetic(a: [u8; 32], b: [u8; 32], w1: [u8; 32], w2: [u8; 32]) {
            let (a, b) = (slow_reduce(&a), slow_reduce(&b));
            let (x, y) = (Scalar::from_be_bytes(&a).unwrap(), Scalar::from_be_bytes(&b).unwrap());
            prop_assert_eq!(x.to_be_bytes(), a);
            let mut reversed = a;
            reversed.reverse();
            prop_assert_eq!(x.to_le_bytes(), reversed);
            prop_assert_eq!(x.add(&y).to_be_bytes(), slow_add(&a, &b));
            prop_assert_eq!(x.mul(&y).to_be_bytes(), slow_mul(&a, &b));
            prop_assert_eq!(x.sub(&y).add(&y).to_be_bytes(), a);
            if let Some(inverse) = x.inverse_vartime() {
                prop_assert_eq!(slow_mul(&inverse.to_be_bytes(), &a), Scalar::from(1).to_be_bytes());
            }
            let mut wide = [0; 64];
            wide[..32].copy_from_slice(&w1);
            wide[32..].copy_from_slice(&w2);
            prop_assert_eq!(Scalar::from_wide_bytes(&wide).to_be_bytes(), slow_reduce(&wide));
        }

        #[test]
        fn small_numbers_keep_their_value(n: u64) {
            let mut expected = [0; 32];
            expected[24..].copy_from_slice(&n.to_be_bytes());
            prop_assert_eq!(Scalar::from(n).to_be_bytes(), expected);
        }
    }

    #[test]
    fn the_order_and_above_are_no_scalars() {
        assert!(Scalar::from_be_bytes(&ORDER).is_none());
        assert!(Scalar::from_be_bytes(&[0xff; 32]).is_none());
        assert!(Scalar::ZERO.inverse_vartime().is_none());
        assert!(Scalar::from_wide_bytes(&[0; 64]) == Scalar::ZERO);
    }
}
