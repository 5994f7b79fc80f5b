//! Which cluster each client of a relay belongs to, asked every ten seconds with an empty peer information, and what it
//! sent and received until then.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{AsyncWriteExt as _, StreamExt as _, stream};
use libp2p::{PeerId, StreamProtocol};
use prost::Message as _;
use tokio::{
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use trireme_proto::peerinfo::v1::PeerInfo;

use super::{Names, RelayMetrics};
use crate::{
    frame, identity,
    protocol::{self, PEERINFO},
    table::{Open, Route, Table},
    traffic::Meter,
};

/// How often every client is asked.
const EVERY: Duration = Duration::from_secs(10);
/// Clients asked at once.
const AT_ONCE: usize = 64;

/// The clusters as far as they are known.
#[derive(Clone, Default)]
pub(super) struct Clusters(Arc<Mutex<Names>>);

impl Clusters {
    fn lock(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// First 7 hex digits of the lock hash; empty if unknown.
    pub(super) fn of(&self, peer: &PeerId) -> String {
        self.lock().get(peer).cloned().unwrap_or_default()
    }

    pub(super) fn forget(&self, peer: &PeerId) -> String {
        self.lock().remove(peer).unwrap_or_default()
    }
}

async fn ask(route: &Route) -> Option<(PeerInfo, Duration)> {
    let (reply, opened) = oneshot::channel();
    route
        .open
        .send(Open {
            name: StreamProtocol::new(PEERINFO.name),
            lazy: true,
            reply,
        })
        .await
        .ok()?;
    let mut stream = opened.await.ok()?.ok()?;
    let began = Instant::now();
    frame::write_frame(&mut stream, &[]).await.ok()?;
    stream.close().await.ok()?;
    let answer = frame::read_frame(&mut stream, PEERINFO.max_frame).await.ok()?;
    Some((PeerInfo::decode(answer).ok()?, began.elapsed()))
}

/// Asks for ever.
pub(super) async fn run(table: Arc<Table>, clusters: Clusters, meter: Meter, metrics: RelayMetrics) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked = stream::iter(table.all()).for_each_concurrent(AT_ONCE, |(peer, routes)| {
            let (table, clusters, metrics) = (&table, &clusters, &metrics);
            async move {
                let Some(route) = routes.first() else { return };
                let answer = timeout(protocol::send_limit(PEERINFO.name), ask(route))
                    .await
                    .ok()
                    .flatten();
                let Some((info, rtt)) = answer else {
                    tracing::debug!(peer = %identity::name(&peer), "client does not tell its cluster");
                    return;
                };
                if !table.is_connected(&peer) {
                    return;
                }
                let cluster: String = hex::encode(&info.lock_hash).chars().take(7).collect();
                let name = identity::name(&peer);
                let old = clusters.lock().insert(peer, cluster.clone()).unwrap_or_default();
                if old != cluster {
                    metrics.moved(&name, &old, &cluster);
                }
                metrics.pinged(&name, &cluster, rtt.as_secs_f64() / 2.0);
            }
        });
        asked.await;
        for (peer, traffic) in meter.take() {
            // The series of a client that is gone are gone with it.
            if table.is_connected(&peer) {
                metrics.traffic(&identity::name(&peer), &clusters.of(&peer), traffic);
            }
        }
    }
}
