//! How the beacon nodes are used: what an operator sets.

use std::{collections::BTreeSet, path::PathBuf, str::FromStr};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use url::Url;

use crate::{AddressError, GivenTimeouts};

/// Settings of the pool.
#[derive(Clone)]
pub struct PoolConfig {
    /// Addresses, at least one. User info becomes basic authentication.
    pub endpoints: Vec<Url>,
    /// Addresses that are used only while none of the others answers.
    pub fallbacks: Vec<Url>,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
    /// PEM files with authorities that are trusted besides the system's (VC-12).
    pub certificates: Vec<PathBuf>,
    /// Time limits that hold instead of those by class (VC-10).
    pub timeouts: GivenTimeouts,
    /// What goes to more beacon nodes than it must.
    pub broadcast: Broadcast,
    /// Choose attestation data by the best head among those that answer in time, not by the first answer.
    pub best_head: bool,
    /// Refuse attestation data of beacon nodes whose head is not verified (VC-62).
    pub refuse_optimistic: bool,
}

/// A kind of message that may go to more beacon nodes (VC-15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Attestations and aggregates.
    Attestations,
    /// Blocks.
    Blocks,
    /// Preparations of proposers, and subscriptions.
    Subscriptions,
    /// Sync committee messages and contributions.
    SyncCommittee,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 4] = [
        Self::Attestations,
        Self::Blocks,
        Self::Subscriptions,
        Self::SyncCommittee,
    ];

    /// The name in the flag.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attestations => "attestations",
            Self::Blocks => "blocks",
            Self::Subscriptions => "subscriptions",
            Self::SyncCommittee => "sync-committee",
        }
    }
}

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        let found = Self::ALL.into_iter().find(|topic| topic.name() == text);
        found.ok_or_else(|| UnknownTopic(text.chars().take(40).collect()))
    }
}

/// No such topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no topic; there are attestations, blocks, subscriptions, sync-committee, and none for none of them")]
pub struct UnknownTopic(String);

/// Signed data go to all primary beacon nodes always, to fallbacks only while the primary ones fail. A topic in here goes
/// to the fallbacks at once too; and without [`Topic::Subscriptions`], preparations go to one beacon node only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast(BTreeSet<Topic>);

impl Default for Broadcast {
    /// Subscriptions only.
    fn default() -> Self {
        Self(BTreeSet::from([Topic::Subscriptions]))
    }
}

impl Broadcast {
    /// From names of topics; `none` alone means none, and no name at all the default.
    ///
    /// # Errors
    ///
    /// If a name is none.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Self, UnknownTopic> {
        let names: Vec<&str> = names
            .iter()
            .map(|n| n.as_ref().trim())
            .filter(|n| !n.is_empty())
            .collect();
        match names.as_slice() {
            [] => Ok(Self::default()),
            ["none"] => Ok(Self(BTreeSet::new())),
            names => names.iter().map(|n| n.parse()).collect::<Result<_, _>>().map(Self),
        }
    }

    pub(crate) fn has(&self, topic: Topic) -> bool {
        self.0.contains(&topic)
    }
}

/// Why the beacon nodes cannot be talked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// There is none.
    #[error("give the address of a beacon node")]
    None,
    /// An address or a header cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A file holds no certificate that can be used.
    #[error("{path}: {reason}; give PEM files with the certificates of the authorities to trust")]
    Certificates {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The certificates of PEM files.
pub(super) fn read_certificates(paths: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>, PoolError> {
    let mut all = Vec::new();
    for path in paths {
        let bad = |reason: String| PoolError::Certificates {
            path: path.display().to_string(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
        let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(|e| bad(e.to_string()))?;
        if found.is_empty() {
            return Err(bad("it has no certificate in PEM form".to_owned()));
        }
        let mut roots = rustls::RootCertStore::empty();
        for certificate in found {
            roots.add(certificate.clone()).map_err(|e| bad(e.to_string()))?;
            all.push(certificate);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vc_15_topics_are_read_and_an_unknown_one_is_an_error() {
        let parsed = Broadcast::parse(&["subscriptions", "blocks"]).unwrap();
        assert!(parsed.has(Topic::Subscriptions) && parsed.has(Topic::Blocks));
        assert!(!parsed.has(Topic::Attestations) && !parsed.has(Topic::SyncCommittee));
        let none = Broadcast::parse(&["none"]).unwrap();
        assert!(!Topic::ALL.into_iter().any(|topic| none.has(topic)));
        assert_eq!(Broadcast::parse::<&str>(&[]), Ok(Broadcast::default()));
        let error = Broadcast::parse(&["blobs"]).unwrap_err().to_string();
        assert!(error.contains("blobs") && error.contains("sync-committee"), "{error}");
        assert!(Broadcast::parse(&["none", "blocks"]).is_err());
    }
}
