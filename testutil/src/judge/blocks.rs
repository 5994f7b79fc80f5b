//! Blocks of every fork with full content: the votes that there are, and a plausible payload and blobs.
//!
//! Guarantees: a block follows from the [`Ingredients`] alone; its state root follows from the rest of the block, so
//! that any change to a block is noticed. Not here: real execution or KZG mathematics; nobody beside a middleware
//! could check those.

use ssz_types::{BitList, VariableList, typenum::Unsigned};
use trireme_eth2::{
    BeaconBlock, Blob, BlockContents, BlsPubkey, BlsSignature, Container, Epoch, ExecutionAddress, Fork,
    ForkedAttestation, ForkedBlindedBlock, ForkedBlock, Gwei, KzgCommitment, KzgProof, LogsBloom, Payload, Root, Slot,
    Uint256, ValidatorIndex, VersionedProposal,
    altair::{self, SyncAggregate},
    bellatrix::{self, ExtraData, Transaction},
    capella::{self, BlsToExecutionChange, SignedBlsToExecutionChange, Withdrawal},
    deneb,
    electra::{self, ConsolidationRequest, DepositRequest, ExecutionRequests, WithdrawalRequest},
    hash_tree_root,
    phase0::{self, Eth1Data},
};

use super::{
    builder::{bellatrix_header, capella_header, deneb_header},
    chain::{digest, number},
};

/// Bytes of each transaction.
pub const TRANSACTION_BYTES: usize = 220;
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
    /// How many blobs travel with it, from Deneb on.
    pub blobs: usize,
    /// How many transactions of [`TRANSACTION_BYTES`] its payload has.
    pub transactions: usize,
    /// The wished gas limit.
    pub gas_limit: u64,
    /// The votes that it takes in; those in other containers than its fork's are left out.
    pub attestations: Vec<ForkedAttestation>,
    /// The sync committee's messages for the block before, from Altair on.
    pub sync_aggregate: SyncAggregate,
    /// Whether a builder made the payload and shows its header only.
    pub blinded: bool,
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
            gas_limit: $i.gas_limit,
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
    /// What a beacon node answers: the block with its blobs, or the builder's header.
    #[must_use]
    pub fn proposal(&self) -> VersionedProposal {
        let header = if self.blinded { self.with_header() } else { None };
        header.map_or_else(|| self.full(), VersionedProposal::Blinded)
    }

    /// The block, with its blobs where its fork has them.
    #[must_use]
    pub fn full(&self) -> VersionedProposal {
        VersionedProposal::Full(match self.fork {
            Fork::Phase0 => ForkedBlock::Phase0(self.block(body!(phase0, self, {
                attestations: self.old_attestations(),
            }))),
            Fork::Altair => ForkedBlock::Altair(self.block(body!(altair, self, {
                attestations: self.old_attestations(),
                sync_aggregate: self.sync_aggregate.clone(),
            }))),
            Fork::Bellatrix => ForkedBlock::Bellatrix(self.block(self.bellatrix_body(self.bellatrix_payload()))),
            Fork::Capella => ForkedBlock::Capella(self.block(self.capella_body(self.capella_payload()))),
            Fork::Deneb => ForkedBlock::Deneb(self.contents(self.deneb_body(self.deneb_payload()), self.blobs)),
            Fork::Electra => ForkedBlock::Electra(self.contents(self.electra_body(self.deneb_payload()), self.blobs)),
            Fork::Fulu => {
                let proofs = self.blobs.saturating_mul(CELLS);
                ForkedBlock::Fulu(self.contents(self.electra_body(self.deneb_payload()), proofs))
            }
        })
    }

    /// The block with its payload's header; there are none before Bellatrix.
    fn with_header(&self) -> Option<ForkedBlindedBlock> {
        let deneb = || deneb_header(&self.deneb_payload());
        Some(match self.fork {
            Fork::Phase0 | Fork::Altair => return None,
            Fork::Bellatrix => {
                let header = bellatrix_header(&self.bellatrix_payload());
                ForkedBlindedBlock::Bellatrix(self.block(self.bellatrix_body(header)))
            }
            Fork::Capella => {
                let header = capella_header(&self.capella_payload());
                ForkedBlindedBlock::Capella(self.block(self.capella_body(header)))
            }
            Fork::Deneb => ForkedBlindedBlock::Deneb(self.block(self.deneb_body(deneb()))),
            Fork::Electra => ForkedBlindedBlock::Electra(self.block(self.electra_body(deneb()))),
            Fork::Fulu => ForkedBlindedBlock::Fulu(self.block(self.electra_body(deneb()))),
        })
    }

    fn bellatrix_body<P: Payload>(&self, execution_payload: P) -> bellatrix::BeaconBlockBody<P> {
        body!(bellatrix, self, {
            attestations: self.old_attestations(),
            sync_aggregate: self.sync_aggregate.clone(),
            execution_payload,
        })
    }

    fn capella_body<P: Payload>(&self, execution_payload: P) -> capella::BeaconBlockBody<P> {
        body!(capella, self, {
            attestations: self.old_attestations(),
            sync_aggregate: self.sync_aggregate.clone(),
            execution_payload,
            bls_to_execution_changes: self.credential_changes(),
        })
    }

    fn deneb_body<P: Payload>(&self, execution_payload: P) -> deneb::BeaconBlockBody<P> {
        body!(deneb, self, {
            attestations: self.old_attestations(),
            sync_aggregate: self.sync_aggregate.clone(),
            execution_payload,
            bls_to_execution_changes: self.credential_changes(),
            blob_kzg_commitments: self.commitments(),
        })
    }

    fn electra_body<P: Payload>(&self, execution_payload: P) -> electra::BeaconBlockBody<P> {
        body!(electra, self, {
            attestations: self.new_attestations(),
            sync_aggregate: self.sync_aggregate.clone(),
            execution_payload,
            bls_to_execution_changes: self.credential_changes(),
            blob_kzg_commitments: self.commitments(),
            execution_requests: self.requests(),
        })
    }

    fn bellatrix_payload(&self) -> bellatrix::ExecutionPayload {
        payload!(bellatrix, self, {})
    }

    fn capella_payload(&self) -> capella::ExecutionPayload {
        payload!(capella, self, { withdrawals: self.withdrawals() })
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

    /// Votes of before Electra.
    fn old_attestations(&self) -> VariableList<phase0::Attestation, ssz_types::typenum::U128> {
        let old = |attestation: &ForkedAttestation| match attestation {
            ForkedAttestation::Phase0(a)
            | ForkedAttestation::Altair(a)
            | ForkedAttestation::Bellatrix(a)
            | ForkedAttestation::Capella(a)
            | ForkedAttestation::Deneb(a) => Some(a.clone()),
            ForkedAttestation::Electra(_) | ForkedAttestation::Fulu(_) => None,
        };
        list(self.attestations.iter().filter_map(old))
    }

    /// Votes since Electra.
    fn new_attestations(&self) -> VariableList<electra::Attestation, ssz_types::typenum::U8> {
        let new = |attestation: &ForkedAttestation| match attestation {
            ForkedAttestation::Phase0(_)
            | ForkedAttestation::Altair(_)
            | ForkedAttestation::Bellatrix(_)
            | ForkedAttestation::Capella(_)
            | ForkedAttestation::Deneb(_) => None,
            ForkedAttestation::Electra(a) | ForkedAttestation::Fulu(a) => Some(a.clone()),
        };
        list(self.attestations.iter().filter_map(new))
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
        list((0..self.transactions).map(transaction))
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
            signature: infinity(),
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
                signature: infinity(),
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

/// The sum of no signatures, which also stands where nobody checks one.
pub(super) fn infinity() -> BlsSignature {
    let mut bytes = [0; 96];
    let [first, ..] = &mut bytes;
    *first = 0xc0;
    BlsSignature(bytes)
}

#[expect(clippy::expect_used, reason = "no limit is below zero")]
pub(super) fn empty_bits<N: Unsigned + Clone>() -> BitList<N> {
    BitList::with_capacity(0).expect("a list of no bits")
}

/// The items as a list; none of ours is longer than its list allows.
fn list<T, N: Unsigned>(items: impl IntoIterator<Item = T>) -> VariableList<T, N> {
    VariableList::new(items.into_iter().collect()).unwrap_or_else(|_| VariableList::empty())
}
