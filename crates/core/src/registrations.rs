//! Registrations with builders, as the cluster made them (core.md 9.7): those of the lock and newer ones that replace
//! them. They also say who gets the fees of blocks.
//!
//! Guarantees: only registrations of the cluster's validators with the group's signature are sent, to the beacon node,
//! as one list: at start, in every epoch after three quarters of its first slot, and at once when they change; a failure
//! is tried again with the next slot. What validator clients hand in is never sent.
//! Not here: reading and watching the file (`node`), making registrations (key generation).

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{metrics::counter::Counter, registry::Registry};
use serde::Deserialize;
use trireme_eth2::{
    BlsPubkey, BlsSignature, ChainSpec, ExecutionAddress, SignedValidatorRegistrationV1, ValidatorRegistrationV1,
};

use crate::{
    cluster::Cluster,
    data::SignedData,
    ids::PubKey,
    ports::{BeaconNode, Clock, Entropy},
    scheme::{Claim, Scheme, Signer},
    time::{SlotTick, SlotTiming},
};

/// Why a list of registrations cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRegistrations {
    /// Not the form of such a list.
    #[error("not a list of signed registrations: {0}")]
    Form(String),
    /// Of a version that is not known.
    #[error("a registration has version {0:?}, only v1 is known")]
    Version(String),
    /// Not signed by the validator's group key.
    #[error("the registration of validator {} is not signed by its group key", .0.short())]
    Signature(PubKey),
}

/// Reads a list of registrations with their version, as files hold them. Signatures are not checked.
///
/// # Errors
///
/// [`BadRegistrations`] if it is none.
pub fn read(bytes: &[u8]) -> Result<Vec<SignedValidatorRegistrationV1>, BadRegistrations> {
    #[derive(Deserialize)]
    struct Entry {
        version: String,
        #[serde(alias = "v1")]
        data: SignedValidatorRegistrationV1,
    }

    let entries: Vec<Entry> = serde_json::from_slice(bytes).map_err(|e| BadRegistrations::Form(e.to_string()))?;
    let one = |entry: Entry| match entry.version.as_str() {
        "v1" => Ok(entry.data),
        _ => Err(BadRegistrations::Version(entry.version.chars().take(40).collect())),
    };
    entries.into_iter().map(one).collect()
}

/// See the module's description.
pub struct Registrations {
    cluster: Arc<Cluster>,
    of_lock: BTreeMap<PubKey, SignedValidatorRegistrationV1>,
    newer: Mutex<BTreeMap<PubKey, SignedValidatorRegistrationV1>>,
    /// Counts changes, from 1.
    generation: AtomicU64,
}

impl Registrations {
    /// With the registrations of the lock: for each validator its gas limit, timestamp and signature; who gets the fees
    /// is in `cluster`. Locks of old schemas have none.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, of_lock: Vec<SignedValidatorRegistrationV1>) -> Self {
        let of_lock = of_lock.into_iter().filter_map(|signed| {
            let key = PubKey(signed.message.pubkey.0);
            let recipient = cluster.validator(&key)?.fee_recipient;
            let message = ValidatorRegistrationV1 {
                fee_recipient: ExecutionAddress(recipient),
                ..signed.message
            };
            Some((key, SignedValidatorRegistrationV1 { message, ..signed }))
        });
        Self {
            of_lock: of_lock.collect(),
            newer: Mutex::default(),
            generation: AtomicU64::new(1),
            cluster,
        }
    }

    /// Replaces what replaced the lock's before. A registration counts if it is of a validator of the cluster and newer
    /// than the lock's; of several the newest one does.
    ///
    /// # Errors
    ///
    /// If one that counts is not signed by its validator's group key; then nothing changes.
    pub fn replace(
        &self,
        list: Vec<SignedValidatorRegistrationV1>,
        chain: &ChainSpec,
        scheme: &dyn Scheme,
        entropy: &dyn Entropy,
    ) -> Result<(), BadRegistrations> {
        let mut newer: BTreeMap<PubKey, SignedValidatorRegistrationV1> = BTreeMap::new();
        for signed in list {
            let key = PubKey(signed.message.pubkey.0);
            if self.cluster.position(&key).is_none() {
                tracing::debug!(validator = %key.short(), "a registration of a foreign validator is ignored");
                continue;
            }
            let known = newer.get(&key).or_else(|| self.of_lock.get(&key));
            if known.is_some_and(|known| known.message.timestamp >= signed.message.timestamp) {
                tracing::warn!(validator = %key.short(), timestamp = signed.message.timestamp,
                    "a registration that is not newer than the one that it should replace is ignored");
                continue;
            }
            newer.insert(key, signed);
        }
        verify(&newer, chain, scheme, entropy)?;
        let mut current = self.lock();
        if *current != newer {
            *current = newer;
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Those in force, in the order of the validators' keys.
    #[must_use]
    pub fn in_force(&self) -> Vec<SignedValidatorRegistrationV1> {
        let mut all = self.of_lock.clone();
        all.extend(self.lock().iter().map(|(key, signed)| (*key, *signed)));
        all.into_values().collect()
    }

    /// Who gets the fees of a validator's blocks; `None` for foreign validators.
    #[must_use]
    pub fn fee_recipient(&self, validator: &PubKey) -> Option<[u8; 20]> {
        let newer = self.lock().get(validator).map(|signed| signed.message.fee_recipient.0);
        newer.or_else(|| Some(self.cluster.validator(validator)?.fee_recipient))
    }

    /// Another number after every change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PubKey, SignedValidatorRegistrationV1>> {
        self.newer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn verify(
    list: &BTreeMap<PubKey, SignedValidatorRegistrationV1>,
    chain: &ChainSpec,
    scheme: &dyn Scheme,
    entropy: &dyn Entropy,
) -> Result<(), BadRegistrations> {
    let claim = |(key, signed): (&PubKey, &SignedValidatorRegistrationV1)| {
        let root = SignedData::Registration(*signed).signing_root(chain);
        Ok(Claim {
            signer: Signer::Group(*key),
            root: root.map_err(|_| BadRegistrations::Signature(*key))?,
            signature: signed.signature,
        })
    };
    let claims: Vec<Claim> = list.iter().map(claim).collect::<Result<_, _>>()?;
    let mut seed = [0; 32];
    entropy.fill(&mut seed);
    for (key, verdict) in list.keys().zip(scheme.verify_set(&claims, &seed)) {
        verdict.map_err(|_| BadRegistrations::Signature(*key))?;
    }
    Ok(())
}

/// Metrics, named as Charon's.
#[derive(Debug, Clone, Default)]
pub struct RegistrationMetrics {
    tried: Counter,
    failed: Counter,
}

impl RegistrationMetrics {
    /// Registers `core_scheduler_submit_registration_*`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register(
            "core_scheduler_submit_registration",
            "Submissions of registrations with builders",
            m.tried.clone(),
        );
        registry.register(
            "core_scheduler_submit_registration_errors",
            "Submissions of registrations with builders that failed",
            m.failed.clone(),
        );
        m
    }
}

#[derive(Default)]
struct Owed {
    /// The generation that was sent last; 0 before the first time.
    sent: u64,
    /// The epoch's are to be sent.
    epoch: bool,
}

/// Sends the registrations: a slot subscriber, only to be used where builders are.
pub struct RegistrationSender {
    beacon: Arc<dyn BeaconNode>,
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
    registrations: Arc<Registrations>,
    metrics: RegistrationMetrics,
    owed: Mutex<Owed>,
}

impl RegistrationSender {
    /// Sends `registrations` to `beacon`.
    #[must_use]
    pub fn new(
        beacon: Arc<dyn BeaconNode>,
        clock: Arc<dyn Clock>,
        timing: SlotTiming,
        registrations: Arc<Registrations>,
        metrics: RegistrationMetrics,
    ) -> Self {
        Self {
            beacon,
            clock,
            timing,
            registrations,
            metrics,
            owed: Mutex::default(),
        }
    }

    /// To be called with every slot.
    pub async fn on_slot(self: Arc<Self>, tick: SlotTick) {
        let generation = self.registrations.generation();
        let (changed, again) = {
            let mut owed = self.owed();
            let (changed, again) = (owed.sent != generation, owed.epoch);
            owed.epoch |= tick.first_in_epoch;
            if !changed && !owed.epoch {
                return;
            }
            (changed, again)
        };
        if !changed && !again {
            // The first slot has better things to do; three quarters into it most of them are done.
            let quarter = self.timing.slot_duration.checked_div(4).unwrap_or_default();
            let at = self.timing.start(tick.slot).after(quarter.saturating_mul(3));
            self.clock.sleep_until(at).await;
        }
        let list = self.registrations.in_force();
        let n = list.len();
        if n > 0 {
            self.metrics.tried.inc();
            if let Err(error) = self.beacon.submit_registrations(list).await {
                self.metrics.failed.inc();
                tracing::warn!(%error, "the beacon node did not take the registrations with builders; next try with the next slot");
                self.owed().epoch = true;
                return;
            }
            tracing::debug!(n, "registrations with builders sent");
        }
        *self.owed() = Owed {
            sent: generation,
            epoch: false,
        };
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The registration as the parts that a lock holds.
#[must_use]
pub const fn registration(
    validator: PubKey,
    gas_limit: u64,
    timestamp: u64,
    signature: [u8; 96],
) -> SignedValidatorRegistrationV1 {
    SignedValidatorRegistrationV1 {
        message: ValidatorRegistrationV1 {
            fee_recipient: ExecutionAddress([0; 20]),
            gas_limit,
            timestamp,
            pubkey: BlsPubkey(validator.0),
        },
        signature: BlsSignature(signature),
    }
}
