//! Ethereum node records (EIP-778, identity scheme v4) as operators exchange them.
//!
//! Guarantees: a parsed record carries a public key and a signature that fits it; its elements are kept in the order in
//! which they came, so that it is written as it was read.
//! Not here: discovery. An operator's record holds no address; only a relay's does.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    identity::{IdentityKey, K1PublicKey, keccak256},
    rlp,
};

/// Longest text that is looked at. EIP-778 allows 300 bytes of record; the hashes of cluster files allow 1,024 characters.
const MAX_TEXT: usize = 4096;

/// Addresses that a record may name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EnrAddress {
    /// IPv4 address.
    pub ip: Option<Ipv4Addr>,
    /// TCP port.
    pub tcp: Option<u16>,
    /// UDP port.
    pub udp: Option<u16>,
}

/// A signed node record.
#[derive(Clone, PartialEq, Eq)]
pub struct Enr {
    signature: [u8; 64],
    /// As it stands in the record; not interpreted.
    seq: Vec<u8>,
    /// Keys and values in the record's order.
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
    key: K1PublicKey,
}

/// Why a text is no acceptable record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnrError {
    /// Does not begin with `enr:`.
    #[error("an ENR begins with enr:")]
    Prefix,
    /// Longer than any record.
    #[error("the ENR is longer than {MAX_TEXT} characters")]
    TooLong,
    /// Not base64url.
    #[error("the ENR is not base64url text; it may be cut off")]
    Base64,
    /// Not a list of signature, sequence number, and keys with values.
    #[error("the ENR is not a list of signature, number and key-value pairs; it may be cut off")]
    Structure,
    /// A key stands twice.
    #[error("the ENR holds a key twice")]
    DuplicateKey,
    /// Identity scheme other than `v4`.
    #[error("the ENR's identity scheme is not v4")]
    Scheme,
    /// No `secp256k1` pair.
    #[error("the ENR holds no secp256k1 key")]
    NoKey,
    /// The key is no point of the curve.
    #[error("the ENR's secp256k1 key is not a point of the curve")]
    Key,
    /// Wrong signature.
    #[error("the ENR's signature does not fit its content")]
    Signature,
}

impl Enr {
    /// The record of `key` with sequence number 0. Operators' records name no address; a relay's does.
    #[must_use]
    pub fn create(key: &IdentityKey, address: EnrAddress) -> Self {
        let public = key.public_key();
        let mut pairs = vec![(b"id".to_vec(), b"v4".to_vec())];
        if let Some(ip) = address.ip {
            pairs.push((b"ip".to_vec(), ip.octets().to_vec()));
        }
        pairs.push((b"secp256k1".to_vec(), public.as_bytes().to_vec()));
        for (name, port) in [("tcp", address.tcp), ("udp", address.udp)] {
            if let Some(port) = port {
                pairs.push((name.as_bytes().to_vec(), trimmed(port)));
            }
        }
        let mut record = Self {
            signature: [0; 64],
            seq: Vec::new(),
            pairs,
            key: public,
        };
        let signature = key.sign_digest(&keccak256(&record.content()));
        record.signature.copy_from_slice(signature.split_at(64).0);
        record
    }

    /// The key that signed the record.
    #[must_use]
    pub const fn public_key(&self) -> K1PublicKey {
        self.key
    }

    /// R and S, without recovery byte.
    #[must_use]
    pub const fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// The sequence number's bytes as they stand in the record.
    #[must_use]
    pub fn seq(&self) -> &[u8] {
        &self.seq
    }

    /// The raw bytes of `ip`; four in every record that we know of.
    #[must_use]
    pub fn ip(&self) -> Option<&[u8]> {
        self.value(b"ip")
    }

    /// The TCP port.
    #[must_use]
    pub fn tcp(&self) -> Option<u64> {
        self.number(b"tcp")
    }

    /// The UDP port.
    #[must_use]
    pub fn udp(&self) -> Option<u64> {
        self.number(b"udp")
    }

    /// The bytes that are signed: the list of all elements but the signature, in RLP.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        rlp::encode_list(self.elements())
    }

    fn elements(&self) -> impl Iterator<Item = &[u8]> {
        let pairs = self.pairs.iter().flat_map(|(k, v)| [k.as_slice(), v.as_slice()]);
        std::iter::once(self.seq.as_slice()).chain(pairs)
    }

    fn value(&self, key: &[u8]) -> Option<&[u8]> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_slice())
    }

    fn number(&self, key: &[u8]) -> Option<u64> {
        self.value(key)?
            .iter()
            .try_fold(0_u64, |n, b| n.checked_mul(256)?.checked_add(u64::from(*b)))
    }
}

/// Big-endian without leading zeros.
fn trimmed(port: u16) -> Vec<u8> {
    port.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect()
}

impl FromStr for Enr {
    type Err = EnrError;

    /// Parses with the leniency of p2p.md 1.2: padding, unsorted and unknown keys, a missing `id` and high S are accepted.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let body = text.strip_prefix("enr:").ok_or(EnrError::Prefix)?;
        if body.len() > MAX_TEXT {
            return Err(EnrError::TooLong);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(body.trim_end_matches('='))
            .map_err(|_| EnrError::Base64)?;
        let elements = rlp::decode_list(&bytes).ok_or(EnrError::Structure)?;
        let [signature, seq, rest @ ..] = elements.as_slice() else {
            return Err(EnrError::Structure);
        };
        let (chunks, left) = rest.as_chunks::<2>();
        if chunks.is_empty() || !left.is_empty() {
            return Err(EnrError::Structure);
        }
        let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(chunks.len());
        let mut key = None;
        for [name, value] in chunks {
            if pairs.iter().any(|(seen, _)| seen == name) {
                return Err(EnrError::DuplicateKey);
            }
            match *name {
                b"secp256k1" => key = Some(K1PublicKey::from_sec1(value).map_err(|_| EnrError::Key)?),
                b"id" if *value != b"v4" => return Err(EnrError::Scheme),
                _ => {}
            }
            pairs.push((name.to_vec(), value.to_vec()));
        }
        let key = key.ok_or(EnrError::NoKey)?;
        let signature = <[u8; 64]>::try_from(*signature).map_err(|_| EnrError::Signature)?;
        let record = Self {
            signature,
            seq: seq.to_vec(),
            pairs,
            key,
        };
        if !key.verify_rs(&keccak256(&record.content()), &signature) {
            return Err(EnrError::Signature);
        }
        Ok(record)
    }
}

impl fmt::Display for Enr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = std::iter::once(self.signature.as_slice()).chain(self.elements());
        write!(f, "enr:{}", URL_SAFE_NO_PAD.encode(rlp::encode_list(all)))
    }
}

impl fmt::Debug for Enr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Enr({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> IdentityKey {
        IdentityKey::from_bytes(&[1; 32]).unwrap()
    }

    #[test]
    fn a_record_that_was_cut_off_is_refused_at_every_length() {
        let text = Enr::create(&key(), EnrAddress::default()).to_string();
        for end in 0..text.len() {
            assert!(text[..end].parse::<Enr>().is_err(), "{end}");
        }
    }

    #[test]
    fn a_record_with_high_s_is_accepted() {
        let mut record = Enr::create(&key(), EnrAddress::default());
        let low = k256::ecdsa::Signature::from_slice(&record.signature).unwrap();
        let (r, s) = low.split_scalars();
        let high = k256::ecdsa::Signature::from_scalars(*r, -*s).unwrap();
        record.signature.copy_from_slice(&high.to_bytes());
        assert_ne!(high, low);
        assert_eq!(record.to_string().parse::<Enr>(), Ok(record));
    }

    #[test]
    fn a_changed_record_is_refused() {
        let mut record = Enr::create(&key(), EnrAddress::default());
        record.seq = vec![1];
        assert_eq!(record.to_string().parse::<Enr>(), Err(EnrError::Signature));
    }

    #[test]
    fn ports_below_256_are_one_byte() {
        let address = EnrAddress {
            ip: Some(Ipv4Addr::LOCALHOST),
            tcp: Some(80),
            udp: Some(0),
        };
        let record: Enr = Enr::create(&key(), address).to_string().parse().unwrap();
        assert_eq!(record.value(b"tcp"), Some([80].as_slice()));
        assert_eq!((record.tcp(), record.udp()), (Some(80), Some(0)));
        assert_eq!(record.ip(), Some([127, 0, 0, 1].as_slice()));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = format!("enr:{}", URL_SAFE_NO_PAD.encode(bytes)).parse::<Enr>();
        }
    }
}
