//! The two names of a validator: the cluster's group key, which the chain knows, and our public share, which is the only
//! key that the validator client holds.

use std::collections::BTreeMap;

use trireme_eth2::BlsPubkey;

use super::error::Refused;
use crate::{
    cluster::Cluster,
    ids::{PeerIdx, PubKey, ShareIdx},
};

/// Maps keys in both directions. Built once at start.
#[derive(Debug)]
pub(super) struct Keys {
    me: PeerIdx,
    group_of: BTreeMap<[u8; 48], (PubKey, ShareIdx)>,
    share_of: BTreeMap<PubKey, BlsPubkey>,
}

impl Keys {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let (mut group_of, mut share_of) = (BTreeMap::new(), BTreeMap::new());
        for validator in cluster.validators() {
            for (idx, share) in (1..=u8::MAX).map(ShareIdx).zip(&validator.shares) {
                group_of.insert(*share, (validator.key, idx));
            }
            if let Some(own) = validator.share(cluster.share()) {
                share_of.insert(validator.key, BlsPubkey(*own));
            }
        }
        Self {
            me: cluster.me,
            group_of,
            share_of,
        }
    }

    /// The group key behind a key of the validator client; it must be a share of ours.
    pub(super) fn group(&self, share: &BlsPubkey) -> Result<PubKey, Refused> {
        let (key, idx) = self.group_of.get(&share.0).ok_or(Refused::UnknownKey(*share))?;
        if *idx == self.me.share() {
            Ok(*key)
        } else {
            Err(Refused::OtherShare {
                key_share_index: idx.peer().unwrap_or(PeerIdx(0)),
                charon_peer_index: self.me,
            })
        }
    }

    /// Our public share of a validator.
    pub(super) fn share(&self, group: PubKey) -> Option<BlsPubkey> {
        self.share_of.get(&group).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Validator;

    #[test]
    fn only_our_own_shares_have_a_group_key() {
        let validator = |n: u8| Validator {
            key: PubKey([n; 48]),
            shares: vec![[n + 1; 48], [n + 2; 48], [n + 3; 48]],
            fee_recipient: [0; 20],
        };
        let cluster = Cluster::new([0; 32], 3, 2, PeerIdx(1), vec![validator(10), validator(20)]);
        let keys = Keys::new(&cluster);
        assert_eq!(keys.group(&BlsPubkey([12; 48])).ok(), Some(PubKey([10; 48])));
        assert_eq!(keys.share(PubKey([20; 48])), Some(BlsPubkey([22; 48])));
        assert_eq!(keys.share(PubKey([21; 48])), None);
        let why = |share| keys.group(&BlsPubkey(share)).unwrap_err().to_string();
        assert_eq!(
            why([23; 48]),
            "mismatching validator client key share index, 2th key share submitted to 1th charon peer"
        );
        assert!(why([20; 48]).starts_with("unknown public key 0x1414"));
    }
}
