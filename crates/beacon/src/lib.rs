//! trireme-beacon
