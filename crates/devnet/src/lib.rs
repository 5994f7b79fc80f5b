//! trireme-devnet
