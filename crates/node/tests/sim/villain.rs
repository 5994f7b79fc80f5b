//! A node's side of the network: every message goes into the audit, and a villain's messages are not what they should be.
//!
//! The villain runs the honest code and lies on the wire: it keeps messages back, says something else to each peer, sends
//! partial signatures of its own share over other roots and of foreign shares, repeats what others said long ago, and
//! sends bytes that are no messages; and if it equivocates, a [`Forger`] makes votes for it under its genuine key.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use trireme_core::{
    Duty, DutyType, PeerIdx, ShareIdx,
    consensus::{PROTOCOL, receive::open},
    data::{decode_parsigex, encode_parsigex},
    parsigex::PARSIGEX,
    ports::{Clock as _, Handler, Inbound, NetError, Peer, PeerNet, ProtocolId, ServeGuard},
};
use trireme_eth2::Slot;
use trireme_testutil::sim::{SimClock, SimPeer};

use crate::{chain::NODES, forger::Forger, run::Audit};

/// See the module.
pub(crate) struct Wire {
    inner: Arc<SimPeer>,
    clock: SimClock,
    audit: Arc<Audit>,
    lies: Option<Arc<Lies>>,
}

/// What a villain remembers.
pub(crate) struct Lies {
    rng: Mutex<ChaCha20Rng>,
    heard: Mutex<Vec<(ProtocolId, Bytes)>>,
    forger: Option<Forger>,
}

impl Lies {
    pub(crate) fn new(seed: u64, forger: Option<Forger>) -> Arc<Self> {
        Arc::new(Self {
            forger,
            rng: Mutex::new(ChaCha20Rng::seed_from_u64(seed)),
            heard: Mutex::default(),
        })
    }

    fn hear(&self, proto: ProtocolId, msg: &Bytes) {
        if let (Some(forger), true) = (&self.forger, proto == PROTOCOL) {
            forger.learn(msg);
        }
        let mut heard = self.heard.lock().unwrap();
        if heard.len() < 400 {
            heard.push((proto, msg.clone()));
        }
    }

    /// What is sent to one peer in place of `msg`.
    fn instead(&self, proto: ProtocolId, msg: &Bytes) -> Vec<(ProtocolId, Bytes)> {
        let mut rng = self.rng.lock().unwrap();
        let honest = (proto, msg.clone());
        match rng.random_range(0..10) {
            0..3 => vec![honest],
            3 => Vec::new(),
            4 => vec![honest.clone(), honest],
            5 => {
                let mut bytes = msg.to_vec();
                let at = rng.random_range(0..bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.random_range(0..8);
                }
                vec![(proto, bytes.into())]
            }
            6 => vec![(
                proto,
                (0..rng.random_range(0..300)).map(|_| rng.random::<u8>()).collect(),
            )],
            7 => {
                let heard = self.heard.lock().unwrap();
                let old = (!heard.is_empty()).then(|| heard[rng.random_range(0..heard.len())].clone());
                old.into_iter().chain([honest]).collect()
            }
            _ if proto == PROTOCOL && self.forger.is_some() => {
                let forger = self.forger.as_ref().unwrap();
                let forged = forger.instead(msg, &mut rng).unwrap_or_else(|| vec![msg.clone()]);
                forged.into_iter().map(|msg| (proto, msg)).collect()
            }
            _ if proto == PARSIGEX => vec![(proto, forged(msg, &mut rng).unwrap_or_else(|| msg.clone()))],
            _ => vec![honest],
        }
    }
}

/// The same partial signatures with another's share number, or with signatures of something else.
fn forged(msg: &Bytes, rng: &mut ChaCha20Rng) -> Option<Bytes> {
    let (duty, mut set) = decode_parsigex(msg.clone()).ok()?;
    let share = rng.random_range(1..=4);
    let steal = rng.random_bool(0.5);
    for partial in set.0.values_mut() {
        if steal {
            partial.share = ShareIdx(share);
        } else {
            let mut signature = partial.data.signature();
            signature.0[95] ^= share;
            partial.data = partial.data.clone().with_signature(signature);
        }
    }
    Some(encode_parsigex(duty, &set).into())
}

/// What a message is about, for people.
fn read(proto: ProtocolId, msg: &Bytes) -> Option<(Duty, String)> {
    if proto == PARSIGEX {
        let (duty, set) = decode_parsigex(msg.clone()).ok()?;
        return Some((duty, format!("{} partial signatures", set.0.len())));
    }
    let duty = |slot, kind| Some(Duty::new(Slot(slot), DutyType::try_from(kind).ok()?));
    let opened = open(msg.clone(), usize::from(NODES), duty).ok()?;
    let vote = opened.vote;
    let value = vote.value.map(|hash| format!("{hash:?}")).unwrap_or_default();
    let line = format!("{} of {} in round {}: {value}", vote.kind, vote.source.0, vote.round);
    Some((opened.duty, line))
}

impl Wire {
    pub(crate) fn new(inner: Arc<SimPeer>, clock: SimClock, audit: &Arc<Audit>, lies: Option<Arc<Lies>>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            clock,
            audit: Arc::clone(audit),
            lies,
        })
    }

    fn note(&self, to: PeerIdx, proto: ProtocolId, msg: &Bytes) {
        self.audit.sent(self.inner.me(), to, proto.name, msg);
        if self.audit.traces_any()
            && let Some((duty, line)) = read(proto, msg)
            && self.audit.traces(duty.slot.0)
        {
            let from = self.inner.me();
            self.audit
                .say(self.clock.now(), || format!("{} -> {}: {duty} {line}", from.0, to.0));
        }
    }
}

impl PeerNet for Wire {
    fn me(&self) -> PeerIdx {
        self.inner.me()
    }

    fn peers(&self) -> &[Peer] {
        self.inner.peers()
    }

    fn send(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<(), NetError>> {
        Box::pin(async move {
            let messages = match &self.lies {
                Some(lies) => lies.instead(proto, &msg),
                None => vec![(proto, msg)],
            };
            for (proto, msg) in messages {
                self.note(to, proto, &msg);
                self.inner.send(to, proto, msg).await?;
            }
            Ok(())
        })
    }

    fn request(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<Bytes, NetError>> {
        self.note(to, proto, &msg);
        self.inner.request(to, proto, msg)
    }

    fn serve(&self, proto: ProtocolId, handler: Handler) -> ServeGuard {
        let Some(lies) = self.lies.clone() else {
            return self.inner.serve(proto, handler);
        };
        let listening: Handler = Arc::new(move |inbound: Inbound| {
            lies.hear(proto, &inbound.msg);
            handler(inbound)
        });
        self.inner.serve(proto, listening)
    }
}
