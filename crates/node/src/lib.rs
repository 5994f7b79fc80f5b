//! trireme-node
