//! Sets: one entry per validator, as they travel between components and between nodes.
//!
//! Guarantees: a set that was read from a peer is not empty and every share index is 1 or above. That the share exists
//! in the cluster, that the signature is good and that the validators are ours is for the receiver to check.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use trireme_proto::core::v1 as pb;

use super::{DataError, SignedData, UnsignedData};
use crate::{
    duty::{Duty, DutyType},
    ids::{PubKey, ShareIdx},
};

/// Unsigned data of several validators: what one consensus instance agrees on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnsignedDataSet(pub BTreeMap<PubKey, UnsignedData>);

/// A signed object with a partial signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParSignedData {
    /// The object with the partial signature in its place.
    pub data: SignedData,
    /// The share that signed.
    pub share: ShareIdx,
}

/// Partial signatures of one share for several validators.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParSignedDataSet(pub BTreeMap<PubKey, ParSignedData>);

/// Aggregated objects of several validators.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignedDataSet(pub BTreeMap<PubKey, SignedData>);

impl UnsignedDataSet {
    /// The message of the set.
    #[must_use]
    pub fn to_proto(&self) -> pb::UnsignedDataSet {
        let set = self
            .0
            .iter()
            .map(|(key, data)| (key.to_string(), Bytes::from(data.encode())))
            .collect();
        pb::UnsignedDataSet { set }
    }

    /// Reads the set of a duty.
    ///
    /// # Errors
    ///
    /// If it is empty or an entry cannot be read.
    pub fn from_proto(kind: DutyType, message: &pb::UnsignedDataSet) -> Result<Self, DataError> {
        if message.set.is_empty() {
            return Err(DataError::EmptySet);
        }
        let entry = |(key, bytes): (&String, &Bytes)| Ok((key.parse()?, UnsignedData::decode(kind, bytes)?));
        message.set.iter().map(entry).collect::<Result<_, _>>().map(Self)
    }
}

impl ParSignedData {
    /// The message of the partial signature.
    #[must_use]
    pub fn to_proto(&self) -> pb::ParSignedData {
        pb::ParSignedData {
            data: self.data.encode().into(),
            signature: Bytes::copy_from_slice(self.data.signature().as_slice()),
            share_idx: i32::from(self.share.0),
        }
    }

    /// Reads a partial signature of a duty. The message's copy of the signature is ignored, as every node does.
    ///
    /// # Errors
    ///
    /// If the share index is not one, or the object cannot be read.
    pub fn from_proto(kind: DutyType, message: &pb::ParSignedData) -> Result<Self, DataError> {
        let share = u8::try_from(message.share_idx).ok().filter(|n| *n > 0);
        let share = share.map(ShareIdx).ok_or(DataError::Share(message.share_idx))?;
        Ok(Self {
            data: SignedData::decode(kind, &message.data)?,
            share,
        })
    }
}

impl ParSignedDataSet {
    /// The message of the set.
    #[must_use]
    pub fn to_proto(&self) -> pb::ParSignedDataSet {
        pb::ParSignedDataSet {
            set: self
                .0
                .iter()
                .map(|(key, data)| (key.to_string(), data.to_proto()))
                .collect(),
        }
    }

    /// Reads the set of a duty.
    ///
    /// # Errors
    ///
    /// If it is empty or an entry cannot be read.
    pub fn from_proto(kind: DutyType, message: &pb::ParSignedDataSet) -> Result<Self, DataError> {
        if message.set.is_empty() {
            return Err(DataError::EmptySet);
        }
        let entry =
            |(key, data): (&String, &pb::ParSignedData)| Ok((key.parse()?, ParSignedData::from_proto(kind, data)?));
        message.set.iter().map(entry).collect::<Result<_, _>>().map(Self)
    }
}

impl Duty {
    /// The message of the duty.
    #[must_use]
    pub fn to_proto(self) -> pb::Duty {
        pb::Duty {
            slot: self.slot.0,
            r#type: i32::from(self.kind.number()),
        }
    }

    /// Reads a duty.
    ///
    /// # Errors
    ///
    /// If its type is not valid.
    pub fn from_proto(message: &pb::Duty) -> Result<Self, DataError> {
        Ok(Self::new(
            trireme_eth2::Slot(message.slot),
            DutyType::try_from(i64::from(message.r#type))?,
        ))
    }
}

/// The bytes of a partial signature exchange message.
#[must_use]
pub fn encode_parsigex(duty: Duty, set: &ParSignedDataSet) -> Vec<u8> {
    pb::ParSigExMsg {
        duty: Some(duty.to_proto()),
        data_set: Some(set.to_proto()),
    }
    .encode_to_vec()
}

/// Reads a partial signature exchange message.
///
/// # Errors
///
/// If the bytes are not such a message, or anything in it cannot be read.
pub fn decode_parsigex(bytes: Bytes) -> Result<(Duty, ParSignedDataSet), DataError> {
    let message = pb::ParSigExMsg::decode(bytes).map_err(|e| DataError::Protobuf(e.to_string()))?;
    let duty = Duty::from_proto(message.duty.as_ref().ok_or(DataError::Missing("duty"))?)?;
    let set = message.data_set.as_ref().ok_or(DataError::Missing("data set"))?;
    Ok((duty, ParSignedDataSet::from_proto(duty.kind, set)?))
}
