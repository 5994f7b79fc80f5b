//! What the stock validator clients ask a beacon node for beyond the endpoints that this node serves itself.
//!
//! Used only with `--vapi-allow-list`. Later forks' endpoints of validator clients that exist today are in the list.

use http::Method;

/// Method and path; `{}` stands for one segment.
const ALLOWED: &[(Method, &str)] = &[
    (Method::GET, "eth/v2/node/version"),
    (Method::GET, "eth/v1/node/syncing"),
    (Method::GET, "eth/v1/node/health"),
    (Method::GET, "eth/v1/node/peers"),
    (Method::GET, "eth/v1/node/peer_count"),
    (Method::GET, "eth/v1/config/spec"),
    (Method::GET, "eth/v1/config/fork_schedule"),
    (Method::GET, "eth/v1/config/deposit_contract"),
    (Method::GET, "eth/v1/beacon/genesis"),
    (Method::GET, "eth/v1/beacon/states/{}/fork"),
    (Method::GET, "eth/v1/beacon/states/{}/committees"),
    (Method::GET, "eth/v1/beacon/states/{}/finality_checkpoints"),
    (Method::GET, "eth/v1/beacon/states/{}/validator_balances"),
    (Method::POST, "eth/v1/beacon/states/{}/validator_balances"),
    (Method::GET, "eth/v1/beacon/headers"),
    (Method::GET, "eth/v1/beacon/headers/{}"),
    (Method::GET, "eth/v1/beacon/blocks/{}/root"),
    (Method::GET, "eth/v2/beacon/blocks/{}"),
    (Method::POST, "eth/v1/validator/beacon_committee_subscriptions"),
    (Method::POST, "eth/v1/validator/sync_committee_subscriptions"),
    (Method::GET, "eth/v4/validator/blocks/{}"),
    (Method::POST, "eth/v1/validator/duties/ptc/{}"),
    (Method::GET, "eth/v1/validator/payload_attestation_data/{}"),
    (Method::POST, "eth/v1/beacon/pool/payload_attestations"),
    (Method::GET, "eth/v1/validator/execution_payload_envelope/{}/{}"),
    (Method::POST, "eth/v1/beacon/execution_payload_envelope"),
    (Method::POST, "eth/v1/beacon/execution_payload_envelopes"),
    (Method::POST, "eth/v1/validator/proposer_preferences"),
    (Method::GET, "lighthouse/staking"),
    (Method::POST, "nimbus/v1/timesync"),
    (Method::POST, "prysm/validators/performance"),
];

/// Whether a stock validator client asks for this. `path` is clean: no duplicate slashes, no dot segments.
pub(crate) fn allowed(method: &Method, path: &str) -> bool {
    let segments = || path.trim_start_matches('/').split('/');
    ALLOWED.iter().any(|(m, pattern)| {
        let mut have = segments();
        m == method
            && pattern.split('/').all(|want| match (want, have.next()) {
                ("{}", Some(segment)) => !segment.is_empty(),
                (want, Some(segment)) => want == segment,
                (_, None) => false,
            })
            && have.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_paths_with_their_method_are_allowed() {
        for (method, path, wanted) in [
            (Method::GET, "/eth/v1/node/health", true),
            (Method::POST, "/eth/v1/node/health", false),
            (Method::GET, "/eth/v1/node/health/", false),
            (Method::GET, "/eth/v1/node/health/x", false),
            (Method::GET, "/eth/v1/beacon/blocks/head/root", true),
            (Method::GET, "/eth/v1/beacon/blocks//root", false),
            (Method::GET, "/eth/v2/beacon/blocks/0xab", true),
            (Method::GET, "/eth/v1/node/identity", false),
            (Method::GET, "/metrics", false),
            (Method::GET, "/", false),
        ] {
            assert_eq!(allowed(&method, path), wanted, "{method} {path}");
        }
    }
}
