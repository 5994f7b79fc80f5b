//! Validators as the validator client sees them: asked for and named by our public shares.

use std::collections::BTreeSet;

use trireme_eth2::{BlsPubkey, ValidatorIndex, ValidatorInfo, ValidatorStatus};

use super::{Awaited, Refused, ValidatorApi};
use crate::ids::PubKey;

/// Which validators are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// All of the cluster. A beacon node would answer with every validator of the chain, hundreds of megabytes that no
    /// validator client behind a middleware has a use for.
    All,
    /// By public share.
    Keys(Vec<BlsPubkey>),
    /// By index on the chain.
    Indices(Vec<ValidatorIndex>),
}

impl ValidatorApi {
    /// The validators of a state, with our public shares as keys. `statuses` keeps only validators in one of them; an
    /// empty list keeps all. A validator that the chain does not know is left out.
    #[tracing::instrument(name = "core/validatorapi.Validators", skip_all, fields(state))]
    pub async fn validators(
        &self,
        state: &str,
        ids: Ids,
        statuses: &[ValidatorStatus],
        awaited: &Awaited,
    ) -> Result<Vec<ValidatorInfo>, Refused> {
        let (keys, indices) = match ids {
            Ids::All => (self.cluster.keys(), None),
            Ids::Keys(shares) => {
                let keys: BTreeSet<PubKey> = shares.iter().map(|s| self.keys.group(s)).collect::<Result<_, _>>()?;
                (keys.into_iter().collect(), None)
            }
            Ids::Indices(indices) => (self.cluster.keys(), Some(indices.into_iter().collect::<BTreeSet<_>>())),
        };
        awaited.set(format!("the beacon node's validators of state {state}"));
        let mut found = self.beacon.validators(state, &keys).await?;
        found.retain(|v| indices.as_ref().is_none_or(|some| some.contains(&v.index)));
        found.retain(|v| statuses.is_empty() || statuses.contains(&v.status));
        let mut seen = BTreeSet::new();
        found.retain(|v| seen.insert(v.index));
        for v in &mut found {
            v.validator.pubkey = self.share_of(v.validator.pubkey)?;
        }
        Ok(found)
    }
}
