//! Blinded blocks: offered, signed, completed; and each reason to refuse.

use super::*;

/// A court with a builder where everybody registered.
fn court(fork: Fork) -> Court {
    let mut court = Court::with(JudgeConfig {
        builder: true,
        ..everything(chain(fork, 16))
    });
    for validator in 0..16 {
        let signed = court.good_registration(validator);
        court.register(1, &signed).unwrap();
    }
    court
}

impl Court {
    fn bid(&mut self, slot: u64, boost: u64) -> Ingredients {
        let (at, randao) = (self.at(slot), self.randao(slot));
        self.judge
            .produce(0, at, Slot(slot), (randao, true), Root([7; 32]), boost)
            .unwrap()
    }
}

#[test]
fn a_blinded_block_has_the_root_of_the_block_and_is_completed_in_every_fork() {
    for fork in Fork::ALL.into_iter().filter(|f| *f >= Fork::Bellatrix) {
        let mut court = court(fork);
        let made = court.bid(5, u64::MAX);
        let blinded = made.proposal();
        assert!(blinded.is_blinded(), "{fork}");
        assert_eq!(blinded.block_root(), made.full().block_root(), "{fork}");
        assert_eq!(blinded.fee_recipient().unwrap().0, [0xab; 20], "what was registered");
        let json = serde_json::to_string(&blinded.clone().sign(BlsSignature::default())).unwrap();
        assert!(
            json.contains("execution_payload_header") && json.contains("transactions_root"),
            "{fork}"
        );
        court.judge.offer(blinded.block_root(), made.clone());
        let signed = court.sign_proposal(blinded);
        assert_eq!(court.publish(5, signed.clone()), Ok(Taken::First), "{fork}");
        assert_eq!(court.publish(5, signed.clone()), Ok(Taken::Repeated), "{fork}");
        let head = court.judge.head().clone();
        assert_eq!(head.root, signed.block_root());
        let whole = head.block.unwrap();
        assert_eq!(
            *whole,
            made.full().sign(signed.signature()),
            "the chain has the whole block"
        );
        assert_eq!(court.counted(DutyKind::Proposer, 5).1, 1);
    }
}

#[test]
fn who_did_not_register_or_wants_no_bid_gets_a_whole_block() {
    let mut unregistered = Court::with(JudgeConfig {
        builder: true,
        ..everything(chain(Fork::Fulu, 16))
    });
    assert!(!unregistered.bid(5, u64::MAX).blinded);
    assert!(!court(Fork::Fulu).bid(5, 0).blinded);
    assert!(court(Fork::Fulu).bid(5, 100).blinded);
    let mut none = Court::counting(chain(Fork::Fulu, 16));
    let signed = none.good_registration(0);
    none.register(1, &signed).unwrap();
    assert!(!none.bid(5, u64::MAX).blinded, "there is no builder");
}

#[test]
fn a_blinded_block_that_was_not_offered_is_refused() {
    let mut court = court(Fork::Fulu);
    let blinded = court.bid(5, 1).proposal();
    let signed = court.sign_proposal(blinded);
    refused(court.publish(5, signed), "this blinded block was never offered");
    let mut none = Court::counting(chain(Fork::Fulu, 16));
    let made = Ingredients {
        blinded: true,
        ..none.ingredients(5, 1)
    };
    let signed = none.sign_proposal(made.proposal());
    refused(none.publish(5, signed), "this chain has no builder");
}

#[test]
fn a_blinded_and_a_whole_block_of_one_slot_are_slashable_unless_they_are_the_same() {
    let mut court = court(Fork::Fulu);
    let made = court.bid(5, 1);
    court.judge.offer(made.full().block_root(), made.clone());
    let (blinded, whole) = (court.sign_proposal(made.proposal()), court.sign_proposal(made.full()));
    assert_eq!(court.publish(5, blinded), Ok(Taken::First));
    assert_eq!(court.publish(5, whole), Ok(Taken::Repeated), "one root");
    assert_eq!(court.judge.slashable(), []);
}
