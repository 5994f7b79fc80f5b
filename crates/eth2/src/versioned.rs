//! One macro that makes an enum over forks from a table, and what such enums have in common.
//!
//! The table names the container of every fork, or lists the fork under `absent`; both matches on [`Fork`] are
//! exhaustive, so a new fork stops compiling here until each table says what it holds.
//!
//! ```text
//! versioned! {
//!     /// A signed thing.
//!     pub enum SignedThing {
//!         Altair => altair::SignedThing,
//!         …
//!         Fulu => electra::SignedThing,
//!     }
//!     absent { Phase0 }
//!     get {
//!         /// The signature.
//!         fn signature(&self) -> &BlsSignature = |thing| &thing.signature;
//!     }
//!     set {
//!         /// The signature, to be replaced.
//!         fn signature_mut(&mut self) -> &mut BlsSignature = |thing| &mut thing.signature;
//!     }
//! }
//! ```
//!
//! Besides [`Versioned`] the enum gets serde's traits in the beacon API's form `{"version": "fulu", "data": …}`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeStruct as _};
use serde_json::value::RawValue;

use crate::{Fork, Root};

/// Why bytes or text are not a versioned object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionedError {
    /// The fork has no such object.
    #[error("there is no {what} in {fork}")]
    Absent {
        /// The enum's name.
        what: &'static str,
        /// The fork asked for.
        fork: Fork,
    },
    /// Not the SSZ form.
    #[error("not the SSZ form of a {what} of {fork}: {reason}")]
    Ssz {
        /// The enum's name.
        what: &'static str,
        /// The fork asked for.
        fork: Fork,
        /// What is wrong.
        reason: String,
    },
    /// Not the JSON form.
    #[error("not the JSON form of a {what} of {fork}: {reason}")]
    Json {
        /// The enum's name.
        what: &'static str,
        /// The fork asked for.
        fork: Fork,
        /// What is wrong and where.
        reason: String,
    },
}

/// An object whose container depends on the fork.
pub trait Versioned: Sized {
    /// The fork whose container it holds.
    fn fork(&self) -> Fork;
    /// Reads the SSZ form of the fork's container.
    fn decode_ssz(fork: Fork, bytes: &[u8]) -> Result<Self, VersionedError>;
    /// Appends the container's SSZ form.
    fn append_ssz(&self, out: &mut Vec<u8>);
    /// Length of the SSZ form in bytes.
    fn ssz_len(&self) -> usize;
    /// Reads the JSON form of the fork's container.
    fn decode_json(fork: Fork, text: &str) -> Result<Self, VersionedError>;
    /// Writes the container's JSON form, without version.
    fn serialize_data<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error>;
    /// The container's hash tree root.
    fn tree_root(&self) -> Root;

    /// The container's SSZ form.
    fn to_ssz(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.ssz_len());
        self.append_ssz(&mut out);
        out
    }

    /// What to serialise for the container alone, without version.
    fn data_only(&self) -> DataOnly<'_, Self> {
        DataOnly(self)
    }
}

/// Serialises as the container alone, without version.
#[derive(Debug, Clone, Copy)]
pub struct DataOnly<'a, T>(pub &'a T);

impl<T: Versioned> Serialize for DataOnly<'_, T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(s)
    }
}

/// The beacon API's form: version and data.
pub(crate) fn serialize_tagged<T: Versioned, S: Serializer>(object: &T, s: S) -> Result<S::Ok, S::Error> {
    let mut out = s.serialize_struct("Versioned", 2)?;
    out.serialize_field("version", &object.fork())?;
    out.serialize_field("data", &DataOnly(object))?;
    out.end()
}

/// The beacon API's form: version and data, in any order.
pub(crate) fn deserialize_tagged<'de, T: Versioned, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
    #[derive(Deserialize)]
    struct Tagged {
        version: Fork,
        data: Box<RawValue>,
    }

    let tagged = Tagged::deserialize(d)?;
    T::decode_json(tagged.version, tagged.data.get()).map_err(de::Error::custom)
}

/// See the module's header. The table is handed on as one token tree, so that it can be repeated for every accessor.
macro_rules! versioned {
    (
        $(#[$doc:meta])*
        pub enum $name:ident $table:tt
        $(absent { $($none:ident),+ })?
        $(get { $($(#[$gdoc:meta])* fn $get:ident(&self) -> $gout:ty = |$gx:ident| $gexpr:expr;)* })?
        $(set { $($(#[$sdoc:meta])* fn $set:ident(&mut self) -> $sout:ty = |$sx:ident| $sexpr:expr;)* })?
    ) => {
        $crate::versioned::versioned!(@enum [$(#[$doc])*] $name $table [$($($none),+)?]);
        $($($crate::versioned::versioned!(
            @accessor $name $table [$(#[$gdoc])* #[must_use]] $get [&self] self $gout, $gx, $gexpr
        );)*)?
        $($($crate::versioned::versioned!(
            @accessor $name $table [$(#[$sdoc])*] $set [&mut self] self $sout, $sx, $sexpr
        );)*)?
    };
    (
        @accessor $name:ident { $($fork:ident => $container:ty,)+ } [$($attr:tt)*]
        $fn:ident [$($receiver:tt)+] $self:ident $out:ty, $x:ident, $expr:expr
    ) => {
        impl $name {
            $($attr)*
            pub fn $fn($($receiver)+) -> $out {
                match $self { $(Self::$fork($x) => $expr,)+ }
            }
        }
    };
    (@enum [$($doc:tt)*] $name:ident { $($fork:ident => $container:ty,)+ } [$($none:ident),*]) => {
        $($doc)*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $(
                #[doc = concat!("As in ", stringify!($fork), ": `", stringify!($container), "`.")]
                $fork($container),
            )+
        }

        impl $crate::Versioned for $name {
            fn fork(&self) -> $crate::Fork {
                match self { $(Self::$fork(_) => $crate::Fork::$fork,)+ }
            }

            fn decode_ssz(fork: $crate::Fork, bytes: &[u8]) -> Result<Self, $crate::VersionedError> {
                match fork {
                    $($crate::Fork::$fork => <$container as ssz::Decode>::from_ssz_bytes(bytes).map(Self::$fork),)+
                    $($crate::Fork::$none => {
                        return Err($crate::VersionedError::Absent { what: stringify!($name), fork });
                    })*
                }
                .map_err(|e| $crate::VersionedError::Ssz { what: stringify!($name), fork, reason: format!("{e:?}") })
            }

            fn append_ssz(&self, out: &mut Vec<u8>) {
                match self { $(Self::$fork(object) => ssz::Encode::ssz_append(object, out),)+ }
            }

            fn ssz_len(&self) -> usize {
                match self { $(Self::$fork(object) => ssz::Encode::ssz_bytes_len(object),)+ }
            }

            fn decode_json(fork: $crate::Fork, text: &str) -> Result<Self, $crate::VersionedError> {
                match fork {
                    $($crate::Fork::$fork => serde_json::from_str::<$container>(text).map(Self::$fork),)+
                    $($crate::Fork::$none => {
                        return Err($crate::VersionedError::Absent { what: stringify!($name), fork });
                    })*
                }
                .map_err(|e| $crate::VersionedError::Json { what: stringify!($name), fork, reason: e.to_string() })
            }

            fn serialize_data<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self { $(Self::$fork(object) => serde::Serialize::serialize(object, s),)+ }
            }

            fn tree_root(&self) -> $crate::Root {
                match self { $(Self::$fork(object) => $crate::hash_tree_root(object),)+ }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                $crate::versioned::serialize_tagged(self, s)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                $crate::versioned::deserialize_tagged(d)
            }
        }
    };
}

pub(crate) use versioned;
