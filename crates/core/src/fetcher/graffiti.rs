//! What is written into the blocks (core.md 10.3).
//!
//! Guarantees: 32 bytes per validator, made once at start; only the beacon node's two letters are added later.

use std::collections::BTreeMap;

use trireme_eth2::Root;

use crate::{cluster::Cluster, ids::PubKey};

/// Bytes that the two client codes need.
const CODES: usize = 4;
/// Ours.
const OWN_CODE: &str = "OB";

/// The graffiti that were configured do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraffitiError {
    /// Neither one nor one per validator.
    #[error("{got} graffiti for {validators} validators: give one for all or one for each, in the order of the lock")]
    Count {
        /// How many were given.
        got: usize,
        /// How many validators there are.
        validators: usize,
    },
    /// Too long.
    #[error("graffiti {text:?} has {} bytes, at most {most} fit", .text.len())]
    Long {
        /// The text.
        text: String,
        /// How many fit.
        most: usize,
    },
}

/// The graffiti of every validator, without client codes.
#[derive(Debug, Clone)]
pub struct Graffiti {
    texts: BTreeMap<PubKey, String>,
    default: String,
    append: bool,
}

impl Graffiti {
    /// `configured`: none (then `default`, cut to size, is used), one for all, or one per validator in lock order.
    /// `append` adds the client codes.
    pub fn new(configured: &[String], default: &str, append: bool, cluster: &Cluster) -> Result<Self, GraffitiError> {
        let most = if append { Root::LEN - CODES } else { Root::LEN };
        if let Some(text) = configured.iter().find(|text| text.len() > most) {
            return Err(GraffitiError::Long {
                text: text.clone(),
                most,
            });
        }
        let validators = cluster.validators();
        let texts = match configured {
            [] => BTreeMap::new(),
            [all] => validators.iter().map(|v| (v.key, all.clone())).collect(),
            each if each.len() == validators.len() => validators
                .iter()
                .zip(each)
                .map(|(v, text)| (v.key, text.clone()))
                .collect(),
            _ => {
                return Err(GraffitiError::Count {
                    got: configured.len(),
                    validators: validators.len(),
                });
            }
        };
        Ok(Self {
            texts,
            default: default.to_owned(),
            append,
        })
    }

    /// Whether the beacon node's version matters.
    #[must_use]
    pub const fn needs_version(&self) -> bool {
        self.append
    }

    /// The 32 bytes for a validator; `version` is what the beacon node calls itself, if it is known.
    #[must_use]
    pub fn of(&self, validator: &PubKey, version: Option<&str>) -> Root {
        // The default always was cut to 32 bytes and has its codes behind.
        let mut text = self.texts.get(validator).unwrap_or(&self.default).clone().into_bytes();
        if self.append {
            text.extend(OWN_CODE.bytes());
            text.extend(version.and_then(client_code).unwrap_or_default().bytes());
        }
        let mut out = [0; Root::LEN];
        for (to, from) in out.iter_mut().zip(text) {
            *to = from;
        }
        Root(out)
    }
}

/// The two letters of a beacon node, by the name before the first slash.
fn client_code(version: &str) -> Option<&'static str> {
    match version.split('/').next()? {
        "teku" => Some("TK"),
        "Lighthouse" => Some("LH"),
        "Lodestar" => Some("LS"),
        "Prysm" => Some("PY"),
        "Nimbus" => Some("NB"),
        "Grandine" => Some("GD"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::Validator, ids::PeerIdx};

    fn cluster() -> Cluster {
        let validator = |n| Validator {
            key: PubKey([n; 48]),
            shares: Vec::new(),
            fee_recipient: [0; 20],
        };
        Cluster::new([0; 32], 4, 3, PeerIdx(0), vec![validator(1), validator(2)])
    }

    fn text(root: Root) -> String {
        String::from_utf8(root.0.iter().copied().take_while(|b| *b != 0).collect()).unwrap()
    }

    #[test]
    fn client_codes_are_appended_unless_switched_off() {
        let own = |append, version| {
            let graffiti = Graffiti::new(&["hi".to_owned()], "", append, &cluster()).unwrap();
            text(graffiti.of(&PubKey([1; 48]), version))
        };
        assert_eq!(own(true, Some("Lighthouse/v8.0.0")), "hiOBLH");
        assert_eq!(own(true, Some("lighthouse/v8.0.0")), "hiOB");
        assert_eq!(own(true, None), "hiOB");
        assert_eq!(own(false, Some("teku/v1")), "hi");
    }

    #[test]
    fn a_list_goes_to_the_validators_in_the_order_of_the_lock() {
        let each = ["a".to_owned(), "b".to_owned()];
        let graffiti = Graffiti::new(&each, "", false, &cluster()).unwrap();
        assert_eq!(text(graffiti.of(&PubKey([2; 48]), None)), "b");
    }

    #[test]
    fn what_does_not_fit_is_refused_at_the_start() {
        let make = |list: &[String], append| Graffiti::new(list, "", append, &cluster()).map(|_| ());
        assert!(make(&["x".repeat(28)], true).is_ok());
        assert!(matches!(
            make(&["x".repeat(29)], true),
            Err(GraffitiError::Long { most: 28, .. })
        ));
        assert!(make(&["x".repeat(32)], false).is_ok());
        assert!(matches!(
            make(&vec![String::new(); 3], true),
            Err(GraffitiError::Count { got: 3, validators: 2 })
        ));
    }

    #[test]
    fn a_long_default_is_cut_to_the_field() {
        let graffiti = Graffiti::new(&[], &"d".repeat(40), true, &cluster()).unwrap();
        assert_eq!(graffiti.of(&PubKey([1; 48]), Some("teku/1")), Root([b'd'; 32]));
    }
}
