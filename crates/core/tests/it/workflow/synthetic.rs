//! Made-up proposals: whose they are, what they look like, and that they stay here.

use std::{collections::BTreeMap, sync::Arc};

use trireme_core::{
    ports::{BeaconNode as _, ProduceBlock},
    registrations::Registrations,
    synthetic::{SyntheticProposals, marker},
};
use trireme_eth2::{
    BlsPubkey, BlsSignature, ByteList, Epoch, ExecutionAddress, Fork, ProposerDuty, Root, Slot, ValidatorIndex,
    VersionedSignedBlock, electra, ssz_types::VariableList,
};

use super::SPE;
use crate::fakes::{
    beacon::{FakeBeacon, Given},
    cluster, key,
};

/// Validators 1 to 3, of which the first really proposes in slot 1.
fn bench() -> (SyntheticProposals, Arc<FakeBeacon>) {
    let mut beacon = FakeBeacon::with((1..=3).map(|n| (ValidatorIndex(n.into()), key(n))).collect(), SPE, 0);
    beacon.given = Some(Given {
        proposers: vec![ProposerDuty {
            pubkey: BlsPubkey(key(1).0),
            slot: Slot(1),
            validator_index: ValidatorIndex(1),
        }],
        ..Given::default()
    });
    let beacon = Arc::new(beacon);
    let registrations = Arc::new(Registrations::new(cluster(0, 3), Vec::new()));
    let keys = cluster(0, 3).keys();
    (
        SyntheticProposals::new(Arc::clone(&beacon) as _, registrations, keys, SPE),
        beacon,
    )
}

fn ask(slot: u64) -> ProduceBlock {
    ProduceBlock {
        slot: Slot(slot),
        randao_reveal: BlsSignature([1; 96]),
        graffiti: Root([2; 32]),
        builder_boost_factor: 0,
    }
}

#[tokio::test]
async fn every_validator_without_a_real_proposal_gets_a_made_up_one() {
    let (synthetic, _) = bench();
    for _ in 0..2 {
        let duties = synthetic.proposer_duties(Epoch(0)).await.unwrap().duties;
        let by_slot: BTreeMap<u64, u64> = duties.iter().map(|d| (d.slot.0, d.validator_index.0)).collect();
        assert_eq!(by_slot, [(1, 1), (2, 2), (3, 3)].into());
        assert_eq!(duties.len(), 3);
    }
}

#[tokio::test]
async fn a_made_up_block_is_a_marked_copy_that_is_never_sent() {
    let (synthetic, beacon) = bench();
    synthetic.proposer_duties(Epoch(0)).await.unwrap();
    let mut kept = electra::SignedBeaconBlock::default();
    kept.message.slot = Slot(1);
    kept.message.parent_root = Root([7; 32]);
    let payload = &mut kept.message.body.execution_payload;
    payload.transactions = VariableList::new(vec![ByteList::new(vec![5]).unwrap(); 25]).unwrap();
    let kept = Arc::new(VersionedSignedBlock::Fulu(kept));
    beacon.kept.lock().unwrap().insert(Slot(1), kept);

    let made_up = synthetic.produce_block(ask(3)).await.unwrap().proposal;
    assert_eq!((made_up.slot(), made_up.proposer_index()), (Slot(3), ValidatorIndex(3)));
    assert_eq!((made_up.graffiti(), made_up.fork()), (marker(), Fork::Fulu));
    assert_eq!(made_up.fee_recipient(), Some(ExecutionAddress([3; 20])));
    assert_eq!(made_up.header().parent_root, Root([7; 32]));
    let signed = |block: trireme_eth2::VersionedProposal| Arc::new(block.sign(BlsSignature([1; 96])));
    synthetic.submit_proposal(signed(made_up)).await.unwrap();
    assert!(beacon.blocks.lock().unwrap().is_empty());

    let real = synthetic.produce_block(ask(1)).await.unwrap().proposal;
    assert_eq!(real.graffiti(), Root([2; 32]));
    synthetic.submit_proposal(signed(real)).await.unwrap();
    assert_eq!(beacon.blocks.lock().unwrap().len(), 1);
}
