//! Which test reads which kind.
//!
//! A kind is claimed by the crate whose tests call `each` with it, or it waits for what it tests to be built. A test in
//! `testutil/tests` holds the table against the indexes and against the sources, both ways.

/// Who reads a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The folder of the crate whose test reads it, from the top of the repository.
    By(&'static str),
    /// Nobody yet, and why.
    Later(&'static str),
}

use Claim::{By, Later};

const DKG: &str = "the key generation ceremony is not built yet";
const REMOTE: &str = "the remote signer is not built yet";
const STAKEWISE: &str = "the StakeWise operator duties are not built yet";

/// Every kind: area, kind, claim.
pub const KINDS: &[(&str, &str, Claim)] = &[
    ("cluster", "cluster-definition", By("crates/cluster")),
    ("cluster", "cluster-folder", By("crates/cluster")),
    ("cluster", "cluster-lock", By("crates/cluster")),
    ("cluster", "create-cluster-golden", By("crates/cli")),
    ("cluster", "create-dkg", By("crates/cli")),
    ("cluster", "deposit-data", By("crates/cluster")),
    ("cluster", "eip712-cases", By("crates/cluster")),
    ("cluster", "exit-api", By("crates/cluster")),
    ("cluster", "hash-trace", By("crates/cluster")),
    ("cluster", "keystore-cases", By("crates/keys")),
    ("cluster", "keystore-file", By("crates/keys")),
    ("cluster", "signed-pairs", By("crates/cluster")),
    ("cluster", "ssz-roots", By("crates/cluster")),
    ("core", "aggregator-selection", By("crates/eth2")),
    ("core", "bls-threshold", By("crates/tbls")),
    ("core", "builder-registration", By("crates/core")),
    ("core", "bytes-digest", By("crates/core")),
    ("core", "duty-gater", By("crates/core")),
    ("core", "encoding-cases", By("crates/core")),
    ("core", "k1-signature", By("crates/keys")),
    ("core", "live-signed-data", By("crates/core")),
    ("core", "live-unsigned-data", By("crates/core")),
    ("core", "malformed-ssz", By("crates/core")),
    ("core", "parsig-threshold", By("crates/core")),
    ("core", "parsigex-msg", By("crates/core")),
    ("core", "priority-scores", By("crates/core")),
    ("core", "qbft-exchanges", By("crates/core")),
    ("core", "qbft-leader", By("crates/core")),
    ("core", "qbft-live-cluster", By("crates/core")),
    ("core", "qbft-msg-signing", By("crates/core")),
    ("core", "qbft-quorum", By("crates/qbft")),
    ("core", "qbft-receive-checks", By("crates/core")),
    ("core", "qbft-round-steps", By("crates/qbft")),
    ("core", "round-timers", By("crates/core")),
    ("core", "scheduler-duties", By("crates/core")),
    ("core", "signed-data", By("crates/core")),
    ("core", "slot-root", By("crates/eth2")),
    ("core", "sync-contribution-gate", By("crates/core")),
    ("core", "unsigned-data", By("crates/core")),
    ("core", "value-hash", By("crates/core")),
    ("dashboards", "alert-rules", By("crates/node")),
    ("dashboards", "failure-reasons", By("crates/core")),
    ("dashboards", "grafana-dashboard", By("crates/node")),
    ("dashboards", "health-checks", By("crates/telemetry")),
    ("dashboards", "log-sample", By("crates/telemetry")),
    ("dashboards", "metric-catalogue", By("crates/node")),
    ("dashboards", "metric-usage", By("crates/node")),
    ("dashboards", "scrape-config", By("crates/cli")),
    ("dashboards", "trace-ids", By("crates/core")),
    ("dkg", "bcast-hash", Later(DKG)),
    ("dkg", "ceremony", Later(DKG)),
    ("dkg", "frost-run", Later(DKG)),
    ("dkg", "pedersen-run", Later(DKG)),
    ("dkg", "sync-signature", Later(DKG)),
    ("p2p", "addresses", By("crates/p2p")),
    ("p2p", "backoff", By("crates/p2p")),
    ("p2p", "duty-gater", By("crates/core")),
    ("p2p", "enr-create", By("crates/keys")),
    ("p2p", "enr-parse", By("crates/keys")),
    ("p2p", "frames", By("crates/p2p")),
    ("p2p", "framing", By("crates/p2p")),
    ("p2p", "hash-proto", By("crates/core")),
    ("p2p", "k1-sign", By("crates/keys")),
    ("p2p", "k1-verify", By("crates/keys")),
    ("p2p", "key-file", By("crates/keys")),
    ("p2p", "multistream", By("crates/p2p")),
    ("p2p", "named-addr", By("crates/p2p")),
    ("p2p", "nil-check", By("proto")),
    ("p2p", "peer-id", By("crates/keys")),
    ("p2p", "peer-name-words", By("crates/keys")),
    ("p2p", "peerinfo-msg", By("proto")),
    ("p2p", "priority-calculate", By("crates/core")),
    ("p2p", "priority-msg", By("crates/core")),
    ("p2p", "priority-result", By("crates/core")),
    ("p2p", "relay-dial-direction", By("crates/p2p")),
    ("p2p", "sender-hysteresis", By("crates/p2p")),
    ("p2p", "version", By("crates/p2p")),
    ("remote-signing", "block-proofs", Later(REMOTE)),
    ("remote-signing", "sign-requests", Later(REMOTE)),
    (
        "slashing-protection",
        "interchange",
        Later("the slashing protection of the signer is not built yet"),
    ),
    ("stakewise", "deposit-data-tree", Later(STAKEWISE)),
    ("stakewise", "ecies", Later(STAKEWISE)),
    ("stakewise", "eip712-digests", Later(STAKEWISE)),
    ("stakewise", "exit-signature-shards", Later(STAKEWISE)),
    ("stakewise", "remote-db-encryption", Later(STAKEWISE)),
    ("validatorapi", "api-samples", By("crates/vapi")),
    ("validatorapi", "beaconmock-golden", By("crates/eth2")),
    ("validatorapi", "beaconmock-static", By("crates/beacon")),
    ("validatorapi", "cli-flags", By("crates/cli")),
    ("validatorapi", "exchange-cases", By("crates/vapi")),
    ("validatorapi", "live-exchanges", By("crates/vapi")),
    ("validatorapi", "proxy-path-labels", By("crates/vapi")),
    ("validatorapi", "recorded-bn-session", By("crates/beacon")),
    ("validatorapi", "recorded-vc-session", By("crates/vapi")),
    ("validatorapi", "validatormock-golden", By("crates/eth2")),
];

/// The claim of a kind, if the table has it.
#[must_use]
pub fn claim(area: &str, kind: &str) -> Option<Claim> {
    KINDS
        .iter()
        .find(|(a, k, _)| *a == area && *k == kind)
        .map(|(_, _, c)| *c)
}
