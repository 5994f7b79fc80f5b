//! What must be known of the chain before anything else: its configuration, and that it is the cluster's.
//!
//! Guarantees: a beacon node that is down, slow or talks nonsense is asked again for ever, with one line per attempt;
//! only the wrong network is an end.
//! Not here: what the node does in the meantime.

use std::time::Duration;

use reqwest::header::DATE;
use serde_json::{Map, Value};
use trireme_core::{
    backoff,
    ports::{BeaconError, BeaconNode as _, Clock},
    time::UnixTime,
};
use trireme_eth2::{ChainSpec, ForkVersion, Genesis};

use crate::{Client, client::Data};

/// A clock that is further off is worth a warning.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

/// The beacon node serves another chain than the cluster's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("beacon node {address} has genesis fork version {theirs}, the cluster {ours}")]
pub struct WrongNetwork {
    /// Address without credentials.
    pub address: String,
    /// `CONFIG_NAME`, possibly empty.
    pub name: String,
    /// The beacon node's genesis fork version.
    pub theirs: ForkVersion,
    /// The lock's.
    pub ours: ForkVersion,
}

impl Client {
    /// Genesis and configuration.
    ///
    /// # Errors
    ///
    /// If one of them cannot be had or read.
    pub async fn chain(&self) -> Result<ChainSpec, BeaconError> {
        const SPEC: &str = "/eth/v1/config/spec";
        let time = self.start_time();
        let genesis = crate::http::Ask {
            time,
            ..self.get("/eth/v1/beacon/genesis", "genesis")
        };
        let Data { data: genesis } = self.read::<Data<Genesis>>(genesis).await?;
        let spec = crate::http::Ask {
            time,
            ..self.get(SPEC, "spec")
        };
        let Data { data: spec } = self.read::<Data<Map<String, Value>>>(spec).await?;
        ChainSpec::read(&spec, genesis).map_err(|e| BeaconError::Malformed {
            endpoint: SPEC,
            reason: e.to_string(),
        })
    }

    /// Waits until the beacon node tells its chain, and checks that it is the one of this genesis fork version.
    /// Drop-safe.
    ///
    /// # Errors
    ///
    /// [`WrongNetwork`].
    pub async fn wait_for_chain(&self, ours: ForkVersion) -> Result<ChainSpec, WrongNetwork> {
        for attempt in 0_u32.. {
            match self.chain().await {
                Ok(chain) if chain.genesis.genesis_fork_version == ours => return Ok(chain),
                Ok(chain) => {
                    return Err(WrongNetwork {
                        address: self.address().to_owned(),
                        name: chain.config_name,
                        theirs: chain.genesis.genesis_fork_version,
                        ours,
                    });
                }
                Err(error) => {
                    let wait = backoff::FAST.wait(attempt.saturating_add(4), 0.0);
                    tracing::warn!(%error, again_in = ?wait, "Beacon node is not usable yet, no duties until then");
                    tokio::time::sleep(wait).await;
                }
            }
        }
        std::future::pending().await
    }

    /// Compares our clock with the beacon node's and warns if they differ by more than a second. Beacon nodes that
    /// send no time are believed to agree.
    pub async fn check_clock(&self, clock: &dyn Clock) {
        let before = clock.now();
        let ask = self.get("/eth/v1/node/version", "node_version");
        let Ok(answer) = self.http.ask(ask).await else {
            return;
        };
        let Some(theirs) = answer.header(DATE.as_str()).and_then(http_date) else {
            return;
        };
        let off = clock_difference(before, theirs, clock.now());
        if off > CLOCK_TOLERANCE {
            tracing::warn!(
                difference = ?off,
                "Our clock and the beacon node's differ; duties will be early or late, check time synchronisation"
            );
        }
    }

    /// The first answer of the beacon node's version, for the log.
    pub async fn describe(&self) {
        match self.node_version().await {
            Ok(version) => tracing::info!(address = self.address(), version, "Connected to beacon node"),
            Err(error) => tracing::warn!(address = self.address(), %error, "The beacon node does not tell its version"),
        }
    }
}

/// How far a time that was cut to its second and read between `before` and `after` is from ours, at least.
fn clock_difference(before: UnixTime, theirs: UnixTime, after: UnixTime) -> Duration {
    let latest = theirs.after(Duration::from_secs(1));
    // One of the two is zero.
    theirs.since(after).max(before.since(latest))
}

/// `Sat, 21 Nov 2026 14:05:00 GMT` (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<UnixTime> {
    let stamp = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    u64::try_from(stamp.as_second()).ok().map(UnixTime::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> UnixTime {
        UnixTime(ms * 1_000_000)
    }

    #[test]
    fn second_that_was_cut_off_is_no_difference() {
        assert_eq!(clock_difference(at(10_900), at(10_000), at(10_950)), Duration::ZERO);
        assert_eq!(
            clock_difference(at(13_500), at(10_000), at(13_600)),
            Duration::from_millis(2_500)
        );
        assert_eq!(
            clock_difference(at(8_000), at(10_000), at(8_100)),
            Duration::from_millis(1_900)
        );
    }

    #[test]
    fn date_of_http_is_read() {
        assert_eq!(
            http_date("Sat, 21 Nov 2026 14:05:00 GMT"),
            Some(UnixTime::from_secs(1_795_269_900))
        );
        assert_eq!(http_date("yesterday"), None);
    }
}
