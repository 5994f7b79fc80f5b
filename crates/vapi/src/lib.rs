//! trireme-vapi
