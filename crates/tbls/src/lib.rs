//! trireme-tbls
