//! What a block costs: reading its SSZ form, writing it, hashing it. Run with `cargo bench -p trireme-eth2`.

#![allow(clippy::unwrap_used, reason = "inputs are built here")]

use divan::{Bencher, black_box, counter::BytesCount};
use trireme_eth2::{
    Blob, Fork, VersionedProposal, electra, fulu,
    phase0::AttestationData,
    ssz::{Decode as _, Encode as _},
    ssz_types::{BitList, BitVector},
};

fn main() {
    divan::main();
}

/// A busy block: 8 attestations, 200 transactions of 500 bytes, `blobs` blobs.
fn block(blobs: usize) -> VersionedProposal {
    let mut contents: fulu::BlockContents = Default::default();
    let body = &mut contents.block.body;
    for _ in 0..8 {
        let attestation = electra::Attestation {
            aggregation_bits: BitList::with_capacity(32_000).unwrap(),
            data: AttestationData::default(),
            signature: Default::default(),
            committee_bits: BitVector::new(),
        };
        body.attestations.push(attestation).unwrap();
    }
    for _ in 0..200 {
        let transaction = trireme_eth2::bellatrix::Transaction::new(vec![0x5a; 500]).unwrap();
        body.execution_payload.transactions.push(transaction).unwrap();
    }
    for _ in 0..blobs {
        contents
            .blobs
            .push(Blob::from_ssz_bytes(&vec![1; Blob::LEN]).unwrap())
            .unwrap();
    }
    VersionedProposal::decode_ssz(Fork::Fulu, false, &contents.as_ssz_bytes()).unwrap()
}

#[divan::bench(args = [0, 6])]
fn decode(bencher: Bencher<'_, '_>, blobs: usize) {
    let bytes = block(blobs).to_ssz();
    bencher
        .counter(BytesCount::of_slice(&bytes))
        .bench(|| VersionedProposal::decode_ssz(Fork::Fulu, false, black_box(&bytes)));
}

#[divan::bench(args = [0, 6])]
fn encode(bencher: Bencher<'_, '_>, blobs: usize) {
    let block = block(blobs);
    bencher
        .counter(BytesCount::new(block.ssz_len()))
        .bench(|| black_box(&block).to_ssz());
}

#[divan::bench]
fn root(bencher: Bencher<'_, '_>) {
    let block = block(0);
    bencher.bench(|| black_box(&block).block_root());
}
