//! Server-sent events: `head`, `block`, `block_gossip` and `chain_reorg`, when they happen.

use std::convert::Infallible;

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::{
    At,
    answer::{Params, list},
};
use crate::judge::events::ChainEvent;

/// Streams the topics asked for; unknown ones are ignored. A face that hears nothing of the chain is silent.
pub(super) async fn events(State(at): State<At>, params: Params) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let topics = list(&params.0, "topics");
    let changes = stream::unfold(at.subscribe(), |mut heads| async move {
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
        let (hears, optimistic) = {
            let judge = at.judge();
            let view = judge.view(at.door.face, at.now());
            (view.hears(), view.is_optimistic())
        };
        let told = told(&at, &change, optimistic).into_iter();
        let asked: Vec<_> = told
            .filter(|(topic, _)| hears && topics.iter().any(|t| t == topic))
            .map(|(topic, data)| Ok(Event::default().event(topic).data(data.to_string())))
            .collect();
        stream::iter(asked)
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Topics and content of what happened.
fn told(at: &At, event: &ChainEvent, optimistic: bool) -> Vec<(&'static str, Value)> {
    match event {
        ChainEvent::Block { slot, root } => vec![
            ("block_gossip", json!({"slot": slot, "block": root})),
            (
                "block",
                json!({"slot": slot, "block": root, "execution_optimistic": optimistic}),
            ),
        ],
        ChainEvent::Head {
            block,
            epoch_transition,
            previous_dependent,
            current_dependent,
        } => {
            let data = json!({
                "slot": block.slot,
                "block": block.root,
                "state": block.state_root,
                "epoch_transition": epoch_transition,
                "previous_duty_dependent_root": previous_dependent,
                "current_duty_dependent_root": current_dependent,
                "execution_optimistic": optimistic,
            });
            vec![("head", data)]
        }
        ChainEvent::Reorg { depth, old, new } => {
            let data = json!({
                "slot": new.slot,
                "depth": depth.to_string(),
                "old_head_block": old.root,
                "new_head_block": new.root,
                "old_head_state": old.state_root,
                "new_head_state": new.state_root,
                "epoch": at.judge().chain().epoch(new.slot),
                "execution_optimistic": optimistic,
            });
            vec![("chain_reorg", data)]
        }
    }
}
