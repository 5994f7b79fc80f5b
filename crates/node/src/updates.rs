//! Registrations that the operators sign together at the launchpad's API, of which each hands in a part (cluster.md 18).
//!
//! Guarantees: what comes back is signed by the group key of one of the cluster's validators: parts that are not the
//! share's are left out, and what the others combine to is verified; requests end in time, answers are of bounded size.
//! Not here: when the API is asked and what counts (`overrides`).

use std::{collections::BTreeMap, fmt, time::Duration};

use reqwest::{StatusCode, header};
use serde::Deserialize;
use trireme_core::{
    PubKey, ShareIdx,
    cluster::Cluster,
    data::SignedData,
    ports::Entropy,
    scheme::{Claim, Scheme, Signer},
};
use trireme_eth2::{BlsPubkey, BlsSignature, ChainSpec, Root, SignedValidatorRegistrationV1, ValidatorRegistrationV1};
use url::Url;

use crate::NodeError;

/// Largest answer: some kilobytes per validator.
const LIMIT: usize = 64 << 20;
/// Registrations of one validator that are looked at: a few that are being signed, and those that were.
const PER_VALIDATOR: usize = 100;
/// What the API says if nobody has handed in anything.
const NOTHING_YET: &str = "no partial registrations found";
const FLAG: &str = "--publish-address";

/// Where registrations are fetched from.
#[derive(Clone, PartialEq, Eq)]
pub struct UpdatesConfig {
    /// `--publish-address`.
    pub address: Url,
    /// `--publish-timeout`: of one request.
    pub timeout: Duration,
}

impl fmt::Debug for UpdatesConfig {
    // The address may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = trireme_telemetry::redacted(self.address.as_str());
        f.debug_struct("UpdatesConfig")
            .field("address", &address)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// Why the API was asked in vain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoUpdates {
    #[error("{address} is not reachable: {reason}")]
    Unreachable { address: String, reason: String },
    #[error("{address} answered {status}: {message}")]
    Refused {
        address: String,
        status: StatusCode,
        message: String,
    },
    #[error("the answer of {address} cannot be read: {reason}")]
    Malformed { address: String, reason: String },
}

/// What the API has of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Parts {
    validators: Vec<OfValidator>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct OfValidator {
    pubkey: BlsPubkey,
    #[serde(default)]
    builder_registrations: Vec<InParts>,
}

/// A registration and who has signed it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct InParts {
    message: ValidatorRegistrationV1,
    #[serde(default)]
    partial_signatures: Vec<Part>,
    #[serde(default)]
    quorum: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Part {
    share_index: u8,
    signature: BlsSignature,
}

/// Registrations that are whole, and whether some are not.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Whole {
    pub(crate) registrations: Vec<SignedValidatorRegistrationV1>,
    pub(crate) incomplete: bool,
}

/// The API for one cluster.
pub(crate) struct Updates {
    client: reqwest::Client,
    url: Url,
    address: String,
}

impl Updates {
    /// For the cluster with this lock hash.
    pub(crate) fn new(config: &UpdatesConfig, lock_hash: &[u8; 32]) -> Result<Self, NodeError> {
        let setting = |reason: String| NodeError::Setting { flag: FLAG, reason };
        // Some other part of the process may have done this; either way there is a provider afterwards.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(config.timeout)
            .build()
            .map_err(|e| setting(e.to_string()))?;
        // This path stands in the place of the base path.
        let mut url = config.address.clone();
        url.set_path(&format!("/fee_recipient/0x{}", hex::encode(lock_hash)));
        Ok(Self {
            client,
            address: trireme_telemetry::redacted(url.as_str()),
            url,
        })
    }

    /// Asks for all of the cluster's. Drop-safe.
    pub(crate) async fn ask(&self) -> Result<Parts, NoUpdates> {
        let unreachable = |e: reqwest::Error| NoUpdates::Unreachable {
            address: self.address.clone(),
            reason: e.without_url().to_string(),
        };
        let malformed = |reason: String| NoUpdates::Malformed {
            address: self.address.clone(),
            reason,
        };
        let request = self.client.post(self.url.clone());
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let mut answer = request.body(r#"{"pubkeys":null}"#).send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len().saturating_add(chunk.len()) > LIMIT {
                return Err(malformed(format!("it is longer than {LIMIT} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        let status = answer.status();
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|e| malformed(e.to_string()));
        }
        let message: String = String::from_utf8_lossy(&body).chars().take(200).collect();
        if status == StatusCode::NOT_FOUND && message.contains(NOTHING_YET) {
            return Ok(Parts::default());
        }
        let address = self.address.clone();
        Err(NoUpdates::Refused {
            address,
            status,
            message,
        })
    }
}

impl Parts {
    /// Combines what enough operators have signed. Costs milliseconds per validator.
    pub(crate) fn combine(
        &self,
        cluster: &Cluster,
        chain: &ChainSpec,
        scheme: &dyn Scheme,
        entropy: &dyn Entropy,
    ) -> Whole {
        let mut whole = Whole::default();
        for validator in &self.validators {
            let key = PubKey(validator.pubkey.0);
            if cluster.validator(&key).is_none() {
                tracing::debug!(validator = %key.short(), "registrations of a foreign validator are left out");
                continue;
            }
            for parts in validator.builder_registrations.iter().take(PER_VALIDATOR) {
                if !parts.quorum {
                    whole.incomplete = true;
                } else if parts.message.pubkey != validator.pubkey {
                    tracing::warn!(validator = %key.short(), "a registration is of another validator than it is listed for");
                } else if let Some(signature) = parts.sum(key, cluster, chain, scheme, entropy) {
                    whole.registrations.push(SignedValidatorRegistrationV1 {
                        message: parts.message,
                        signature,
                    });
                } else {
                    whole.incomplete = true;
                    tracing::warn!(validator = %key.short(), timestamp = parts.message.timestamp,
                        "the parts of a registration make no signature of the validator; it is left out");
                }
            }
        }
        whole
    }
}

impl InParts {
    fn sum(
        &self,
        key: PubKey,
        cluster: &Cluster,
        chain: &ChainSpec,
        scheme: &dyn Scheme,
        entropy: &dyn Entropy,
    ) -> Option<BlsSignature> {
        let unsigned = SignedValidatorRegistrationV1 {
            message: self.message,
            signature: BlsSignature::default(),
        };
        let root = SignedData::Registration(unsigned).signing_root(chain).ok()?;
        let parts: BTreeMap<ShareIdx, BlsSignature> = self
            .partial_signatures
            .iter()
            .map(|part| (ShareIdx(part.share_index), part.signature))
            .collect();
        let claims: Vec<Claim> = parts
            .iter()
            .map(|(share, signature)| claim(Signer::Share(key, *share), root, *signature))
            .collect();
        let genuine = verdicts(&claims, scheme, entropy);
        let good = parts.into_iter().zip(genuine).filter(|(_, genuine)| *genuine);
        let good: BTreeMap<ShareIdx, BlsSignature> = good.map(|(part, _)| part).collect();
        if good.len() < cluster.threshold {
            return None;
        }
        let signature = scheme.combine(&good).ok()?;
        let group = [claim(Signer::Group(key), root, signature)];
        let genuine = verdicts(&group, scheme, entropy) == [true];
        genuine.then_some(signature)
    }
}

const fn claim(signer: Signer, root: Root, signature: BlsSignature) -> Claim {
    Claim {
        signer,
        root,
        signature,
    }
}

fn verdicts(claims: &[Claim], scheme: &dyn Scheme, entropy: &dyn Entropy) -> Vec<bool> {
    let mut seed = [0; 32];
    entropy.fill(&mut seed);
    scheme.verify_set(claims, &seed).iter().map(Result::is_ok).collect()
}

#[cfg(test)]
mod tests;
