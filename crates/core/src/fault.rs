//! What to do about errors that come from outside: one table for all components.
//!
//! Guarantees: retry decisions look at types and HTTP status; the beacon API gives some temporary refusals only as text,
//! and those texts are listed here and nowhere else.

use crate::{
    compute::Broken,
    ports::{BeaconError, StoreError},
    step::{ErrorKind, Fault},
};

/// Words in a beacon node's refusal that mean "not yet" (core.md 13.1).
const NOT_YET: [&str; 3] = ["future", "current or previous", "retryable"];

impl Fault for BeaconError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Timeout { .. } | Self::Unreachable { .. } => ErrorKind::Temporary,
            Self::Status { status, message, .. } => {
                let not_yet = NOT_YET.iter().any(|words| message.contains(words));
                if *status >= 500 || *status == 429 || not_yet {
                    ErrorKind::Temporary
                } else {
                    ErrorKind::Permanent
                }
            }
            Self::Malformed { .. } => ErrorKind::Permanent,
        }
    }

    fn is_beacon(&self) -> bool {
        true
    }
}

impl Fault for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } | Self::Corrupt { .. } | Self::OtherCluster { .. } => ErrorKind::Permanent,
            Self::Closed => ErrorKind::Stopped,
        }
    }
}

impl Fault for Broken {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Permanent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, message: &str) -> ErrorKind {
        BeaconError::Status {
            endpoint: "x",
            status,
            message: message.to_owned(),
        }
        .kind()
    }

    #[test]
    fn refusals_that_mean_not_yet_are_temporary_and_others_are_not() {
        assert_eq!(status(400, "attestation is from the future"), ErrorKind::Temporary);
        assert_eq!(status(400, "not a validator"), ErrorKind::Permanent);
        assert_eq!(status(503, "syncing"), ErrorKind::Temporary);
    }
}
