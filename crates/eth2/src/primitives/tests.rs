use serde_json::json;
use ssz_types::{
    VariableList,
    typenum::{U5, U64},
};

use super::*;
use crate::hash_tree_root;

#[test]
fn numbers_are_quoted_when_written_and_free_when_read() {
    assert_eq!(
        serde_json::to_value(Slot(u64::MAX)).unwrap(),
        json!("18446744073709551615")
    );
    for form in [json!("7"), json!(7)] {
        assert_eq!(serde_json::from_value::<Slot>(form).unwrap(), Slot(7));
    }
    for wrong in [
        json!("-1"),
        json!("+1"),
        json!(""),
        json!("0x1"),
        json!(1.5),
        json!(-1),
        json!("1e3"),
        json!(null),
    ] {
        assert!(serde_json::from_value::<Slot>(wrong.clone()).is_err(), "{wrong}");
    }
    assert!("18446744073709551616".parse::<Epoch>().is_err());
}

#[test]
fn hex_needs_its_prefix_and_its_length() {
    assert_eq!("0xAbcdef01".parse(), Ok(ForkVersion([0xab, 0xcd, 0xef, 1])));
    assert_eq!(ForkVersion([0xab, 0xcd, 0xef, 1]).to_string(), "0xabcdef01");
    for wrong in [
        "abcdef01",
        "0xabcdef0",
        "0xabcdef011",
        "0xabcdef0g",
        "0x",
        "",
        "0Xabcdef01",
        "0xé1é1",
    ] {
        assert!(wrong.parse::<ForkVersion>().is_err(), "{wrong}");
    }
}

#[test]
fn addresses_carry_the_checksum_of_eip_55() {
    // Examples of EIP-55.
    for text in [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ] {
        let address: ExecutionAddress = text.to_lowercase().parse().unwrap();
        assert_eq!(address.to_string(), text);
        assert_eq!(text.parse(), Ok(address));
    }
}

#[test]
fn big_numbers_are_decimal_and_bounded() {
    let max = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    assert_eq!(Uint256([0xff; 32]).to_string(), max);
    assert_eq!(max.parse(), Ok(Uint256([0xff; 32])));
    assert_eq!(Uint256::from(0).to_string(), "0");
    assert_eq!("1000000007".parse::<Uint256>().unwrap().to_u64(), Some(1_000_000_007));
    assert_eq!(Uint256([0xff; 32]).to_u64(), None);
    assert!("18446744073709551616".parse::<Uint256>().unwrap() > Uint256::from(u64::MAX));
    let above = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    for wrong in [above, "", "-1", "0x1", "1 ", &"9".repeat(79)] {
        assert!(wrong.parse::<Uint256>().is_err(), "{wrong}");
    }
}

#[test]
fn byte_lists_keep_to_their_limit_in_every_form() {
    type Five = ByteList<U5>;
    assert_eq!("0x0102".parse::<Five>().unwrap().as_slice(), [1, 2]);
    assert_eq!("0x".parse::<Five>().unwrap(), Five::default());
    assert!("0x010203040506".parse::<Five>().is_err());
    assert!("0x010".parse::<Five>().is_err());
    assert!(Five::from_ssz_bytes(&[0; 5]).is_ok());
    assert!(Five::from_ssz_bytes(&[0; 6]).is_err());
    assert_eq!(Five::new(vec![0; 6]), None);
}

#[test]
fn byte_lists_have_the_root_of_lists_of_bytes() {
    for n in [0, 1, 31, 32, 33, 64] {
        let bytes: Vec<u8> = (0..n).collect();
        let list = VariableList::<u8, U64>::new(bytes.clone()).unwrap();
        assert_eq!(
            hash_tree_root(&ByteList::<U64>::new(bytes).unwrap()),
            hash_tree_root(&list),
            "{n}"
        );
    }
}

#[test]
fn short_bytes_are_their_own_root_and_long_ones_a_tree() {
    let mut padded = [0; 32];
    padded[..4].copy_from_slice(&[1, 2, 3, 4]);
    assert_eq!(hash_tree_root(&ForkVersion([1, 2, 3, 4])), Root(padded));
    assert_eq!(hash_tree_root(&Root([9; 32])), Root([9; 32]));
    // sha256 of 64 zero bytes: the root of 48 zero bytes.
    let zeros = "0xf5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b";
    assert_eq!(hash_tree_root(&BlsPubkey::default()).to_string(), zeros);
    // Three chunks are padded to four.
    let four = "0xdb56114e00fdd4c1f85c892bf35ac9a89289aaecb1ebd0a96cde606a748b5d71";
    assert_eq!(hash_tree_root(&BlsSignature::default()).to_string(), four);
}

#[test]
fn numbers_are_little_endian_in_ssz_and_roots() {
    let mut root = [0; 32];
    root[..2].copy_from_slice(&[0, 125]);
    assert_eq!(hash_tree_root(&Slot(32_000)), Root(root));
    assert_eq!(Slot(258).as_ssz_bytes(), [2, 1, 0, 0, 0, 0, 0, 0]);
    assert!(Slot::from_ssz_bytes(&[0; 7]).is_err());
}
