//! The topic of a line: a short word by which operators filter.

/// Modules and their topics; the first prefix that fits is taken, so the longer ones come first.
const TOPICS: &[(&str, &str)] = &[
    ("trireme_core::scheduler", "sched"),
    ("trireme_core::fetcher", "fetcher"),
    ("trireme_core::consensus", "qbft"),
    ("trireme_core::dutydb", "dutydb"),
    ("trireme_core::parsigdb", "parsigdb"),
    ("trireme_core::parsigex", "parsigex"),
    ("trireme_core::sigagg", "sigagg"),
    ("trireme_core::aggsigdb", "aggsigdb"),
    ("trireme_core::bcast", "bcast"),
    ("trireme_core::tracker", "tracker"),
    ("trireme_core::journal", "store"),
    ("trireme_core::validatorapi", "vapi"),
    ("trireme_core", "core"),
    ("trireme_p2p::ping", "ping"),
    ("trireme_p2p::peerinfo", "peerinfo"),
    ("trireme_p2p::relay", "relay"),
    ("trireme_p2p", "p2p"),
    ("trireme_beacon::sse", "sse"),
    ("trireme_beacon", "eth2"),
    ("trireme_vapi", "vapi"),
    ("trireme_store", "store"),
    ("trireme_telemetry::health", "health"),
    ("trireme_telemetry::traces", "tracer"),
    ("trireme_telemetry", "telemetry"),
    ("trireme_node::stop", "app-stop"),
    ("trireme_node", "app-start"),
    ("trireme_devnet", "devnet"),
    ("trireme", "cmd"),
    ("libp2p", "libp2p"),
];

/// The topic of an event from this module; empty for modules that are not ours.
#[must_use]
pub fn topic_of(module: &str) -> &'static str {
    TOPICS
        .iter()
        .find(|(prefix, _)| module.starts_with(prefix))
        .map_or("", |(_, topic)| topic)
}

#[cfg(test)]
mod tests {
    use super::{TOPICS, topic_of};

    #[test]
    fn submodules_have_the_topic_of_their_module() {
        assert_eq!(topic_of("trireme_core::consensus::value"), "qbft");
        assert_eq!(topic_of("trireme_core::duty"), "core");
        assert_eq!(topic_of("hyper::client"), "");
    }

    #[test]
    fn no_prefix_hides_a_later_one() {
        for (i, (later, _)) in TOPICS.iter().enumerate() {
            for (earlier, _) in &TOPICS[..i] {
                assert!(
                    !later.starts_with(earlier),
                    "{later} is never reached because of {earlier}"
                );
            }
        }
    }

    #[test]
    fn every_topic_fits_its_column() {
        assert!(TOPICS.iter().all(|(_, topic)| topic.len() <= 10));
    }
}
