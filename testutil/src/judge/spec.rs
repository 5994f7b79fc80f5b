//! The answer to `/eth/v1/config/spec`: the mainnet preset with this chain's own clockwork and forks.

use serde_json::{Map, Value, json};
use trireme_eth2::Fork;

use super::chain::{ChainConfig, FAR_FUTURE};

/// Constants of the mainnet preset and configuration that this chain shares (consensus-specs, v1.6).
const PRESET: &[(&str, &str)] = &[
    ("PRESET_BASE", "mainnet"),
    ("TERMINAL_TOTAL_DIFFICULTY", "0"),
    (
        "TERMINAL_BLOCK_HASH",
        "0x0000000000000000000000000000000000000000000000000000000000000000",
    ),
    ("TERMINAL_BLOCK_HASH_ACTIVATION_EPOCH", "18446744073709551615"),
    ("GENESIS_DELAY", "0"),
    ("SECONDS_PER_ETH1_BLOCK", "12"),
    ("MIN_VALIDATOR_WITHDRAWABILITY_DELAY", "256"),
    ("SHARD_COMMITTEE_PERIOD", "0"),
    ("ETH1_FOLLOW_DISTANCE", "2048"),
    ("INACTIVITY_SCORE_BIAS", "4"),
    ("INACTIVITY_SCORE_RECOVERY_RATE", "16"),
    ("EJECTION_BALANCE", "16000000000"),
    ("MIN_PER_EPOCH_CHURN_LIMIT", "4"),
    ("CHURN_LIMIT_QUOTIENT", "65536"),
    ("MAX_PER_EPOCH_ACTIVATION_CHURN_LIMIT", "8"),
    ("MIN_PER_EPOCH_CHURN_LIMIT_ELECTRA", "128000000000"),
    ("MAX_PER_EPOCH_ACTIVATION_EXIT_CHURN_LIMIT", "256000000000"),
    ("PROPOSER_SCORE_BOOST", "40"),
    ("REORG_HEAD_WEIGHT_THRESHOLD", "20"),
    ("REORG_PARENT_WEIGHT_THRESHOLD", "160"),
    ("REORG_MAX_EPOCHS_SINCE_FINALIZATION", "2"),
    ("PROPOSER_REORG_CUTOFF_BPS", "1667"),
    ("ATTESTATION_DUE_BPS", "3333"),
    ("AGGREGATE_DUE_BPS", "6667"),
    ("SYNC_MESSAGE_DUE_BPS", "3333"),
    ("CONTRIBUTION_DUE_BPS", "6667"),
    ("DEPOSIT_CONTRACT_ADDRESS", "0x00000000219ab540356cbb839cbe05303d7705fa"),
    ("MAX_PAYLOAD_SIZE", "10485760"),
    ("GOSSIP_MAX_SIZE", "10485760"),
    ("MAX_REQUEST_BLOCKS", "1024"),
    ("MAX_REQUEST_BLOCKS_DENEB", "128"),
    ("MIN_EPOCHS_FOR_BLOCK_REQUESTS", "33024"),
    ("TTFB_TIMEOUT", "5"),
    ("RESP_TIMEOUT", "10"),
    ("ATTESTATION_PROPAGATION_SLOT_RANGE", "32"),
    ("MAXIMUM_GOSSIP_CLOCK_DISPARITY", "500"),
    ("MESSAGE_DOMAIN_INVALID_SNAPPY", "0x00000000"),
    ("MESSAGE_DOMAIN_VALID_SNAPPY", "0x01000000"),
    ("SUBNETS_PER_NODE", "2"),
    ("ATTESTATION_SUBNET_COUNT", "64"),
    ("ATTESTATION_SUBNET_EXTRA_BITS", "0"),
    ("ATTESTATION_SUBNET_PREFIX_BITS", "6"),
    ("EPOCHS_PER_SUBNET_SUBSCRIPTION", "256"),
    ("BLOB_SIDECAR_SUBNET_COUNT", "6"),
    ("BLOB_SIDECAR_SUBNET_COUNT_ELECTRA", "9"),
    ("MAX_BLOBS_PER_BLOCK", "6"),
    ("MAX_BLOBS_PER_BLOCK_ELECTRA", "9"),
    ("MAX_REQUEST_BLOB_SIDECARS", "768"),
    ("MAX_REQUEST_BLOB_SIDECARS_ELECTRA", "1152"),
    ("MIN_EPOCHS_FOR_BLOB_SIDECARS_REQUESTS", "4096"),
    ("NUMBER_OF_COLUMNS", "128"),
    ("NUMBER_OF_CUSTODY_GROUPS", "128"),
    ("DATA_COLUMN_SIDECAR_SUBNET_COUNT", "128"),
    ("MAX_REQUEST_DATA_COLUMN_SIDECARS", "16384"),
    ("SAMPLES_PER_SLOT", "8"),
    ("CUSTODY_REQUIREMENT", "4"),
    ("VALIDATOR_CUSTODY_REQUIREMENT", "8"),
    ("BALANCE_PER_ADDITIONAL_CUSTODY_GROUP", "32000000000"),
    ("MIN_EPOCHS_FOR_DATA_COLUMN_SIDECARS_REQUESTS", "4096"),
    // Preset, phase0.
    ("MAX_COMMITTEES_PER_SLOT", "64"),
    ("TARGET_COMMITTEE_SIZE", "128"),
    ("MAX_VALIDATORS_PER_COMMITTEE", "2048"),
    ("SHUFFLE_ROUND_COUNT", "90"),
    ("HYSTERESIS_QUOTIENT", "4"),
    ("HYSTERESIS_DOWNWARD_MULTIPLIER", "1"),
    ("HYSTERESIS_UPWARD_MULTIPLIER", "5"),
    ("SAFE_SLOTS_TO_UPDATE_JUSTIFIED", "8"),
    ("MIN_DEPOSIT_AMOUNT", "1000000000"),
    ("MAX_EFFECTIVE_BALANCE", "32000000000"),
    ("EFFECTIVE_BALANCE_INCREMENT", "1000000000"),
    ("MIN_ATTESTATION_INCLUSION_DELAY", "1"),
    ("MIN_SEED_LOOKAHEAD", "1"),
    ("MAX_SEED_LOOKAHEAD", "4"),
    ("EPOCHS_PER_ETH1_VOTING_PERIOD", "64"),
    ("SLOTS_PER_HISTORICAL_ROOT", "8192"),
    ("MIN_EPOCHS_TO_INACTIVITY_PENALTY", "4"),
    ("EPOCHS_PER_HISTORICAL_VECTOR", "65536"),
    ("EPOCHS_PER_SLASHINGS_VECTOR", "8192"),
    ("HISTORICAL_ROOTS_LIMIT", "16777216"),
    ("VALIDATOR_REGISTRY_LIMIT", "1099511627776"),
    ("BASE_REWARD_FACTOR", "64"),
    ("WHISTLEBLOWER_REWARD_QUOTIENT", "512"),
    ("PROPOSER_REWARD_QUOTIENT", "8"),
    ("INACTIVITY_PENALTY_QUOTIENT", "67108864"),
    ("MIN_SLASHING_PENALTY_QUOTIENT", "128"),
    ("PROPORTIONAL_SLASHING_MULTIPLIER", "1"),
    ("MAX_PROPOSER_SLASHINGS", "16"),
    ("MAX_ATTESTER_SLASHINGS", "2"),
    ("MAX_ATTESTATIONS", "128"),
    ("MAX_DEPOSITS", "16"),
    ("MAX_VOLUNTARY_EXITS", "16"),
    // Altair, Bellatrix, Capella, Deneb.
    ("INACTIVITY_PENALTY_QUOTIENT_ALTAIR", "50331648"),
    ("MIN_SLASHING_PENALTY_QUOTIENT_ALTAIR", "64"),
    ("PROPORTIONAL_SLASHING_MULTIPLIER_ALTAIR", "2"),
    ("SYNC_COMMITTEE_SIZE", "512"),
    ("MIN_SYNC_COMMITTEE_PARTICIPANTS", "1"),
    ("UPDATE_TIMEOUT", "8192"),
    ("INACTIVITY_PENALTY_QUOTIENT_BELLATRIX", "16777216"),
    ("MIN_SLASHING_PENALTY_QUOTIENT_BELLATRIX", "32"),
    ("PROPORTIONAL_SLASHING_MULTIPLIER_BELLATRIX", "3"),
    ("MAX_BYTES_PER_TRANSACTION", "1073741824"),
    ("MAX_TRANSACTIONS_PER_PAYLOAD", "1048576"),
    ("BYTES_PER_LOGS_BLOOM", "256"),
    ("MAX_EXTRA_DATA_BYTES", "32"),
    ("MAX_BLS_TO_EXECUTION_CHANGES", "16"),
    ("MAX_WITHDRAWALS_PER_PAYLOAD", "16"),
    ("MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP", "16384"),
    ("MAX_BLOB_COMMITMENTS_PER_BLOCK", "4096"),
    ("FIELD_ELEMENTS_PER_BLOB", "4096"),
    ("KZG_COMMITMENT_INCLUSION_PROOF_DEPTH", "17"),
    // Electra, Fulu.
    ("MIN_ACTIVATION_BALANCE", "32000000000"),
    ("MAX_EFFECTIVE_BALANCE_ELECTRA", "2048000000000"),
    ("MIN_SLASHING_PENALTY_QUOTIENT_ELECTRA", "4096"),
    ("WHISTLEBLOWER_REWARD_QUOTIENT_ELECTRA", "4096"),
    ("PENDING_DEPOSITS_LIMIT", "134217728"),
    ("PENDING_PARTIAL_WITHDRAWALS_LIMIT", "134217728"),
    ("PENDING_CONSOLIDATIONS_LIMIT", "262144"),
    ("MAX_ATTESTER_SLASHINGS_ELECTRA", "1"),
    ("MAX_ATTESTATIONS_ELECTRA", "8"),
    ("MAX_DEPOSIT_REQUESTS_PER_PAYLOAD", "8192"),
    ("MAX_WITHDRAWAL_REQUESTS_PER_PAYLOAD", "16"),
    ("MAX_CONSOLIDATION_REQUESTS_PER_PAYLOAD", "2"),
    ("MAX_PENDING_PARTIALS_PER_WITHDRAWALS_SWEEP", "8"),
    ("MAX_PENDING_DEPOSITS_PER_EPOCH", "16"),
    ("FIELD_ELEMENTS_PER_CELL", "64"),
    ("FIELD_ELEMENTS_PER_EXT_BLOB", "8192"),
    ("KZG_COMMITMENTS_INCLUSION_PROOF_DEPTH", "4"),
    // Constants.
    ("GENESIS_SLOT", "0"),
    ("GENESIS_EPOCH", "0"),
    ("FAR_FUTURE_EPOCH", "18446744073709551615"),
    ("BLS_WITHDRAWAL_PREFIX", "0x00"),
    ("ETH1_ADDRESS_WITHDRAWAL_PREFIX", "0x01"),
    ("COMPOUNDING_WITHDRAWAL_PREFIX", "0x02"),
    ("TARGET_AGGREGATORS_PER_COMMITTEE", "16"),
    ("RANDOM_SUBNETS_PER_VALIDATOR", "1"),
    ("EPOCHS_PER_RANDOM_SUBNET_SUBSCRIPTION", "256"),
    ("TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE", "16"),
    ("SYNC_COMMITTEE_SUBNET_COUNT", "4"),
    ("VERSIONED_HASH_VERSION_KZG", "0x01"),
    ("DOMAIN_BEACON_PROPOSER", "0x00000000"),
    ("DOMAIN_BEACON_ATTESTER", "0x01000000"),
    ("DOMAIN_RANDAO", "0x02000000"),
    ("DOMAIN_DEPOSIT", "0x03000000"),
    ("DOMAIN_VOLUNTARY_EXIT", "0x04000000"),
    ("DOMAIN_SELECTION_PROOF", "0x05000000"),
    ("DOMAIN_AGGREGATE_AND_PROOF", "0x06000000"),
    ("DOMAIN_SYNC_COMMITTEE", "0x07000000"),
    ("DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF", "0x08000000"),
    ("DOMAIN_CONTRIBUTION_AND_PROOF", "0x09000000"),
    ("DOMAIN_BLS_TO_EXECUTION_CHANGE", "0x0a000000"),
    ("DOMAIN_APPLICATION_MASK", "0x00000001"),
    ("DOMAIN_APPLICATION_BUILDER", "0x00000001"),
];

/// What `/eth/v1/config/spec` answers as its `data`.
#[must_use]
pub fn spec(chain: &ChainConfig, epochs_per_sync_period: u64) -> Value {
    let mut spec: Map<String, Value> = PRESET.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    let mut set = |key: String, value: String| spec.insert(key, Value::String(value));
    set("CONFIG_NAME".into(), chain.name.clone());
    set(
        "EPOCHS_PER_SYNC_COMMITTEE_PERIOD".into(),
        epochs_per_sync_period.to_string(),
    );
    set("MIN_GENESIS_TIME".into(), chain.genesis_time.as_secs().to_string());
    set(
        "MIN_GENESIS_ACTIVE_VALIDATOR_COUNT".into(),
        chain.validators.len().to_string(),
    );
    set("SECONDS_PER_SLOT".into(), chain.seconds_per_slot.to_string());
    set(
        "SLOT_DURATION_MS".into(),
        chain.seconds_per_slot.saturating_mul(1000).to_string(),
    );
    set("SLOTS_PER_EPOCH".into(), chain.slots_per_epoch.to_string());
    set("DEPOSIT_CHAIN_ID".into(), chain.deposit_chain_id.to_string());
    set("DEPOSIT_NETWORK_ID".into(), chain.deposit_chain_id.to_string());
    for (fork, version, epoch) in &chain.forks {
        let name = match fork {
            Fork::Phase0 => {
                set("GENESIS_FORK_VERSION".into(), version.to_string());
                continue;
            }
            Fork::Altair => "ALTAIR",
            Fork::Bellatrix => "BELLATRIX",
            Fork::Capella => "CAPELLA",
            Fork::Deneb => "DENEB",
            Fork::Electra => "ELECTRA",
            Fork::Fulu => "FULU",
        };
        set(format!("{name}_FORK_VERSION"), version.to_string());
        set(format!("{name}_FORK_EPOCH"), epoch.0.to_string());
    }
    spec.insert("BLOB_SCHEDULE".into(), json!([]));
    Value::Object(spec)
}

/// `/eth/v1/config/fork_schedule`'s `data`: the forks that come, in order.
pub(crate) fn fork_schedule(chain: &ChainConfig) -> Value {
    let mut previous = None;
    let coming = chain.forks.iter().filter(|(_, _, at)| *at != FAR_FUTURE);
    let list = coming.map(|(_, version, epoch)| {
        let before = previous.replace(*version).unwrap_or(*version);
        json!({"previous_version": before, "current_version": version, "epoch": epoch})
    });
    list.collect()
}
