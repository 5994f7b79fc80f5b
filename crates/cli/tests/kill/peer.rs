//! The sixth operator: takes part in the network, signs nothing, writes everything down.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use trireme_cluster::Lock;
use trireme_core::{
    PeerIdx,
    clock::SystemClock,
    consensus,
    entropy::OsEntropy,
    life::Life,
    parsigex::PARSIGEX,
    ports::{Handler, Inbound, Peer, ServeGuard},
};
use trireme_keys::{Enr, IdentityKey, PeerId, peer_name};
use trireme_p2p::{About, Host, HostHandle, LookupHeaders, P2pConfig, P2pMetrics, Services};

use crate::{
    plan::Sent,
    record::{Messages, Record},
};

/// Runs until it is dropped.
pub(crate) struct ListeningPeer {
    record: Arc<Mutex<Record>>,
    messages: watch::Receiver<Messages>,
    handle: HostHandle,
    _guards: [ServeGuard; 2],
    _life: Life,
}

impl ListeningPeer {
    /// Starts as the operator whose folder this is.
    pub(crate) async fn start(folder: &Path, me: u8, relay: &str) -> Self {
        let text = std::fs::read_to_string(folder.join("charon-enr-private-key")).unwrap();
        let identity = IdentityKey::from_file_text(&text).unwrap();
        let lock = Lock::from_json(&std::fs::read(folder.join("cluster-lock.json")).unwrap()).unwrap();
        let enrs: Vec<Enr> = lock
            .definition
            .operators
            .iter()
            .map(|o| o.enr.parse().unwrap())
            .collect();
        let peer = |(idx, enr): (u8, &Enr)| {
            let id = PeerId::from_public_key(enr.public_key());
            Peer {
                idx: PeerIdx(idx),
                id,
                name: peer_name(&id),
            }
        };
        let keys = enrs.iter().map(|e| e.public_key()).collect();
        let config = P2pConfig {
            identity,
            me: PeerIdx(me),
            peers: (0..).zip(&enrs).map(peer).collect(),
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            external_ip: Some([127, 0, 0, 1].into()),
            external_host: None,
            relays: vec![relay.parse().unwrap()],
            headers: LookupHeaders::default(),
            about: About {
                version: "v1.11.0".to_owned(),
                git_hash: "unknown".to_owned(),
                nickname: "listener".to_owned(),
                lock_hash: lock.lock_hash.as_slice().try_into().unwrap(),
                builder_api: false,
            },
            known: BTreeMap::new(),
            ask_peerinfo: true,
        };
        let life = Life::new();
        let services = Services {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            life: life.clone(),
            metrics: P2pMetrics::new(),
        };
        let (net, handle) = Host::start(config, services).await.unwrap();
        let record = Arc::new(Mutex::new(Record::new(keys)));
        let (counted, messages) = watch::channel(Messages::new());
        let counted = Arc::new(counted);
        let keep = |write: fn(&mut Record, u8, &[u8])| -> Handler {
            let (record, counted) = (Arc::clone(&record), Arc::clone(&counted));
            Arc::new(move |inbound: Inbound| {
                let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
                match inbound.from {
                    Some(from) => write(&mut record, from.0, &inbound.msg),
                    None => record.wrong.push("a message of nobody in the cluster".to_owned()),
                }
                counted.send_replace(record.messages.clone());
                Box::pin(async { Ok(None) })
            })
        };
        let guards = [
            net.serve(consensus::PROTOCOL, keep(Record::consensus)),
            net.serve(PARSIGEX, keep(Record::partials)),
        ];
        Self {
            record,
            messages,
            handle,
            _guards: guards,
            _life: life,
        }
    }

    /// Looks at the record.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the operator's next message of that kind; whether it came within `limit`.
    pub(crate) async fn next_message(&self, operator: u8, sent: Sent, limit: Duration) -> bool {
        let mut messages = self.messages.clone();
        let counts = |(from, kind): &(u8, Option<i32>)| {
            *from == operator
                && match sent {
                    Sent::Any => true,
                    Sent::Partial(duty) => *kind == Some(duty.number().into()),
                }
        };
        let count = |all: &Messages| all.iter().filter(|(k, _)| counts(k)).map(|(_, n)| n).sum::<u64>();
        let before = count(&messages.borrow());
        tokio::time::timeout(limit, messages.wait_for(|m| count(m) > before))
            .await
            .is_ok_and(|found| found.is_ok())
    }

    /// Operators connected now.
    pub(crate) fn connected(&self) -> usize {
        self.handle.connected().borrow().len()
    }
}
