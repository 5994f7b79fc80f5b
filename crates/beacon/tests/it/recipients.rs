//! What the operator is told about who gets the fees of each validator (VC-44).

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use serde_json::json;
use tracing::Level;
use trireme_core::{
    PeerIdx, PubKey,
    cluster::{Cluster, Validator},
    metrics::CacheMetrics,
    ports::{BeaconError, BeaconLayer, BeaconNode},
    prepare::ProposalPreparation,
    registrations::Registrations,
    time::SlotTick,
    validators::ValidatorCache,
};
use trireme_eth2::{Epoch, Slot, ValidatorIndex, ValidatorInfo};
use trireme_testutil::sim::Lines;

const PAID: PubKey = PubKey([1; 48]);
const UNPAID: PubKey = PubKey([2; 48]);

type Preparations = Vec<(ValidatorIndex, [u8; 20])>;

/// Has these validators; keeps what it is told.
struct Chain {
    validators: Vec<(u64, PubKey)>,
    told: Mutex<Vec<Preparations>>,
}

impl Chain {
    fn of(validators: Vec<(u64, PubKey)>) -> Arc<Self> {
        let told = Mutex::default();
        Arc::new(Self { validators, told })
    }
}

fn info((index, key): (u64, PubKey)) -> ValidatorInfo {
    let far = u64::MAX.to_string();
    serde_json::from_value(json!({
        "index": index.to_string(), "balance": "32000000000", "status": "active_ongoing",
        "validator": {
            "pubkey": key.to_string(), "withdrawal_credentials": format!("0x{}", "00".repeat(32)),
            "effective_balance": "32000000000", "slashed": false, "activation_eligibility_epoch": "0",
            "activation_epoch": "0", "exit_epoch": far, "withdrawable_epoch": far,
        },
    }))
    .unwrap()
}

impl BeaconLayer for Chain {
    fn inner(&self) -> &dyn BeaconNode {
        unreachable!("nothing else is asked")
    }
    fn validators(&self, _: &str, _: &[PubKey]) -> BoxFuture<'_, Result<Vec<ValidatorInfo>, BeaconError>> {
        Box::pin(async { Ok(self.validators.iter().copied().map(info).collect()) })
    }
    fn prepare_proposers(&self, prep: Preparations) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.told.lock().unwrap().push(prep);
        Box::pin(async { Ok(()) })
    }
}

fn first_slot_of(epoch: u64) -> SlotTick {
    SlotTick {
        slot: Slot(epoch * 32),
        epoch: Epoch(epoch),
        first_in_epoch: true,
        last_in_epoch: false,
        first_seen: epoch == 0,
    }
}

fn preparation(chain: &Arc<Chain>) -> Arc<ProposalPreparation> {
    let validator = |key, fee_recipient| Validator {
        key,
        shares: vec![[9; 48]],
        fee_recipient,
    };
    let keys = chain.validators.iter().map(|(_, key)| *key);
    let all = keys.map(|key| validator(key, if key == UNPAID { [0; 20] } else { [0xab; 20] }));
    let all: Vec<_> = all.collect();
    let cluster = Arc::new(Cluster::new([0; 32], 1, 1, PeerIdx(0), all));
    let cache = Arc::new(ValidatorCache::new(
        Arc::clone(chain) as _,
        &cluster,
        CacheMetrics::default(),
    ));
    let registrations = Arc::new(Registrations::new(cluster, Vec::new()));
    Arc::new(ProposalPreparation::new(Arc::clone(chain) as _, cache, registrations))
}

#[tokio::test]
async fn vc_44_recipient_is_told_once_when_a_validator_is_first_seen_and_so_is_that_there_is_none() {
    let chain = Chain::of(vec![(7, PAID), (8, UNPAID)]);
    let told = preparation(&chain);
    let lines = Lines::here();
    Arc::clone(&told).on_slot(first_slot_of(0)).await;
    let said = lines.take(Level::INFO);
    let recipient = format!("0x{}", "ab".repeat(20));
    assert!(
        matches!(&said[..], [line] if line.contains("index=7") && line.contains(&PAID.to_string()) && line.contains(&recipient)),
        "{said:?}"
    );
    told.on_slot(first_slot_of(1)).await;
    assert_eq!(lines.take(Level::INFO), [""; 0], "told once");
    let prepared = std::mem::take(&mut *chain.told.lock().unwrap());
    assert_eq!(
        prepared,
        vec![vec![(ValidatorIndex(7), [0xab; 20])]; 2],
        "nobody's fees go to nobody"
    );

    preparation(&chain).on_slot(first_slot_of(0)).await;
    let said = lines.take(Level::WARN);
    assert!(
        matches!(&said[..], [line] if line.contains("index=8") && line.contains("cluster-lock.json") && line.contains("--overrides-file")),
        "{said:?}"
    );
}

#[tokio::test]
async fn vc_44_of_very_many_validators_there_is_one_line_for_each_recipient() {
    let many = (0..200_u8).map(|n| (u64::from(n) + 1_000, PubKey([n; 48])));
    let chain = Chain::of(many.collect());
    let lines = Lines::here();
    preparation(&chain).on_slot(first_slot_of(0)).await;
    let said = lines.take(Level::INFO);
    assert!(
        matches!(&said[..], [line] if line.contains("1000-1001,1003-1199") && line.contains("199 validators")),
        "{said:?}"
    );
}
