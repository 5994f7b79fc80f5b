//! Validators as the validator client sees them: asked for and named by our public shares.

use std::collections::BTreeSet;

use trireme_eth2::{BlsPubkey, ValidatorIndex, ValidatorInfo, ValidatorStatus};

use super::{Awaited, Refused, ValidatorApi, told};
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
    #[tracing::instrument(name = "core/validatorapi.Validators", skip_all, fields(state = state))]
    pub async fn validators(
        &self,
        state: &str,
        ids: Ids,
        statuses: &[ValidatorStatus],
        awaited: &Awaited,
    ) -> Result<Vec<ValidatorInfo>, Refused> {
        told(async {
            let wanted: Option<BTreeSet<PubKey>> = match &ids {
                Ids::All | Ids::Indices(_) => None,
                Ids::Keys(shares) => Some(shares.iter().map(|s| self.keys.group(s)).collect::<Result<_, _>>()?),
            };
            let mut found = if state == "head" {
                Vec::clone(&*self.members_at_head(awaited).await?)
            } else {
                awaited.set(format!("the beacon node's validators of state {state}"));
                let keys = wanted
                    .as_ref()
                    .map_or_else(|| self.cluster.keys(), |some| some.iter().copied().collect());
                self.beacon.validators(state, &keys).await?
            };
            if let Some(some) = &wanted {
                found.retain(|v| some.contains(&PubKey(v.validator.pubkey.0)));
            }
            if let Ids::Indices(indices) = ids {
                let some: BTreeSet<_> = indices.into_iter().collect();
                found.retain(|v| some.contains(&v.index));
            }
            found.retain(|v| statuses.is_empty() || statuses.contains(&v.status));
            let mut seen = BTreeSet::new();
            found.retain(|v| seen.insert(v.index));
            for v in &mut found {
                v.validator.pubkey = self.share_of(v.validator.pubkey)?;
            }
            Ok(found)
        })
        .await
    }
}
