//! Blocks as the chain keeps them: full, signed, without blobs.

use ssz_types::{VariableList, typenum::Unsigned};

use crate::{
    BlsSignature, ForkedAttestation, HasBlock, PresetKind, Root, Slot, TooManyWithdrawals, ValidatorIndex, altair,
    altair::SyncAggregate, bellatrix, capella, deneb, electra, hash_tree_root, phase0, proposal, versioned::versioned,
};

versioned! {
    /// A signed block of the chain.
    pub enum VersionedSignedBlock {
        Phase0 => phase0::SignedBeaconBlock,
        Altair => altair::SignedBeaconBlock,
        Bellatrix => bellatrix::SignedBeaconBlock,
        Capella => capella::SignedBeaconBlock,
        Deneb => deneb::SignedBeaconBlock,
        Electra => electra::SignedBeaconBlock,
        Fulu => electra::SignedBeaconBlock,
    }
    get {
        /// The slot.
        fn slot(&self) -> Slot = |x| x.block().slot;
        /// The proposer.
        fn proposer_index(&self) -> ValidatorIndex = |x| x.block().proposer_index;
        /// Root of the block before.
        fn parent_root(&self) -> Root = |x| x.block().parent_root;
        /// Root of the block, by mainnet's limits; see [`Self::block_root_in`].
        fn block_root(&self) -> Root = |x| hash_tree_root(x.block());
        /// Free text.
        fn graffiti(&self) -> Root = |x| x.block().body.graffiti;
        /// The proposer's signature.
        fn signature(&self) -> BlsSignature = |x| x.signature;
    }
}

impl VersionedSignedBlock {
    /// Root of the block on a network with this preset.
    ///
    /// # Errors
    ///
    /// If the block breaks the preset's limits.
    pub fn block_root_in(&self, preset: PresetKind) -> Result<Root, TooManyWithdrawals> {
        match preset {
            PresetKind::Mainnet => Ok(self.block_root()),
            PresetKind::Gnosis => proposal::chain_block_root_on_gnosis(self),
        }
    }

    /// The votes in it, in its order.
    #[must_use]
    pub fn attestations(&self) -> Vec<ForkedAttestation> {
        match self {
            Self::Phase0(x) => each(&x.message.body.attestations, ForkedAttestation::Phase0),
            Self::Altair(x) => each(&x.message.body.attestations, ForkedAttestation::Altair),
            Self::Bellatrix(x) => each(&x.message.body.attestations, ForkedAttestation::Bellatrix),
            Self::Capella(x) => each(&x.message.body.attestations, ForkedAttestation::Capella),
            Self::Deneb(x) => each(&x.message.body.attestations, ForkedAttestation::Deneb),
            Self::Electra(x) => each(&x.message.body.attestations, ForkedAttestation::Electra),
            Self::Fulu(x) => each(&x.message.body.attestations, ForkedAttestation::Fulu),
        }
    }

    /// The sync committee's votes for the block before, from Altair on.
    #[must_use]
    pub const fn sync_aggregate(&self) -> Option<&SyncAggregate> {
        match self {
            Self::Phase0(_) => None,
            Self::Altair(x) => Some(&x.message.body.sync_aggregate),
            Self::Bellatrix(x) => Some(&x.message.body.sync_aggregate),
            Self::Capella(x) => Some(&x.message.body.sync_aggregate),
            Self::Deneb(x) => Some(&x.message.body.sync_aggregate),
            Self::Electra(x) | Self::Fulu(x) => Some(&x.message.body.sync_aggregate),
        }
    }
}

fn each<A: Clone, N: Unsigned>(list: &VariableList<A, N>, wrap: fn(A) -> ForkedAttestation) -> Vec<ForkedAttestation> {
    list.iter().cloned().map(wrap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fork, Versioned as _};

    fn default_of(fork: Fork) -> VersionedSignedBlock {
        match fork {
            Fork::Phase0 => VersionedSignedBlock::Phase0(Default::default()),
            Fork::Altair => VersionedSignedBlock::Altair(Default::default()),
            Fork::Bellatrix => VersionedSignedBlock::Bellatrix(Default::default()),
            Fork::Capella => VersionedSignedBlock::Capella(Default::default()),
            Fork::Deneb => VersionedSignedBlock::Deneb(Default::default()),
            Fork::Electra => VersionedSignedBlock::Electra(Default::default()),
            Fork::Fulu => VersionedSignedBlock::Fulu(Default::default()),
        }
    }

    #[test]
    fn block_of_every_fork_reads_back_from_both_forms() {
        for fork in Fork::ALL {
            let block = default_of(fork);
            assert_eq!(
                VersionedSignedBlock::decode_ssz(fork, &block.to_ssz()).as_ref(),
                Ok(&block)
            );
            let text = serde_json::to_string(&block).unwrap();
            assert_eq!(serde_json::from_str::<VersionedSignedBlock>(&text).unwrap(), block);
            assert_eq!(block.block_root_in(PresetKind::Mainnet), Ok(block.block_root()));
            assert_eq!(block.sync_aggregate().is_some(), fork >= Fork::Altair);
        }
    }

    #[test]
    fn root_by_the_gnosis_limits_differs_where_the_limits_do() {
        let differs = |fork| {
            let block = default_of(fork);
            block.block_root_in(PresetKind::Gnosis) != Ok(block.block_root())
        };
        assert!(!differs(Fork::Bellatrix));
        assert!(differs(Fork::Capella) && differs(Fork::Fulu));
    }
}
