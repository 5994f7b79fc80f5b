//! Which request goes where: the route table of the validator API as one pure function.
//!
//! Guarantees: a route is a path *and* a method. Another method on a served path falls through to the beacon node, so
//! does a trailing slash; a path parameter is one non-empty segment. Paths are matched after percent-decoding, so an
//! encoded letter never slips past the table or the deny list.
//!
//! Not here: what a route does (`handlers`), how the rest travels to the beacon node (`proxy`).
//!
//! Why not axum's router: it answers HEAD for GET and 405 for a known path with another method, and the labels of the
//! metrics would live in a second table.

use http::Method;

/// The requests that this node answers itself, by the label that metrics and logs use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each variant is named after its label")]
pub enum Endpoint {
    AttesterDuties,
    ProposerDuties,
    ProposerDutiesV2,
    SyncCommitteeDuties,
    AttestationData,
    SubmitAttestations,
    SubmitAttestationsV2,
    GetValidators,
    GetValidator,
    ProposeBlock,
    ProposeBlindedBlock,
    ProposeBlockV3,
    SubmitProposalV1,
    SubmitProposalV2,
    SubmitBlindedBlockV1,
    SubmitBlindedBlockV2,
    SubmitValidatorRegistration,
    SubmitVoluntaryExit,
    TekuProposerConfig,
    ProposerConfig,
    AggregateBeaconCommitteeSelections,
    AggregateAttestation,
    AggregateAttestationV2,
    SubmitAggregateAndProofs,
    SubmitAggregateAndProofsV2,
    SubmitSyncCommitteeMessages,
    SyncCommitteeContribution,
    SubmitContributionAndProofs,
    SubmitProposalPreparations,
    AggregateSyncCommitteeSelections,
    NodeVersion,
    Liveness,
}

/// What a served endpoint does, as far as the table knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answered by a handler.
    Served,
    /// Answered 200 without a look at the body: this node does the work itself.
    Swallowed,
    /// Answered 404, so that validator clients take the modern endpoint.
    Retired,
}

/// One row of the table.
struct Row {
    method: Method,
    /// `{}` stands for one segment.
    path: &'static str,
    endpoint: Endpoint,
}

macro_rules! rows {
    ($($method:ident $path:literal $endpoint:ident $label:literal $kind:ident $ssz:literal;)*) => {
        /// In the order of matching; no two rows match the same request.
        const ROWS: &[Row] = &[$(Row { method: Method::$method, path: $path, endpoint: Endpoint::$endpoint }),*];

        impl Endpoint {
            /// The value of the label `endpoint`.
            #[must_use]
            pub fn label(self) -> &'static str {
                self.facts().0
            }

            /// What is done with it.
            #[must_use]
            pub fn kind(self) -> Kind {
                self.facts().1
            }

            /// Whether a body in SSZ is accepted.
            #[must_use]
            pub fn takes_ssz(self) -> bool {
                self.facts().2
            }
        }

        #[expect(unreachable_patterns, reason = "one endpoint has a row per method")]
        impl Endpoint {
            fn facts(self) -> (&'static str, Kind, bool) {
                match self {
                    $(Self::$endpoint => ($label, Kind::$kind, $ssz),)*
                }
            }
        }
    };
}

rows! {
    POST "eth/v1/validator/duties/attester/{}" AttesterDuties "attester_duties" Served false;
    GET  "eth/v1/validator/duties/proposer/{}" ProposerDuties "proposer_duties" Served false;
    GET  "eth/v2/validator/duties/proposer/{}" ProposerDutiesV2 "proposer_duties_v2" Served false;
    POST "eth/v1/validator/duties/sync/{}" SyncCommitteeDuties "sync_committee_duties" Served false;
    GET  "eth/v1/validator/attestation_data" AttestationData "attestation_data" Served false;
    POST "eth/v1/beacon/pool/attestations" SubmitAttestations "submit_attestations" Retired false;
    POST "eth/v2/beacon/pool/attestations" SubmitAttestationsV2 "submit_attestations_v2" Served true;
    GET  "eth/v1/beacon/states/{}/validators" GetValidators "get_validators" Served false;
    POST "eth/v1/beacon/states/{}/validators" GetValidators "get_validators" Served false;
    GET  "eth/v1/beacon/states/{}/validators/{}" GetValidator "get_validator" Served false;
    GET  "eth/v2/validator/blocks/{}" ProposeBlock "propose_block" Retired true;
    GET  "eth/v1/validator/blinded_blocks/{}" ProposeBlindedBlock "propose_blinded_block" Retired false;
    GET  "eth/v3/validator/blocks/{}" ProposeBlockV3 "propose_block_v3" Served true;
    POST "eth/v1/beacon/blocks" SubmitProposalV1 "submit_proposal_v1" Served true;
    POST "eth/v2/beacon/blocks" SubmitProposalV2 "submit_proposal_v2" Served true;
    POST "eth/v1/beacon/blinded_blocks" SubmitBlindedBlockV1 "submit_blinded_block_v1" Served true;
    POST "eth/v2/beacon/blinded_blocks" SubmitBlindedBlockV2 "submit_blinded_block_v2" Served true;
    POST "eth/v1/validator/register_validator" SubmitValidatorRegistration "submit_validator_registration" Swallowed true;
    POST "eth/v1/beacon/pool/voluntary_exits" SubmitVoluntaryExit "submit_voluntary_exit" Served false;
    GET  "teku_proposer_config" TekuProposerConfig "teku_proposer_config" Retired false;
    GET  "proposer_config" ProposerConfig "proposer_config" Retired false;
    POST "eth/v1/validator/beacon_committee_selections" AggregateBeaconCommitteeSelections "aggregate_beacon_committee_selections" Served false;
    GET  "eth/v1/validator/aggregate_attestation" AggregateAttestation "aggregate_attestation" Retired false;
    GET  "eth/v2/validator/aggregate_attestation" AggregateAttestationV2 "aggregate_attestation_v2" Served false;
    POST "eth/v1/validator/aggregate_and_proofs" SubmitAggregateAndProofs "submit_aggregate_and_proofs" Retired false;
    POST "eth/v2/validator/aggregate_and_proofs" SubmitAggregateAndProofsV2 "submit_aggregate_and_proofs_v2" Served false;
    POST "eth/v1/beacon/pool/sync_committees" SubmitSyncCommitteeMessages "submit_sync_committee_messages" Served false;
    GET  "eth/v1/validator/sync_committee_contribution" SyncCommitteeContribution "sync_committee_contribution" Served false;
    POST "eth/v1/validator/contribution_and_proofs" SubmitContributionAndProofs "submit_contribution_and_proofs" Served false;
    POST "eth/v1/validator/prepare_beacon_proposer" SubmitProposalPreparations "submit_proposal_preparations" Swallowed false;
    POST "eth/v1/validator/sync_committee_selections" AggregateSyncCommitteeSelections "aggregate_sync_committee_selections" Served false;
    GET  "eth/v1/node/version" NodeVersion "node_version" Served false;
    POST "eth/v1/validator/liveness/{}" Liveness "liveness" Served false;
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To one of our handlers, with the path parameters in order.
    Here(Endpoint, Vec<String>),
    /// To the event stream of the beacon node.
    Events,
    /// To the beacon node.
    Proxy,
    /// Nowhere: the path is not for validator clients.
    Denied,
    /// To the same path without duplicate slashes and dot segments.
    Redirect(String),
}

/// Longest path that is looked at; the longest known one has about 200 bytes.
pub(crate) const MAX_PATH: usize = 4096;

/// Finds the route of a request. `path` is the raw path of the request line, without the query.
#[must_use]
pub fn route(method: &Method, path: &str) -> Route {
    let Some(decoded) = decode(path) else {
        return Route::Denied;
    };
    let clean = clean(&decoded);
    if clean != decoded {
        return Route::Redirect(encode(&clean));
    }
    let segments: Vec<&str> = decoded.trim_start_matches('/').split('/').collect();
    if denied(&segments) {
        return Route::Denied;
    }
    for row in ROWS {
        if row.method == *method
            && let Some(params) = params(row.path, &segments)
        {
            return Route::Here(row.endpoint, params);
        }
    }
    if *method == Method::GET && segments == ["eth", "v1", "events"] {
        Route::Events
    } else {
        Route::Proxy
    }
}

/// Every row as method, path with `{}` for parameters, and endpoint.
pub fn table() -> impl Iterator<Item = (&'static Method, &'static str, Endpoint)> {
    ROWS.iter().map(|row| (&row.method, row.path, row.endpoint))
}

fn params(pattern: &str, segments: &[&str]) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut found = segments.iter();
    for want in pattern.split('/') {
        let have = found.next()?;
        match want {
            "{}" if !have.is_empty() => out.push((*have).to_owned()),
            _ if want == *have => {}
            _ => return None,
        }
    }
    found.next().is_none().then_some(out)
}

/// Paths that concern the keys or the inside of a beacon node. No validator client needs them, and behind the proxy
/// they would carry the operator's credentials for the beacon node.
fn denied(segments: &[&str]) -> bool {
    let Some((first, rest)) = segments.split_first() else {
        return false;
    };
    if segments.contains(&"admin") {
        return true;
    }
    if *first != "eth" {
        return false;
    }
    match rest {
        [_, "debug", ..] | [_, "keystores" | "remotekeys", ..] => true,
        // Keymanager API, per-key settings.
        [_, "validator", key, ..] => key.starts_with("0x"),
        _ => false,
    }
}

/// Percent-decodes; `None` if that gives no text, a control character, or the path is too long.
fn decode(path: &str) -> Option<String> {
    if path.len() > MAX_PATH {
        return None;
    }
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let mut one = [0];
            hex::decode_to_slice(digits, &mut one).ok()?;
            out.extend(one);
        } else {
            out.push(b);
        }
    }
    let text = String::from_utf8(out).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

/// Removes duplicate slashes and dot segments; keeps a slash at the end.
fn clean(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut out = format!("/{}", kept.join("/"));
    if path.ends_with('/') && out.len() > 1 {
        out.push('/');
    }
    out
}

/// Percent-encodes what may not stand in a `Location` path.
fn encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for b in path.bytes() {
        if b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// The label `path` of proxied requests: numbers, hex strings and peer ids are replaced, segments joined by `_`.
#[must_use]
pub fn path_label(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut before = "";
    for segment in path.trim_matches('/').split('/') {
        out.push(if segment.starts_with("0x") {
            "{hex}"
        } else if !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit()) {
            "{n}"
        } else if before == "peers" {
            "{peer_id}"
        } else {
            segment
        });
        before = segment;
    }
    out.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(method: Method, path: &str) -> Option<(Endpoint, Vec<String>)> {
        match route(&method, path) {
            Route::Here(endpoint, params) => Some((endpoint, params)),
            Route::Events | Route::Proxy | Route::Denied | Route::Redirect(_) => None,
        }
    }

    #[test]
    fn every_row_finds_itself_and_no_other() {
        for (method, path, endpoint) in table() {
            let path = format!("/{}", path.replace("{}", "7"));
            assert_eq!(here(method.clone(), &path).map(|h| h.0), Some(endpoint), "{path}");
            let others = table().filter(|(m, p, _)| *m == method && format!("/{}", p.replace("{}", "7")) == path);
            assert_eq!(others.count(), 1, "{path}");
        }
    }

    /// What the protocol's table says of each route: method, path, label, whether SSZ is taken, kind. Ours takes SSZ for
    /// attestations too, and answers one more, liveness.
    const TABLE: &str = "
        POST /eth/v1/validator/duties/attester/{} attester_duties JSON Served
        GET /eth/v1/validator/duties/proposer/{} proposer_duties JSON Served
        GET /eth/v2/validator/duties/proposer/{} proposer_duties_v2 JSON Served
        POST /eth/v1/validator/duties/sync/{} sync_committee_duties JSON Served
        GET /eth/v1/validator/attestation_data attestation_data JSON Served
        POST /eth/v1/beacon/pool/attestations submit_attestations JSON Retired
        POST /eth/v2/beacon/pool/attestations submit_attestations_v2 JSON,SSZ Served
        GET /eth/v1/beacon/states/{}/validators get_validators JSON Served
        POST /eth/v1/beacon/states/{}/validators get_validators JSON Served
        GET /eth/v1/beacon/states/{}/validators/{} get_validator JSON Served
        GET /eth/v2/validator/blocks/{} propose_block JSON,SSZ Retired
        GET /eth/v1/validator/blinded_blocks/{} propose_blinded_block JSON Retired
        GET /eth/v3/validator/blocks/{} propose_block_v3 JSON,SSZ Served
        POST /eth/v1/beacon/blocks submit_proposal_v1 JSON,SSZ Served
        POST /eth/v2/beacon/blocks submit_proposal_v2 JSON,SSZ Served
        POST /eth/v1/beacon/blinded_blocks submit_blinded_block_v1 JSON,SSZ Served
        POST /eth/v2/beacon/blinded_blocks submit_blinded_block_v2 JSON,SSZ Served
        POST /eth/v1/validator/register_validator submit_validator_registration JSON,SSZ Swallowed
        POST /eth/v1/beacon/pool/voluntary_exits submit_voluntary_exit JSON Served
        GET /teku_proposer_config teku_proposer_config JSON Retired
        GET /proposer_config proposer_config JSON Retired
        POST /eth/v1/validator/beacon_committee_selections aggregate_beacon_committee_selections JSON Served
        GET /eth/v1/validator/aggregate_attestation aggregate_attestation JSON Retired
        GET /eth/v2/validator/aggregate_attestation aggregate_attestation_v2 JSON Served
        POST /eth/v1/validator/aggregate_and_proofs submit_aggregate_and_proofs JSON Retired
        POST /eth/v2/validator/aggregate_and_proofs submit_aggregate_and_proofs_v2 JSON Served
        POST /eth/v1/beacon/pool/sync_committees submit_sync_committee_messages JSON Served
        GET /eth/v1/validator/sync_committee_contribution sync_committee_contribution JSON Served
        POST /eth/v1/validator/contribution_and_proofs submit_contribution_and_proofs JSON Served
        POST /eth/v1/validator/prepare_beacon_proposer submit_proposal_preparations JSON Swallowed
        POST /eth/v1/validator/sync_committee_selections aggregate_sync_committee_selections JSON Served
        GET /eth/v1/node/version node_version JSON Served
        POST /eth/v1/validator/liveness/{} liveness JSON Served
    ";

    #[test]
    fn routes_are_those_of_the_protocol_with_their_labels_kinds_and_content_types() {
        let wanted: Vec<&str> = TABLE.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        for line in &wanted {
            let [method, path, label, types, kind] =
                <[&str; 5]>::try_from(line.split(' ').collect::<Vec<_>>()).unwrap();
            let (found, params) = here(method.parse().unwrap(), &path.replace("{}", "7")).unwrap();
            assert_eq!(params, vec!["7"; path.matches("{}").count()], "{line}");
            assert_eq!((found.label(), format!("{:?}", found.kind()).as_str()), (label, kind));
            assert_eq!(found.takes_ssz(), types.ends_with("SSZ"), "{line}");
        }
        assert_eq!(table().count(), wanted.len(), "no further route");
    }

    #[test]
    fn path_parameters_are_taken_as_they_stand() {
        assert_eq!(
            here(Method::GET, "/eth/v1/beacon/states/head/validators/0xab"),
            Some((Endpoint::GetValidator, vec!["head".into(), "0xab".into()]))
        );
        assert_eq!(
            here(Method::POST, "/eth/v1/validator/duties/attester/-1"),
            Some((Endpoint::AttesterDuties, vec!["-1".into()]))
        );
    }

    #[test]
    fn another_method_or_a_trailing_slash_goes_to_the_beacon_node() {
        for (method, path) in [
            (Method::GET, "/eth/v2/beacon/pool/attestations"),
            (Method::HEAD, "/eth/v1/node/version"),
            (Method::GET, "/eth/v1/node/version/"),
            (Method::GET, "/eth/v1/validator/duties/proposer/"),
            (Method::POST, "/eth/v1/events"),
            (Method::GET, "/"),
        ] {
            assert_eq!(route(&method, path), Route::Proxy, "{method} {path}");
        }
        assert_eq!(route(&Method::GET, "/eth/v1/events"), Route::Events);
    }

    #[test]
    fn unclean_paths_are_redirected_before_anything_else() {
        for (path, to) in [
            ("//eth/v1/node/version", "/eth/v1/node/version"),
            ("/eth/v1/./node/version", "/eth/v1/node/version"),
            ("/eth/v1/x/../node/version", "/eth/v1/node/version"),
            ("/eth/v1/x/%2e%2e/debug/y/", "/eth/v1/debug/y/"),
            ("/../..", "/"),
            ("", "/"),
        ] {
            assert_eq!(route(&Method::GET, path), Route::Redirect(to.into()), "{path}");
        }
    }

    #[test]
    fn debug_keymanager_and_admin_paths_are_denied_in_any_spelling() {
        for path in [
            "/eth/v2/debug/beacon/states/head",
            "/eth/v1/%64ebug/fork_choice",
            "/eth/v1/keystores",
            "/eth/v1/remotekeys",
            "/eth/v1/validator/0x93247f2209abcacf57b75a51dafae777f9dd38bc7053d1af526f220a7489a6d3a2753e5f3e8b1cfe39b56f43611df74a/feerecipient",
            "/teku/v1/admin/readiness",
            "/eth/v1/node/%zz",
            "/eth/v1/node/%0a",
        ] {
            assert_eq!(route(&Method::GET, path), Route::Denied, "{path}");
        }
        assert_eq!(route(&Method::GET, "/lighthouse/staking"), Route::Proxy);
    }

    #[test]
    fn path_labels_have_no_variable_parts() {
        assert_eq!(path_label("/"), "");
        assert_eq!(path_label("/eth/v1/node/peers/Qmabc"), "eth_v1_node_peers_{peer_id}");
        assert_eq!(path_label("/a/0x12/34/"), "a_{hex}_{n}");
    }
}
