//! trireme-p2p
