use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use trireme_eth2::{
    AttestationData, AttesterDuty, BlsPubkey, BlsSignature, ChainSpec, CommitteeIndex, ForkVersion, ForkedAttestation,
    ForkedBlock, Genesis, Root, SignedVoluntaryExit, SingleAttestation, Slot, SyncCommitteeContribution,
    SyncCommitteeMessage, ValidatorIndex, VersionedAttestation, VersionedProposal, electra, phase0, ssz::Encode as _,
};
use trireme_proto::core::v1 as pb;

use super::*;
use crate::{
    Duty,
    ids::{PubKey, ShareIdx},
};

fn attestation_duty() -> AttestationDuty {
    AttestationDuty {
        data: AttestationData {
            slot: Slot(7),
            beacon_block_root: Root([3; 32]),
            ..AttestationData::default()
        },
        duty: AttesterDuty {
            pubkey: BlsPubkey([5; 48]),
            slot: Slot(7),
            validator_index: ValidatorIndex(1),
            committee_index: CommitteeIndex(2),
            committee_length: 3,
            committees_at_slot: 4,
            validator_committee_index: 5,
        },
    }
}

fn vote(index: Option<u64>) -> VersionedAttestation {
    let single = SingleAttestation {
        committee_index: CommitteeIndex(9),
        ..SingleAttestation::default()
    };
    VersionedAttestation {
        validator_index: index.map(ValidatorIndex),
        attestation: ForkedAttestation::Electra(electra::Attestation::from_single(&single).unwrap()),
    }
}

fn unsigned_examples() -> Vec<(DutyType, UnsignedData)> {
    let block = VersionedProposal::Full(ForkedBlock::Phase0(phase0::BeaconBlock::default()));
    let contribution = SyncCommitteeContribution {
        slot: Slot(4),
        ..SyncCommitteeContribution::default()
    };
    vec![
        (DutyType::Attester, UnsignedData::Attestation(attestation_duty())),
        (DutyType::Proposer, UnsignedData::Proposal(Arc::new(block))),
        (DutyType::Aggregator, UnsignedData::Aggregate(vote(None))),
        (
            DutyType::SyncContribution,
            UnsignedData::Contribution(contribution.clone()),
        ),
        (
            DutyType::SyncContribution,
            UnsignedData::Contributions(vec![contribution.clone(), contribution]),
        ),
    ]
}

fn signed_examples() -> Vec<(DutyType, SignedData)> {
    let block = VersionedProposal::Full(ForkedBlock::Phase0(phase0::BeaconBlock::default()));
    vec![
        (
            DutyType::Proposer,
            SignedData::Proposal(Arc::new(block.sign(BlsSignature([1; 96])))),
        ),
        (DutyType::Attester, SignedData::Attestation(vote(Some(8)))),
        (DutyType::Attester, SignedData::Attestation(vote(None))),
        (DutyType::Signature, SignedData::Signature(BlsSignature([2; 96]))),
        (DutyType::Exit, SignedData::Exit(SignedVoluntaryExit::default())),
        (
            DutyType::BuilderRegistration,
            SignedData::Registration(Default::default()),
        ),
        (
            DutyType::PrepareAggregator,
            SignedData::BeaconCommitteeSelection(Default::default()),
        ),
        (
            DutyType::SyncMessage,
            SignedData::SyncMessage(SyncCommitteeMessage::default()),
        ),
        (
            DutyType::PrepareSyncContribution,
            SignedData::SyncCommitteeSelection(Default::default()),
        ),
        (DutyType::SyncContribution, SignedData::Contribution(Default::default())),
        (
            DutyType::Randao,
            SignedData::Randao(SignedRandao {
                epoch: trireme_eth2::Epoch(3),
                signature: BlsSignature([4; 96]),
            }),
        ),
    ]
}

#[test]
fn both_forms_of_every_kind_are_read() {
    for (kind, data) in unsigned_examples() {
        assert_eq!(UnsignedData::decode(kind, &data.encode()).as_ref(), Ok(&data));
        assert_eq!(
            UnsignedData::decode(kind, data.to_json().as_bytes()).as_ref(),
            Ok(&data)
        );
    }
    for (kind, data) in signed_examples() {
        assert_eq!(SignedData::decode(kind, &data.encode()).as_ref(), Ok(&data));
        assert_eq!(SignedData::decode(kind, data.to_json().as_bytes()).as_ref(), Ok(&data));
        // White space around JSON is no hindrance.
        let spaced = format!("\n {} ", data.to_json());
        assert_eq!(SignedData::decode(kind, spaced.as_bytes()).as_ref(), Ok(&data));
    }
}

#[test]
fn exits_are_read_as_ssz_and_sent_as_json() {
    let exit = SignedVoluntaryExit::default();
    assert_eq!(
        SignedData::decode(DutyType::Exit, &exit.as_ssz_bytes()),
        Ok(SignedData::Exit(exit))
    );
    assert_eq!(SignedData::Exit(exit).encode().first(), Some(&b'{'));
}

#[test]
fn a_vote_that_knows_its_validator_has_257_bytes() {
    assert_eq!(SignedData::Attestation(vote(Some(8))).encode().len(), 257);
    assert_eq!(SignedData::Attestation(vote(None)).encode().len(), 249);
}

#[test]
fn duties_without_data_say_so() {
    for kind in [DutyType::BuilderProposer, DutyType::InfoSync] {
        assert_eq!(
            SignedData::decode(kind, b"{}"),
            Err(DataError::NoData(kind, "signed data"))
        );
    }
    for kind in [DutyType::Randao, DutyType::Exit, DutyType::SyncMessage] {
        assert_eq!(
            UnsignedData::decode(kind, b"{}"),
            Err(DataError::NoData(kind, "unsigned data"))
        );
    }
}

#[test]
fn a_signature_of_another_length_is_refused_where_one_is_needed() {
    let short = encode_bare_signature(&[1; 95]);
    assert_eq!(decode_bare_signature(short.as_bytes()), Ok(vec![1; 95]));
    assert_eq!(
        SignedData::decode(DutyType::Signature, short.as_bytes()),
        Err(DataError::SignatureLength(95))
    );
}

#[test]
fn the_new_signature_takes_the_place_of_the_old_one_and_of_nothing_else() {
    for (_, data) in signed_examples() {
        let signed = data.clone().with_signature(BlsSignature([0xee; 96]));
        assert_eq!(signed.signature(), BlsSignature([0xee; 96]));
        assert_eq!(signed.message_root(), data.message_root());
        assert_eq!(signed.with_signature(data.signature()), data);
    }
}

#[test]
fn offsets_of_attestation_data_may_leave_gaps_but_not_the_bytes() {
    let bytes = UnsignedData::Attestation(attestation_duty()).encode();
    let with_offsets = |first: u32, second: u32, rest: &[u8]| {
        let mut out = first.to_le_bytes().to_vec();
        out.extend_from_slice(&second.to_le_bytes());
        out.extend_from_slice(rest);
        UnsignedData::decode(DutyType::Attester, &out)
    };
    let body = &bytes[8..];
    assert_eq!(
        with_offsets(8, 136, body),
        Ok(UnsignedData::Attestation(attestation_duty()))
    );
    let mut padded = vec![0];
    padded.extend_from_slice(body);
    padded.push(9);
    assert_eq!(
        with_offsets(9, 137, &padded),
        Ok(UnsignedData::Attestation(attestation_duty()))
    );
    for (first, second) in [(7, 136), (136, 8), (8, 233), (8, 137), (u32::MAX, u32::MAX), (0, 0)] {
        assert!(with_offsets(first, second, body).is_err(), "{first} {second}");
    }
}

#[test]
fn sets_without_entries_and_entries_without_owner_are_refused() {
    let empty = pb::UnsignedDataSet::default();
    assert_eq!(
        UnsignedDataSet::from_proto(DutyType::Attester, &empty),
        Err(DataError::EmptySet)
    );
    let empty = pb::ParSignedDataSet::default();
    assert_eq!(
        ParSignedDataSet::from_proto(DutyType::Attester, &empty),
        Err(DataError::EmptySet)
    );

    let partial = ParSignedData {
        data: SignedData::SyncMessage(Default::default()),
        share: ShareIdx(3),
    };
    for key in ["", "0x12", &format!("0x{}", "AB".repeat(48)), &"ab".repeat(49)] {
        let set = pb::ParSignedDataSet {
            set: [(key.to_owned(), partial.to_proto())].into(),
        };
        let read = ParSignedDataSet::from_proto(DutyType::SyncMessage, &set);
        assert!(matches!(read, Err(DataError::PubKey(_))), "{key}");
    }
    for share in [0, -1, 256, i32::MAX, i32::MIN] {
        let message = pb::ParSignedData {
            share_idx: share,
            ..partial.to_proto()
        };
        assert_eq!(
            ParSignedData::from_proto(DutyType::SyncMessage, &message),
            Err(DataError::Share(share))
        );
    }
}

#[test]
fn the_copy_of_the_signature_in_a_partial_is_ignored() {
    let partial = ParSignedData {
        data: SignedData::SyncMessage(Default::default()),
        share: ShareIdx(3),
    };
    let message = pb::ParSignedData {
        signature: Bytes::from_static(b"else"),
        ..partial.to_proto()
    };
    assert_eq!(ParSignedData::from_proto(DutyType::SyncMessage, &message), Ok(partial));
}

#[test]
fn an_exchange_message_must_be_whole() {
    let key = PubKey([7; 48]);
    let partial = ParSignedData {
        data: SignedData::SyncMessage(Default::default()),
        share: ShareIdx(1),
    };
    let duty = Duty::new(Slot(5), DutyType::SyncMessage);
    let set = ParSignedDataSet(BTreeMap::from([(key, partial)]));
    let encode = |m: pb::ParSigExMsg| Bytes::from(prost::Message::encode_to_vec(&m));
    let no_duty = pb::ParSigExMsg {
        duty: None,
        data_set: Some(set.to_proto()),
    };
    assert_eq!(decode_parsigex(encode(no_duty)), Err(DataError::Missing("duty")));
    let no_set = pb::ParSigExMsg {
        duty: Some(duty.to_proto()),
        data_set: None,
    };
    assert_eq!(decode_parsigex(encode(no_set)), Err(DataError::Missing("data set")));
    let bad_duty = pb::Duty { slot: 5, r#type: 14 };
    let bad = pb::ParSigExMsg {
        duty: Some(bad_duty),
        data_set: Some(set.to_proto()),
    };
    assert!(matches!(decode_parsigex(encode(bad)), Err(DataError::DutyType(_))));
    assert!(matches!(
        decode_parsigex(Bytes::from_static(&[0x0a, 9])),
        Err(DataError::Protobuf(_))
    ));
    assert_eq!(
        decode_parsigex(Bytes::from(encode_parsigex(duty, &set))),
        Ok((duty, set))
    );
}

#[test]
fn bare_signatures_have_no_signing_root() {
    let map = json!({"SECONDS_PER_SLOT": 12, "SLOTS_PER_EPOCH": 32});
    let genesis = Genesis {
        genesis_time: 0,
        genesis_validators_root: Root::ZERO,
        genesis_fork_version: ForkVersion::default(),
    };
    let spec = ChainSpec::read(map.as_object().unwrap(), genesis).unwrap();
    for (kind, data) in signed_examples() {
        assert_eq!(data.signing_root(&spec).is_err(), kind == DutyType::Signature, "{kind}");
        assert_eq!(data.domain_type().is_none(), kind == DutyType::Signature, "{kind}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic_and_what_is_read_is_read_again(
        kind in proptest::sample::select(DutyType::ALL.to_vec()),
        head in proptest::sample::select(vec![&b""[..], b"{", b"[", b"\"", b"{\"version\":6,", &[5, 0, 0, 0, 0, 0, 0, 0, 13]]),
        tail in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let bytes = [head, &tail[..]].concat();
        if let Ok(data) = SignedData::decode(kind, &bytes) {
            prop_assert_eq!(SignedData::decode(kind, &data.encode()), Ok(data));
        }
        if let Ok(data) = UnsignedData::decode(kind, &bytes) {
            prop_assert_eq!(UnsignedData::decode(kind, &data.encode()), Ok(data));
        }
        let _ = decode_parsigex(Bytes::from(bytes));
    }

    #[test]
    fn damaged_data_is_refused_or_read_alike(which in 0_usize..16, at: u16, with: u8) {
        let signed = signed_examples();
        let (kind, data) = &signed[which % signed.len()];
        let mut bytes = data.encode();
        let at = usize::from(at) % bytes.len();
        bytes[at] ^= with;
        if let Ok(data) = SignedData::decode(*kind, &bytes) {
            prop_assert_eq!(SignedData::decode(*kind, &data.encode()), Ok(data));
        }
        let unsigned = unsigned_examples();
        let (kind, data) = &unsigned[which % unsigned.len()];
        let mut bytes = data.encode();
        let at = at % bytes.len();
        bytes[at] ^= with;
        if let Ok(data) = UnsignedData::decode(*kind, &bytes) {
            prop_assert_eq!(UnsignedData::decode(*kind, &data.encode()), Ok(data));
        }
    }
}
