//! Priorities of peers: counting them and reading what was counted never panics.
#![no_main]
use libfuzzer_sys::fuzz_target;
use prost::Message;
use trireme_core::priority::{
    calculate::{calculate, countable},
    result::PriorityResult,
};
use trireme_proto::core::v1 as pb;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(result) = pb::PriorityResult::decode(bytes) {
        let _ = calculate(&result.msgs, 2);
        let _ = PriorityResult(result).texts();
    }
    let Ok(msg) = pb::PriorityMsg::decode(bytes) else { return };
    let counted = calculate(std::slice::from_ref(&msg), 1);
    assert_eq!(counted.is_ok(), countable(&msg).is_ok());
    if let Ok(result) = counted {
        let scores = result.0.topics.iter().flat_map(|t| &t.priorities).map(|p| p.score);
        assert!(scores.into_iter().all(|score| (1..=1_000).contains(&score)));
    }
});
