use serde_json::json;

use super::*;

fn genesis() -> Genesis {
    Genesis {
        genesis_time: 1_742_213_400,
        genesis_validators_root: Root([7; 32]),
        genesis_fork_version: ForkVersion([0x10, 0, 9, 0x10]),
    }
}

fn read(more: Value) -> Result<ChainSpec, SpecError> {
    let mut data = json!({
        "CONFIG_NAME": "some", "SECONDS_PER_SLOT": "12", "SLOTS_PER_EPOCH": "32",
        "ALTAIR_FORK_VERSION": "0x20000910", "ALTAIR_FORK_EPOCH": "0",
        "CAPELLA_FORK_VERSION": "0x40000910", "CAPELLA_FORK_EPOCH": 3,
        "FULU_FORK_VERSION": "0x70000910", "FULU_FORK_EPOCH": "18446744073709551615",
        "BLOB_SCHEDULE": [{"EPOCH": "1", "MAX_BLOBS_PER_BLOCK": "9"}],
    });
    let map = data.as_object_mut().unwrap();
    map.extend(more.as_object().unwrap().clone());
    map.retain(|_, v| !v.is_null());
    ChainSpec::read(map, genesis())
}

#[test]
fn strings_numbers_and_unknown_keys_are_read() {
    let spec = read(json!({})).unwrap();
    assert_eq!((spec.slot_duration_ms, spec.slots_per_epoch), (12_000, 32));
    assert_eq!(spec.epoch(Slot(95)), Epoch(2));
    assert_eq!(spec.first_slot(Epoch(2)), Slot(64));
    assert_eq!(spec.forks.fork_at(Epoch(0)), Some(Fork::Altair));
    assert_eq!(spec.fork_at(Slot(96)), Some(Fork::Capella));
    assert_eq!(spec.forks.epoch_of(Fork::Fulu), None);
    assert_eq!(spec.forks.version_of(Fork::Fulu), Some(ForkVersion([0x70, 0, 9, 0x10])));
}

#[test]
fn milliseconds_win_over_seconds() {
    assert_eq!(
        read(json!({"SLOT_DURATION_MS": "2500"})).unwrap().slot_duration_ms,
        2500
    );
    assert_eq!(
        read(json!({"SLOT_DURATION_MS": 6000, "SECONDS_PER_SLOT": null}))
            .unwrap()
            .slot_duration_ms,
        6000
    );
}

#[test]
fn a_fork_of_the_future_changes_domains_but_has_no_name() {
    let spec = read(json!({"XATU_FORK_VERSION": "0x99000000", "XATU_FORK_EPOCH": "9"})).unwrap();
    assert_eq!(spec.forks.version_at(Epoch(9)), ForkVersion([0x99, 0, 0, 0]));
    assert_eq!(spec.forks.fork_at(Epoch(9)), None);
    assert_eq!(spec.forks.fork_at(Epoch(8)), Some(Fork::Capella));
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    assert_eq!(
        read(json!({"SECONDS_PER_SLOT": null})),
        Err(SpecError::Missing("SECONDS_PER_SLOT"))
    );
    assert_eq!(
        read(json!({"PRESET_BASE": "minimal"})),
        Err(SpecError::Preset("minimal".into()))
    );
    for broken in [
        json!({"SLOTS_PER_EPOCH": "0"}),
        json!({"SLOTS_PER_EPOCH": "-1"}),
        json!({"SECONDS_PER_SLOT": 0}),
        json!({"ALTAIR_FORK_VERSION": "0x20"}),
        json!({"DOMAIN_RANDAO": "2"}),
    ] {
        assert!(
            matches!(read(broken.clone()), Err(SpecError::Invalid { .. })),
            "{broken}"
        );
    }
}

#[test]
fn the_preset_shows_in_name_or_limit() {
    assert_eq!(read(json!({})).unwrap().preset, PresetKind::Mainnet);
    assert_eq!(
        read(json!({"PRESET_BASE": "gnosis"})).unwrap().preset,
        PresetKind::Gnosis
    );
    assert_eq!(
        read(json!({"MAX_WITHDRAWALS_PER_PAYLOAD": "8"})).unwrap().preset,
        PresetKind::Gnosis
    );
}

#[test]
fn vc_49_builders_domain_is_of_type_1_the_genesis_version_and_no_chain() {
    // The root of a fork with version 0 of no chain is that of 64 zero bytes.
    let mainnet = "00000001f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a9";
    assert_eq!(hex::encode(signing::builder_domain(ForkVersion([0; 4])).0), mainnet);
    assert_ne!(
        signing::builder_domain(ForkVersion([0x10, 0, 9, 0x10])),
        signing::builder_domain(ForkVersion([0; 4]))
    );
}

#[test]
fn pinned_domains_do_not_follow_the_epoch() {
    let spec = read(json!({})).unwrap();
    let pinned = [
        DomainType::VoluntaryExit,
        DomainType::Deposit,
        DomainType::ApplicationBuilder,
    ];
    for kind in DomainType::ALL {
        let moves = spec.domain(kind, Epoch(2)) != spec.domain(kind, Epoch(3));
        assert_eq!(
            moves,
            !pinned.contains(&kind) && kind != DomainType::BlsToExecutionChange,
            "{kind:?}"
        );
    }
    let exit = signing::exit_domain(ForkVersion([0x40, 0, 9, 0x10]), Root([7; 32]));
    assert_eq!(spec.domain(DomainType::VoluntaryExit, Epoch(0)), exit);
    let version = genesis().genesis_fork_version;
    assert_eq!(
        spec.domain(DomainType::ApplicationBuilder, Epoch(9)),
        signing::builder_domain(version)
    );
    assert_eq!(
        spec.domain(DomainType::Deposit, Epoch(9)),
        signing::deposit_domain(version)
    );
}

#[test]
fn the_capella_version_of_a_known_network_needs_no_beacon_node() {
    let spec = read(json!({"CAPELLA_FORK_VERSION": null, "CAPELLA_FORK_EPOCH": null})).unwrap();
    assert_eq!(spec.capella_fork_version, Some(ForkVersion([0x40, 0, 9, 0x10])));
}

#[test]
fn a_fork_list_names_forks_by_position() {
    let entry = |n: u8, epoch| ForkInfo {
        current_version: ForkVersion([n; 4]),
        epoch: Epoch(epoch),
        ..ForkInfo::default()
    };
    let list: Vec<_> = (0..9).map(|n| entry(n, u64::from(n) * 10)).collect();
    let forks = ForkSchedule::from_list(&list).unwrap();
    assert_eq!(forks.fork_at(Epoch(69)), Some(Fork::Fulu));
    assert_eq!(forks.fork_at(Epoch(70)), None);
    assert_eq!(forks.version_at(Epoch(75)), ForkVersion([7; 4]));
    assert_eq!(ForkSchedule::from_list(&[]), Err(SpecError::Missing("a fork schedule")));
}
