//! Partial signatures of our own validator client on their way in: verified all together, then announced per duty.
//!
//! Guarantees: nothing of a request is announced before all of it has verified; of a duty a validator has one object per
//! request; what one duty's stores refuse does not keep another duty of the request from the cluster.
//! Not here: whose index an object names (`members`), attestations and blocks, which bring checks of their own.

use std::{collections::BTreeMap, sync::Arc};

use trireme_eth2::{BlsSignature, Root};

use super::{Awaited, Refused, ValidatorApi};
use crate::{
    compute,
    data::{ParSignedData, ParSignedDataSet, SignedData},
    duty::{Duty, DutyType},
    ids::PubKey,
    ports::Lane,
    scheme::{Claim, Signer},
};

/// One signed object of a request.
pub(super) struct Item {
    pub(super) duty: Duty,
    pub(super) validator: PubKey,
    pub(super) data: SignedData,
    /// The selection proof inside, with its signing root. It must be the cluster's.
    pub(super) proof: Option<(Root, BlsSignature)>,
}

impl ValidatorApi {
    /// Verifies the objects of one request and announces them, one set per duty, or per duty and subcommittee.
    pub(super) async fn hand_in(&self, items: Vec<Item>, awaited: &Awaited) -> Result<(), Refused> {
        let mut sets: BTreeMap<(Duty, u64), BTreeMap<PubKey, SignedData>> = BTreeMap::new();
        let mut fresh = Vec::with_capacity(items.len());
        for item in items {
            // An exit is for the epoch that its validator chose.
            if item.duty.kind != DutyType::Exit && !self.gate.allows(item.duty) {
                return Err(Refused::TooFarAhead {
                    slot: item.duty.slot,
                    now: self.gate.now(),
                });
            }
            let set = sets
                .entry((item.duty, item.data.subcommittee().unwrap_or_default()))
                .or_default();
            match set.get(&item.validator) {
                Some(earlier) if *earlier == item.data => {}
                Some(_) => return Err(Refused::Twice(item.validator)),
                None => {
                    set.insert(item.validator, item.data.clone());
                    fresh.push(item);
                }
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        awaited.set("the verification of the signatures");
        self.verify_items(fresh).await?;
        awaited.set("the store of partial signatures");
        let share = self.cluster.share();
        let mut all = Ok(());
        for ((duty, _), set) in sets {
            let set = set
                .into_iter()
                .map(|(validator, data)| (validator, ParSignedData { data, share }));
            let announced = self.announce(duty, ParSignedDataSet(set.collect())).await;
            all = all.and(announced);
        }
        all
    }

    /// All signatures of all objects in one job; the first that does not hold is the error.
    async fn verify_items(&self, items: Vec<Item>) -> Result<(), Refused> {
        let (chain, scheme, share) = (Arc::clone(&self.chain), Arc::clone(&self.scheme), self.cluster.share());
        let mut seed = [0; 32];
        self.entropy.fill(&mut seed);
        let job = move || -> Result<(), Refused> {
            let own = |validator| Signer::Share(validator, share);
            let mut claims = Vec::with_capacity(items.len());
            for item in &items {
                claims.push(Claim {
                    signer: own(item.validator),
                    root: item.data.signing_root(&chain)?,
                    signature: item.data.signature(),
                });
                claims.extend(item.proof.map(|(root, signature)| Claim {
                    signer: Signer::Group(item.validator),
                    root,
                    signature,
                }));
            }
            for (claim, verdict) in claims.iter().zip(scheme.verify_set(&claims, &seed)) {
                let Err(why) = verdict else { continue };
                let Signer::Group(validator) = claim.signer else {
                    let (Signer::Share(validator, _) | Signer::Group(validator)) = claim.signer;
                    return Err(Refused::Signature { validator, why });
                };
                // A validator client that does not know of the cluster proves its selection with its own signature.
                let partial = Claim {
                    signer: own(validator),
                    ..*claim
                };
                let is_partial = matches!(scheme.verify_set(&[partial], &seed)[..], [Ok(())]);
                return Err(if is_partial {
                    Refused::OwnProof(validator)
                } else {
                    Refused::Signature { validator, why }
                });
            }
            Ok(())
        };
        compute::call(self.compute.as_ref(), Lane::Other, job).await?
    }
}
