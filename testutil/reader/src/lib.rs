//! trireme-vectors
