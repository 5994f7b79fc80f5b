//! Heads, reorganisations and blocks, for as long as the node runs.
//!
//! Guarantees: a stream that breaks, ends, is refused or says nothing for a minute is opened again; an event that
//! cannot be read is skipped; memory is bounded whatever the beacon node sends.
//! Not here: what an event means for a duty.

mod parse;

use std::time::Duration;

use trireme_core::{
    backoff::{self, Backoff},
    ports::{BeaconError, Clock},
    time::SlotTiming,
};
use trireme_eth2::{BlockEvent, ChainEvent, HeadEvent, ReorgEvent};

pub(crate) use parse::{Event, Parser};

use crate::Client;

/// Silence after which the stream is taken for dead. Beacon nodes send a head per slot, or a comment now and then.
const IDLE: Duration = Duration::from_secs(60);
/// Waits before the stream is opened again.
const RECONNECT: Backoff = backoff::FAST;

/// What came out of one stream.
enum End {
    /// The beacon node closed it, or was silent.
    Closed(&'static str),
    /// It broke.
    Broke(String),
}

impl Client {
    /// Follows the chain for ever; [`trireme_core::ports::BeaconNode::events`] hands out what arrives. Drop-safe.
    pub async fn follow_events(&self, clock: &dyn Clock, timing: SlotTiming) {
        let mut failures = 0_u32;
        loop {
            match self
                .http
                .stream("eth/v1/events", &[("topics", "head,chain_reorg,block")])
                .await
            {
                Ok(response) => {
                    failures = 0;
                    let why = match self.read_events(response, clock, timing).await {
                        End::Closed(why) => why.to_owned(),
                        End::Broke(why) => why,
                    };
                    tracing::debug!(address = self.address(), why, "Events ended, opening them again");
                }
                Err(error) => {
                    note(self.address(), &error, failures);
                    failures = failures.saturating_add(1);
                }
            }
            tokio::time::sleep(RECONNECT.wait(failures, 0.0)).await;
        }
    }

    async fn read_events(&self, mut response: reqwest::Response, clock: &dyn Clock, timing: SlotTiming) -> End {
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
                self.take(&event, clock, timing);
            }
        }
    }

    fn take(&self, event: &Event, clock: &dyn Clock, timing: SlotTiming) {
        let read = match event.name.as_str() {
            "head" => serde_json::from_str::<HeadEvent>(&event.data).map(ChainEvent::Head),
            "chain_reorg" => serde_json::from_str::<ReorgEvent>(&event.data).map(ChainEvent::Reorg),
            "block" => serde_json::from_str::<BlockEvent>(&event.data).map(ChainEvent::Block),
            _ => return,
        };
        match read {
            Ok(what) => {
                if let ChainEvent::Head(head) = &what {
                    let delay = clock.now().since(timing.start(head.slot));
                    let fresh = delay < timing.slot_duration;
                    self.metrics.head(self.address(), head.slot.0, fresh.then_some(delay));
                }
                // Nobody listening is fine.
                let _receivers = self.events.send(what);
            }
            Err(error) => {
                tracing::debug!(address = self.address(), topic = event.name, %error, "An event cannot be read");
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
