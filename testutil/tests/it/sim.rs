//! The simulation's pieces.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use trireme_core::{
    PeerIdx, PubKey, ShareIdx,
    memory::MemoryStore,
    ports::{Batch, Clock as _, Durability, Entropy as _, Handler, KeyValue as _, PeerNet as _, ProtocolId, Table},
    scheme::{Claim, Refusal, Scheme as _, Signer},
    time::UnixTime,
};
use trireme_eth2::{BlsSignature, Root};
use trireme_testutil::sim::{CrashStore, Link, SeededEntropy, SimClock, SimNet, ToyScheme, store_suite};

const PROTO: ProtocolId = ProtocolId {
    name: "/test/1.0.0",
    max_frame: 8,
};

type Seen = Arc<Mutex<Vec<(Duration, u8, Vec<u8>)>>>;

fn recorder(seen: &Seen, begun: Instant) -> Handler {
    let seen = Arc::clone(seen);
    Arc::new(move |inbound| {
        let entry = (begun.elapsed(), inbound.from.unwrap().0, inbound.msg.to_vec());
        seen.lock().unwrap().push(entry);
        Box::pin(async { Ok(Some(Bytes::from_static(b"yes"))) })
    })
}

/// Everything that node 1 receives when node 0 sends `count` numbered messages.
async fn collected(seed: u64, link: Link, count: u8) -> Vec<(Duration, u8, Vec<u8>)> {
    let seen = Seen::default();
    let net = SimNet::new(2, seed);
    net.set_all(link);
    let (sender, receiver) = (net.peer(PeerIdx(0)), net.peer(PeerIdx(1)));
    let _guard = receiver.serve(PROTO, recorder(&seen, Instant::now()));
    for n in 0..count {
        sender.send(PeerIdx(1), PROTO, vec![n].into()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    seen.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_reliable_link_delivers_everything_once_after_its_latency() {
    let link = Link {
        latency: Duration::from_millis(20),
        ..Link::default()
    };
    let seen = collected(1, link, 50).await;
    let numbers: Vec<u8> = seen.iter().map(|(_, _, msg)| msg[0]).collect();
    assert_eq!(numbers, (0..50).collect::<Vec<u8>>());
    assert!(
        seen.iter()
            .all(|(at, from, _)| *at == Duration::from_millis(20) && *from == 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_seed_alone_decides_what_a_bad_link_does() {
    let link = Link {
        jitter: Duration::from_millis(50),
        loss: 300,
        duplication: 300,
        ..Link::default()
    };
    let runs = [
        collected(7, link, 200).await,
        collected(7, link, 200).await,
        collected(8, link, 200).await,
    ];
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    let count = |n: u8| runs[0].iter().filter(|(_, _, msg)| msg[0] == n).count();
    let counts: Vec<usize> = (0..200).map(count).collect();
    assert!(
        [0, 1, 2].iter().all(|c| counts.contains(c)),
        "lost, delivered and doubled all occur"
    );
    assert!(runs[0].windows(2).any(|two| two[0].2 > two[1].2), "jitter reorders");
}

#[tokio::test(start_paused = true)]
async fn nothing_passes_a_partition_until_it_is_healed() {
    let (net, seen) = (SimNet::new(3, 1), Seen::default());
    let peers = [0, 1, 2].map(|n| net.peer(PeerIdx(n)));
    let _guards = [1, 2].map(|n: usize| peers[n].serve(PROTO, recorder(&seen, Instant::now())));
    net.partition(&[&[PeerIdx(0), PeerIdx(2)], &[PeerIdx(1)]]);
    let refused = peers[0]
        .send(PeerIdx(1), PROTO, Bytes::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("not reachable"), "{refused}");
    assert_eq!(peers[0].request(PeerIdx(2), PROTO, Bytes::new()).await.unwrap(), "yes");
    net.heal();
    assert_eq!(peers[0].request(PeerIdx(1), PROTO, Bytes::new()).await.unwrap(), "yes");
    net.set_node(PeerIdx(0), false);
    assert!(peers[0].request(PeerIdx(1), PROTO, Bytes::new()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn oversized_frames_and_protocols_that_nobody_serves_are_errors() {
    let net = SimNet::new(2, 1);
    let (sender, receiver) = (net.peer(PeerIdx(0)), net.peer(PeerIdx(1)));
    let seen = Seen::default();
    let guard = receiver.serve(PROTO, recorder(&seen, Instant::now()));
    let too_long = sender
        .send(PeerIdx(1), PROTO, vec![0; 9].into())
        .await
        .unwrap_err()
        .to_string();
    assert!(too_long.contains("9 bytes is larger than 8"), "{too_long}");
    drop(guard);
    let unserved = sender
        .request(PeerIdx(1), PROTO, Bytes::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(unserved.contains("not served"), "{unserved}");
    assert!(sender.send(PeerIdx(9), PROTO, Bytes::new()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_clock_runs_with_the_runtime() {
    let clock = SimClock::starting_at(UnixTime::from_secs(1000));
    let fast = clock.ahead(Duration::from_secs(3));
    clock.sleep_until(UnixTime::from_secs(1010)).await;
    assert_eq!(clock.now(), UnixTime::from_secs(1010));
    assert_eq!(fast.now(), UnixTime::from_secs(1013));
    fast.sleep_until(UnixTime::from_secs(1000)).await;
    assert_eq!(clock.now(), UnixTime::from_secs(1010));
}

#[test]
fn seeded_entropy_repeats_itself() {
    let draw = |seed| {
        let mut out = [0; 40];
        SeededEntropy::new(seed).fill(&mut out);
        out
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

// === Stores

#[test]
fn the_crash_store_is_a_store() {
    store_suite::run(CrashStore::new);
}

#[test]
fn the_memory_store_is_a_store() {
    store_suite::run(MemoryStore::default);
}

#[test]
fn a_crash_keeps_durable_batches_and_a_prefix_of_the_buffered_ones() {
    let put = |store: &CrashStore, n: u8, how| {
        let writes = vec![
            (Table::Duty, vec![n], Some(vec![n])),
            (Table::Partial, vec![n], Some(vec![n])),
        ];
        store.commit(Batch { writes }, how).unwrap();
    };
    let mut kept = BTreeMap::<usize, u32>::new();
    for seed in 0..200 {
        let store = CrashStore::new();
        put(&store, 0, Durability::Buffered);
        put(&store, 1, Durability::Durable);
        (2..6).for_each(|n| put(&store, n, Durability::Buffered));
        let after = store.crash(seed);
        let has = |n: u8| {
            let [duty, partial] = [Table::Duty, Table::Partial].map(|t| after.get(t, &[n]).unwrap().is_some());
            assert_eq!(duty, partial, "a batch is atomic");
            duty
        };
        assert!(has(0) && has(1), "a durable commit takes earlier ones with it");
        let there: Vec<bool> = (2..6).map(has).collect();
        let count = there.iter().filter(|h| **h).count();
        assert!(there.iter().take(count).all(|h| *h), "a prefix: {there:?}");
        *kept.entry(count).or_default() += 1;
        assert!(store.get(Table::Duty, &[1]).is_err(), "the old handle is closed");
    }
    assert_eq!(kept.len(), 5, "every prefix occurs: {kept:?}");
}

// === Toy signatures

#[test]
fn any_threshold_of_toy_partials_makes_the_group_signature() {
    let (validator, root) = (PubKey([7; 48]), Root([9; 32]));
    let scheme = ToyScheme::new(&[validator], 5, 3, 1);
    let share = |n| scheme.sign(Signer::Share(validator, ShareIdx(n)), root).unwrap();
    let group = scheme.sign(Signer::Group(validator), root).unwrap();
    for shares in [[1, 2, 3], [1, 3, 5], [2, 4, 5]] {
        let partials = shares.iter().map(|n| (ShareIdx(*n), share(*n))).collect();
        assert_eq!(scheme.combine(&partials).unwrap(), group);
    }
    let two = [1, 2].iter().map(|n| (ShareIdx(*n), share(*n))).collect();
    assert_ne!(scheme.combine(&two).unwrap(), group);
    assert!(scheme.combine(&BTreeMap::new()).is_err());
}

#[test]
fn toy_verification_tells_good_wrong_missing_and_foreign_apart() {
    let (validator, root) = (PubKey([7; 48]), Root([9; 32]));
    let scheme = ToyScheme::new(&[validator], 4, 3, 1);
    let signer = Signer::Share(validator, ShareIdx(2));
    let signature = scheme.sign(signer, root).unwrap();
    let claim = |signer, root, signature| Claim {
        signer,
        root,
        signature,
    };
    let foreign = Signer::Group(PubKey([8; 48]));
    let claims = [
        claim(signer, root, signature),
        claim(signer, Root([8; 32]), signature),
        claim(Signer::Share(validator, ShareIdx(3)), root, signature),
        claim(signer, root, BlsSignature::default()),
        claim(foreign, root, signature),
    ];
    let unknown = Refusal::UnknownSigner {
        validator: PubKey([8; 48]),
        share: None,
    };
    let expected = [
        Ok(()),
        Err(Refusal::Wrong),
        Err(Refusal::Wrong),
        Err(Refusal::NoSignature),
        Err(unknown),
    ];
    assert_eq!(scheme.verify_set(&claims, &[0; 32]), expected);
}
