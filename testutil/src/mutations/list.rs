//! The list: in the order of the checks.

use trireme_cluster::{Networks, Order, Stage, Version, WalletQuestion, WalletRules, Wallets, address, eip712};
use trireme_keys::IdentityKey;

use super::{Mutation, signed::Signed};

/// Every mutation.
pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "the config hash is another, and everybody signed that",
        stage: Stage::ConfigHash,
        of_definition: true,
        has: always,
        change: |s| {
            flip(&mut s.lock.definition.config_hash);
            s.sign_from_config_hash();
        },
    },
    Mutation {
        name: "the name was changed after everybody signed",
        stage: Stage::ConfigHash,
        of_definition: true,
        has: always,
        change: |s| {
            s.lock.definition.name.push('!');
            s.sign_from_config_hash();
        },
    },
    Mutation {
        name: "the definition hash is another",
        stage: Stage::DefinitionHash,
        of_definition: true,
        has: always,
        change: |s| flip(&mut s.lock.definition.definition_hash),
    },
    Mutation {
        name: "an operator's ENR was changed after the definition was hashed",
        stage: Stage::DefinitionHash,
        of_definition: true,
        has: always,
        change: |s| {
            let other = s.lock.definition.definition_hash.clone();
            if let [first, second, ..] = s.lock.definition.operators.as_mut_slice() {
                std::mem::swap(&mut first.enr, &mut second.enr);
            }
            if let [first, second, ..] = s.nodes.as_mut_slice() {
                std::mem::swap(first, second);
            }
            s.sign_from_config_hash();
            s.lock.definition.definition_hash = other;
        },
    },
    Mutation {
        name: "a validator fell out of the lock",
        stage: Stage::ValidatorCount,
        of_definition: false,
        has: always,
        change: |s| {
            s.lock.validators.pop();
            s.shares.pop();
            s.sign_lock();
        },
    },
    Mutation {
        name: "the lock hash is another",
        stage: Stage::LockHash,
        of_definition: false,
        has: always,
        change: |s| flip(&mut s.lock.lock_hash),
    },
    Mutation {
        name: "an operator of an old schema signed",
        stage: Stage::OldSignatures,
        of_definition: true,
        has: |v, _| !v.has_wallet_signatures(),
        change: |s| {
            if let Some(operator) = s.lock.definition.operators.get_mut(1) {
                operator.enr_signature = vec![1; 65];
            }
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "the creator's signature is a byte short",
        stage: Stage::CreatorLength,
        of_definition: true,
        has: |v, order| v.has_creator() && odd_lengths_are_hashed(v, order),
        change: |s| {
            s.lock.definition.creator.config_signature.pop();
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "the creator signed twice, side by side",
        stage: Stage::CreatorLength,
        of_definition: true,
        has: |v, order| v.has_creator() && v < Version::V1_11 && long_is_hashed(v, order),
        change: |s| {
            double(&mut s.lock.definition.creator.config_signature);
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "the fork version belongs to no network",
        stage: Stage::Network,
        of_definition: true,
        has: signed_by_wallets,
        change: |s| {
            s.lock.definition.fork_version = vec![9; 4];
            s.sign();
        },
    },
    Mutation {
        name: "an operator did not sign its ENR",
        stage: Stage::EnrSignatureMissing,
        of_definition: true,
        has: signed_by_wallets,
        change: |s| {
            if let Some(operator) = s.lock.definition.operators.get_mut(1) {
                operator.enr_signature.clear();
            }
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "an operator has an address and signed nothing",
        stage: Stage::EnrSignatureMissing,
        of_definition: true,
        has: signed_by_wallets,
        change: |s| {
            if let Some(operator) = s.lock.definition.operators.get_mut(2) {
                operator.enr_signature.clear();
                operator.config_signature.clear();
            }
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "an operator did not sign the config hash",
        stage: Stage::ConfigSignatureMissing,
        of_definition: true,
        has: signed_by_wallets,
        change: |s| {
            if let Some(operator) = s.lock.definition.operators.get_mut(1) {
                operator.config_signature.clear();
            }
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "an operator's config signature is a byte short",
        stage: Stage::OperatorLength,
        of_definition: true,
        has: |v, order| v.has_wallet_signatures() && odd_lengths_are_hashed(v, order),
        change: |s| {
            if let Some(operator) = s.lock.definition.operators.get_mut(3) {
                operator.config_signature.pop();
            }
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "an operator's ENR signature is there twice, side by side",
        stage: Stage::OperatorLength,
        of_definition: true,
        has: |v, order| v.has_wallet_signatures() && v < Version::V1_11 && long_is_hashed(v, order),
        change: |s| {
            if let Some(operator) = s.lock.definition.operators.get_mut(0) {
                double(&mut operator.enr_signature);
            }
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "another wallet signed the config hash",
        stage: Stage::ConfigSignature,
        of_definition: true,
        has: signed_by_wallets,
        change: |s| {
            let [_, _, other, ..] = s.lock.definition.operators.as_slice() else {
                return;
            };
            let other = other.config_signature.clone();
            if let Some(operator) = s.lock.definition.operators.get_mut(1) {
                operator.config_signature = other;
            }
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "the config signature's last byte is none of 0, 1, 27, 28",
        stage: Stage::ConfigSignature,
        of_definition: true,
        has: signed_by_wallets,
        change: |s| {
            if let Some(last) = s
                .lock
                .definition
                .operators
                .get_mut(3)
                .and_then(|o| o.config_signature.last_mut())
            {
                *last = 2;
            }
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "an operator's contract refuses the config signature",
        stage: Stage::ConfigSignature,
        of_definition: true,
        has: signed_by_wallets,
        change: |s| contract(s, Some(1), Refuses::Config),
    },
    Mutation {
        name: "another wallet signed an operator's ENR",
        stage: Stage::EnrSignature,
        of_definition: true,
        has: signed_by_wallets,
        change: |s| {
            let [_, _, other, ..] = s.lock.definition.operators.as_slice() else {
                return;
            };
            let other = other.enr_signature.clone();
            if let Some(operator) = s.lock.definition.operators.get_mut(1) {
                operator.enr_signature = other;
            }
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "an operator's contract refuses the ENR signature",
        stage: Stage::EnrSignature,
        of_definition: true,
        has: signed_by_wallets,
        change: |s| contract(s, Some(1), Refuses::Enr),
    },
    Mutation {
        name: "one operator of four did not sign",
        stage: Stage::Partly,
        of_definition: true,
        has: signed_by_wallets,
        change: |s| {
            if let Some(operator) = s.lock.definition.operators.get_mut(1) {
                operator.address.clear();
                operator.config_signature.clear();
                operator.enr_signature.clear();
            }
            s.sign();
        },
    },
    Mutation {
        name: "the creator did not sign though the operators did",
        stage: Stage::CreatorMissing,
        of_definition: true,
        has: |v, _| v.has_creator(),
        change: |s| {
            s.lock.definition.creator.config_signature.clear();
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "there is no creator though the operators signed",
        stage: Stage::CreatorMissing,
        of_definition: true,
        has: |v, _| v.has_creator(),
        change: |s| {
            s.lock.definition.creator = trireme_cluster::Creator::default();
            s.sign();
        },
    },
    Mutation {
        name: "the creator's signature is another wallet's",
        stage: Stage::CreatorSignature,
        of_definition: true,
        has: |v, _| v.has_creator(),
        change: |s| {
            let digest = eip712::creator_config_digest(&s.lock.definition.config_hash, s.network.chain_id);
            if let Some(other) = s.keys.get(1) {
                s.lock.definition.creator.config_signature = other.sign_digest(&digest).to_vec();
            }
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "the creator signed as an operator does",
        stage: Stage::CreatorSignature,
        of_definition: true,
        has: |v, _| v.has_creator(),
        change: |s| {
            let digest = eip712::operator_config_digest(&s.lock.definition.config_hash, s.network.chain_id);
            if let Some(own) = s.keys.first() {
                s.lock.definition.creator.config_signature = own.sign_digest(&digest).to_vec();
            }
            s.hash_definition();
            s.sign_lock();
        },
    },
    Mutation {
        name: "the creator's contract refuses the signature",
        stage: Stage::CreatorSignature,
        of_definition: true,
        has: |v, _| v.has_creator(),
        change: |s| contract(s, None, Refuses::Config),
    },
    Mutation {
        name: "there is no aggregate signature",
        stage: Stage::AggregateMissing,
        of_definition: false,
        has: |v, _| v >= Version::V1_2,
        change: |s| s.lock.signature_aggregate.clear(),
    },
    Mutation {
        name: "a validator lacks a public share",
        stage: Stage::ShareCount,
        of_definition: false,
        has: always,
        change: |s| {
            if let Some(validator) = s.lock.validators.get_mut(1) {
                validator.public_shares.pop();
            }
            if let Some(shares) = s.shares.get_mut(1) {
                shares.pop();
            }
            s.sign_lock();
        },
    },
    Mutation {
        name: "a public key is no point",
        stage: Stage::Keys,
        of_definition: false,
        has: always,
        change: |s| {
            if let Some(validator) = s.lock.validators.get_mut(1) {
                validator.public_key = vec![0xff; 48];
            }
            s.sign_lock();
        },
    },
    Mutation {
        name: "a public share is infinity",
        stage: Stage::Keys,
        of_definition: false,
        has: always,
        change: |s| {
            if let Some(share) = s.lock.validators.get_mut(1).and_then(|v| v.public_shares.get_mut(2)) {
                share.fill(0);
                if let Some(first) = share.first_mut() {
                    *first = 0xc0;
                }
            }
            s.sign_lock();
        },
    },
    Mutation {
        name: "one validator is there twice",
        stage: Stage::DuplicateKey,
        of_definition: false,
        has: always,
        change: |s| {
            if let [first, second, ..] = s.lock.validators.as_mut_slice() {
                *second = first.clone();
            }
            if let [first, second, ..] = s.shares.as_mut_slice() {
                *second = first.clone();
            }
            s.sign_lock();
        },
    },
    Mutation {
        name: "two operators hold one share",
        stage: Stage::DuplicateShare,
        of_definition: false,
        has: always,
        change: |s| {
            if let Some([first, second, ..]) = s.lock.validators.get_mut(1).map(|v| v.public_shares.as_mut_slice()) {
                *second = first.clone();
            }
            if let Some([first, second, ..]) = s.shares.get_mut(1).map(Vec::as_mut_slice) {
                *second = first.clone();
            }
            s.sign_lock();
        },
    },
    Mutation {
        name: "the threshold is zero",
        stage: Stage::Threshold,
        of_definition: false,
        has: always,
        change: |s| {
            s.lock.definition.threshold = 0;
            s.sign();
        },
    },
    Mutation {
        name: "the threshold is above the number of operators",
        stage: Stage::Threshold,
        of_definition: false,
        has: always,
        change: |s| {
            s.lock.definition.threshold = 5;
            s.sign();
        },
    },
    Mutation {
        name: "two public shares are swapped, with their owners",
        stage: Stage::Shares,
        of_definition: false,
        has: always,
        change: |s| {
            if let Some(validator) = s.lock.validators.get_mut(1) {
                validator.public_shares.swap(0, 1);
            }
            s.sign_lock();
        },
    },
    Mutation {
        name: "the last share, beyond the threshold, is of another key",
        stage: Stage::Shares,
        of_definition: false,
        has: always,
        change: |s| {
            let Some(other) = s.groups.first().cloned() else { return };
            if let Some(share) = s.lock.validators.get_mut(1).and_then(|v| v.public_shares.last_mut()) {
                *share = other.public_key().to_bytes().to_vec();
            }
            if let Some(share) = s.shares.get_mut(1).and_then(|s| s.last_mut()) {
                *share = other;
            }
            s.sign_lock();
        },
    },
    Mutation {
        name: "the threshold is one less than that of the shares",
        stage: Stage::Shares,
        of_definition: false,
        has: always,
        change: |s| {
            s.lock.definition.threshold = 2;
            s.sign();
        },
    },
    Mutation {
        name: "one share did not sign",
        stage: Stage::Aggregate,
        of_definition: false,
        has: always,
        change: |s| {
            let last = s.shares.last_mut().and_then(Vec::pop);
            let nodes = s.lock.node_signatures.clone();
            s.sign_lock();
            s.lock.node_signatures = nodes;
            if let (Some(shares), Some(last)) = (s.shares.last_mut(), last) {
                shares.push(last);
            }
        },
    },
    Mutation {
        name: "the aggregate signature is no point",
        stage: Stage::Aggregate,
        of_definition: false,
        has: always,
        change: |s| s.lock.signature_aggregate = vec![0xff; 96],
    },
    Mutation {
        name: "a registration is not signed",
        stage: Stage::RegistrationMissing,
        of_definition: false,
        has: |v, _| v.has_registrations(),
        change: |s| {
            if let Some(validator) = s.lock.validators.get_mut(1) {
                validator.registration.signature.clear();
            }
            s.sign_lock();
        },
    },
    Mutation {
        name: "a registration names no fee recipient",
        stage: Stage::RegistrationMissing,
        of_definition: false,
        has: |v, _| v.has_registrations(),
        change: |s| {
            if let Some(validator) = s.lock.validators.get_mut(1) {
                validator.registration.fee_recipient.clear();
            }
            s.sign_lock();
        },
    },
    Mutation {
        name: "a registration is signed by another validator",
        stage: Stage::Registration,
        of_definition: false,
        has: |v, _| v.has_registrations(),
        change: |s| {
            s.groups.reverse();
            s.sign();
        },
    },
    Mutation {
        name: "a registration is signed for another gas limit",
        stage: Stage::Registration,
        of_definition: false,
        has: |v, _| v.has_registrations(),
        change: |s| {
            if let Some(validator) = s.lock.validators.get_mut(1) {
                validator.registration.gas_limit = 1;
            }
            s.sign_lock();
        },
    },
    Mutation {
        name: "a node signature is missing",
        stage: Stage::NodeSignatureCount,
        of_definition: false,
        has: |v, _| v.has_node_signatures(),
        change: |s| {
            s.lock.node_signatures.pop();
        },
    },
    Mutation {
        name: "there is a node signature too many",
        stage: Stage::NodeSignatureCount,
        of_definition: false,
        has: |v, _| v.has_node_signatures(),
        change: |s| {
            let again = s.lock.node_signatures.last().cloned();
            s.lock.node_signatures.extend(again);
        },
    },
    Mutation {
        name: "an operator's ENR is cut off",
        stage: Stage::Operators,
        of_definition: false,
        has: always,
        change: |s| {
            if let Some(operator) = s.lock.definition.operators.get_mut(2) {
                operator.enr.truncate(40);
            }
            s.sign();
        },
    },
    Mutation {
        name: "two operators have one node",
        stage: Stage::Operators,
        of_definition: false,
        has: always,
        change: |s| {
            if let [first, second, ..] = s.lock.definition.operators.as_mut_slice() {
                second.enr.clone_from(&first.enr);
            }
            if let [first, second, ..] = s.nodes.as_mut_slice() {
                *second = first.clone();
            }
            s.sign();
        },
    },
    Mutation {
        name: "two node signatures are swapped",
        stage: Stage::NodeSignature,
        of_definition: false,
        has: |v, _| v.has_node_signatures(),
        change: |s| s.lock.node_signatures.swap(1, 2),
    },
    Mutation {
        name: "a node signature covers a hash of the lock hash",
        stage: Stage::NodeSignature,
        of_definition: false,
        has: |v, _| v.has_node_signatures(),
        change: |s| {
            let digest = trireme_keys::keccak256(&s.lock.lock_hash);
            if let (Some(signature), Some(node)) = (s.lock.node_signatures.last_mut(), s.nodes.last()) {
                *signature = IdentityKey::sign_digest(node, &digest).to_vec();
            }
        },
    },
];

const fn always(_: Version, _: Order) -> bool {
    true
}

const fn signed_by_wallets(version: Version, _: Order) -> bool {
    version.has_wallet_signatures()
}

/// From v1.11 on a signature of an odd length cannot be hashed, so that the definition hash fails before it.
fn odd_lengths_are_hashed(version: Version, order: Order) -> bool {
    version < Version::V1_11 || order == Order::SignaturesFirst
}

/// From v1.5 on a signature of more than 65 bytes cannot be hashed, until v1.11 allows it.
fn long_is_hashed(version: Version, order: Order) -> bool {
    version < Version::V1_5 || order == Order::SignaturesFirst
}

fn flip(hash: &mut [u8]) {
    if let Some(first) = hash.first_mut() {
        *first ^= 1;
    }
}

fn double(signature: &mut Vec<u8>) {
    let again = signature.clone();
    signature.extend(again);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Refuses {
    Config,
    Enr,
}

/// Puts contracts at the addresses of an operator, or of the creator; of their signatures one is refused.
fn contract(s: &mut Signed, operator: Option<usize>, refuses: Refuses) {
    let address = address::checksummed(&[7; 20]);
    match operator {
        None => s.lock.definition.creator.address = address,
        Some(at) => {
            if let Some(operator) = s.lock.definition.operators.get_mut(at) {
                operator.address = address;
            }
        }
    }
    s.sign();
    if s.lock.definition.version >= Version::V1_11 {
        // As a Safe with two owners gives it.
        let definition = &mut s.lock.definition;
        match operator {
            None => double(&mut definition.creator.config_signature),
            Some(at) => {
                if let Some(operator) = definition.operators.get_mut(at) {
                    double(&mut operator.config_signature);
                    double(&mut operator.enr_signature);
                }
            }
        }
        s.hash_definition();
        s.sign_lock();
    }
    let definition = &s.lock.definition;
    let refused = match operator.and_then(|at| definition.operators.get(at)) {
        None => &definition.creator.config_signature,
        Some(operator) => match refuses {
            Refuses::Config => &operator.config_signature,
            Refuses::Enr => &operator.enr_signature,
        },
    };
    let questions: Vec<WalletQuestion> = definition.wallet_questions(&Networks::known(), WalletRules::default());
    let mut wallets = Wallets::default();
    for question in questions {
        let accepts = question.signature != *refused;
        wallets.answer(question, accepts);
    }
    s.wallets = wallets;
}
