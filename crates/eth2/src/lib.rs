//! trireme-eth2
