//! The scheduler's metrics, named as Charon's.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    cluster::Cluster,
    ids::PubKey,
    metrics::{DutyLabel, ValidatorLabel, ValidatorStatusLabel},
    validators::ValidatorSet,
};

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub struct SchedulerMetrics {
    pub(super) current_slot: Gauge,
    pub(super) current_epoch: Gauge,
    pub(super) duties: Family<DutyLabel, Counter>,
    pub(super) skipped_slots: Counter,
    pub(super) clock_set_back: Counter,
    active: Gauge,
    balance: Family<ValidatorLabel, Gauge<f64, AtomicU64>>,
    status: Family<ValidatorStatusLabel, Gauge>,
}

impl SchedulerMetrics {
    /// Registers `core_scheduler_*`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register("core_scheduler_current_slot", "Current slot", m.current_slot.clone());
        registry.register("core_scheduler_current_epoch", "Current epoch", m.current_epoch.clone());
        registry.register(
            "core_scheduler_duty",
            "Duties of validators begun, by type",
            m.duties.clone(),
        );
        registry.register(
            "core_scheduler_skipped_slots",
            "Times that slots were skipped",
            m.skipped_slots.clone(),
        );
        registry.register(
            "core_scheduler_clock_set_back",
            "Times that the clock was set back by more than a slot",
            m.clock_set_back.clone(),
        );
        registry.register(
            "core_scheduler_validators_active",
            "Validators active at the last look",
            m.active.clone(),
        );
        registry.register(
            "core_scheduler_validator_balance_gwei",
            "Balance of a validator",
            m.balance.clone(),
        );
        registry.register(
            "core_scheduler_validator_status",
            "1 for a validator's present status",
            m.status.clone(),
        );
        m
    }

    /// Makes a series of each metric with labels, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        crate::metrics::touch(&self.duties);
        crate::metrics::touch(&self.balance);
        crate::metrics::touch(&self.status);
    }

    /// Sets what is known of the cluster's validators; statuses that were left are removed.
    pub(super) fn validators(&self, cluster: &Cluster, set: &ValidatorSet, active: usize) {
        self.active.set(i64::try_from(active).unwrap_or(i64::MAX));
        self.status.clear();
        for v in set.by_index.values() {
            let key = PubKey(v.validator.pubkey.0);
            if cluster.validator(&key).is_none() {
                continue;
            }
            let (pubkey_full, pubkey) = (key.to_string(), key.short());
            let label = ValidatorLabel {
                pubkey_full: pubkey_full.clone(),
                pubkey: pubkey.clone(),
            };
            #[expect(
                clippy::cast_precision_loss,
                reason = "a gauge is a float; 2^53 gwei are nine million ether"
            )]
            self.balance.get_or_create(&label).set(v.balance.0 as f64);
            let status = v.status.name().to_owned();
            self.status
                .get_or_create(&ValidatorStatusLabel {
                    pubkey_full,
                    pubkey,
                    status,
                })
                .set(1);
        }
    }
}
