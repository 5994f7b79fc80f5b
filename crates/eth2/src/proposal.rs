//! Blocks of every fork, full and blinded, unsigned and signed.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeStruct as _};
use serde_json::value::RawValue;
use ssz_types::typenum::Unsigned;

use crate::{
    BeaconBlock, BlockContents, BlsSignature, Container, DataOnly, ExecutionAddress, Fork, Gnosis, PresetKind, Root,
    SignedBeaconBlock, SignedBlockContents, Slot, Uint256, ValidatorIndex, Versioned, VersionedError,
    VersionedSignedBlock, altair, bellatrix, capella, deneb, electra, fulu, hash_tree_root, phase0,
    phase0::BeaconBlockHeader, versioned::versioned,
};

/// What has a block in it: the block itself, a signed one, or contents with blobs.
pub trait HasBlock {
    /// The body.
    type Body: Container;

    /// The block.
    fn block(&self) -> &BeaconBlock<Self::Body>;
}

impl<B: Container> HasBlock for BeaconBlock<B> {
    type Body = B;

    fn block(&self) -> &BeaconBlock<B> {
        self
    }
}

impl<B: Container> HasBlock for SignedBeaconBlock<B> {
    type Body = B;

    fn block(&self) -> &BeaconBlock<B> {
        &self.message
    }
}

impl<B: Container, N: Unsigned + 'static> HasBlock for BlockContents<B, N> {
    type Body = B;

    fn block(&self) -> &BeaconBlock<B> {
        &self.block
    }
}

impl<B: Container, N: Unsigned + 'static> HasBlock for SignedBlockContents<B, N> {
    type Body = B;

    fn block(&self) -> &BeaconBlock<B> {
        &self.signed_block.message
    }
}

/// What has a block and its signature in it.
trait HasSignature: HasBlock {
    fn signature(&self) -> BlsSignature;
    fn signature_mut(&mut self) -> &mut BlsSignature;
}

impl<B: Container> HasSignature for SignedBeaconBlock<B> {
    fn signature(&self) -> BlsSignature {
        self.signature
    }

    fn signature_mut(&mut self) -> &mut BlsSignature {
        &mut self.signature
    }
}

impl<B: Container, N: Unsigned + 'static> HasSignature for SignedBlockContents<B, N> {
    fn signature(&self) -> BlsSignature {
        self.signed_block.signature
    }

    fn signature_mut(&mut self) -> &mut BlsSignature {
        &mut self.signed_block.signature
    }
}

/// Fields that the bodies of all forks share.
pub trait BlockBody: Container {
    /// Signature of the epoch.
    fn randao_reveal(&self) -> BlsSignature;
    /// Free text.
    fn graffiti(&self) -> Root;
    /// Who gets the fees, from Bellatrix on.
    fn fee_recipient(&self) -> Option<ExecutionAddress>;
}

macro_rules! block_bodies {
    ($($body:ty where [$($p:ident)?]: |$b:ident| $fee:expr;)*) => {
        $(impl$(<$p: crate::Payload>)? BlockBody for $body {
            fn randao_reveal(&self) -> BlsSignature {
                self.randao_reveal
            }

            fn graffiti(&self) -> Root {
                self.graffiti
            }

            fn fee_recipient(&self) -> Option<ExecutionAddress> {
                let $b = self;
                $fee
            }
        })*
    };
}

block_bodies! {
    phase0::BeaconBlockBody where []: |_b| None;
    altair::BeaconBlockBody where []: |_b| None;
    bellatrix::BeaconBlockBody<P> where [P]: |b| Some(b.execution_payload.fee_recipient());
    capella::BeaconBlockBody<P> where [P]: |b| Some(b.execution_payload.fee_recipient());
    deneb::BeaconBlockBody<P> where [P]: |b| Some(b.execution_payload.fee_recipient());
    electra::BeaconBlockBody<P> where [P]: |b| Some(b.execution_payload.fee_recipient());
}

fn header<B: Container>(block: &BeaconBlock<B>) -> BeaconBlockHeader {
    BeaconBlockHeader {
        slot: block.slot,
        proposer_index: block.proposer_index,
        parent_root: block.parent_root,
        state_root: block.state_root,
        body_root: hash_tree_root(&block.body),
    }
}

versioned! {
    /// A full block as produced: from Deneb on with its blobs.
    pub enum ForkedBlock {
        Phase0 => phase0::BeaconBlock,
        Altair => altair::BeaconBlock,
        Bellatrix => bellatrix::BeaconBlock,
        Capella => capella::BeaconBlock,
        Deneb => deneb::BlockContents,
        Electra => electra::BlockContents,
        Fulu => fulu::BlockContents,
    }
    get {
        /// The slot.
        fn slot(&self) -> Slot = |x| x.block().slot;
        /// The proposer.
        fn proposer_index(&self) -> ValidatorIndex = |x| x.block().proposer_index;
        /// The block before.
        fn parent_root(&self) -> Root = |x| x.block().parent_root;
        /// Signature of the epoch.
        fn randao_reveal(&self) -> BlsSignature = |x| x.block().body.randao_reveal();
        /// Free text.
        fn graffiti(&self) -> Root = |x| x.block().body.graffiti();
        /// Who gets the fees.
        fn fee_recipient(&self) -> Option<ExecutionAddress> = |x| x.block().body.fee_recipient();
        /// The block's header, by mainnet's limits.
        fn header(&self) -> BeaconBlockHeader = |x| header(x.block());
        /// Root of the block without blobs, by mainnet's limits.
        fn block_root(&self) -> Root = |x| hash_tree_root(x.block());
    }
}

versioned! {
    /// A block whose payload is a header.
    pub enum ForkedBlindedBlock {
        Bellatrix => bellatrix::BlindedBeaconBlock,
        Capella => capella::BlindedBeaconBlock,
        Deneb => deneb::BlindedBeaconBlock,
        Electra => electra::BlindedBeaconBlock,
        Fulu => electra::BlindedBeaconBlock,
    }
    absent { Phase0, Altair }
    get {
        /// The slot.
        fn slot(&self) -> Slot = |x| x.slot;
        /// The proposer.
        fn proposer_index(&self) -> ValidatorIndex = |x| x.proposer_index;
        /// The block before.
        fn parent_root(&self) -> Root = |x| x.parent_root;
        /// Signature of the epoch.
        fn randao_reveal(&self) -> BlsSignature = |x| x.body.randao_reveal();
        /// Free text.
        fn graffiti(&self) -> Root = |x| x.body.graffiti();
        /// Who gets the fees.
        fn fee_recipient(&self) -> Option<ExecutionAddress> = |x| x.body.fee_recipient();
        /// The block's header.
        fn header(&self) -> BeaconBlockHeader = |x| header(x);
        /// Root of the block.
        fn block_root(&self) -> Root = |x| hash_tree_root(x);
    }
}

versioned! {
    /// A signed full block as published: from Deneb on with its blobs.
    pub enum ForkedSignedBlock {
        Phase0 => phase0::SignedBeaconBlock,
        Altair => altair::SignedBeaconBlock,
        Bellatrix => bellatrix::SignedBeaconBlock,
        Capella => capella::SignedBeaconBlock,
        Deneb => deneb::SignedBlockContents,
        Electra => electra::SignedBlockContents,
        Fulu => fulu::SignedBlockContents,
    }
    get {
        /// The slot.
        fn slot(&self) -> Slot = |x| x.block().slot;
        /// The proposer.
        fn proposer_index(&self) -> ValidatorIndex = |x| x.block().proposer_index;
        /// The block before.
        fn parent_root(&self) -> Root = |x| x.block().parent_root;
        /// Signature of the epoch.
        fn randao_reveal(&self) -> BlsSignature = |x| x.block().body.randao_reveal();
        /// Free text.
        fn graffiti(&self) -> Root = |x| x.block().body.graffiti();
        /// Who gets the fees.
        fn fee_recipient(&self) -> Option<ExecutionAddress> = |x| x.block().body.fee_recipient();
        /// The block's header, by mainnet's limits.
        fn header(&self) -> BeaconBlockHeader = |x| header(x.block());
        /// Root of the block without blobs, by mainnet's limits.
        fn block_root(&self) -> Root = |x| hash_tree_root(x.block());
        /// The proposer's signature.
        fn signature(&self) -> BlsSignature = |x| HasSignature::signature(x);
    }
    set {
        /// The proposer's signature, to be replaced.
        fn signature_mut(&mut self) -> &mut BlsSignature = |x| HasSignature::signature_mut(x);
    }
}

versioned! {
    /// A signed block whose payload is a header.
    pub enum ForkedSignedBlindedBlock {
        Bellatrix => bellatrix::SignedBlindedBeaconBlock,
        Capella => capella::SignedBlindedBeaconBlock,
        Deneb => deneb::SignedBlindedBeaconBlock,
        Electra => electra::SignedBlindedBeaconBlock,
        Fulu => electra::SignedBlindedBeaconBlock,
    }
    absent { Phase0, Altair }
    get {
        /// The slot.
        fn slot(&self) -> Slot = |x| x.message.slot;
        /// The proposer.
        fn proposer_index(&self) -> ValidatorIndex = |x| x.message.proposer_index;
        /// The block before.
        fn parent_root(&self) -> Root = |x| x.message.parent_root;
        /// Signature of the epoch.
        fn randao_reveal(&self) -> BlsSignature = |x| x.message.body.randao_reveal();
        /// Free text.
        fn graffiti(&self) -> Root = |x| x.message.body.graffiti();
        /// Who gets the fees.
        fn fee_recipient(&self) -> Option<ExecutionAddress> = |x| x.message.body.fee_recipient();
        /// The block's header.
        fn header(&self) -> BeaconBlockHeader = |x| header(&x.message);
        /// Root of the block.
        fn block_root(&self) -> Root = |x| hash_tree_root(&x.message);
        /// The proposer's signature.
        fn signature(&self) -> BlsSignature = |x| x.signature;
    }
    set {
        /// The proposer's signature, to be replaced.
        fn signature_mut(&mut self) -> &mut BlsSignature = |x| &mut x.signature;
    }
}

/// A block has more withdrawals than its network allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the block has more withdrawals than the Gnosis preset allows")]
pub struct TooManyWithdrawals;

/// The root of a block by another preset's limits, over its SSZ form, which is the same.
fn recast<B: ssz::Decode + tree_hash::TreeHash>(block: &impl ssz::Encode) -> Result<Root, TooManyWithdrawals> {
    let block = B::from_ssz_bytes(&block.as_ssz_bytes()).map_err(|_| TooManyWithdrawals)?;
    Ok(hash_tree_root(&block))
}

macro_rules! gnosis_root {
    ($enum:ident, $x:expr) => {
        match $x {
            $enum::Phase0(x) => Ok(hash_tree_root(x.block())),
            $enum::Altair(x) => Ok(hash_tree_root(x.block())),
            $enum::Bellatrix(x) => Ok(hash_tree_root(x.block())),
            $enum::Capella(x) => recast::<capella::BeaconBlock<Gnosis>>(x.block()),
            $enum::Deneb(x) => recast::<deneb::BeaconBlock<Gnosis>>(x.block()),
            $enum::Electra(x) => recast::<electra::BeaconBlock<Gnosis>>(x.block()),
            $enum::Fulu(x) => recast::<fulu::BeaconBlock<Gnosis>>(x.block()),
        }
    };
}

/// The root of a block of the chain by the Gnosis limits.
pub(crate) fn chain_block_root_on_gnosis(block: &VersionedSignedBlock) -> Result<Root, TooManyWithdrawals> {
    gnosis_root!(VersionedSignedBlock, block)
}

macro_rules! full_or_blinded {
    ($(#[$doc:meta])* $name:ident, $full:ident, $blinded:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            /// With the payload and, from Deneb on, the blobs.
            Full($full),
            /// With the payload's header, for a builder.
            Blinded($blinded),
        }

        impl $name {
            /// Reads the SSZ form of the fork's container.
            ///
            /// # Errors
            ///
            /// If the bytes are not such a container, or the fork has none.
            pub fn decode_ssz(fork: Fork, blinded: bool, bytes: &[u8]) -> Result<Self, VersionedError> {
                Ok(if blinded {
                    Self::Blinded($blinded::decode_ssz(fork, bytes)?)
                } else {
                    Self::Full($full::decode_ssz(fork, bytes)?)
                })
            }

            /// Reads the JSON form of the fork's container.
            ///
            /// # Errors
            ///
            /// If the text is not such a container, or the fork has none.
            pub fn decode_json(fork: Fork, blinded: bool, text: &str) -> Result<Self, VersionedError> {
                Ok(if blinded {
                    Self::Blinded($blinded::decode_json(fork, text)?)
                } else {
                    Self::Full($full::decode_json(fork, text)?)
                })
            }

            /// The fork whose container it holds.
            #[must_use]
            pub fn fork(&self) -> Fork {
                match self {
                    Self::Full(x) => x.fork(),
                    Self::Blinded(x) => x.fork(),
                }
            }

            /// Whether the payload is a header.
            #[must_use]
            pub const fn is_blinded(&self) -> bool {
                match self {
                    Self::Full(_) => false,
                    Self::Blinded(_) => true,
                }
            }

            /// Appends the container's SSZ form.
            pub fn append_ssz(&self, out: &mut Vec<u8>) {
                match self {
                    Self::Full(x) => x.append_ssz(out),
                    Self::Blinded(x) => x.append_ssz(out),
                }
            }

            /// Length of the SSZ form in bytes.
            #[must_use]
            pub fn ssz_len(&self) -> usize {
                match self {
                    Self::Full(x) => x.ssz_len(),
                    Self::Blinded(x) => x.ssz_len(),
                }
            }

            /// The container's SSZ form.
            #[must_use]
            pub fn to_ssz(&self) -> Vec<u8> {
                let mut out = Vec::with_capacity(self.ssz_len());
                self.append_ssz(&mut out);
                out
            }

            /// Writes the container's JSON form, without version.
            ///
            /// # Errors
            ///
            /// Those of the serializer.
            pub fn serialize_data<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self {
                    Self::Full(x) => x.serialize_data(s),
                    Self::Blinded(x) => x.serialize_data(s),
                }
            }

            /// The slot.
            #[must_use]
            pub fn slot(&self) -> Slot {
                match self {
                    Self::Full(x) => x.slot(),
                    Self::Blinded(x) => x.slot(),
                }
            }

            /// The proposer.
            #[must_use]
            pub fn proposer_index(&self) -> ValidatorIndex {
                match self {
                    Self::Full(x) => x.proposer_index(),
                    Self::Blinded(x) => x.proposer_index(),
                }
            }

            /// The block before.
            #[must_use]
            pub fn parent_root(&self) -> Root {
                match self {
                    Self::Full(x) => x.parent_root(),
                    Self::Blinded(x) => x.parent_root(),
                }
            }

            /// Signature of the epoch.
            #[must_use]
            pub fn randao_reveal(&self) -> BlsSignature {
                match self {
                    Self::Full(x) => x.randao_reveal(),
                    Self::Blinded(x) => x.randao_reveal(),
                }
            }

            /// Free text.
            #[must_use]
            pub fn graffiti(&self) -> Root {
                match self {
                    Self::Full(x) => x.graffiti(),
                    Self::Blinded(x) => x.graffiti(),
                }
            }

            /// Who gets the fees, from Bellatrix on.
            #[must_use]
            pub fn fee_recipient(&self) -> Option<ExecutionAddress> {
                match self {
                    Self::Full(x) => x.fee_recipient(),
                    Self::Blinded(x) => x.fee_recipient(),
                }
            }

            /// The block's header, by mainnet's limits.
            #[must_use]
            pub fn header(&self) -> BeaconBlockHeader {
                match self {
                    Self::Full(x) => x.header(),
                    Self::Blinded(x) => x.header(),
                }
            }

            /// Root of the block (without blobs and signature) by mainnet's limits. Collision-free on every network,
            /// but what a Gnosis proposer signs is [`Self::block_root_in`].
            #[must_use]
            pub fn block_root(&self) -> Root {
                match self {
                    Self::Full(x) => x.block_root(),
                    Self::Blinded(x) => x.block_root(),
                }
            }

            /// Root of the block (without blobs and signature), which the proposer signs.
            ///
            /// # Errors
            ///
            /// If the block breaks the preset's limits.
            pub fn block_root_in(&self, preset: PresetKind) -> Result<Root, TooManyWithdrawals> {
                match (preset, self) {
                    (PresetKind::Mainnet, _) | (PresetKind::Gnosis, Self::Blinded(_)) => Ok(self.block_root()),
                    (PresetKind::Gnosis, Self::Full(x)) => gnosis_root!($full, x),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self {
                    Self::Full(x) => x.serialize(s),
                    Self::Blinded(x) => x.serialize(s),
                }
            }
        }
    };
}

full_or_blinded! {
    /// A block to be signed. Its JSON form (write only) is the beacon API's `{"version", "data"}`.
    VersionedProposal, ForkedBlock, ForkedBlindedBlock
}

full_or_blinded! {
    /// A signed block to be published. Its JSON form (write only) is the beacon API's `{"version", "data"}`.
    VersionedSignedProposal, ForkedSignedBlock, ForkedSignedBlindedBlock
}

impl VersionedProposal {
    /// The proposal with a signature.
    #[must_use]
    pub fn sign(self, signature: BlsSignature) -> VersionedSignedProposal {
        use {ForkedBlindedBlock as B, ForkedBlock as F, ForkedSignedBlindedBlock as SB, ForkedSignedBlock as SF};

        match self {
            Self::Full(full) => VersionedSignedProposal::Full(match full {
                F::Phase0(x) => SF::Phase0(x.sign(signature)),
                F::Altair(x) => SF::Altair(x.sign(signature)),
                F::Bellatrix(x) => SF::Bellatrix(x.sign(signature)),
                F::Capella(x) => SF::Capella(x.sign(signature)),
                F::Deneb(x) => SF::Deneb(x.sign(signature)),
                F::Electra(x) => SF::Electra(x.sign(signature)),
                F::Fulu(x) => SF::Fulu(x.sign(signature)),
            }),
            Self::Blinded(blinded) => VersionedSignedProposal::Blinded(match blinded {
                B::Bellatrix(x) => SB::Bellatrix(x.sign(signature)),
                B::Capella(x) => SB::Capella(x.sign(signature)),
                B::Deneb(x) => SB::Deneb(x.sign(signature)),
                B::Electra(x) => SB::Electra(x.sign(signature)),
                B::Fulu(x) => SB::Fulu(x.sign(signature)),
            }),
        }
    }
}

impl VersionedSignedProposal {
    /// The proposer's signature.
    #[must_use]
    pub fn signature(&self) -> BlsSignature {
        match self {
            Self::Full(x) => x.signature(),
            Self::Blinded(x) => x.signature(),
        }
    }

    /// The proposer's signature, to be replaced.
    pub fn signature_mut(&mut self) -> &mut BlsSignature {
        match self {
            Self::Full(x) => x.signature_mut(),
            Self::Blinded(x) => x.signature_mut(),
        }
    }
}

/// The answer to `GET /eth/v3/validator/blocks/{slot}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalResponse {
    /// The block.
    pub proposal: VersionedProposal,
    /// What the payload pays, in wei.
    pub execution_payload_value: Uint256,
    /// What the block pays on the consensus layer, in wei.
    pub consensus_block_value: Uint256,
}

impl Serialize for ProposalResponse {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut out = s.serialize_struct("ProposalResponse", 5)?;
        out.serialize_field("version", &self.proposal.fork())?;
        out.serialize_field("execution_payload_blinded", &self.proposal.is_blinded())?;
        out.serialize_field("execution_payload_value", &self.execution_payload_value)?;
        out.serialize_field("consensus_block_value", &self.consensus_block_value)?;
        match &self.proposal {
            VersionedProposal::Full(x) => out.serialize_field("data", &DataOnly(x))?,
            VersionedProposal::Blinded(x) => out.serialize_field("data", &DataOnly(x))?,
        }
        out.end()
    }
}

impl<'de> Deserialize<'de> for ProposalResponse {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            version: Fork,
            #[serde(default)]
            execution_payload_blinded: bool,
            #[serde(default)]
            execution_payload_value: Uint256,
            #[serde(default)]
            consensus_block_value: Uint256,
            data: Box<RawValue>,
        }

        let raw = Raw::deserialize(d)?;
        Ok(Self {
            proposal: VersionedProposal::decode_json(raw.version, raw.execution_payload_blinded, raw.data.get())
                .map_err(de::Error::custom)?,
            execution_payload_value: raw.execution_payload_value,
            consensus_block_value: raw.consensus_block_value,
        })
    }
}
