//! Signatures of one root that members of one committee sent, as gossip would bring them to every beacon node.
//!
//! Guarantees: each position is filled once; the sum is that of the signatures that are there. Not here: whether they
//! are genuine, which is found before.

use std::{collections::BTreeMap, time::Duration};

use trireme_eth2::{BlsSignature, ValidatorIndex};

/// Adds signatures up; `None` if there are none, or one is no signature.
pub type Sum = fn(&[BlsSignature]) -> Option<BlsSignature>;

/// The sum of BLS signatures.
#[must_use]
pub fn bls_sum(signatures: &[BlsSignature]) -> Option<BlsSignature> {
    let points: Result<Vec<_>, _> = signatures
        .iter()
        .map(|s| trireme_tbls::Signature::from_bytes(&s.0))
        .collect();
    let sum = trireme_tbls::aggregate(&points.ok()?)?;
    Some(BlsSignature(sum.to_bytes()))
}

/// One member's signature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ballot {
    /// Whose.
    pub(super) validator: ValidatorIndex,
    /// The signature.
    pub(super) signature: BlsSignature,
    /// When it came first.
    pub(super) at: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ballots {
    by_position: BTreeMap<usize, Ballot>,
    // The sum of so many; more may have come since.
    sum: Option<(usize, BlsSignature)>,
}

impl Ballots {
    /// Notes a member's signature; a later one of the same member changes nothing.
    pub(super) fn add(&mut self, position: usize, ballot: Ballot) {
        self.by_position.entry(position).or_insert(ballot);
    }

    /// All that are there, by position.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Ballot)> {
        self.by_position.iter().map(|(position, ballot)| (*position, ballot))
    }

    /// The one of this position.
    pub(super) fn get(&self, position: usize) -> Option<&Ballot> {
        self.by_position.get(&position)
    }

    /// The sum of all, calculated once for each number of them.
    pub(super) fn sum(&mut self, add_up: Sum) -> Option<BlsSignature> {
        if let Some((of, sum)) = self.sum
            && of == self.by_position.len()
        {
            return Some(sum);
        }
        let signatures: Vec<_> = self.by_position.values().map(|b| b.signature).collect();
        let sum = add_up(&signatures)?;
        self.sum = Some((signatures.len(), sum));
        Some(sum)
    }

    /// Whether an aggregate holds what was seen: every one of its positions was sent, none that was there at `until` is
    /// missing, and its signature is the sum of theirs.
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub(super) fn check(
        &mut self,
        positions: &[usize],
        signature: BlsSignature,
        until: Duration,
        add_up: Sum,
    ) -> Result<(), String> {
        let mut signatures = Vec::new();
        for position in positions {
            let Some(ballot) = self.get(*position) else {
                return Err(format!("nobody sent the signature of position {position}"));
            };
            signatures.push(ballot.signature);
        }
        let missing = self.iter().find(|(p, b)| b.at < until && !positions.contains(p));
        if let Some((position, ballot)) = missing {
            return Err(format!(
                "the signature of validator {} at position {position} is missing, although it was there in time",
                ballot.validator.0
            ));
        }
        let whole = signatures.len() == self.by_position.len();
        let sum = if whole { self.sum(add_up) } else { add_up(&signatures) };
        match sum {
            Some(sum) if sum == signature => Ok(()),
            Some(_) => Err("its signature is not the sum of those that it names".to_owned()),
            None => Err("it holds nothing".to_owned()),
        }
    }
}
