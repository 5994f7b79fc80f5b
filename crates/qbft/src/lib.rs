//! trireme-qbft
