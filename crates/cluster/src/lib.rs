//! trireme-cluster
