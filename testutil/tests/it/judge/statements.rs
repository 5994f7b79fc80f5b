//! Registrations and exits: what is taken, and each reason to refuse, made by hand.

use trireme_eth2::{
    ExecutionAddress, SignedValidatorRegistrationV1, SignedVoluntaryExit, ValidatorRegistrationV1, VoluntaryExit,
};
use trireme_testutil::judge::Registration;

use super::*;

const RECIPIENT: ExecutionAddress = ExecutionAddress([0xab; 20]);

/// A court with a builder, whose cluster wants `RECIPIENT` and 60,000,000 gas for everybody.
fn court() -> Court {
    let wanted = Registration {
        fee_recipient: RECIPIENT,
        gas_limit: 60_000_000,
    };
    Court::with(JudgeConfig {
        builder: true,
        registrations: (0..16).map(|n| (ValidatorIndex(n), wanted)).collect(),
        ..everything(chain(Fork::Fulu, 16))
    })
}

impl Court {
    fn registration(
        &self,
        validator: u64,
        change: impl Fn(&mut ValidatorRegistrationV1),
    ) -> SignedValidatorRegistrationV1 {
        let mut message = ValidatorRegistrationV1 {
            fee_recipient: RECIPIENT,
            gas_limit: 60_000_000,
            timestamp: GENESIS.as_secs(),
            pubkey: self.judge.chain().key(ValidatorIndex(validator)).unwrap(),
        };
        change(&mut message);
        let signature = self.sign(validator, hash_tree_root(&message), Purpose::Builder, 0);
        SignedValidatorRegistrationV1 { message, signature }
    }

    pub(super) fn register(&mut self, slot: u64, signed: &SignedValidatorRegistrationV1) -> Result<Taken, Refused> {
        let claim = self.judge.claim_of_registration(signed);
        let [genuine] = self.genuine([claim]);
        self.judge.register(0, self.at(slot), signed, genuine)
    }

    pub(super) fn good_registration(&self, validator: u64) -> SignedValidatorRegistrationV1 {
        self.registration(validator, |_| ())
    }

    fn leave(&mut self, at: Duration, signed: &SignedVoluntaryExit) -> Result<Taken, Refused> {
        let claim = self.judge.claim_of_exit(at, signed)?;
        let [genuine] = self.genuine([claim]);
        self.judge.exit(0, at, signed, genuine)
    }

    fn exit_under(&self, domain_epoch: u64, validator: u64, epoch: u64) -> SignedVoluntaryExit {
        let message = VoluntaryExit {
            epoch: Epoch(epoch),
            validator_index: ValidatorIndex(validator),
        };
        let signature = self.sign(validator % 16, hash_tree_root(&message), Purpose::Exit, domain_epoch);
        SignedVoluntaryExit { message, signature }
    }
}

// === Registrations

#[test]
fn everybody_is_expected_to_register_once_per_epoch() {
    let mut court = court();
    let kind = DutyKind::BuilderRegistration;
    assert_eq!(court.counted(kind, 16).0, 16);
    assert_eq!(court.counted(kind, 17).0, 0, "only in the epoch's first slot");
    let signed = court.good_registration(3);
    assert_eq!(court.register(17, &signed), Ok(Taken::First));
    assert_eq!(court.register(18, &signed), Ok(Taken::Repeated));
    assert_eq!(court.counted(kind, 16).1, 1);
    assert_eq!(
        court.register(33, &signed),
        Ok(Taken::First),
        "the same again in the next epoch"
    );
    assert_eq!(court.counted(kind, 32).1, 1);
    let mut without = Court::counting(chain(Fork::Fulu, 16));
    assert_eq!(without.counted(kind, 16).0, 0, "there is no builder");
}

#[test]
fn each_registration_that_is_wrong_is_refused_by_name() {
    let mut court = court();
    let later = court.registration(3, |m| m.timestamp += 5);
    court.register(17, &later).unwrap();
    let cases: [(&str, SignedValidatorRegistrationV1); 6] = [
        (
            "wrong fee recipient: the cluster's of validator 3",
            court.registration(3, |m| {
                m.timestamp += 5;
                m.fee_recipient = ExecutionAddress([1; 20]);
            }),
        ),
        (
            "wrong gas limit: the cluster's of validator 3 is 60000000, not 30000000",
            court.registration(3, |m| {
                m.timestamp += 5;
                m.gas_limit = 30_000_000;
            }),
        ),
        ("is older than the one before", court.good_registration(3)),
        ("is of the future", court.registration(3, |m| m.timestamp += 100_000)),
        (
            "the chain has no validator with the key",
            court.registration(3, |m| m.pubkey = BlsPubkey(key(99).public_key().to_bytes())),
        ),
        (
            "does not verify under its key",
            SignedValidatorRegistrationV1 {
                signature: BlsSignature([9; 96]),
                ..later
            },
        ),
    ];
    for (reason, signed) in cases {
        refused(court.register(17, &signed), reason);
        assert!(court.judge.refusals().last().unwrap().reason.contains(reason));
    }
}

// === Exits

#[test]
fn an_exit_is_taken_under_the_domain_of_capella_and_nobody_leaves() {
    // Epoch 0 is Capella, epoch 1 Deneb, epoch 2 Electra.
    let forks = [(Fork::Deneb, 1), (Fork::Electra, 2), (Fork::Fulu, 3)];
    let chain = forks.into_iter().fold(chain(Fork::Fulu, 16), |chain, (fork, at)| {
        chain.with_fork_at(fork, Epoch(at))
    });
    let mut court = Court::counting(chain);
    court.judge.expect_exit(ValidatorIndex(3), Slot(40));
    assert_eq!(
        court.counted(DutyKind::Exit, 40),
        (1, 0, vec!["validator 3: nothing arrived".to_owned()])
    );
    let signed = court.exit_under(0, 3, 2);
    let at = court.at(40);
    assert_eq!(court.leave(at, &signed), Ok(Taken::First));
    assert_eq!(court.leave(at, &signed), Ok(Taken::Repeated));
    assert_eq!(court.counted(DutyKind::Exit, 40), (1, 1, vec![]));
    let committees = court.judge.committees(Epoch(3));
    assert!(committees.seat(ValidatorIndex(3)).is_some(), "it goes on attesting");
    // A signature under the fork of its own epoch does not verify.
    let root = domain(court.judge.chain(), Purpose::Proposer, Epoch(2));
    let message = VoluntaryExit {
        epoch: Epoch(2),
        validator_index: ValidatorIndex(4),
    };
    let mut wrong = root;
    wrong.0[0] = 4;
    let signature = court.keys[4].sign(signing_root(hash_tree_root(&message), wrong).as_slice());
    let signed = SignedVoluntaryExit {
        message,
        signature: BlsSignature(signature.to_bytes()),
    };
    refused(
        court.leave(at, &signed),
        "the exit of validator 4: its signature does not verify",
    );
}

#[test]
fn an_exit_of_an_epoch_to_come_or_of_nobody_is_refused() {
    let mut court = court();
    let (at, early, nobody) = (court.at(5), court.exit_under(0, 3, 1), court.exit_under(0, 16, 0));
    refused(court.leave(at, &early), "is of epoch 1, which has not begun");
    refused(court.leave(at, &nobody), "the chain has no validator 16");
    let fine = court.exit_under(0, 3, 0);
    assert_eq!(court.leave(at, &fine), Ok(Taken::First), "nobody needs to announce it");
    assert_eq!(court.leave(court.at(9), &fine), Ok(Taken::Repeated));
}
