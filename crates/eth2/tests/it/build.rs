//! Containers of every fork with contents drawn from a seed.

use trireme_eth2::{
    BeaconBlock, Blob, BlockContents, Container, ForkedBlindedBlock, ForkedBlock, Payload, Preset, altair, bellatrix,
    capella, deneb, electra, phase0,
    ssz::Decode,
    ssz_types::{BitList, FixedVector, VariableList, typenum::Unsigned},
};

/// Numbers from a seed (splitmix64).
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.number() % u64::try_from(n).unwrap()).unwrap()
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..n.div_ceil(8)).flat_map(|_| self.number().to_le_bytes()).collect();
        bytes.truncate(n);
        bytes
    }

    /// Anything of fixed size: any bytes are one.
    pub(crate) fn fixed<T: Decode>(&mut self) -> T {
        let bytes = self.bytes(T::ssz_fixed_len());
        T::from_ssz_bytes(&bytes).unwrap()
    }

    fn list<T, N: Unsigned>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> VariableList<T, N> {
        let n = self.below(3).min(N::to_usize());
        VariableList::new((0..n).map(|_| one(self)).collect()).unwrap()
    }

    fn bits<N: Unsigned + Clone>(&mut self) -> BitList<N> {
        let mut bits = BitList::with_capacity(self.below(70)).unwrap();
        for n in 0..bits.len() {
            bits.set(n, self.below(2) == 1).unwrap();
        }
        bits
    }

    pub(crate) fn attestation(&mut self) -> phase0::Attestation {
        phase0::Attestation {
            aggregation_bits: self.bits(),
            data: self.fixed(),
            signature: self.fixed(),
        }
    }

    pub(crate) fn electra_attestation(&mut self) -> electra::Attestation {
        electra::Attestation {
            aggregation_bits: self.bits(),
            data: self.fixed(),
            signature: self.fixed(),
            committee_bits: self.fixed(),
        }
    }

    fn indexed(&mut self) -> phase0::IndexedAttestation {
        phase0::IndexedAttestation {
            attesting_indices: self.list(Self::number),
            data: self.fixed(),
            signature: self.fixed(),
        }
    }

    fn electra_indexed(&mut self) -> electra::IndexedAttestation {
        electra::IndexedAttestation {
            attesting_indices: self.list(Self::number),
            data: self.fixed(),
            signature: self.fixed(),
        }
    }

    fn slashing(&mut self) -> phase0::AttesterSlashing {
        phase0::AttesterSlashing {
            attestation_1: self.indexed(),
            attestation_2: self.indexed(),
        }
    }

    fn electra_slashing(&mut self) -> electra::AttesterSlashing {
        electra::AttesterSlashing {
            attestation_1: self.electra_indexed(),
            attestation_2: self.electra_indexed(),
        }
    }

    fn deposit(&mut self) -> phase0::Deposit {
        let proof = FixedVector::new((0..33).map(|_| self.fixed()).collect()).unwrap();
        phase0::Deposit {
            proof,
            data: self.fixed(),
        }
    }

    fn transactions(&mut self) -> bellatrix::Transactions {
        self.list(|d| {
            let n = d.below(100);
            bellatrix::Transaction::new(d.bytes(n)).unwrap()
        })
    }

    fn extra(&mut self) -> bellatrix::ExtraData {
        let n = self.below(33);
        bellatrix::ExtraData::new(self.bytes(n)).unwrap()
    }

    pub(crate) fn block<B: Container>(&mut self, body: B) -> BeaconBlock<B> {
        BeaconBlock {
            slot: self.fixed(),
            proposer_index: self.fixed(),
            parent_root: self.fixed(),
            state_root: self.fixed(),
            body,
        }
    }

    fn contents<B: Container, N: Unsigned + 'static>(&mut self, body: B) -> BlockContents<B, N> {
        // Blobs are big: one in every fourth block.
        let blobs = if self.below(4) == 0 {
            vec![self.fixed::<Blob>()]
        } else {
            Vec::new()
        };
        let blobs = VariableList::new(blobs).unwrap();
        BlockContents {
            block: self.block(body),
            kzg_proofs: self.list(Self::fixed),
            blobs,
        }
    }

    /// A full block of every fork.
    pub(crate) fn blocks(&mut self) -> Vec<ForkedBlock> {
        let (b, c) = (self.bellatrix_payload(), self.capella_payload());
        let bodies = (
            self.phase0_body(),
            self.altair_body(),
            self.bellatrix_body(b),
            self.capella_body(c),
        );
        let payloads = [self.deneb_payload(), self.deneb_payload(), self.deneb_payload()];
        let [p4, p5, p6] = payloads;
        let (deneb, electra, fulu) = (self.deneb_body(p4), self.electra_body(p5), self.electra_body(p6));
        vec![
            ForkedBlock::Phase0(self.block(bodies.0)),
            ForkedBlock::Altair(self.block(bodies.1)),
            ForkedBlock::Bellatrix(self.block(bodies.2)),
            ForkedBlock::Capella(self.block(bodies.3)),
            ForkedBlock::Deneb(self.contents(deneb)),
            ForkedBlock::Electra(self.contents(electra)),
            ForkedBlock::Fulu(self.contents(fulu)),
        ]
    }

    /// A blinded block of every fork that has them.
    pub(crate) fn blinded_blocks(&mut self) -> Vec<ForkedBlindedBlock> {
        let b = bellatrix::ExecutionPayloadHeader {
            extra_data: self.extra(),
            ..Default::default()
        };
        let c = capella::ExecutionPayloadHeader {
            extra_data: self.extra(),
            ..Default::default()
        };
        let d = deneb::ExecutionPayloadHeader {
            base_fee_per_gas: self.fixed(),
            logs_bloom: self.fixed(),
            fee_recipient: self.fixed(),
            withdrawals_root: self.fixed(),
            ..Default::default()
        };
        let (b, c) = (self.bellatrix_body(b), self.capella_body(c));
        let (deneb, electra, fulu) = (
            self.deneb_body(d.clone()),
            self.electra_body(d.clone()),
            self.electra_body(d),
        );
        vec![
            ForkedBlindedBlock::Bellatrix(self.block(b)),
            ForkedBlindedBlock::Capella(self.block(c)),
            ForkedBlindedBlock::Deneb(self.block(deneb)),
            ForkedBlindedBlock::Electra(self.block(electra)),
            ForkedBlindedBlock::Fulu(self.block(fulu)),
        ]
    }

    fn bellatrix_payload(&mut self) -> bellatrix::ExecutionPayload {
        bellatrix::ExecutionPayload {
            fee_recipient: self.fixed(),
            logs_bloom: self.fixed(),
            extra_data: self.extra(),
            base_fee_per_gas: self.fixed(),
            transactions: self.transactions(),
            ..Default::default()
        }
    }

    pub(crate) fn capella_payload<P: Preset>(&mut self) -> capella::ExecutionPayload<P> {
        capella::ExecutionPayload {
            fee_recipient: self.fixed(),
            gas_used: self.number(),
            transactions: self.transactions(),
            withdrawals: self.list(Self::fixed),
            ..Default::default()
        }
    }

    pub(crate) fn deneb_payload<P: Preset>(&mut self) -> deneb::ExecutionPayload<P> {
        deneb::ExecutionPayload {
            block_hash: self.fixed(),
            extra_data: self.extra(),
            transactions: self.transactions(),
            withdrawals: self.list(Self::fixed),
            blob_gas_used: self.number(),
            excess_blob_gas: self.number(),
            ..Default::default()
        }
    }
}

/// A body of a fork; the braces hold the fields that not all forks share.
macro_rules! body {
    ($d:ident, $fork:ident, $slashing:ident, $attestation:ident, { $($field:ident: $value:expr),* }) => {
        $fork::BeaconBlockBody {
            randao_reveal: $d.fixed(),
            eth1_data: $d.fixed(),
            graffiti: $d.fixed(),
            proposer_slashings: $d.list(Self::fixed),
            attester_slashings: $d.list(Self::$slashing),
            attestations: $d.list(Self::$attestation),
            deposits: $d.list(Self::deposit),
            voluntary_exits: $d.list(Self::fixed),
            $($field: $value,)*
        }
    };
}

impl Draw {
    pub(crate) fn phase0_body(&mut self) -> phase0::BeaconBlockBody {
        body!(self, phase0, slashing, attestation, {})
    }

    pub(crate) fn altair_body(&mut self) -> altair::BeaconBlockBody {
        body!(self, altair, slashing, attestation, { sync_aggregate: self.fixed() })
    }

    pub(crate) fn bellatrix_body<P: Payload>(&mut self, payload: P) -> bellatrix::BeaconBlockBody<P> {
        body!(self, bellatrix, slashing, attestation, {
            sync_aggregate: self.fixed(),
            execution_payload: payload
        })
    }

    pub(crate) fn capella_body<P: Payload>(&mut self, payload: P) -> capella::BeaconBlockBody<P> {
        body!(self, capella, slashing, attestation, {
            sync_aggregate: self.fixed(),
            execution_payload: payload,
            bls_to_execution_changes: self.list(Self::fixed)
        })
    }

    pub(crate) fn deneb_body<P: Payload>(&mut self, payload: P) -> deneb::BeaconBlockBody<P> {
        body!(self, deneb, slashing, attestation, {
            sync_aggregate: self.fixed(),
            execution_payload: payload,
            bls_to_execution_changes: self.list(Self::fixed),
            blob_kzg_commitments: self.list(Self::fixed)
        })
    }

    pub(crate) fn electra_body<P: Payload>(&mut self, payload: P) -> electra::BeaconBlockBody<P> {
        body!(self, electra, electra_slashing, electra_attestation, {
            sync_aggregate: self.fixed(),
            execution_payload: payload,
            bls_to_execution_changes: self.list(Self::fixed),
            blob_kzg_commitments: self.list(Self::fixed),
            execution_requests: electra::ExecutionRequests {
                deposits: self.list(Self::fixed),
                withdrawals: self.list(Self::fixed),
                consolidations: self.list(Self::fixed)
            }
        })
    }
}
