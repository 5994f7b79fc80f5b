//! What nodes tell each other about themselves every minute (p2p.md 7).
//!
//! Guarantees: nothing is enforced, findings are only told: an incompatible or mismatching peer keeps its connections.
//! Anybody who is connected gets an answer, relays included.
//! Not here: the message's encoding (`trireme_proto::peerinfo`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, stream::FuturesUnordered};
use prost::Message as _;
use prost_types::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at},
};
use trireme_core::{
    PeerIdx, UnixTime,
    ports::{Clock, Handler, Peer},
};
use trireme_proto::peerinfo::v1::PeerInfo;

use crate::{
    config::{About, DV_CLIENT},
    metrics::{self, ClientLabel, GitLabel, NicknameLabel, P2pMetrics, VersionLabel},
    net::Net,
    protocol::PEERINFO,
    version::{self, Version},
};

/// How often the peers are asked; the first time after as long.
const EVERY: Duration = Duration::from_secs(60);
/// Longest text of a peer that is kept.
const MAX_TEXT: usize = 64;

fn timestamp(t: UnixTime) -> Timestamp {
    let seconds = i64::try_from(t.secs()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(t.since(UnixTime::from_secs(t.secs())).subsec_nanos()).unwrap_or_default();
    Timestamp { seconds, nanos }
}

/// Seconds since 1970 with their fraction.
fn seconds(t: Timestamp) -> f64 {
    let whole = i32::try_from(t.seconds).map_or(f64::MAX, f64::from);
    whole + f64::from(t.nanos) / 1e9
}

/// Our own peer information at `now`.
pub(crate) fn own(about: &About, started: UnixTime, now: UnixTime) -> PeerInfo {
    PeerInfo {
        charon_version: about.version.clone(),
        lock_hash: Bytes::copy_from_slice(&about.lock_hash),
        sent_at: Some(timestamp(now)),
        git_hash: about.git_hash.clone(),
        started_at: Some(timestamp(started)),
        builder_api_enabled: about.builder_api,
        nickname: about.nickname.clone(),
        dv_client: DV_CLIENT.to_owned(),
    }
}

/// Answers requests. Their content does not matter.
pub(crate) fn server(about: About, started: UnixTime, clock: Arc<dyn Clock>) -> Handler {
    Arc::new(move |_| {
        let info = own(&about, started, clock.now());
        Box::pin(async move { Ok(Some(info.encode_to_vec().into())) })
    })
}

/// Something about a peer that its operator or ours should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// One of the timestamps is missing.
    NoTimes,
    /// The commit is neither 7 hex digits nor `unknown`.
    BadGitHash,
    /// Its version is not one that works with ours.
    Incompatible,
    /// It runs another cluster.
    OtherCluster,
    /// It asks builders for blocks and we do not, or the other way round.
    OtherBuilder,
}

/// What a response says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) findings: Vec<Finding>,
    /// Its nickname, if the response got that far.
    pub(crate) nickname: Option<String>,
    /// Its implementation and the offset of its clock in seconds, if the response got that far.
    pub(crate) measured: Option<(String, f64)>,
    /// Whether it is compatible; `None` if that was not looked at.
    pub(crate) compatible: Option<bool>,
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

fn good_git_hash(hash: &str) -> bool {
    hash == "unknown" || (hash.len() == 7 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// Looks at a response that took `rtt`, in the order of p2p.md 7.3.
pub(crate) fn judge(info: &PeerInfo, now: UnixTime, rtt: Duration, about: &About, supported: &[Version]) -> Verdict {
    let mut v = Verdict {
        findings: Vec::new(),
        nickname: None,
        measured: None,
        compatible: None,
    };
    let (Some(sent_at), Some(_)) = (info.sent_at, info.started_at) else {
        v.findings.push(Finding::NoTimes);
        return v;
    };
    v.nickname = Some(short(&info.nickname));
    if !good_git_hash(&info.git_hash) {
        v.findings.push(Finding::BadGitHash);
        return v;
    }
    let expected = seconds(timestamp(now.before(rtt / 2)));
    let offset = (seconds(sent_at) - expected).clamp(-3600.0, 3600.0);
    let client = if info.dv_client.is_empty() {
        "charon".to_owned()
    } else {
        short(&info.dv_client)
    };
    if client == "charon" {
        let fits = info
            .charon_version
            .parse()
            .is_ok_and(|peer| version::is_supported(&peer, supported));
        if !fits {
            v.findings.push(Finding::Incompatible);
            v.compatible = Some(false);
            v.measured = Some((client, offset));
            return v;
        }
    }
    v.measured = Some((client, offset));
    v.compatible = Some(true);
    if info.lock_hash != about.lock_hash.as_slice() {
        v.findings.push(Finding::OtherCluster);
    }
    if info.builder_api_enabled != about.builder_api {
        v.findings.push(Finding::OtherBuilder);
    }
    v
}

/// Labels that a peer's series had last.
#[derive(Default)]
struct Shown {
    version: Option<VersionLabel>,
    git: Option<GitLabel>,
    nickname: Option<NicknameLabel>,
    client: Option<ClientLabel>,
}

/// Replaces the label of a constant gauge.
fn show<L>(
    family: &prometheus_client::metrics::family::Family<L, prometheus_client::metrics::gauge::Gauge>,
    old: &mut Option<L>,
    new: L,
) where
    L: Clone + std::hash::Hash + Eq,
{
    if let Some(old) = old.replace(new.clone()).filter(|o| *o != new) {
        family.remove(&old);
    }
    family.get_or_create(&new).set(1);
}

/// Asks the peers every minute and tells what they answer.
pub(crate) struct Client {
    pub(crate) net: Arc<Net>,
    pub(crate) about: About,
    pub(crate) started: UnixTime,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: P2pMetrics,
    pub(crate) nicknames: watch::Sender<BTreeMap<String, String>>,
}

impl Client {
    /// Sets the series of our own node, which nobody asks for.
    pub(crate) fn show_own(&self, me: &Peer) {
        let info = own(&self.about, self.started, self.clock.now());
        self.show(me, &info, DV_CLIENT, &mut Shown::default());
    }

    fn show(&self, peer: &Peer, info: &PeerInfo, client: &str, shown: &mut Shown) {
        let (m, name) = (&self.metrics, || peer.name.clone());
        show(
            &m.version,
            &mut shown.version,
            VersionLabel {
                peer: name(),
                version: short(&info.charon_version),
            },
        );
        show(
            &m.git_commit,
            &mut shown.git,
            GitLabel {
                peer: name(),
                git_hash: short(&info.git_hash),
            },
        );
        show(
            &m.nickname,
            &mut shown.nickname,
            NicknameLabel {
                peer: name(),
                peer_nickname: short(&info.nickname),
            },
        );
        show(
            &m.dv_client,
            &mut shown.client,
            ClientLabel {
                peer: name(),
                dv_client: client.to_owned(),
            },
        );
        let label = metrics::peer(&peer.name);
        m.start_time
            .get_or_create(&label)
            .set(info.started_at.map_or(0, |t| t.seconds));
        m.index.get_or_create(&label).set(i64::from(peer.idx.0));
        m.builder_api_enabled
            .get_or_create(&label)
            .set(i64::from(info.builder_api_enabled));
    }

    /// Runs for ever.
    pub(crate) async fn run(self, peers: Vec<Peer>, me: PeerIdx) {
        // Without a readable version of our own every peer counts as compatible.
        let supported = self
            .about
            .version
            .parse()
            .map(|own| version::supported_minors(&own))
            .unwrap_or_default();
        let mut tick = interval_at(Instant::now() + EVERY, EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shown: BTreeMap<PeerIdx, Shown> = BTreeMap::new();
        let mut asked = FuturesUnordered::new();
        loop {
            tokio::select! { biased;
                _ = tick.tick() => {
                    let request = Bytes::from(own(&self.about, self.started, self.clock.now()).encode_to_vec());
                    for peer in peers.iter().filter(|p| p.idx != me) {
                        let (net, request) = (Arc::clone(&self.net), request.clone());
                        asked.push(async move { (peer, net.exchange(peer.idx, PEERINFO, request, true).await) });
                    }
                }
                Some((peer, answer)) = asked.next(), if !asked.is_empty() => {
                    let Ok((answer, rtt)) = answer else { continue };
                    match PeerInfo::decode(answer) {
                        Ok(info) => self.take(peer, &info, rtt, &supported, shown.entry(peer.idx).or_default()),
                        Err(error) => tracing::warn!(peer = %peer.name, %error, "peer information cannot be read"),
                    }
                }
            }
        }
    }

    fn take(&self, peer: &Peer, info: &PeerInfo, rtt: Duration, supported: &[Version], shown: &mut Shown) {
        let verdict = judge(info, self.clock.now(), rtt, &self.about, supported);
        for finding in &verdict.findings {
            self.tell(peer, info, finding);
        }
        if let Some(nickname) = verdict.nickname {
            let news = self.nicknames.send_if_modified(|table| {
                table
                    .insert(peer.name.clone(), nickname.clone())
                    .is_none_or(|old| old != nickname)
            });
            if news {
                let table = self.nicknames.borrow().clone();
                tracing::info!(?table, "peer nicknames");
            }
        }
        let label = metrics::peer(&peer.name);
        if let Some(ok) = verdict.compatible {
            self.metrics.version_support.get_or_create(&label).set(i64::from(ok));
        }
        if let Some((client, offset)) = verdict.measured {
            if verdict.compatible == Some(true) {
                self.metrics.clock_offset.get_or_create(&label).set(offset);
                self.show(peer, info, &client, shown);
            } else {
                show(
                    &self.metrics.dv_client,
                    &mut shown.client,
                    ClientLabel {
                        peer: peer.name.clone(),
                        dv_client: client,
                    },
                );
            }
        }
    }

    fn tell(&self, peer: &Peer, info: &PeerInfo, finding: &Finding) {
        let (peer, version) = (&peer.name, short(&info.charon_version));
        match finding {
            Finding::NoTimes => tracing::error!(peer, "peer information lacks its timestamps"),
            Finding::BadGitHash => {
                tracing::warn!(
                    peer,
                    git_hash = short(&info.git_hash),
                    "peer information has an invalid git hash"
                );
            }
            Finding::Incompatible => {
                tracing::error!(
                    peer,
                    version,
                    own = self.about.version,
                    "the peer's version does not work with ours; one of the two nodes needs an update"
                );
            }
            Finding::OtherCluster => {
                tracing::warn!(
                    peer,
                    lock_hash = hex::encode(info.lock_hash.get(..32).unwrap_or(&info.lock_hash)),
                    "the peer runs with another cluster lock; its duties will not match ours"
                );
            }
            Finding::OtherBuilder => {
                tracing::warn!(
                    peer,
                    builder = info.builder_api_enabled,
                    "the peer's builder setting differs from ours; proposals may lack a quorum"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn about() -> About {
        About {
            version: "v1.11.0".into(),
            git_hash: "abcdef0".into(),
            nickname: "n".into(),
            lock_hash: [7; 32],
            builder_api: false,
        }
    }

    fn verdict(change: impl FnOnce(&mut PeerInfo)) -> Verdict {
        let mut info = own(&about(), UnixTime::from_secs(1_700_000_000), NOW);
        info.dv_client = String::new();
        change(&mut info);
        let supported = version::supported_minors(&"v1.11.0".parse().unwrap());
        judge(
            &info,
            NOW.after(Duration::from_secs(1)),
            Duration::from_secs(1),
            &about(),
            &supported,
        )
    }

    #[test]
    fn a_good_peer_has_a_clock_offset_and_no_findings() {
        let v = verdict(|_| {});
        assert_eq!((v.findings.as_slice(), v.compatible), (&[][..], Some(true)));
        let (client, offset) = v.measured.unwrap();
        assert_eq!(client, "charon");
        assert!((offset + 0.5).abs() < 1e-3, "{offset}");
    }

    #[test]
    fn a_clock_that_is_days_off_counts_as_an_hour_off() {
        let v = verdict(|i| i.sent_at = Some(Timestamp { seconds: 1, nanos: 0 }));
        assert_eq!(v.measured.unwrap().1, -3600.0);
        let v = verdict(|i| {
            i.sent_at = Some(Timestamp {
                seconds: i64::MAX,
                nanos: i32::MAX,
            })
        });
        assert_eq!(v.measured.unwrap().1, 3600.0);
    }

    #[test]
    fn both_timestamps_are_required() {
        // Pitfall 32.
        for v in [verdict(|i| i.sent_at = None), verdict(|i| i.started_at = None)] {
            assert_eq!((v.findings.as_slice(), v.nickname), (&[Finding::NoTimes][..], None));
        }
        let own = own(&about(), NOW, NOW);
        assert!(own.sent_at.is_some() && own.started_at.is_some() && good_git_hash(&own.git_hash));
    }

    #[test]
    fn a_bad_git_hash_ends_the_look_after_the_nickname() {
        for bad in ["", "ABCDEF0", "abcdef", "abcdef01"] {
            let v = verdict(|i| i.git_hash = bad.into());
            assert_eq!(
                (v.findings.as_slice(), v.compatible),
                (&[Finding::BadGitHash][..], None)
            );
            assert_eq!(v.nickname.as_deref(), Some("n"));
        }
        assert!(verdict(|i| i.git_hash = "unknown".into()).findings.is_empty());
    }

    #[test]
    fn the_version_counts_only_for_charon_nodes() {
        let v = verdict(|i| i.charon_version = "v0.19.0".into());
        assert_eq!(
            (v.findings.as_slice(), v.compatible),
            (&[Finding::Incompatible][..], Some(false))
        );
        let v = verdict(|i| {
            i.charon_version = "7".into();
            i.dv_client = "other".into();
        });
        assert_eq!((v.findings.as_slice(), v.compatible), (&[][..], Some(true)));
    }

    #[test]
    fn another_lock_or_builder_setting_is_told() {
        let v = verdict(|i| {
            i.lock_hash = Bytes::from_static(&[8; 32]);
            i.builder_api_enabled = true;
        });
        assert_eq!(v.findings, [Finding::OtherCluster, Finding::OtherBuilder]);
    }
}
