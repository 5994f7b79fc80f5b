//! Follows the node's head events, so that attesters need not wait for a third of the slot.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use tokio::sync::watch;
use trireme_eth2::{HeadEvent, Slot};

use super::{ApiFailure, Shared};

/// Longest event that is read.
const MAX_EVENT: usize = 64 * 1024;

/// Publishes the newest head's slot; connects again whenever the stream ends.
pub(super) async fn listen(shared: Arc<Shared>, heads: watch::Sender<Option<Slot>>) {
    loop {
        if let Err(failure) = follow(&shared, &heads).await {
            shared.failed(&failure);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn follow(shared: &Shared, heads: &watch::Sender<Option<Slot>>) -> Result<(), ApiFailure> {
    let broken = || ApiFailure::NoAnswer {
        what: "events",
        reason: "the stream broke",
    };
    let mut chunks = shared.api.events().await?.bytes_stream();
    let mut text = Vec::new();
    while let Some(chunk) = chunks.next().await {
        text.extend_from_slice(&chunk.map_err(|_| broken())?);
        if text.len() > MAX_EVENT {
            return Err(broken());
        }
        while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
            let rest = text.split_off(end.saturating_add(2));
            if let Some(slot) = head_slot(&String::from_utf8_lossy(&text)) {
                heads.send_replace(Some(slot));
            }
            text = rest;
        }
    }
    Ok(())
}

/// The slot of a head event; other events and comments have none.
fn head_slot(event: &str) -> Option<Slot> {
    let field = |name: &str| {
        event
            .lines()
            .find_map(|line| Some(line.strip_prefix(name)?.trim_start().to_owned()))
    };
    if field("event:")? != "head" {
        return None;
    }
    serde_json::from_str::<HeadEvent>(&field("data:")?)
        .ok()
        .map(|head| head.slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_head_events_have_a_slot() {
        let root = format!("0x{}", "11".repeat(32));
        let data = format!(
            r#"{{"slot":"7","block":"{root}","state":"{root}","epoch_transition":false,
                "previous_duty_dependent_root":"{root}","current_duty_dependent_root":"{root}","execution_optimistic":false}}"#
        )
        .replace('\n', "");
        assert_eq!(head_slot(&format!("event: head\ndata: {data}\n\n")), Some(Slot(7)));
        assert_eq!(head_slot(&format!("event: block\ndata: {data}\n\n")), None);
        assert_eq!(head_slot(": keep-alive\n\n"), None);
        assert_eq!(head_slot("event: head\ndata: nonsense\n\n"), None);
    }
}
