//! Version texts of nodes and their comparison (p2p.md 7.4).
//!
//! Labels never count; a patch counts only if both sides have one.

use std::{cmp::Ordering, fmt, str::FromStr};

/// A version text such as `v1.10`, `v1.10.3` or `v1.11.0-rc3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: Option<u64>,
    label: Option<String>,
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("version text {0:?} does not read v<major>.<minor>, with .<patch> and -<label> after it if wanted")]
pub struct VersionError(pub String);

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || VersionError(text.chars().take(64).collect());
        let rest = text.strip_prefix('v').ok_or_else(bad)?;
        let (numbers, label) = match rest.split_once('-') {
            Some((_, "")) => return Err(bad()),
            Some((numbers, label)) => (numbers, Some(label.to_owned())),
            None => (rest, None),
        };
        let mut parts = numbers.split('.').map(|p| {
            let digits = !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
            if digits {
                p.parse::<u64>().map_err(|_| bad())
            } else {
                Err(bad())
            }
        });
        let major = parts.next().ok_or_else(bad)??;
        let minor = parts.next().ok_or_else(bad)??;
        let patch = parts.next().transpose()?;
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(Self {
            major,
            minor,
            patch,
            label,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.major, self.minor)?;
        match (&self.patch, &self.label) {
            (Some(patch), None) => write!(f, ".{patch}"),
            (patch, Some(label)) => write!(f, ".{}-{label}", patch.unwrap_or_default()),
            (None, None) => Ok(()),
        }
    }
}

impl Version {
    /// The order of two versions by the rules above. Not a total order of the values: labels are ignored.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        let minor = (self.major, self.minor).cmp(&(other.major, other.minor));
        let patch = match (self.patch, other.patch) {
            (Some(a), Some(b)) if self.label.is_none() && other.label.is_none() => a.cmp(&b),
            _ => Ordering::Equal,
        };
        minor.then(patch)
    }

    fn same_minor(&self, other: &Self) -> bool {
        (self.major, self.minor) == (other.major, other.minor)
    }
}

/// Whether a peer of version `peer` is compatible: newer than everything in `supported`, or of one of its minors.
#[must_use]
pub fn is_supported(peer: &Version, supported: &[Version]) -> bool {
    let newer = !supported.is_empty() && supported.iter().all(|s| peer.compare(s) == Ordering::Greater);
    newer || supported.iter().any(|s| peer.same_minor(s))
}

/// Whether one of `versions` compares greater than or equal to `min`.
#[must_use]
pub fn any_at_least(min: &Version, versions: &[Version]) -> bool {
    versions.iter().any(|v| v.compare(min) != Ordering::Less)
}

/// The minors that a node of the version `own` supports: every one from v1.0 to its own, newest first.
#[must_use]
pub fn supported_minors(own: &Version) -> Vec<Version> {
    (0..=own.minor)
        .rev()
        .map(|minor| Version {
            major: own.major,
            minor,
            patch: None,
            label: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_supports_every_minor_up_to_its_own() {
        let own: Version = "v1.2.3".parse().unwrap();
        let texts: Vec<_> = supported_minors(&own).iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["v1.2", "v1.1", "v1.0"]);
    }

    #[test]
    fn numbers_beyond_64_bits_and_empty_parts_are_no_versions() {
        for text in [
            "v1.99999999999999999999",
            "v1..2",
            "v1.2.3.4",
            "v1",
            "v1.2-",
            "v+1.2",
            "",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
