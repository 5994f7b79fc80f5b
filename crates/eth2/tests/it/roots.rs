//! Roots against another implementation of merkleisation (remerkleable 0.1.28, Python), for what the vectors of live
//! nodes do not show: the limits of Gnosis, long byte lists.

use trireme_eth2::{
    ExecutionAddress, Gnosis, Gwei, Mainnet, Preset, ValidatorIndex,
    bellatrix::{Transaction, Transactions},
    capella::Withdrawal,
    hash_tree_root,
    ssz_types::VariableList,
};

fn withdrawals<P: Preset>() -> VariableList<Withdrawal, P::MaxWithdrawals> {
    let withdrawal = |n: u8| Withdrawal {
        index: n.into(),
        validator_index: ValidatorIndex(u64::from(n) * 3),
        address: ExecutionAddress([n; 20]),
        amount: Gwei(u64::from(n) * 7),
    };
    VariableList::new((1..4).map(withdrawal).collect()).unwrap()
}

#[test]
fn withdrawals_are_hashed_by_the_limit_of_their_network() {
    assert_eq!(
        hash_tree_root(&withdrawals::<Gnosis>()).to_string(),
        "0x2cd9544b89a8d82a6683b0f17a36623abde7813dfd1f797f5a3f11ed610b390b"
    );
    assert_eq!(
        hash_tree_root(&withdrawals::<Mainnet>()).to_string(),
        "0x0d3bcbb9af657716bc54e209371295661ce0778585771aa435e3ce3f5ad464e7"
    );
}

#[test]
fn long_and_empty_transactions_are_hashed_by_their_limit() {
    let list = vec![Transaction::new(vec![b'Z'; 500]).unwrap(), Transaction::default()];
    assert_eq!(
        hash_tree_root(&Transactions::new(list).unwrap()).to_string(),
        "0x5f15a60c2f491641e0b394caa3bf553ca844a39fd37a46be2ab792feb8244a9f"
    );
}
