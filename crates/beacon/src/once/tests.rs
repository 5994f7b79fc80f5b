use std::sync::atomic::{AtomicUsize, Ordering};

use trireme_eth2::{BlsPubkey, CommitteeIndex, Slot};

use super::*;

/// Answers with the dependent root that is set, and counts.
struct Node {
    asked: AtomicUsize,
    root: Mutex<Root>,
    down: Mutex<bool>,
    /// Takes questions and never answers.
    hangs: Mutex<bool>,
    /// Too early: nobody has a duty.
    early: Mutex<bool>,
    about: Mutex<Vec<ValidatorIndex>>,
    events: broadcast::Sender<ChainEvent>,
}

impl Node {
    fn new() -> Arc<Self> {
        let root = Mutex::new(Root([1; 32]));
        Arc::new(Self {
            asked: AtomicUsize::new(0),
            root,
            down: Mutex::new(false),
            hangs: Mutex::new(false),
            early: Mutex::new(false),
            about: Mutex::default(),
            events: broadcast::channel(4).0,
        })
    }

    async fn answer<T>(&self, duties: Vec<T>) -> Result<Duties<T>, BeaconError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (root, down) = (*self.root.lock().unwrap(), *self.down.lock().unwrap());
        let early = *self.early.lock().unwrap();
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
        if down {
            return Err(BeaconError::Unreachable {
                address: "x".into(),
                reason: "down".into(),
            });
        }
        Ok(Duties {
            dependent_root: root,
            execution_optimistic: false,
            duties: if early { Vec::new() } else { duties },
        })
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }

    fn head(&self, slot: u64, previous: u8, current: u8) {
        let head = HeadEvent {
            slot: Slot(slot),
            block: Root([9; 32]),
            state: Root([9; 32]),
            epoch_transition: false,
            previous_duty_dependent_root: Root([previous; 32]),
            current_duty_dependent_root: Root([current; 32]),
            execution_optimistic: false,
        };
        self.events.send(ChainEvent::Head(head)).unwrap();
    }
}

impl trireme_core::ports::BeaconLayer for Node {
    fn inner(&self) -> &dyn BeaconNode {
        unreachable!("nothing else is asked in these tests")
    }
    fn attester_duties(
        &self,
        _: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<AttesterDuty>, BeaconError>> {
        *self.about.lock().unwrap() = indices.to_vec();
        let duty = |index: &ValidatorIndex| AttesterDuty {
            pubkey: BlsPubkey([0; 48]),
            slot: Slot(3),
            validator_index: *index,
            committee_index: CommitteeIndex(0),
            committee_length: 1,
            committees_at_slot: 1,
            validator_committee_index: 0,
        };
        Box::pin(self.answer(indices.iter().map(duty).collect()))
    }
    fn proposer_duties(&self, _: Epoch) -> BoxFuture<'_, Result<Duties<ProposerDuty>, BeaconError>> {
        Box::pin(self.answer(vec![ProposerDuty {
            pubkey: BlsPubkey([0; 48]),
            slot: Slot(3),
            validator_index: ValidatorIndex(1),
        }]))
    }
    fn sync_duties(&self, _: Epoch, _: &[ValidatorIndex]) -> BoxFuture<'_, Result<Duties<SyncDuty>, BeaconError>> {
        Box::pin(self.answer(Vec::new()))
    }
    fn events(&self) -> broadcast::Receiver<ChainEvent> {
        self.events.subscribe()
    }
}

const ONE: &[ValidatorIndex] = &[ValidatorIndex(1)];

#[tokio::test]
async fn many_askers_at_once_make_one_request() {
    let node = Node::new();
    let once = DutiesOnce::new(node.clone(), 16, CacheMetrics::default());
    let answers = futures::future::join_all((0..10).map(|_| once.attester_duties(Epoch(3), ONE))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(node.asked(), 1);
    once.proposer_duties(Epoch(3)).await.unwrap();
    once.proposer_duties(Epoch(3)).await.unwrap();
    assert_eq!(node.asked(), 1);
}

#[tokio::test]
async fn order_of_the_indices_does_not_matter_but_the_set_does() {
    let node = Node::new();
    let once = DutiesOnce::new(node.clone(), 16, CacheMetrics::default());
    let (a, b) = (ValidatorIndex(1), ValidatorIndex(2));
    once.attester_duties(Epoch(3), &[a, b]).await.unwrap();
    once.attester_duties(Epoch(3), &[b, a]).await.unwrap();
    assert_eq!(node.asked(), 1);
    once.attester_duties(Epoch(3), &[b]).await.unwrap();
    assert_eq!(node.asked(), 0, "known already");
    once.attester_duties(Epoch(3), &[a, b, ValidatorIndex(3)])
        .await
        .unwrap();
    assert_eq!(node.asked(), 1);
    assert_eq!(*node.about.lock().unwrap(), [ValidatorIndex(3)], "only who is new");
}

#[tokio::test]
async fn answer_with_another_dependent_root_replaces_what_was_kept() {
    let node = Node::new();
    let once = DutiesOnce::new(node.clone(), 16, CacheMetrics::default());
    let (a, b) = (ValidatorIndex(1), ValidatorIndex(2));
    once.attester_duties(Epoch(3), &[a]).await.unwrap();
    *node.root.lock().unwrap() = Root([2; 32]);
    let both = once.attester_duties(Epoch(3), &[a, b]).await.unwrap();
    assert_eq!(both.dependent_root, Root([2; 32]));
    assert_eq!(*node.about.lock().unwrap(), [a, b], "all of them again");
    node.asked();
    once.attester_duties(Epoch(3), &[b, a]).await.unwrap();
    assert_eq!(node.asked(), 0);
}

#[tokio::test]
async fn vc_64_nobody_is_asked_for_sync_duties_of_no_validators_and_once_for_those_of_some() {
    let node = Node::new();
    let once = DutiesOnce::new(node.clone(), 16, CacheMetrics::default());
    assert!(once.sync_duties(Epoch(3), &[]).await.unwrap().duties.is_empty());
    assert_eq!(node.asked(), 0);
    once.sync_duties(Epoch(3), ONE).await.unwrap();
    once.sync_duties(Epoch(3), ONE).await.unwrap();
    assert_eq!(node.asked(), 1);
}

#[tokio::test]
async fn answer_for_no_validators_and_errors_are_not_kept() {
    let node = Node::new();
    let once = DutiesOnce::new(node.clone(), 16, CacheMetrics::default());
    once.attester_duties(Epoch(3), &[]).await.unwrap();
    once.attester_duties(Epoch(3), &[]).await.unwrap();
    assert_eq!(node.asked(), 2);
    *node.down.lock().unwrap() = true;
    once.attester_duties(Epoch(3), ONE).await.unwrap_err();
    *node.down.lock().unwrap() = false;
    once.attester_duties(Epoch(3), ONE).await.unwrap();
    assert_eq!(node.asked(), 2);
}

#[tokio::test]
async fn answer_that_nobody_attests_or_proposes_is_not_kept() {
    let node = Node::new();
    let once = DutiesOnce::new(node.clone(), 16, CacheMetrics::default());
    *node.early.lock().unwrap() = true;
    for _ in 0..2 {
        assert_eq!(once.attester_duties(Epoch(0), ONE).await.unwrap().duties, []);
        assert_eq!(once.proposer_duties(Epoch(0)).await.unwrap().duties, []);
    }
    assert_eq!(node.asked(), 4);
    *node.early.lock().unwrap() = false;
    for asked in [2, 0] {
        assert_eq!(once.attester_duties(Epoch(0), ONE).await.unwrap().duties.len(), 1);
        assert_eq!(once.proposer_duties(Epoch(0)).await.unwrap().duties.len(), 1);
        assert_eq!(node.asked(), asked);
    }
}

#[tokio::test]
async fn head_with_another_dependent_root_makes_us_ask_again() {
    let node = Node::new();
    let once = DutiesOnce::new(node.clone(), 16, CacheMetrics::default());
    once.attester_duties(Epoch(2), ONE).await.unwrap();
    once.attester_duties(Epoch(3), ONE).await.unwrap();
    node.asked();
    node.head(32, 1, 1);
    once.attester_duties(Epoch(2), ONE).await.unwrap();
    once.attester_duties(Epoch(3), ONE).await.unwrap();
    assert_eq!(node.asked(), 0);
    node.head(33, 1, 2);
    once.attester_duties(Epoch(2), ONE).await.unwrap();
    assert_eq!(node.asked(), 0);
    *node.root.lock().unwrap() = Root([2; 32]);
    once.attester_duties(Epoch(3), ONE).await.unwrap();
    assert_eq!(node.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn vc_66_who_reads_duties_never_waits_for_an_update_that_hangs() {
    let node = Node::new();
    let once = DutiesOnce::new(node.clone(), 16, CacheMetrics::default());
    once.attester_duties(Epoch(3), ONE).await.unwrap();
    once.proposer_duties(Epoch(3)).await.unwrap();
    *node.hangs.lock().unwrap() = true;
    let new = [ValidatorIndex(1), ValidatorIndex(2)];
    let (more, others) = (once.attester_duties(Epoch(3), &new), once.proposer_duties(Epoch(4)));
    tokio::pin!(more, others);
    assert!(futures::FutureExt::now_or_never(futures::future::join(&mut more, &mut others)).is_none());
    for _ in 0..50 {
        // Kept answers are there at once, and who is given up holds nobody up.
        let kept = futures::FutureExt::now_or_never(once.attester_duties(Epoch(3), ONE));
        assert!(kept.is_some_and(|answer| answer.is_ok()));
        assert!(futures::FutureExt::now_or_never(once.proposer_duties(Epoch(3))).is_some());
        assert!(futures::FutureExt::now_or_never(once.attester_duties(Epoch(5), ONE)).is_none());
        node.head(49, 1, 1);
    }
}

#[tokio::test]
async fn old_epochs_are_forgotten() {
    let node = Node::new();
    let once = DutiesOnce::new(node.clone(), 16, CacheMetrics::default());
    for epoch in 0..100 {
        once.attester_duties(Epoch(epoch), ONE).await.unwrap();
        once.proposer_duties(Epoch(epoch)).await.unwrap();
    }
    assert!(once.attester.epochs() <= 6 && once.proposer.epochs() <= 6);
}

#[tokio::test]
async fn refused_questions_about_far_epochs_take_no_place_from_the_present() {
    let node = Node::new();
    let once = DutiesOnce::new(node.clone(), 16, CacheMetrics::default());
    once.attester_duties(Epoch(3), ONE).await.unwrap();
    once.proposer_duties(Epoch(3)).await.unwrap();
    *node.down.lock().unwrap() = true;
    for epoch in 1_000..1_020 {
        once.attester_duties(Epoch(epoch), ONE).await.unwrap_err();
        once.proposer_duties(Epoch(epoch)).await.unwrap_err();
    }
    once.attester_duties(Epoch(3), ONE).await.unwrap();
    once.proposer_duties(Epoch(3)).await.unwrap();
}
