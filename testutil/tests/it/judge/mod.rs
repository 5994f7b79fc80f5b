//! The judge, handed by hand what it must take, refuse or call slashable.

mod aggregates;
mod builder;
mod doors;
mod faces;
mod http;
mod pool;
mod rules;
mod slashable;
mod statements;
mod sync;
mod turns;
mod vectors;

use std::{sync::Arc, time::Duration};

use trireme_eth2::{
    AttestationData, BlsPubkey, BlsSignature, CommitteeIndex, Epoch, Fork, Root, SingleAttestation, Slot,
    ValidatorIndex, VersionedProposal, VersionedSignedProposal, hash_tree_root,
};
use trireme_tbls::SecretKey;
use trireme_testutil::judge::{
    BlockView, ChainConfig, Claim, DutyKind, HOODI, Ingredients, Judge, JudgeConfig, Purpose, Refused, SubmittedVote,
    Taken, Verifier, domain, report, signing_root,
};

/// A judge, the validators' secrets, and a client that does everything right unless told otherwise.
struct Court {
    judge: Judge,
    verifier: Verifier,
    keys: Vec<SecretKey>,
}

const GENESIS: Duration = Duration::from_secs(1_700_000_000);

fn key(n: u8) -> SecretKey {
    let mut bytes = [7; 32];
    bytes[31] = n;
    SecretKey::from_bytes(&bytes).unwrap()
}

fn chain(fork: Fork, validators: u8) -> ChainConfig {
    let keys = (0..validators)
        .map(|n| BlsPubkey(key(n).public_key().to_bytes()))
        .collect();
    ChainConfig::new(GENESIS, fork, HOODI, keys)
}

/// A judge that counts everything and has the validators' secrets.
fn everything(chain: ChainConfig) -> JudgeConfig {
    let validators = u8::try_from(chain.validators.len()).unwrap();
    let secrets = (0..validators).map(|n| (ValidatorIndex(n.into()), Arc::new(key(n))));
    JudgeConfig {
        counted: DutyKind::ALL.into(),
        secrets: secrets.collect(),
        ..JudgeConfig::new(chain)
    }
}

impl Court {
    fn new(fork: Fork, validators: u8) -> Self {
        Self::of(chain(fork, validators))
    }

    fn of(chain: ChainConfig) -> Self {
        Self::with(JudgeConfig::new(chain))
    }

    fn with(config: JudgeConfig) -> Self {
        let keys = (0..u8::try_from(config.chain.validators.len()).unwrap())
            .map(key)
            .collect();
        Self {
            judge: Judge::with(config),
            verifier: Verifier::default(),
            keys,
        }
    }

    /// Half a second into a slot.
    fn at(&self, slot: u64) -> Duration {
        self.judge.chain().start(Slot(slot)) + Duration::from_millis(500)
    }

    /// Three seconds into a slot of four: when aggregates have been made.
    fn late_in(&self, slot: u64) -> Duration {
        self.judge.chain().start(Slot(slot)) + Duration::from_secs(3)
    }

    /// Which of the claims hold.
    fn genuine<const N: usize>(&self, claims: [Claim; N]) -> [bool; N] {
        self.verifier.verify(&claims).try_into().unwrap()
    }

    fn sign(&self, validator: u64, object: Root, purpose: Purpose, epoch: u64) -> BlsSignature {
        let root = signing_root(object, domain(self.judge.chain(), purpose, Epoch(epoch)));
        let key = &self.keys[usize::try_from(validator).unwrap()];
        BlsSignature(key.sign(root.as_slice()).to_bytes())
    }

    // === Votes

    /// The validator that attests in a slot, with its committee.
    fn attester(&mut self, slot: u64) -> (u64, CommitteeIndex) {
        let epoch = self.judge.chain().epoch(Slot(slot));
        let committees = self.judge.committees(epoch);
        let found = committees.attesters(Slot(slot)).next().unwrap();
        (found.0, committees.seat(found).unwrap().committee)
    }

    /// What the judge wants attested.
    fn data(&mut self, slot: u64) -> AttestationData {
        let at = self.at(slot);
        let (_, committee) = self.attester(slot);
        self.judge.attestation_data(0, at, Slot(slot), committee).unwrap()
    }

    /// A vote for `data` by the validator that attests in `slot`.
    fn vote(&mut self, slot: u64, data: AttestationData) -> SingleAttestation {
        let (validator, committee_index) = self.attester(slot);
        let signature = self.sign(validator, hash_tree_root(&data), Purpose::Attester, data.target.epoch.0);
        SingleAttestation {
            committee_index,
            attester_index: ValidatorIndex(validator),
            data,
            signature,
        }
    }

    fn submit_vote(&mut self, at: Duration, fork: Fork, vote: SubmittedVote) -> Result<Taken, Refused> {
        let (validator, claim) = self.judge.claims_of_vote(at, &vote)?;
        let genuine = self.verifier.verify(&[claim])[0];
        self.judge.vote(0, at, fork, &vote, validator, genuine)
    }

    fn submit(&mut self, at: u64, vote: SingleAttestation) -> Result<Taken, Refused> {
        let fork = self.judge.chain().fork(vote.data.slot);
        self.submit_vote(self.at(at), fork, SubmittedVote::Single(vote))
    }

    /// Lets everybody who attests in a slot vote for the same; answers with the data.
    fn everybody_votes(&mut self, slot: u64) -> AttestationData {
        let data = self.data(slot);
        let epoch = self.judge.chain().epoch(Slot(slot));
        let committees = self.judge.committees(epoch);
        for validator in committees.attesters(Slot(slot)) {
            let seat = committees.seat(validator).unwrap();
            let signature = self.sign(validator.0, hash_tree_root(&data), Purpose::Attester, epoch.0);
            let vote = SingleAttestation {
                committee_index: seat.committee,
                attester_index: validator,
                data,
                signature,
            };
            assert_eq!(self.submit(slot, vote), Ok(Taken::First));
        }
        data
    }

    /// A chain of which all kinds of duty are counted, and who signs what is known.
    fn counting(chain: ChainConfig) -> Self {
        Self::with(everything(chain))
    }

    /// What became of a slot's duties of one kind: expected, completed, and the reasons of the others.
    fn counted(&mut self, kind: DutyKind, slot: u64) -> (u64, u64, Vec<String>) {
        let counted = report(&mut self.judge, slot..slot + 1);
        let duty = counted.duties.get(&kind).cloned().unwrap_or_default();
        let reasons = duty.missed.into_iter().map(|m| m.reason).collect();
        (duty.expected, duty.completed, reasons)
    }

    // === Blocks

    fn randao(&self, slot: u64) -> BlsSignature {
        let epoch = self.judge.chain().epoch(Slot(slot));
        let proposer = self.judge.chain().proposer(Slot(slot)).0;
        self.sign(proposer, hash_tree_root(&epoch), Purpose::Randao, epoch.0)
    }

    /// What a block for a slot is made of.
    fn ingredients(&mut self, slot: u64, graffiti: u8) -> Ingredients {
        let (at, randao) = (self.at(slot), self.randao(slot));
        self.judge
            .produce(0, at, Slot(slot), (randao, true), Root([graffiti; 32]), 0)
            .unwrap()
    }

    /// A block for a slot, made and signed as it should be.
    fn block(&mut self, slot: u64, graffiti: u8) -> VersionedSignedProposal {
        let made = self.ingredients(slot, graffiti);
        self.sign_proposal(made.proposal())
    }

    fn sign_proposal(&self, proposal: VersionedProposal) -> VersionedSignedProposal {
        let epoch = self.judge.chain().epoch(proposal.slot()).0;
        let signature = self.sign(
            proposal.proposer_index().0,
            proposal.block_root(),
            Purpose::Proposer,
            epoch,
        );
        proposal.sign(signature)
    }

    /// Signs a changed block again.
    fn sign_again(&self, mut block: VersionedSignedProposal) -> VersionedSignedProposal {
        let epoch = self.judge.chain().epoch(block.slot()).0;
        let signature = self.sign(block.proposer_index().0, block.block_root(), Purpose::Proposer, epoch);
        *block.signature_mut() = signature;
        block
    }

    fn publish_as(&mut self, at: u64, fork: Fork, block: VersionedSignedProposal) -> Result<Taken, Refused> {
        let (now, view) = (self.at(at), BlockView::of(&block));
        let claims = self.judge.claims_of_block(now, &view)?;
        let genuine = self.verifier.verify(&claims);
        self.judge
            .propose(0, now, fork, Arc::new(block), &view, [genuine[0], genuine[1]])
    }

    fn publish(&mut self, at: u64, block: VersionedSignedProposal) -> Result<Taken, Refused> {
        let fork = block.fork();
        self.publish_as(at, fork, block)
    }
}

#[track_caller]
fn refused(result: Result<Taken, Refused>, reason: &str) {
    let why = result.expect_err("it should be refused").0;
    assert!(why.contains(reason), "refused, but for this reason: {why}");
}
