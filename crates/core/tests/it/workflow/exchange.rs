//! Partial signatures between nodes: what is let in and what is not.

use std::{sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use trireme_core::{
    Duty, DutyType, PeerIdx, ShareIdx, UnixTime,
    compute::Inline,
    data::{ParSignedDataSet, encode_parsigex},
    gate::DutyGate,
    life::Life,
    parsigex::{ParSigEx, ParSigExError, ParSigExMetrics, ParSigExParts, Verifier},
    ports::{Clock, Inbound, PeerNet as _, ServeGuard},
    step::StepName,
};
use trireme_eth2::Slot;

use super::{SPE, partial, set, vote};
use crate::fakes::{
    Captured, NoEntropy, SimClock, beacon::attestation_data, chain, cluster, cx_source, key, net::Hub, policy,
    scheme::Toy, timing,
};

const DUTY: Duty = Duty::new(Slot(1), DutyType::Attester);

struct Node {
    ex: Arc<ParSigEx>,
    heard: Arc<Captured<ParSignedDataSet>>,
    _serves: ServeGuard,
}

fn node(hub: &Arc<Hub>, me: u8, clock: &Arc<dyn Clock>, life: &Life) -> Node {
    let compute = Arc::new(Inline);
    let suspicion = Duration::from_secs(48);
    let toy = Arc::new(Toy { threshold: 3 });
    let ex = Arc::new(ParSigEx::new(ParSigExParts {
        net: hub.node(me),
        gate: DutyGate::new(Arc::clone(clock), timing(SPE)),
        cluster: cluster(me, 3),
        chain: chain(SPE),
        verifier: Verifier::new(toy, compute, Arc::new(NoEntropy), Arc::clone(clock), suspicion),
        clock: Arc::clone(clock),
        cx: cx_source(timing(SPE)),
        metrics: ParSigExMetrics::register(&mut Registry::default()),
    }));
    let heard = Captured::new();
    let policy = policy(life, Arc::clone(clock), timing(SPE));
    ex.received
        .to(policy.inline(StepName::ParSigDbStoreExternal), &heard, Captured::record);
    let serves = ex.serve();
    Node {
        ex,
        heard,
        _serves: serves,
    }
}

struct Bench {
    hub: Arc<Hub>,
    nodes: Vec<Node>,
}

fn bench() -> Bench {
    let life = Life::new();
    let hub = Hub::of(4, life.clone());
    let clock: Arc<dyn Clock> = SimClock::starting_at(UnixTime(0));
    let nodes = (0..4).map(|i| node(&hub, i, &clock, &life)).collect();
    Bench { hub, nodes }
}

/// Validators 1 and 2, signed by share 2.
fn message() -> ParSignedDataSet {
    let data = attestation_data(DUTY.slot, SPE, 9);
    set([1, 2].map(|n| (key(n), partial(&chain(SPE), key(n), 2, vote(n, data)))))
}

impl Bench {
    async fn receive(&self, duty: Duty, set: &ParSignedDataSet) -> Result<(), ParSigExError> {
        let from_id = self.hub.node(1).peers()[1].id;
        let inbound = Inbound {
            from: Some(PeerIdx(1)),
            from_id,
            msg: encode_parsigex(duty, set).into(),
        };
        self.nodes[0].ex.receive(inbound).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_reaches_every_other_node_and_a_missing_one_does_not_matter() {
    let b = bench();
    b.hub.down(3);
    Arc::clone(&b.nodes[1].ex)
        .broadcast(cx_source(timing(SPE)).cx(DUTY), Arc::new(message()))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let heard: Vec<_> = b.nodes.iter().map(|n| n.heard.take()).collect();
    let once = vec![(DUTY, Arc::new(message()))];
    assert_eq!(heard, [once.clone(), vec![], once, vec![]]);
}

#[tokio::test(start_paused = true)]
async fn one_wrong_signature_refuses_the_message_and_makes_its_sender_a_suspect() {
    let b = bench();
    let mut bad = message();
    let liar = bad.0.get_mut(&key(2)).unwrap();
    liar.data = liar.data.clone().with_signature(trireme_eth2::BlsSignature([1; 96]));
    let refused = b.receive(DUTY, &bad).await.unwrap_err();
    assert!(
        matches!(refused, ParSigExError::Refused { validator, .. } if validator == key(2)),
        "{refused}"
    );
    assert!(b.nodes[0].heard.take().is_empty());
    // Its honest messages still count.
    b.receive(DUTY, &message()).await.unwrap();
    assert_eq!(b.nodes[0].heard.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_partial_under_another_share_index_is_refused_and_names_it() {
    let b = bench();
    for claimed in [1, 3, 4, 5, 255] {
        // Well signed by share 2, and said to be another operator's.
        let mut moved = message();
        moved.0.get_mut(&key(1)).unwrap().share = ShareIdx(claimed);
        let refused = b.receive(DUTY, &moved).await.unwrap_err();
        assert!(
            matches!(refused, ParSigExError::Refused { validator, .. } if validator == key(1)),
            "{claimed}: {refused}"
        );
        let named = format!("validator {} by share {claimed} ", key(1).short());
        assert!(refused.to_string().contains(&named), "{refused}");
    }
    let mut none = message();
    none.0.get_mut(&key(1)).unwrap().share = ShareIdx(0);
    let refused = b.receive(DUTY, &none).await.unwrap_err().to_string();
    assert!(refused.contains("share index 0 is not one of 1 to 255"), "{refused}");
    assert!(b.nodes[0].heard.take().is_empty());
    b.receive(DUTY, &message()).await.unwrap();
    assert_eq!(b.nodes[0].heard.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn strangers_unknown_shares_and_far_duties_are_refused() {
    let b = bench();
    let data = || vote(9, attestation_data(DUTY.slot, SPE, 9));
    let foreign = set([(key(9), partial(&chain(SPE), key(9), 2, data()))]);
    assert!(matches!(
        b.receive(DUTY, &foreign).await,
        Err(ParSigExError::Refused { .. })
    ));
    let share = set([(key(1), partial(&chain(SPE), key(1), 5, data()))]);
    assert!(matches!(
        b.receive(DUTY, &share).await,
        Err(ParSigExError::Refused { .. })
    ));
    let far = Duty::new(Slot(3 * SPE), DutyType::Attester);
    assert_eq!(b.receive(far, &message()).await, Err(ParSigExError::Gated(far)));
    let from_id = b.hub.node(1).peers()[1].id;
    let relay = Inbound {
        from: None,
        from_id,
        msg: encode_parsigex(DUTY, &message()).into(),
    };
    assert_eq!(b.nodes[0].ex.receive(relay).await, Err(ParSigExError::Stranger));
    let noise = Inbound {
        from: Some(PeerIdx(1)),
        from_id,
        msg: vec![0xff; 40].into(),
    };
    assert!(matches!(
        b.nodes[0].ex.receive(noise).await,
        Err(ParSigExError::Data(_))
    ));
    assert!(b.nodes[0].heard.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn messages_that_arrive_together_are_all_judged_by_their_own_content() {
    let b = bench();
    let good = message();
    let mut bad = message();
    bad.0.get_mut(&key(1)).unwrap().data = vote(1, attestation_data(DUTY.slot, SPE, 8));
    let (first, second, third) = tokio::join!(b.receive(DUTY, &good), b.receive(DUTY, &bad), b.receive(DUTY, &good));
    assert!(first.is_ok() && third.is_ok());
    assert!(second.is_err());
}
