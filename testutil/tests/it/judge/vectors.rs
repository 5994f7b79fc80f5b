//! Roots and domains of the judge against an implementation of somebody else's.
//!
//! The numbers were computed with remerkleable 0.1.28, the SSZ library of the consensus specifications, over containers
//! written after the specifications, from the SSZ form of the blocks that this test makes (hoodi's fork versions). The
//! same data decodes there, so layout, limits and merkleisation of every fork agree.

use trireme_eth2::{ForkedAttestation, VersionedSignedAggregateAndProof, electra, phase0};

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

/// Fork; what is signed for an aggregate, a selection, a sync message, a sync selection, a contribution and an exit.
const SIGNED: [(Fork, [&str; 6]); 7] = [
    (
        Fork::Phase0,
        [
            "0x6f292dd2e31343782fe57239cad736067ccd4364be7298ef4893b4729739e8a6",
            "0xfa1f4818b0054350279980fc5baf1c24b07a94ee00251be9d72c40881c34b405",
            "0x7c59232e1f4bbddf29f185e9381302eecca4d0c8e734d5017d2d0cd397063542",
            "0x3218277758eb9d5a33e0875d596a468b45e826ee23c291baa0f1bda3d6937832",
            "0x6b7e00bb83b86fbf4e38c248c42c03664854993e053f53ad7c1e9d5e1ef50e25",
            "0xd0c0335264fd6b45b1aef73e4081dbb1a85b40bef1cea68556b59d0414093754",
        ],
    ),
    (
        Fork::Altair,
        [
            "0x74e3b05832f1cabc9f31a446be38668ba177da39ad41cfd05f3a21e728d193fb",
            "0x745499e5a6bd7862af9ebe903ee0798211d1b42c546e046fc4ca149dcbef965a",
            "0x12187bd65d2d03a01f57c842e536df42f50272b19391ef92f90ca78807942640",
            "0xac5fce0d50477f1d26eab636e3c9296419fef61050bc7c06d92d64b0e0a0eee2",
            "0x858165f67b8e36d438c0234de15cfbae663883b7ad3b72e862693cf2afb1aa24",
            "0xe81c6ce2f51e165a7d5e26f29e8c1308b90e9f763c2b1ed23d5f5ec61908062e",
        ],
    ),
    (
        Fork::Bellatrix,
        [
            "0xf30fef62956b76caaded663af2dd400b6f745f98f3bd4200684ae417cccdf484",
            "0x19ce3ae2b783c3aa8286bcf30a65e720cc4b764cbcaf3af994c9e0c196e8ed25",
            "0x9f5111f4e50b2e274bda7bf465f7c19fb0da42df1f0fbf6a8dc5d76d4ba6c187",
            "0xec972239afeef367194819dbd3e73b455e2b858fe674808bf06b1ec5588c31cb",
            "0x1cbfcc1efa138edf1c88315b3607350fef22212ea5e01e8d34214146ca5cb20a",
            "0xa686e61f713444249184c5936f96cf4b1892c42c9704136c573367e716189bf8",
        ],
    ),
    (
        Fork::Capella,
        [
            "0x80d5a84ea6a6a96e77ebffc4f7ef7b6039569a4abf2099c67cabc4332c371aaa",
            "0xc3ada69f0f4aee0b1a76460caa14b75732f60626e410e13d7f9625ea5170bc89",
            "0xdb1e6ac0348a366dea82e8820a670c6859589d29c8f43466c64b7efe07946a35",
            "0x0a334a244898ea26d4722dd7ce29a41c1319fbb5eff8a70bb8195e4aa644f50b",
            "0x9e69ea273e2a77eb243321399b22208b184e5b0c59cc23c925e0e56e49906ba2",
            "0x2ba20ecc0f5df22a9ada0af36bb3f052a305a4dcf5bba589260fad66ca40c34b",
        ],
    ),
    (
        Fork::Deneb,
        [
            "0x1a5227d7dd12e4b74578ff77b00d84473a2982693d2c0fd2393ac3f655293c1a",
            "0x0e560876d15107c9e34bb4938d90bb18f42883c2cb1968aa9e739be18fa8bce2",
            "0xaadca0d18276b84fd1fe8bc58c1a702a87cae326bf9e2f131468567da883e871",
            "0x1b9d614d561cb3101f08f5110fb59459a6490dc92b8424031f1e811ba60178b6",
            "0x1345e8574333f0ae699efec2f8f58fde678e84ae0792f226e6f98383bc505959",
            "0x2ba20ecc0f5df22a9ada0af36bb3f052a305a4dcf5bba589260fad66ca40c34b",
        ],
    ),
    (
        Fork::Electra,
        [
            "0x54c9c5fdbc0df03fbe8521db3026e112eac5fbd0c7c70cf5e3326c5245e13d75",
            "0xe102367eef5d093e1599a107e7fbb6c3c6e6337ba8a9d098c389fad6240675ab",
            "0x0d559c50cc9e633b6a287636846a6cbaaf1c05be7e6ab6cc2967b5a9614004cf",
            "0x6d1d15b0b234a355b516b18371eb9a063d1d037bfb954e098d226851f2405f11",
            "0x667db63e0b7046a66ee81d7fe19a327ce4c4e04e86e6616c87a0ec2183e94e75",
            "0x2ba20ecc0f5df22a9ada0af36bb3f052a305a4dcf5bba589260fad66ca40c34b",
        ],
    ),
    (
        Fork::Fulu,
        [
            "0x4dcac94179b975870c91f4ac000827e5c547504ad0143fd714dfeb90fe280095",
            "0xd72224df2363b3b1836336fbac761eefdbbd13d8d9a1d8297f882250722d5dbe",
            "0xe962f3ffadd889930df59b006f68ad7891e73c9f5dc0b3ce748e01373db356c5",
            "0x3df9d3c294f2a2362a655ed7ee2a79561bb0d7ec4f59579bee28ad123ded67b1",
            "0xfa04540d7ed943a834e9e13a6733079e518632f2cb94877d704ce93daefaa7b6",
            "0x2ba20ecc0f5df22a9ada0af36bb3f052a305a4dcf5bba589260fad66ca40c34b",
        ],
    ),
];

/// What is signed for a registration, the same in every fork.
const REGISTRATION: &str = "0x912c2dd4ab549597e17952ad8ec3dfa5ed5a6a72599a6e277ae4b40bfb9f5979";

#[test]
fn every_other_kind_of_message_is_signed_as_the_consensus_specifications_have_it() {
    let (signature, selection_proof) = (BlsSignature([4; 96]), BlsSignature([5; 96]));
    let checkpoint = |byte: u8| trireme_eth2::Checkpoint {
        epoch: Epoch(0),
        root: Root([byte; 32]),
    };
    let data = AttestationData {
        slot: Slot(5),
        index: CommitteeIndex(0),
        beacon_block_root: Root([1; 32]),
        source: checkpoint(2),
        target: checkpoint(3),
    };
    let old = phase0::SignedAggregateAndProof {
        message: phase0::AggregateAndProof {
            aggregator_index: ValidatorIndex(3),
            aggregate: phase0::Attestation {
                aggregation_bits: some_bits(),
                data,
                signature,
            },
            selection_proof,
        },
        signature,
    };
    let mut committee_bits = ssz_types::BitVector::new();
    committee_bits.set(1, true).unwrap();
    let new = electra::SignedAggregateAndProof {
        message: electra::AggregateAndProof {
            aggregator_index: ValidatorIndex(3),
            aggregate: electra::Attestation {
                aggregation_bits: some_bits(),
                data,
                signature,
                committee_bits,
            },
            selection_proof,
        },
        signature,
    };
    let mut aggregation_bits = ssz_types::BitVector::new();
    [7, 77].iter().for_each(|bit| aggregation_bits.set(*bit, true).unwrap());
    let contribution = trireme_eth2::SignedContributionAndProof {
        message: trireme_eth2::ContributionAndProof {
            aggregator_index: ValidatorIndex(3),
            contribution: trireme_eth2::SyncCommitteeContribution {
                slot: Slot(5),
                beacon_block_root: Root([1; 32]),
                subcommittee_index: 2,
                aggregation_bits,
                signature,
            },
            selection_proof,
        },
        signature,
    };
    let message = trireme_eth2::SyncCommitteeMessage {
        slot: Slot(5),
        beacon_block_root: Root([1; 32]),
        validator_index: ValidatorIndex(3),
        signature,
    };
    let exit = trireme_eth2::SignedVoluntaryExit {
        message: trireme_eth2::VoluntaryExit {
            epoch: Epoch(0),
            validator_index: ValidatorIndex(3),
        },
        signature,
    };
    let registration = trireme_eth2::SignedValidatorRegistrationV1 {
        message: trireme_eth2::ValidatorRegistrationV1 {
            fee_recipient: trireme_eth2::ExecutionAddress([6; 20]),
            gas_limit: 60_000_000,
            timestamp: 1_700_000_000,
            pubkey: BlsPubkey([7; 48]),
        },
        signature,
    };
    for (fork, expected) in SIGNED {
        let mut court = Court::new(fork, 16);
        let (at, judge) = (court.at(5), &mut court.judge);
        let aggregate = if fork >= Fork::Electra {
            VersionedSignedAggregateAndProof::Fulu(new.clone())
        } else {
            VersionedSignedAggregateAndProof::Deneb(old.clone())
        };
        let [aggregate, selection] = judge.claims_of_aggregate(at, &aggregate).unwrap();
        let sync = judge.claim_of_sync_message(at, &message).unwrap();
        let [contribution, sync_selection] = judge.claims_of_contribution(at, &contribution).unwrap();
        let exit = judge.claim_of_exit(at, &exit).unwrap();
        let found = [aggregate, selection, sync, sync_selection, contribution, exit];
        assert_eq!(found.map(|claim| claim.root.to_string()), expected, "{fork}");
        let registration = judge.claim_of_registration(&registration);
        assert_eq!(registration.root.to_string(), REGISTRATION, "{fork}");
    }
}

fn some_bits<N: ssz_types::typenum::Unsigned + Clone>() -> ssz_types::BitList<N> {
    let mut bits = ssz_types::BitList::with_capacity(4).unwrap();
    [0, 2, 3].iter().for_each(|bit| bits.set(*bit, true).unwrap());
    bits
}
