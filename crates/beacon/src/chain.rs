//! What must be known of the chain before anything else: its configuration, and that it is the cluster's.
//!
//! Guarantees: beacon nodes that are down, slow or talk nonsense are asked again for ever, with one line per attempt;
//! only the wrong network is an end, and only if no beacon node is of the right one.
//! Not here: what the node does in the meantime.

use std::time::Duration;

use futures::{StreamExt as _, stream::FuturesUnordered};
use reqwest::header::DATE;
use serde_json::{Map, Value};
use trireme_core::{
    ports::{BeaconError, Clock},
    time::UnixTime,
};
use trireme_eth2::{ChainSpec, ForkVersion, Genesis};

use crate::{
    Client,
    calls::Call,
    client::{Data, malformed},
};

/// A clock that is further off is worth a warning.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);
/// Between attempts to reach a beacon node (VC-119).
const AGAIN: Duration = Duration::from_secs(2);
/// Between attempts while the chain has no genesis.
const AGAIN_BEFORE_GENESIS: Duration = Duration::from_secs(12);

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
        let genesis = self.get(Call::Genesis);
        let Data { data: genesis } = self.read::<Data<Genesis>>(genesis).await?;
        let spec = self.read_spec().await?;
        ChainSpec::read(&spec, genesis).map_err(|e| malformed(Call::Spec, e.to_string()))
    }

    pub(crate) async fn read_spec(&self) -> Result<Map<String, Value>, BeaconError> {
        self.read(self.get(Call::Spec)).await.map(|Data { data }| data)
    }

    /// How far our clock and the beacon node's are apart at least; `None` if it does not tell.
    pub(crate) async fn clock_difference(&self, clock: &dyn Clock) -> Option<Duration> {
        let before = clock.now();
        let answer = self.http.ask(self.get(Call::NodeVersion)).await.ok()?;
        let theirs = answer.header(DATE.as_str()).and_then(http_date)?;
        Some(clock_difference(before, theirs, clock.now()))
    }
}

/// Waits until one of the beacon nodes tells its chain and it is the one of this genesis fork version. Drop-safe.
///
/// # Errors
///
/// [`WrongNetwork`] if all of them answer and are of another chain.
pub(crate) async fn wait_for_chain(clients: &[&Client], ours: ForkVersion) -> Result<ChainSpec, WrongNetwork> {
    loop {
        let mut asked: FuturesUnordered<_> = clients
            .iter()
            .map(|client| async move { (client.address(), client.chain().await) })
            .collect();
        let (mut wrong, mut wait, mut silent) = (None, AGAIN, Vec::new());
        while let Some((address, answer)) = asked.next().await {
            match answer {
                Ok(chain) if chain.genesis.genesis_fork_version == ours => return Ok(chain),
                Ok(chain) => {
                    wrong.get_or_insert(WrongNetwork {
                        address: address.to_owned(),
                        name: chain.config_name,
                        theirs: chain.genesis.genesis_fork_version,
                        ours,
                    });
                }
                Err(error) => {
                    if is_before_genesis(&error) {
                        wait = AGAIN_BEFORE_GENESIS;
                    }
                    silent.push(format!("{address}: {error}"));
                }
            }
        }
        if let (Some(wrong), true) = (wrong, silent.is_empty()) {
            return Err(wrong);
        }
        let error = silent.join("; ");
        tracing::warn!(error, again_in = ?wait, "No beacon node is usable yet, no duties until then");
        tokio::time::sleep(wait).await;
    }
}

fn is_before_genesis(error: &BeaconError) -> bool {
    matches!(error, BeaconError::Status { endpoint, status: 404, .. } if *endpoint == Call::Genesis.endpoint())
}

/// Warns if clocks differ by more than a second.
pub(crate) fn tell_clock(address: &str, difference: Option<Duration>) {
    if let Some(difference) = difference.filter(|d| *d > CLOCK_TOLERANCE) {
        tracing::warn!(
            address,
            ?difference,
            "Our clock and the beacon node's differ; duties will be early or late, check time synchronisation"
        );
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
