//! What holds for every value and for every sequence of bytes.

use proptest::prelude::*;
use trireme_eth2::{
    Blob, BlsPubkey, BlsSignature, ExecutionAddress, Fork, ForkedAttestation, ForkedBlindedBlock, ForkedBlock,
    ForkedSignedBlindedBlock, ForkedSignedBlock, Gnosis, PresetKind, Root, SignedContributionAndProof, Slot,
    TooManyWithdrawals, Uint256, Versioned, VersionedProposal, VersionedSignedAggregateAndProof, capella, electra,
    hash_tree_root, phase0,
    ssz::{Decode, Encode},
};

use crate::build::Draw;

/// Both encodings give the value back; each is the only form of its kind.
fn comes_back<T: Versioned + PartialEq + std::fmt::Debug>(object: &T) {
    let fork = object.fork();
    let ssz = object.to_ssz();
    assert_eq!(ssz.len(), object.ssz_len());
    assert_eq!(T::decode_ssz(fork, &ssz).as_ref(), Ok(object));
    let json = serde_json::to_string(&object.data_only()).unwrap();
    assert_eq!(T::decode_json(fork, &json).as_ref(), Ok(object));
}

/// Whatever is accepted has no other form.
fn accepts_one_form<T: Versioned>(fork: Fork, bytes: &[u8]) {
    if let Ok(object) = T::decode_ssz(fork, bytes) {
        assert_eq!(object.to_ssz(), bytes);
        let _ = object.tree_root();
    }
}

fn accepts_one_form_of<T: Decode + Encode>(bytes: &[u8]) {
    if let Ok(object) = T::from_ssz_bytes(bytes) {
        assert_eq!(object.as_ssz_bytes(), bytes);
    }
}

fn everything_accepts_one_form(bytes: &[u8]) {
    for fork in Fork::ALL {
        accepts_one_form::<ForkedAttestation>(fork, bytes);
        accepts_one_form::<VersionedSignedAggregateAndProof>(fork, bytes);
        accepts_one_form::<ForkedBlock>(fork, bytes);
        accepts_one_form::<ForkedBlindedBlock>(fork, bytes);
        accepts_one_form::<ForkedSignedBlock>(fork, bytes);
        accepts_one_form::<ForkedSignedBlindedBlock>(fork, bytes);
    }
    accepts_one_form_of::<SignedContributionAndProof>(bytes);
    accepts_one_form_of::<phase0::Deposit>(bytes);
    accepts_one_form_of::<phase0::AttesterSlashing>(bytes);
    accepts_one_form_of::<electra::ExecutionRequests>(bytes);
    accepts_one_form_of::<Uint256>(bytes);
}

/// Cuts, lengthens or flips bytes.
fn damage(bytes: &mut Vec<u8>, how: &[(u8, u16, u8)]) {
    for (kind, at, with) in how {
        let at = usize::from(*at) % bytes.len().max(1);
        match kind % 4 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), *with),
            2 => bytes.push(*with),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= *with;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn blocks_of_every_fork_come_back(seed: u64) {
        let mut draw = Draw(seed);
        for block in draw.blocks() {
            comes_back(&block);
            let proposal = VersionedProposal::Full(block);
            // The header stands for the block.
            prop_assert_eq!(hash_tree_root(&proposal.header()), proposal.block_root());
            let signature: BlsSignature = draw.fixed();
            let (root, slot) = (proposal.block_root(), proposal.slot());
            let signed = proposal.sign(signature);
            prop_assert_eq!((signed.block_root(), signed.slot(), signed.signature()), (root, slot, signature));
            if let trireme_eth2::VersionedSignedProposal::Full(signed) = &signed {
                comes_back(signed);
            }
        }
        for block in draw.blinded_blocks() {
            comes_back(&block);
            let signed = VersionedProposal::Blinded(block).sign(draw.fixed());
            if let trireme_eth2::VersionedSignedProposal::Blinded(signed) = &signed {
                comes_back(signed);
            }
        }
    }

    #[test]
    fn attestations_and_aggregates_come_back(seed: u64) {
        let mut draw = Draw(seed);
        comes_back(&ForkedAttestation::Deneb(draw.attestation()));
        let attestation = draw.electra_attestation();
        comes_back(&ForkedAttestation::Fulu(attestation.clone()));
        comes_back(&VersionedSignedAggregateAndProof::Electra(electra::SignedAggregateAndProof {
            message: electra::AggregateAndProof {
                aggregator_index: draw.fixed(),
                aggregate: attestation,
                selection_proof: draw.fixed(),
            },
            signature: draw.fixed(),
        }));
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        everything_accepts_one_form(&bytes);
    }

    #[test]
    fn damaged_blocks_have_one_form_or_none(
        seed: u64,
        how in proptest::collection::vec((any::<u8>(), any::<u16>(), any::<u8>()), 1..4),
    ) {
        let mut draw = Draw(seed);
        let full = draw.blocks().into_iter().map(|b| (b.fork(), b.to_ssz()));
        for (fork, mut bytes) in full {
            damage(&mut bytes, &how);
            accepts_one_form::<ForkedBlock>(fork, &bytes);
        }
        for block in draw.blinded_blocks() {
            let mut bytes = block.to_ssz();
            damage(&mut bytes, &how);
            accepts_one_form::<ForkedBlindedBlock>(block.fork(), &bytes);
        }
    }

    #[test]
    fn texts_come_back(seed: u64) {
        let mut draw = Draw(seed);
        macro_rules! text {
            ($($t:ty)*) => {$(
                let value: $t = draw.fixed();
                prop_assert_eq!(&value.to_string().parse::<$t>().unwrap(), &value);
                let json = serde_json::to_string(&value).unwrap();
                prop_assert_eq!(&json, &format!("\"{value}\""));
                prop_assert_eq!(&serde_json::from_str::<$t>(&json).unwrap(), &value);
            )*};
        }
        text!(Slot Root BlsPubkey BlsSignature ExecutionAddress Uint256 Blob);
    }

    #[test]
    fn no_text_makes_parsing_panic(text in "(0x)?[0-9a-zA-Zé.+-]{0,100}") {
        let _ = (text.parse::<Slot>(), text.parse::<Root>(), text.parse::<Uint256>(), text.parse::<Blob>());
        let _ = text.parse::<trireme_eth2::bellatrix::ExtraData>();
        let _ = text.parse::<Fork>();
    }

    #[test]
    fn the_root_of_a_gnosis_block_is_that_of_its_own_limits(seed: u64) {
        let mut draw = Draw(seed);
        let payload = draw.capella_payload::<Gnosis>();
        let body = draw.capella_body(payload);
        let block: capella::BeaconBlock<Gnosis> = draw.block(body);
        let seen = VersionedProposal::decode_ssz(Fork::Capella, false, &block.as_ssz_bytes()).unwrap();
        prop_assert_eq!(seen.block_root_in(PresetKind::Gnosis), Ok(hash_tree_root(&block)));
        prop_assert_ne!(seen.block_root_in(PresetKind::Mainnet), Ok(hash_tree_root(&block)));
    }
}

#[test]
fn gnosis_refuses_more_withdrawals_than_its_limit() {
    let mut draw = Draw(1);
    let mut payload = draw.capella_payload();
    payload.withdrawals = vec![draw.fixed(); 9].try_into().unwrap();
    let body = draw.capella_body(payload);
    let block = VersionedProposal::Full(ForkedBlock::Capella(draw.block(body)));
    assert_eq!(block.block_root_in(PresetKind::Gnosis), Err(TooManyWithdrawals));
    assert_eq!(block.block_root_in(PresetKind::Mainnet), Ok(block.block_root()));
}
