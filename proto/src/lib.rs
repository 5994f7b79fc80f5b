//! The protobuf messages that nodes exchange. Package names are wire facts: they stand in type URLs.
//!
//! The `.proto` files beside `src` are the source; `src/generated` is checked in, and a test keeps it current. Maps are
//! `BTreeMap` (their order is part of hashes) and byte fields are `bytes::Bytes` (decoding a `Bytes` copies nothing).
//! Not here: limits, framing, hashes.

pub mod presence;

/// Messages of the running node, package `core.corepb.v1`.
pub mod core {
    /// Version 1.
    #[rustfmt::skip]
    pub mod v1 {
        include!("generated/core.corepb.v1.rs");
    }
}

/// What nodes tell about themselves, package `app.peerinfo.peerinfopb.v1`.
pub mod peerinfo {
    /// Version 1.
    #[rustfmt::skip]
    pub mod v1 {
        include!("generated/app.peerinfo.peerinfopb.v1.rs");
    }
}

/// Messages of the key generation ceremony, package `dkg.dkgpb.v1`.
pub mod dkg {
    /// Version 1.
    #[rustfmt::skip]
    pub mod v1 {
        include!("generated/dkg.dkgpb.v1.rs");
    }
}
