//! The schema versions of cluster files. They count independently of any program's version.

use std::{fmt, str::FromStr};

/// A schema version, `v1.0.0` to `v1.11.0`, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it: version 1.x.0")]
pub enum Version {
    V1_0,
    V1_1,
    V1_2,
    V1_3,
    V1_4,
    V1_5,
    V1_6,
    V1_7,
    V1_8,
    V1_9,
    V1_10,
    V1_11,
}

impl Version {
    /// Every version that is read and written, oldest first.
    pub const ALL: [Self; 12] = [
        Self::V1_0,
        Self::V1_1,
        Self::V1_2,
        Self::V1_3,
        Self::V1_4,
        Self::V1_5,
        Self::V1_6,
        Self::V1_7,
        Self::V1_8,
        Self::V1_9,
        Self::V1_10,
        Self::V1_11,
    ];

    /// The version that new clusters get: both Charon lines read it.
    pub const DEFAULT: Self = Self::V1_10;

    /// The text in files; it is hashed, too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "v1.0.0",
            Self::V1_1 => "v1.1.0",
            Self::V1_2 => "v1.2.0",
            Self::V1_3 => "v1.3.0",
            Self::V1_4 => "v1.4.0",
            Self::V1_5 => "v1.5.0",
            Self::V1_6 => "v1.6.0",
            Self::V1_7 => "v1.7.0",
            Self::V1_8 => "v1.8.0",
            Self::V1_9 => "v1.9.0",
            Self::V1_10 => "v1.10.0",
            Self::V1_11 => "v1.11.0",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A version that we do not know; matched exactly, so `v1.7` is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cluster file version {0:?} is not supported; known are v1.0.0 to v1.11.0, so a newer trireme may be needed")]
pub struct UnknownVersion(pub String);

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|v| v.as_str() == s)
            .ok_or_else(|| UnknownVersion(s.chars().take(40).collect()))
    }
}
