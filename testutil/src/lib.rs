//! trireme-testutil
