//! What every container has in common, and the parts of a block that are generic over its body.

use std::fmt::Debug;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use ssz_derive::{Decode, Encode};
use ssz_types::{VariableList, typenum::Unsigned};
use tree_hash::TreeHash;
use tree_hash_derive::TreeHash;

use crate::{Blob, BlsSignature, ExecutionAddress, KzgProof, Root, Slot, ValidatorIndex};

/// Anything with an SSZ form, a hash tree root and a JSON form.
pub trait Container:
    ssz::Encode + ssz::Decode + TreeHash + Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + Sync + 'static
{
    /// The hash tree root.
    fn root(&self) -> Root {
        self.tree_hash_root().into()
    }
}

impl<T> Container for T where
    T: ssz::Encode
        + ssz::Decode
        + TreeHash
        + Serialize
        + DeserializeOwned
        + Clone
        + PartialEq
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// The hash tree root of a container.
pub fn hash_tree_root<T: TreeHash + ?Sized>(object: &T) -> Root {
    object.tree_hash_root().into()
}

/// List limits that differ between networks. A type parameter of containers that carry them.
pub trait Preset: Clone + Debug + PartialEq + Eq + Default + Send + Sync + 'static {
    /// `MAX_WITHDRAWALS_PER_PAYLOAD`.
    type MaxWithdrawals: Unsigned + Clone + Debug + PartialEq + Eq + Default + Send + Sync + 'static;
}

/// The preset of mainnet and of every network that does not say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mainnet;

impl Preset for Mainnet {
    type MaxWithdrawals = ssz_types::typenum::U16;
}

/// The preset of the Gnosis networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gnosis;

impl Preset for Gnosis {
    type MaxWithdrawals = ssz_types::typenum::U8;
}

/// Which preset a network uses, as a value. It changes roots of full payloads, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PresetKind {
    /// [`Mainnet`].
    #[default]
    Mainnet,
    /// [`Gnosis`].
    Gnosis,
}

/// What stands at `execution_payload` in a body: the payload, or its header in a blinded block.
pub trait Payload: Container {
    /// The field's name in JSON.
    const JSON_NAME: &'static str;

    /// Who gets the fees.
    fn fee_recipient(&self) -> ExecutionAddress;
}

/// A block without signature.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "B: Container")]
pub struct BeaconBlock<B: Container> {
    /// The slot that it is for.
    pub slot: Slot,
    /// Who proposes it.
    pub proposer_index: ValidatorIndex,
    /// Root of the block before.
    pub parent_root: Root,
    /// Root of the state after it.
    pub state_root: Root,
    /// Its content.
    pub body: B,
}

/// A block with the proposer's signature.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "B: Container")]
pub struct SignedBeaconBlock<B: Container> {
    /// The block.
    pub message: BeaconBlock<B>,
    /// The proposer's signature.
    pub signature: BlsSignature,
}

/// `MAX_BLOB_COMMITMENTS_PER_BLOCK`.
pub type MaxBlobs = ssz_types::typenum::U4096;

/// A block and the blobs that travel with it, as a beacon node produces them. `N` limits the proofs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "B: Container, N: Unsigned")]
pub struct BlockContents<B: Container, N: Unsigned + 'static> {
    /// The block; its root is what the proposer signs.
    pub block: BeaconBlock<B>,
    /// Proofs of the blobs, or of their cells from Fulu on.
    pub kzg_proofs: VariableList<KzgProof, N>,
    /// The blobs.
    pub blobs: VariableList<Blob, MaxBlobs>,
}

/// A signed block and its blobs, as a beacon node publishes them. `N` limits the proofs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "B: Container, N: Unsigned")]
pub struct SignedBlockContents<B: Container, N: Unsigned + 'static> {
    /// The signed block.
    pub signed_block: SignedBeaconBlock<B>,
    /// Proofs of the blobs, or of their cells from Fulu on.
    pub kzg_proofs: VariableList<KzgProof, N>,
    /// The blobs.
    pub blobs: VariableList<Blob, MaxBlobs>,
}

impl<B: Container> BeaconBlock<B> {
    /// The block with a signature.
    #[must_use]
    pub const fn sign(self, signature: BlsSignature) -> SignedBeaconBlock<B> {
        SignedBeaconBlock {
            message: self,
            signature,
        }
    }
}

impl<B: Container, N: Unsigned + 'static> BlockContents<B, N> {
    /// The contents with a signature of the block.
    #[must_use]
    pub fn sign(self, signature: BlsSignature) -> SignedBlockContents<B, N> {
        SignedBlockContents {
            signed_block: self.block.sign(signature),
            kzg_proofs: self.kzg_proofs,
            blobs: self.blobs,
        }
    }
}

/// Makes a block body whose `execution_payload` is a payload or its header. The field keeps its Rust name; in JSON it
/// is named after what it holds ([`Payload::JSON_NAME`]), which no derive can express.
macro_rules! block_body {
    ($(#[$doc:meta])* pub struct $name:ident<$p:ident> { $($(#[$fdoc:meta])* pub $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, Default, ssz_derive::Encode, ssz_derive::Decode, tree_hash_derive::TreeHash,
            serde::Deserialize,
        )]
        #[serde(bound = "P: crate::Payload")]
        pub struct $name<$p: crate::Payload> {
            $($(#[$fdoc])* pub $field: $ty,)*
        }

        impl<$p: crate::Payload> serde::Serialize for $name<$p> {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct as _;

                let fields = [$(stringify!($field)),*];
                let mut out = s.serialize_struct(stringify!($name), fields.len())?;
                $(
                    let name = match stringify!($field) {
                        "execution_payload" => $p::JSON_NAME,
                        other => other,
                    };
                    out.serialize_field(name, &self.$field)?;
                )*
                out.end()
            }
        }
    };
}

pub(crate) use block_body;
