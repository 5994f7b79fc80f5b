//! Names of spans, as operators who compare nodes of both kinds expect them (observability.md 7).

/// What our steps are called; the rest keeps its name behind `core/`.
const STEPS: &[(&str, &str)] = &[
    ("fetcher.fetch", "core/fetcher.Fetch"),
    ("consensus.participate", "core/consensus.Participate"),
    ("consensus.propose", "core/consensus.Propose"),
    ("dutydb.store", "core/dutydb.Store"),
    ("parsigdb.store_internal", "core/parsigdb.StoreInternal"),
    ("parsigdb.store_external", "core/parsigdb.StoreExternal"),
    ("parsigex.broadcast", "core/parsigex.Broadcast"),
    ("sigagg.aggregate", "core/sigagg.Aggregate"),
    ("aggsigdb.store", "core/aggsigdb.Store"),
    ("bcast.broadcast", "core/broadcaster.Broadcast"),
];

/// The name of the span around a step.
pub(super) fn of_step(step: &str) -> String {
    STEPS
        .iter()
        .find(|(ours, _)| *ours == step)
        .map_or_else(|| format!("core/{step}"), |(_, name)| (*name).to_owned())
}

/// The name of any other span.
pub(super) fn of_other(name: &'static str) -> &'static str {
    match name {
        "qbft" => "core/qbft.runInstance",
        other => other,
    }
}

/// The name of the span around everything that is done for a duty, from its text form `slot/type`.
pub(super) fn of_duty(duty: &str) -> String {
    format!("core/duty.{}", duty.split_once('/').map_or(duty, |(_, kind)| kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duties_are_named_by_their_type_and_unknown_steps_by_themselves() {
        assert_eq!(of_duty("12/sync_message"), "core/duty.sync_message");
        assert_eq!(of_step("bcast.broadcast"), "core/broadcaster.Broadcast");
        assert_eq!(of_other("qbft"), "core/qbft.runInstance");
        assert_eq!(of_step("priority.propose"), "core/priority.propose");
    }
}
