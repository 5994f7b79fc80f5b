//! Blocks of every fork with plausible full content: votes, a payload with transactions and withdrawals, blobs.
//!
//! Guarantees: a block follows from the [`Ingredients`] alone; its state root follows from the rest of the block, so
//! that any change to a block is noticed. Not here: real execution or KZG mathematics; nobody beside a middleware
//! could check those.

use ssz_types::{BitList, BitVector, VariableList, typenum::Unsigned};
use trireme_eth2::{
    BeaconBlock, Blob, BlockContents, BlsPubkey, BlsSignature, CommitteeIndex, Container, Epoch, ExecutionAddress,
    Fork, ForkedBlock, Gwei, KzgCommitment, KzgProof, LogsBloom, Root, Slot, Uint256, ValidatorIndex,
    VersionedProposal,
    altair::{self, SyncAggregate},
    bellatrix::{self, ExtraData, Transaction},
    capella::{self, BlsToExecutionChange, SignedBlsToExecutionChange, Withdrawal},
    deneb,
    electra::{self, ConsolidationRequest, DepositRequest, ExecutionRequests, WithdrawalRequest},
    hash_tree_root,
    phase0::{self, AttestationData, Checkpoint, Eth1Data},
};

use super::chain::{digest, number};

/// Transactions in a payload, and bytes in each.
const TRANSACTIONS: usize = 40;
const TRANSACTION_BYTES: usize = 220;
/// Cells of a blob.
const CELLS: usize = 128;

/// What a block is made of.
#[derive(Debug, Clone)]
pub struct Ingredients {
    /// The block's fork.
    pub fork: Fork,
    /// The slot.
    pub slot: Slot,
    /// The proposer.
    pub proposer: ValidatorIndex,
    /// Root of the block before.
    pub parent: Root,
    /// The randao reveal that was given.
    pub randao: BlsSignature,
    /// The graffiti that was given.
    pub graffiti: Root,
    /// Who gets the fees.
    pub fee_recipient: ExecutionAddress,
    /// Start of the slot in Unix seconds.
    pub timestamp: u64,
    /// The epoch's checkpoints, for the votes in the block.
    pub checkpoints: (Checkpoint, Checkpoint),
    /// How many blobs travel with it, from Deneb on.
    pub blobs: usize,
}

/// Everything of a body that does not depend on the fork.
macro_rules! body {
    ($fork:ident, $i:expr, { $($more:tt)* }) => {
        $fork::BeaconBlockBody {
            randao_reveal: $i.randao,
            eth1_data: $i.eth1_data(),
            graffiti: $i.graffiti,
            proposer_slashings: VariableList::default(),
            attester_slashings: VariableList::default(),
            deposits: VariableList::default(),
            voluntary_exits: VariableList::default(),
            $($more)*
        }
    };
}

/// Everything of a payload that does not depend on the fork.
macro_rules! payload {
    ($fork:ident, $i:expr, { $($more:tt)* }) => {
        $fork::ExecutionPayload {
            parent_hash: digest(&[b"execution", $i.parent.as_slice()]),
            fee_recipient: $i.fee_recipient,
            state_root: $i.root("payload state"),
            receipts_root: $i.root("receipts"),
            logs_bloom: LogsBloom([0x11; 256]),
            prev_randao: digest(&[b"randao", $i.randao.as_slice()]),
            block_number: $i.slot.0,
            gas_limit: 60_000_000,
            gas_used: 8_400_000,
            timestamp: $i.timestamp,
            extra_data: ExtraData::new(b"trireme devnet".to_vec()).unwrap_or_default(),
            base_fee_per_gas: Uint256::from(7_000_000_007),
            block_hash: $i.root("block hash"),
            transactions: $i.transactions(),
            $($more)*
        }
    };
}

impl Ingredients {
    /// The block, with its blobs where its fork has them.
    #[must_use]
    pub fn proposal(&self) -> VersionedProposal {
        VersionedProposal::Full(match self.fork {
            Fork::Phase0 => ForkedBlock::Phase0(self.block(body!(phase0, self, {
                attestations: self.attestations(),
            }))),
            Fork::Altair => ForkedBlock::Altair(self.block(body!(altair, self, {
                attestations: self.attestations(),
                sync_aggregate: sync_aggregate(),
            }))),
            Fork::Bellatrix => ForkedBlock::Bellatrix(self.block(body!(bellatrix, self, {
                attestations: self.attestations(),
                sync_aggregate: sync_aggregate(),
                execution_payload: payload!(bellatrix, self, {}),
            }))),
            Fork::Capella => ForkedBlock::Capella(self.block(body!(capella, self, {
                attestations: self.attestations(),
                sync_aggregate: sync_aggregate(),
                execution_payload: payload!(capella, self, { withdrawals: self.withdrawals() }),
                bls_to_execution_changes: self.credential_changes(),
            }))),
            Fork::Deneb => {
                let body = body!(deneb, self, {
                    attestations: self.attestations(),
                    sync_aggregate: sync_aggregate(),
                    execution_payload: self.deneb_payload(),
                    bls_to_execution_changes: self.credential_changes(),
                    blob_kzg_commitments: self.commitments(),
                });
                ForkedBlock::Deneb(self.contents(body, self.blobs))
            }
            Fork::Electra => ForkedBlock::Electra(self.contents(self.electra_body(), self.blobs)),
            Fork::Fulu => {
                let proofs = self.blobs.saturating_mul(CELLS);
                ForkedBlock::Fulu(self.contents(self.electra_body(), proofs))
            }
        })
    }

    fn electra_body(&self) -> electra::BeaconBlockBody<deneb::ExecutionPayload> {
        body!(electra, self, {
            attestations: self.electra_attestations(),
            sync_aggregate: sync_aggregate(),
            execution_payload: self.deneb_payload(),
            bls_to_execution_changes: self.credential_changes(),
            blob_kzg_commitments: self.commitments(),
            execution_requests: self.requests(),
        })
    }

    fn deneb_payload(&self) -> deneb::ExecutionPayload {
        payload!(deneb, self, {
            withdrawals: self.withdrawals(),
            blob_gas_used: number(self.blobs).saturating_mul(131_072),
            excess_blob_gas: 0,
        })
    }

    fn block<B: Container>(&self, body: B) -> BeaconBlock<B> {
        let state_root = state_root(self.slot, self.proposer, self.parent, hash_tree_root(&body));
        BeaconBlock {
            slot: self.slot,
            proposer_index: self.proposer,
            parent_root: self.parent,
            state_root,
            body,
        }
    }

    fn contents<B: Container, N: Unsigned + 'static>(&self, body: B, proofs: usize) -> BlockContents<B, N> {
        let proof = |n: usize| KzgProof(wide(&self.root(&format!("proof {n}"))));
        BlockContents {
            block: self.block(body),
            kzg_proofs: list((0..proofs).map(proof)),
            blobs: list((0..self.blobs).filter_map(|n| blob(self.slot, n))),
        }
    }

    fn root(&self, what: &str) -> Root {
        digest(&[what.as_bytes(), &self.slot.0.to_le_bytes(), self.parent.as_slice()])
    }

    fn eth1_data(&self) -> Eth1Data {
        Eth1Data {
            deposit_root: digest(&[b"deposits"]),
            deposit_count: 64,
            block_hash: digest(&[b"eth1 block"]),
        }
    }

    fn vote(&self, committee: u64) -> AttestationData {
        AttestationData {
            slot: Slot(self.slot.0.saturating_sub(1)),
            index: CommitteeIndex(committee),
            beacon_block_root: self.parent,
            source: self.checkpoints.0,
            target: self.checkpoints.1,
        }
    }

    fn attestations(&self) -> VariableList<phase0::Attestation, ssz_types::typenum::U128> {
        list((0..2).map(|committee| phase0::Attestation {
            aggregation_bits: bits(100),
            data: self.vote(committee),
            signature: placeholder(),
        }))
    }

    fn electra_attestations(&self) -> VariableList<electra::Attestation, ssz_types::typenum::U8> {
        list((0..2).map(|n: usize| {
            let mut committee_bits = BitVector::new();
            for committee in 0..8 {
                // The vector has 64 bits.
                let _ = committee_bits.set(committee, committee % 2 == n);
            }
            electra::Attestation {
                aggregation_bits: bits(400),
                data: self.vote(0),
                signature: placeholder(),
                committee_bits,
            }
        }))
    }

    fn transactions(&self) -> bellatrix::Transactions {
        let transaction = |n: usize| {
            let seed = self.root(&format!("transaction {n}"));
            let bytes = [0x02]
                .into_iter()
                .chain(seed.0.into_iter().cycle())
                .take(TRANSACTION_BYTES);
            Transaction::new(bytes.collect()).unwrap_or_default()
        };
        list((0..TRANSACTIONS).map(transaction))
    }

    fn withdrawals<N: Unsigned>(&self) -> VariableList<Withdrawal, N> {
        list((0..8_u64).map(|n| Withdrawal {
            index: self.slot.0.saturating_mul(8).saturating_add(n),
            validator_index: ValidatorIndex(n),
            address: ExecutionAddress([0x22; 20]),
            amount: Gwei(17_000_000_u64.saturating_add(n)),
        }))
    }

    fn credential_changes<N: Unsigned>(&self) -> VariableList<SignedBlsToExecutionChange, N> {
        let message = BlsToExecutionChange {
            validator_index: self.proposer,
            from_bls_pubkey: BlsPubkey(wide(&self.root("old key"))),
            to_execution_address: ExecutionAddress([0x33; 20]),
        };
        list([SignedBlsToExecutionChange {
            message,
            signature: placeholder(),
        }])
    }

    fn commitments<N: Unsigned>(&self) -> VariableList<KzgCommitment, N> {
        list(commitments(self.slot, self.blobs))
    }

    fn requests(&self) -> ExecutionRequests {
        let key = BlsPubkey(wide(&self.root("request key")));
        let source_address = ExecutionAddress([0x44; 20]);
        ExecutionRequests {
            deposits: list([DepositRequest {
                pubkey: key,
                withdrawal_credentials: Root([1; 32]),
                amount: Gwei(32_000_000_000),
                signature: placeholder(),
                index: self.slot.0,
            }]),
            withdrawals: list([WithdrawalRequest {
                source_address,
                validator_pubkey: key,
                amount: Gwei(0),
            }]),
            consolidations: list([ConsolidationRequest {
                source_address,
                source_pubkey: key,
                target_pubkey: key,
            }]),
        }
    }
}

/// The state root that a block of this chain must carry.
#[must_use]
pub(crate) fn state_root(slot: Slot, proposer: ValidatorIndex, parent: Root, body: Root) -> Root {
    let (slot, proposer) = (slot.0.to_le_bytes(), proposer.0.to_le_bytes());
    digest(&[b"state", &slot, &proposer, parent.as_slice(), body.as_slice()])
}

/// The `n`th blob of a slot: 4096 field elements, each below the modulus.
#[must_use]
pub(crate) fn blob(slot: Slot, n: usize) -> Option<Blob> {
    let mut element = commitment_seed(slot, n).0;
    let [first, ..] = &mut element;
    *first = 0;
    Blob::from_slice(&element.repeat(4096))
}

/// The commitments to the first `count` blobs of a slot.
pub(crate) fn commitments(slot: Slot, count: usize) -> impl Iterator<Item = KzgCommitment> {
    (0..count).map(move |n| KzgCommitment(wide(&commitment_seed(slot, n))))
}

/// The epoch's signature covers this.
#[must_use]
pub(crate) fn epoch_root(epoch: Epoch) -> Root {
    hash_tree_root(&epoch)
}

fn commitment_seed(slot: Slot, n: usize) -> Root {
    digest(&[b"blob", &slot.0.to_le_bytes(), &number(n).to_le_bytes()])
}

/// 48 bytes that look like a compressed point.
fn wide(seed: &Root) -> [u8; 48] {
    let mut bytes = [0; 48];
    for (to, from) in bytes.iter_mut().zip(seed.0.iter().cycle()) {
        *to = *from;
    }
    let [first, ..] = &mut bytes;
    *first = 0x80 | (*first & 0x0f);
    bytes
}

fn placeholder() -> BlsSignature {
    let mut bytes = [0; 96];
    let [first, ..] = &mut bytes;
    *first = 0xc0;
    BlsSignature(bytes)
}

fn sync_aggregate() -> SyncAggregate {
    let mut sync_committee_bits = BitVector::new();
    for bit in (0..512).filter(|bit| bit % 7 != 0) {
        // The vector has 512 bits.
        let _ = sync_committee_bits.set(bit, true);
    }
    SyncAggregate {
        sync_committee_bits,
        sync_committee_signature: placeholder(),
    }
}

fn bits<N: Unsigned + Clone>(len: usize) -> BitList<N> {
    let mut bits = BitList::with_capacity(len).unwrap_or_else(|_| empty_bits());
    for bit in (0..len).filter(|bit| bit % 5 != 0) {
        // Below the length.
        let _ = bits.set(bit, true);
    }
    bits
}

#[expect(clippy::expect_used, reason = "no limit is below zero")]
fn empty_bits<N: Unsigned + Clone>() -> BitList<N> {
    BitList::with_capacity(0).expect("a list of no bits")
}

/// The items as a list; none of ours is longer than its list allows.
fn list<T, N: Unsigned>(items: impl IntoIterator<Item = T>) -> VariableList<T, N> {
    VariableList::new(items.into_iter().collect()).unwrap_or_else(|_| VariableList::empty())
}
