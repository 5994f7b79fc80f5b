//! One whole node: every component, wired as in the real one, on fakes.

use std::{sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use trireme_core::{
    aggsigdb::AggSigDb,
    bcast::{BroadcastMetrics, Broadcaster},
    compute::Inline,
    consensus::{ClusterValues, Consensus, ConsensusConfig, ConsensusMetrics, ConsensusParts},
    cx::CxSource,
    dutydb::DutyDb,
    features::FeatureSet,
    fees::FeeMismatches,
    fetcher::{Fetcher, FetcherMetrics, FetcherParts, Graffiti},
    gate::DutyGate,
    heads::SharedHeads,
    journal::Journal,
    life::Life,
    parsigdb::{ParSigDb, ParSigDbMetrics, ParSigDbParts},
    parsigex::{ParSigEx, ParSigExMetrics, ParSigExParts, Verifier},
    ports::{BeaconNode, Clock, Compute, Entropy, KeyValue, PeerNet},
    registrations::Registrations,
    scheduler::{Scheduler, SchedulerMetrics, SchedulerParts, each_slot},
    scheme::Scheme,
    sigagg::{SigAgg, SigAggMetrics},
    step::{Policy, StepMetrics},
    validatorapi::{Parts, ValidatorApi},
    validators::ValidatorCache,
    wire::{Components, Serving, start, wire},
};

use super::{SPE, VALIDATORS, Witness, timing, vc};
use crate::fakes::{NoEntropy, beacon::FakeBeacon, chain, cluster, fees, net, scheme::Toy, store::CrashStore};

pub(super) struct Node {
    components: Components,
    /// Scheduler and validator client.
    front: Life,
    /// Everything else.
    back: Life,
    _serving: Serving,
}

impl Node {
    pub(super) async fn boot(
        me: u8,
        net: Arc<net::Node>,
        beacon: Arc<FakeBeacon>,
        store: Arc<CrashStore>,
        clock: Arc<dyn Clock>,
        witness: Arc<Witness>,
    ) -> Self {
        let (front, back) = (Life::new(), Life::new());
        let (timing, chain, cluster) = (timing(), chain(SPE), cluster(me, VALIDATORS));
        let keys = net.keys();
        let net: Arc<dyn PeerNet> = net;
        let beacon: Arc<dyn BeaconNode> = beacon;
        let entropy: Arc<dyn Entropy> = Arc::new(NoEntropy);
        let compute: Arc<dyn Compute> = Arc::new(Inline);
        let toy: Arc<dyn Scheme> = Arc::new(Toy {
            threshold: cluster.threshold,
        });
        let registry = &mut Registry::default();
        let journal = Arc::new(Journal::inline(store as Arc<dyn KeyValue>));
        let cx = CxSource::new(timing, back.token(), cluster.hash);
        let gate = DutyGate::new(Arc::clone(&clock), timing);

        let dutydb = Arc::new(
            DutyDb::open(Arc::clone(&journal), Arc::clone(&clock), timing)
                .await
                .unwrap(),
        );
        let aggsigdb = Arc::new(
            AggSigDb::open(Arc::clone(&journal), Arc::clone(&clock), timing)
                .await
                .unwrap(),
        );
        let parsigdb = Arc::new(ParSigDb::new(ParSigDbParts {
            threshold: cluster.threshold,
            share: cluster.share(),
            clock: Arc::clone(&clock),
            timing,
            journal,
            cx: cx.clone(),
            metrics: ParSigDbMetrics::register(registry),
        }));
        let sigagg = Arc::new(SigAgg::new(
            Arc::clone(&toy),
            Arc::clone(&chain),
            Arc::clone(&compute),
            Arc::clone(&entropy),
            Arc::clone(&clock),
            SigAggMetrics::register(registry),
        ));
        let fetcher = Arc::new(Fetcher::new(FetcherParts {
            beacon: Arc::clone(&beacon),
            aggregated: Arc::clone(&aggsigdb) as _,
            unsigned: Arc::clone(&dutydb) as _,
            clock: Arc::clone(&clock),
            timing,
            chain: Arc::clone(&chain),
            registrations: Arc::new(Registrations::new(Arc::clone(&cluster), Vec::new())),
            graffiti: Graffiti::new(&[], "trireme", true, &cluster).unwrap(),
            builder: false,
            contribution_gate: Arc::new(|_| false),
            features: FeatureSet::default(),
            metrics: FetcherMetrics::register(registry),
        }));
        let validators = Arc::new(ValidatorCache::new(Arc::clone(&beacon), &cluster, Default::default()));
        let bcast = BroadcastMetrics::register(registry);
        let bcast = Arc::new(Broadcaster::new(
            Arc::clone(&beacon),
            Arc::clone(&validators),
            Arc::clone(&clock),
            timing,
            bcast,
        ));
        let heads = Arc::new(SharedHeads::default());
        let scheduler = Arc::new(Scheduler::new(SchedulerParts {
            beacon: Arc::clone(&beacon),
            validators: Arc::clone(&validators),
            cluster: Arc::clone(&cluster),
            clock: Arc::clone(&clock),
            timing,
            entropy: Arc::clone(&entropy),
            life: front.clone(),
            cx: cx.clone(),
            heads: Arc::clone(&heads),
            features: Default::default(),
            metrics: SchedulerMetrics::register(registry),
        }));
        scheduler.on_slot("validators", each_slot(&validators, ValidatorCache::on_slot));
        let values = ClusterValues {
            cluster: Arc::clone(&cluster),
            chain: Arc::clone(&chain),
            timing,
            validators: Arc::clone(&validators),
            duties: Arc::clone(&scheduler) as _,
            fees: fees(&cluster, FeeMismatches::default()),
            heads,
        };
        let consensus = Arc::new(
            Consensus::new(ConsensusParts {
                net: Arc::clone(&net),
                key: Arc::new(net::identity(me)),
                keys,
                gate: gate.clone(),
                clock: Arc::clone(&clock),
                timing,
                compute: Arc::clone(&compute),
                life: back.clone(),
                config: ConsensusConfig::default(),
                metrics: ConsensusMetrics::register(registry),
            })
            .unwrap()
            .checking(Arc::new(values)),
        );
        let suspicion = timing.epoch_duration();
        let parsigex = Arc::new(ParSigEx::new(ParSigExParts {
            net,
            gate: gate.clone(),
            cluster: Arc::clone(&cluster),
            chain: Arc::clone(&chain),
            verifier: Verifier::new(
                Arc::clone(&toy),
                Arc::clone(&compute),
                Arc::clone(&entropy),
                Arc::clone(&clock),
                suspicion,
            ),
            clock: Arc::clone(&clock),
            cx: cx.clone(),
            metrics: ParSigExMetrics::register(registry),
        }));
        let vapi = Arc::new(ValidatorApi::new(Parts {
            cluster: Arc::clone(&cluster),
            chain: Arc::clone(&chain),
            beacon,
            unsigned: Arc::clone(&dutydb) as _,
            aggregates: Arc::clone(&dutydb) as _,
            selections: Arc::clone(&aggsigdb) as _,
            partials: Arc::clone(&parsigdb) as _,
            gate: gate.clone(),
            pubkeys: Arc::clone(&dutydb) as _,
            definitions: Arc::clone(&scheduler) as _,
            scheme: toy,
            compute,
            entropy: Arc::clone(&entropy),
            cx,
        }));
        let components = Components {
            scheduler,
            fetcher,
            consensus,
            dutydb,
            vapi,
            parsigdb,
            parsigex,
            sigagg,
            aggsigdb,
            bcast,
        };
        let steps = StepMetrics::register(registry);
        wire(
            &components,
            &Policy::new(back.clone(), Arc::clone(&clock), timing, entropy, None, steps),
        );
        let serving = start(&components, &back).await.unwrap();
        front.task("scheduler", Arc::clone(&components.scheduler).run());
        vc::start(
            &front,
            Arc::clone(&components.vapi),
            chain,
            clock,
            cluster.share(),
            witness,
        );
        Self {
            components,
            front,
            back,
            _serving: serving,
        }
    }

    pub(super) fn vapi(&self) -> Arc<ValidatorApi> {
        Arc::clone(&self.components.vapi)
    }

    /// Ends it as a power cut would: nothing is finished.
    pub(super) async fn die(self) {
        self.front.stop().await;
        self.back.stop().await;
    }

    pub(super) async fn stop_scheduling(&self) {
        self.front.stop().await;
    }

    pub(super) fn expect_empty(&self) {
        let c = &self.components;
        assert_eq!((c.dutydb.len(), c.parsigdb.len(), c.aggsigdb.len()), (0, 0, 0));
        let mut left = self.back.running();
        for housekeeping in ["dutydb", "parsigdb", "aggsigdb"] {
            assert_eq!(left.remove(housekeeping), Some(1), "{housekeeping}");
        }
        assert!(left.is_empty(), "tasks are left: {left:?}");
    }
}

/// How long a validator client waits before it asks again.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
