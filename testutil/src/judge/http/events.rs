//! Server-sent events: `head` and `block`, when the cluster's block arrives.

use std::convert::Infallible;

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt as _, stream};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::{
    At, HeadChange,
    answer::{Params, list},
};

/// Streams the topics asked for; unknown ones are ignored.
pub(super) async fn events(
    State(shared): State<At>,
    params: Params,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let topics = list(&params.0, "topics");
    let (head, block) = (topics.iter().any(|t| t == "head"), topics.iter().any(|t| t == "block"));
    let changes = stream::unfold(shared.subscribe(), |mut heads| async move {
        loop {
            match heads.recv().await {
                Ok(change) => return Some((change, heads)),
                // A reader that slow goes on with what is there.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let events = changes.flat_map(move |change| {
        let both = [block.then(|| block_event(&change)), head.then(|| head_event(&change))];
        stream::iter(both.into_iter().flatten().map(Ok))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

fn head_event(change: &HeadChange) -> Event {
    let data = json!({
        "slot": change.block.slot,
        "block": change.block.root,
        "state": change.block.state_root,
        "epoch_transition": change.epoch_transition,
        "previous_duty_dependent_root": change.previous_dependent,
        "current_duty_dependent_root": change.current_dependent,
        "execution_optimistic": false,
    });
    Event::default().event("head").data(data.to_string())
}

fn block_event(change: &HeadChange) -> Event {
    let data = json!({"slot": change.block.slot, "block": change.block.root, "execution_optimistic": false});
    Event::default().event("block").data(data.to_string())
}
