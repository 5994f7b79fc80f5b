//! Feature `chain_split_halt`: whether a leader's attestations are for the chain that our own beacon node sees.
//!
//! Guarantees: source and target of every validator that both sets have are compared, nothing else: heads differ on one
//! chain, too. What cannot be read differs.
//! Not here: what a difference means for the round (`trireme_qbft`).

use super::wire::Carried;
use crate::{
    data::{UnsignedData, UnsignedDataSet},
    duty::Duty,
};

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Whether nothing differs.
    pub(super) agrees: bool,
    /// Validators of the leader's set that ours does not have.
    pub(super) missing: usize,
}

const DIFFERS: Comparison = Comparison {
    agrees: false,
    missing: 0,
};

/// Compares the leader's value with our own.
pub(super) fn compare(duty: Duty, leaders: &Carried, own: &Carried) -> Comparison {
    let read = |value: &Carried| {
        let set = value.set().ok()?;
        UnsignedDataSet::from_proto(duty.kind, &set).ok()
    };
    let (Some(leaders), Some(own)) = (read(leaders), read(own)) else {
        return DIFFERS;
    };
    let mut missing = 0_usize;
    for (validator, theirs) in &leaders.0 {
        let Some(ours) = own.0.get(validator) else {
            missing = missing.saturating_add(1);
            continue;
        };
        let (UnsignedData::Attestation(theirs), UnsignedData::Attestation(ours)) = (theirs, ours) else {
            return DIFFERS;
        };
        if (theirs.data.source, theirs.data.target) != (ours.data.source, ours.data.target) {
            return DIFFERS;
        }
    }
    Comparison { agrees: true, missing }
}
