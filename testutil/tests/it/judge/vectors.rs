//! Roots and domains of the judge against an implementation of somebody else's.
//!
//! The numbers were computed with remerkleable 0.1.28, the SSZ library of the consensus specifications, over containers
//! written after the specifications, from the SSZ form of the blocks that this test makes (hoodi's fork versions). The
//! same data decodes there, so layout, limits and merkleisation of every fork agree.

use trireme_eth2::{ForkedAttestation, electra, phase0};

use super::*;

/// Fork; roots of the block of slot 5; what its proposer, its attesters and its randao reveal sign.
const EXPECTED: [(Fork, [&str; 4]); 7] = [
    (
        Fork::Phase0,
        [
            "0x6b22c0217c7f0a330c17076ba1ab7b3f223a7a53d256f53d373868be871221b3",
            "0x0f9e12764e1d5a5fd3457da73fe145aa970e019b5b858fe0f75d6f7878fdc4c8",
            "0xaa5dca13f7e5a340904751941c42a1d2281d40f2aa945a1ed72a069c2cb064cf",
            "0x222750a2408d36449d3a9f4b885cfa37a7c4812bf96a8c9c61873b1caa48f5eb",
        ],
    ),
    (
        Fork::Altair,
        [
            "0x14270bc7803578661c1a74ce77bb45c5f581f6d00b487277f904b746329436cf",
            "0x742c96b8165ea468c3781f543e18f7f7e8396bc62538b32c67a237967258a1b4",
            "0x5128f12d57bf2bcd039777ab934afc94c079ab9bb59535cd69657f5c2a1dd586",
            "0x91d2968fbf9591e17f9fd3cdf9f8137c73bf662afc6e7ec424848431cf5da5be",
        ],
    ),
    (
        Fork::Bellatrix,
        [
            "0x01a6f65ada50dd9042d3a131417a3e0761ec6ff9ead706bb2cd0d59d8dd0c45a",
            "0x2db71d2526ed6209fe4fcf0bfe116cced63a1ae1a1958020d8433f9307887ccb",
            "0xa9f2ad24bc01f36cf79767b2bc8f4d168dff1a46d998f4be45e750d8cf77fa5e",
            "0x4bf5be48ba57aab0286d44bc8aa50bd2aacf0c927bac7535d02ef8110d93f3ad",
        ],
    ),
    (
        Fork::Capella,
        [
            "0x31b88d0cf5135b1b35ccd70641ceb22b3bee0813e5b8463918a148e34ea2cce8",
            "0x71d1524036596f8b3ffe5b0a75b6298fe1c8e294c5e00b88a6835780642be42a",
            "0xbd789096c1cf547ec791f11eb866650e80599231decb57abae7468582c3d7c36",
            "0x1ae6098cab5686c3f5d64008b36f8c32e8511a93049df0d152a12ee7dafb5f73",
        ],
    ),
    (
        Fork::Deneb,
        [
            "0x129c78b46d2cb053e1aa5dc32c4170d60c0482fa12f1f694992ffebda5a2887a",
            "0xa21d336aa8f132767e275cbbae4e16c7edd401acc7ea0fc3f238e59d629dcc4e",
            "0x8867e5edb3cd781aad74bb3a2cd3c36c94390d42858b478c22c550c4d043c3bf",
            "0xc81a272b603af8e2c6346e33c7d4c6e2a68f7393881514b47d6cf6a499884e35",
        ],
    ),
    (
        Fork::Electra,
        [
            "0x1c614b1e469fa3130f06dc00bd83b3eaeefdf7c4eef92bfc5b9f3a5a111b3058",
            "0x0e53e391ff0fee0f952667b7af82a750d5378e9c51298cea773349b30181029f",
            "0x7a4adc10a4e2368a9b6fa447a514581503dd372ad38bae1315e4d8fff6bbb3c9",
            "0x09ead5e555ce8ddcc2b1d8b4667e197f160d8a7546112fd747b4c5939cd49f03",
        ],
    ),
    (
        Fork::Fulu,
        [
            "0x0527908d07299d530531932cd258ba6b79e05be4b73043160f18b245f7fbe623",
            "0x4bb54a3b7385917165975e10ca686c6f984df1114366586915ad2672089a9d33",
            "0x79ae8db90b7f80d4409c774b3a24627a4395da20c03f2793d25656ecb768d0f5",
            "0x6c836da3470c9983976992a38bd6917a9941f35009d514724a9a8be77258cd9b",
        ],
    ),
];

/// Root of the attestation data of slot 5, the same in every fork.
const DATA: &str = "0xe80c606123010d98533963feba5595c8a08045fbfce385d58c61ef706ff17fe4";

fn bits<N: ssz_types::typenum::Unsigned + Clone>(len: usize) -> ssz_types::BitList<N> {
    let mut bits = ssz_types::BitList::with_capacity(len).unwrap();
    (0..len)
        .filter(|bit| bit % 5 != 0)
        .for_each(|bit| bits.set(bit, true).unwrap());
    bits
}

fn infinity() -> BlsSignature {
    let mut signature = BlsSignature([0; 96]);
    signature.0[0] = 0xc0;
    signature
}

/// The block of slot 5, with votes and messages of a size that a small chain does not have.
fn full_block(court: &mut Court) -> VersionedSignedProposal {
    let (mut made, data) = (court.ingredients(5, 1), court.data(5));
    let data = |committee| AttestationData {
        slot: Slot(4),
        index: CommitteeIndex(committee),
        ..data
    };
    let old = (0..2).map(|n| {
        ForkedAttestation::Phase0(phase0::Attestation {
            aggregation_bits: bits(100),
            data: data(n),
            signature: infinity(),
        })
    });
    let new = (0..2).map(|n| {
        let mut committee_bits = ssz_types::BitVector::new();
        (0..8).for_each(|committee| committee_bits.set(committee, committee % 2 == n).unwrap());
        ForkedAttestation::Electra(electra::Attestation {
            aggregation_bits: bits(400),
            data: data(0),
            signature: infinity(),
            committee_bits,
        })
    });
    made.attestations = old.chain(new).collect();
    let sync = &mut made.sync_aggregate.sync_committee_bits;
    (0..512)
        .filter(|bit| bit % 7 != 0)
        .for_each(|bit| sync.set(bit, true).unwrap());
    court.sign_proposal(made.proposal())
}

#[test]
fn blocks_votes_and_reveals_have_the_roots_of_the_consensus_specifications() {
    for (fork, expected) in EXPECTED {
        let mut court = Court::new(fork, 16);
        let signed = full_block(&mut court);
        let (block, data) = (signed.block_root(), hash_tree_root(&court.data(5)));
        assert_eq!(data.to_string(), DATA, "{fork}");
        let chain = court.judge.chain();
        let signs = |object, purpose| signing_root(object, domain(chain, purpose, Epoch(0)));
        let found = [
            block,
            signs(block, Purpose::Proposer),
            signs(data, Purpose::Attester),
            signs(hash_tree_root(&Epoch(0)), Purpose::Randao),
        ];
        assert_eq!(found.map(|root| root.to_string()), expected, "{fork}");
        // The view that the judge takes of a signed block is of the same root.
        assert_eq!(BlockView::of(&signed).root, block, "{fork}");
    }
}
