//! trireme-keys
