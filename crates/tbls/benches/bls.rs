//! Costs of threshold signatures: single checks against sets, combination, signing.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may stop at its own mistakes"
)]

use std::{collections::BTreeMap, hint::black_box};

use divan::{Bencher, counter::ItemsCount};
use trireme_tbls::{Check, Combiner, PublicKey, SecretKey, Signature, split, verify, verify_set};

fn main() {
    divan::main();
}

fn key(i: usize) -> SecretKey {
    let mut bytes = [7; 32];
    bytes[24..].copy_from_slice(&u64::try_from(i).unwrap().to_be_bytes());
    SecretKey::from_bytes(&bytes).unwrap()
}

fn signers(count: usize, message: &[u8]) -> Vec<(PublicKey, Signature)> {
    (0..count)
        .map(|i| (key(i).public_key(), key(i).sign(message)))
        .collect()
}

#[divan::bench]
fn sign(bencher: Bencher<'_, '_>) {
    bencher.bench(|| key(1).sign(black_box(&[3; 32])));
}

#[divan::bench]
fn verify_one(bencher: Bencher<'_, '_>) {
    let (k, s) = signers(1, &[3; 32])[0];
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| assert!(verify(black_box(&k), &[3; 32], &s)));
}

#[divan::bench(args = [2, 8, 32, 100, 1000], sample_count = 20)]
fn verify_set_one_message(bencher: Bencher<'_, '_>, count: usize) {
    let message = [3; 32];
    let set: Vec<Check<'_>> = signers(count, &message)
        .into_iter()
        .map(|(key, signature)| Check {
            key,
            message: &message,
            signature,
        })
        .collect();
    bencher
        .counter(ItemsCount::new(count))
        .bench(|| verify_set(black_box(&set), &[1; 32]).unwrap());
}

#[divan::bench(args = [32, 1000], sample_count = 10)]
fn verify_set_different_messages(bencher: Bencher<'_, '_>, count: usize) {
    let messages: Vec<[u8; 8]> = (0..count).map(|i| u64::try_from(i).unwrap().to_be_bytes()).collect();
    let set: Vec<Check<'_>> = messages
        .iter()
        .enumerate()
        .map(|(i, message)| Check {
            key: key(i).public_key(),
            message,
            signature: key(i).sign(message),
        })
        .collect();
    bencher
        .counter(ItemsCount::new(count))
        .bench(|| verify_set(black_box(&set), &[1; 32]).unwrap());
}

#[divan::bench(sample_count = 20)]
fn verify_set_of_32_with_one_culprit(bencher: Bencher<'_, '_>) {
    let message = [3; 32];
    let mut set: Vec<Check<'_>> = signers(32, &message)
        .into_iter()
        .map(|(key, signature)| Check {
            key,
            message: &message,
            signature,
        })
        .collect();
    set[11].signature = set[12].signature;
    bencher.bench(|| verify_set(black_box(&set), &[1; 32]).unwrap_err());
}

#[divan::bench(args = [(4, "1,2,3"), (4, "1,2,4"), (4, "2,3,4"), (7, "1,3,4,6,7"), (10, "1,2,4,5,7,9,10")])]
fn combine(bencher: Bencher<'_, '_>, (total, set): (u8, &str)) {
    let set: Vec<u8> = set.split(',').map(|i| i.parse().unwrap()).collect();
    let shares = split(&key(1), u8::try_from(set.len()).unwrap(), total, &mut |b| b.fill(9)).unwrap();
    let partials: BTreeMap<u8, Signature> = set.iter().map(|i| (*i, shares[i].sign(&[3; 32]))).collect();
    let combiner = Combiner::default();
    bencher.bench(|| combiner.combine(black_box(&partials)).unwrap());
}

#[divan::bench]
fn decode_public_key(bencher: Bencher<'_, '_>) {
    let bytes = key(1).public_key().to_bytes();
    bencher.bench(|| PublicKey::from_bytes(black_box(&bytes)).unwrap());
}

#[divan::bench]
fn decode_signature(bencher: Bencher<'_, '_>) {
    let bytes = key(1).sign(&[3; 32]).to_bytes();
    bencher.bench(|| Signature::from_bytes(black_box(&bytes)).unwrap());
}

#[divan::bench]
fn decode_and_check(bencher: Bencher<'_, '_>) {
    let bytes = key(1).sign(&[3; 32]).to_bytes();
    bencher.bench(|| Signature::from_bytes(black_box(&bytes)).unwrap());
}

#[divan::bench(args = [4, 7, 10])]
fn last_partial_against_the_others(bencher: Bencher<'_, '_>, nodes: u8) {
    let mut n = 0;
    let shares = split(&key(1), nodes - nodes / 3, nodes, &mut |out| {
        n += 1;
        out.fill(n);
    });
    let mut partials: BTreeMap<u8, Signature> = shares.unwrap().iter().map(|(i, s)| (*i, s.sign(&[3; 32]))).collect();
    let last = partials.remove(&2).unwrap().to_bytes();
    while partials.len() > usize::from(nodes - nodes / 3) {
        partials.pop_last();
    }
    let combiner = Combiner::default();
    bencher.bench(|| assert!(combiner.determines(black_box(&partials), 2, &last)));
}
