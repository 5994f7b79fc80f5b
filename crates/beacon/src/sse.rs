//! Heads, reorganisations and blocks, for as long as the node runs.
//!
//! Guarantees: a stream that breaks, ends, is refused or says nothing for a minute is opened again; a beacon node that
//! does not know a topic is asked for fewer; an event that cannot be read is skipped; memory is bounded whatever the
//! beacon node sends.
//! Not here: what an event means for a duty.

mod parse;

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use trireme_core::{
    backoff::{self, Backoff},
    ports::{BeaconError, Clock},
    time::{SlotTiming, UnixTime},
};
use trireme_eth2::{BlockEvent, ChainEvent, HeadEvent, ReorgEvent, Root, Slot};

pub(crate) use parse::{Event, Parser};

use crate::Client;

/// Silence after which the stream is taken for dead. Beacon nodes send a head per slot, or a comment now and then.
const IDLE: Duration = Duration::from_secs(60);
/// Waits before the stream is opened again.
const RECONNECT: Backoff = backoff::FAST;
/// What is asked for; a refusal of a row leads to the next one.
const TOPICS: [&[(&str, &str)]; 3] = [
    &[
        ("topics", "head"),
        ("topics", "chain_reorg"),
        ("topics", "block"),
        ("topics", "block_gossip"),
    ],
    &[("topics", "head"), ("topics", "chain_reorg"), ("topics", "block")],
    &[("topics", "head")],
];
/// Blocks seen in gossip that have not become the head.
const GOSSIP: usize = 16;

/// What came out of one stream.
enum End {
    /// The beacon node closed it, or was silent.
    Closed(&'static str),
    /// It broke.
    Broke(String),
}

/// A block that arrived in gossip.
#[derive(Deserialize)]
struct GossipEvent {
    slot: Slot,
    block: Root,
}

/// Reads the events of one stream.
struct Reader<'a> {
    client: &'a Client,
    clock: &'a dyn Clock,
    timing: SlotTiming,
    take: &'a (dyn Fn(ChainEvent) + Send + Sync),
    gossip: BTreeMap<(Slot, Root), UnixTime>,
}

impl Client {
    /// Follows the chain for ever; [`trireme_core::ports::BeaconNode::events`] hands out what arrives. Drop-safe.
    pub async fn follow_events(&self, clock: &dyn Clock, timing: SlotTiming) {
        let send = |event| {
            // Nobody listening is fine.
            let _receivers = self.events.send(event);
        };
        self.follow(clock, timing, &send).await;
    }

    /// Follows the chain for ever and hands events to `take`. Drop-safe.
    pub(crate) async fn follow(
        &self,
        clock: &dyn Clock,
        timing: SlotTiming,
        take: &(dyn Fn(ChainEvent) + Send + Sync),
    ) {
        let mut failures = 0_u32;
        let mut rows = TOPICS.iter();
        let mut topics = *rows.next().unwrap_or(&TOPICS[0]);
        loop {
            match self.http.stream("eth/v1/events", topics).await {
                Ok(response) => {
                    failures = 0;
                    let mut reader = Reader {
                        client: self,
                        clock,
                        timing,
                        take,
                        gossip: BTreeMap::new(),
                    };
                    let why = match reader.read(response).await {
                        End::Closed(why) => why.to_owned(),
                        End::Broke(why) => why,
                    };
                    tracing::debug!(address = self.address(), why, "Events ended, opening them again");
                }
                Err(error) => {
                    if let (BeaconError::Status { status: 400..500, .. }, Some(fewer)) = (&error, rows.next()) {
                        tracing::debug!(address = self.address(), %error, "Asking for fewer events");
                        topics = fewer;
                    } else {
                        note(self.address(), &error, failures);
                    }
                    failures = failures.saturating_add(1);
                }
            }
            tokio::time::sleep(RECONNECT.wait(failures, 0.0)).await;
        }
    }
}

impl Reader<'_> {
    async fn read(&mut self, mut response: reqwest::Response) -> End {
        let mut parser = Parser::default();
        loop {
            let chunk = match tokio::time::timeout(IDLE, response.chunk()).await {
                Err(_) => return End::Closed("no event for a minute"),
                Ok(Err(_)) => return End::Broke("the connection broke".to_owned()),
                Ok(Ok(None)) => return End::Closed("the beacon node closed it"),
                Ok(Ok(Some(chunk))) => chunk,
            };
            let events = match parser.push(&chunk) {
                Ok(events) => events,
                Err(too_long) => return End::Broke(too_long.to_string()),
            };
            for event in events {
                self.take(&event);
            }
        }
    }

    fn take(&mut self, event: &Event) {
        let read = match event.name.as_str() {
            "head" => serde_json::from_str::<HeadEvent>(&event.data).map(ChainEvent::Head),
            "chain_reorg" => serde_json::from_str::<ReorgEvent>(&event.data).map(ChainEvent::Reorg),
            "block" => serde_json::from_str::<BlockEvent>(&event.data).map(ChainEvent::Block),
            "block_gossip" => {
                if let Ok(seen) = serde_json::from_str::<GossipEvent>(&event.data) {
                    self.gossip(&seen);
                }
                return;
            }
            _ => return,
        };
        match read {
            Ok(what) => {
                self.measure(&what);
                (self.take)(what);
            }
            Err(error) => {
                let address = self.client.address();
                tracing::debug!(address, topic = event.name, %error, "An event cannot be read");
            }
        }
    }

    /// Time since the start of the slot, if it is still the slot's time.
    fn delay(&self, slot: Slot) -> Option<Duration> {
        let delay = self.clock.now().since(self.timing.start(slot));
        (delay < self.timing.slot_duration).then_some(delay)
    }

    fn gossip(&mut self, seen: &GossipEvent) {
        if let Some(delay) = self.delay(seen.slot) {
            self.client.metrics.gossip(self.client.address(), delay);
        }
        self.gossip.insert((seen.slot, seen.block), self.clock.now());
        while self.gossip.len() > GOSSIP {
            self.gossip.pop_first();
        }
    }

    fn measure(&mut self, event: &ChainEvent) {
        let (metrics, address) = (&self.client.metrics, self.client.address());
        match event {
            ChainEvent::Head(head) => {
                metrics.head(address, head.slot.0, self.delay(head.slot));
                if let Some(seen) = self.gossip.remove(&(head.slot, head.block)) {
                    metrics.processing(address, self.clock.now().since(seen));
                }
            }
            ChainEvent::Reorg(reorg) => metrics.reorg(address, reorg.depth),
            ChainEvent::Block(block) => {
                if let Some(delay) = self.delay(block.slot) {
                    metrics.block(address, delay);
                }
            }
        }
    }
}

/// The first failure of a row is worth a warning, the others are steps.
fn note(address: &str, error: &BeaconError, failures: u32) {
    if failures == 0 {
        tracing::warn!(address, %error, "No events from the beacon node; duties go on by the clock");
    } else {
        tracing::debug!(address, %error, failures, "Still no events");
    }
}

/// See [`crate::count_events`].
pub(crate) fn count<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> usize {
    let (mut parser, mut count) = (parse::Parser::default(), 0_usize);
    for piece in pieces {
        match parser.push(piece) {
            Ok(events) => count = count.saturating_add(events.len()),
            Err(parse::TooLong) => break,
        }
    }
    count
}
