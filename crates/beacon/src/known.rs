//! Refusals of what the beacon node has already, which is what we want: another node of the cluster, or another beacon
//! node, was quicker. The beacon API gives them only as text; the texts are listed here and nowhere else.

use trireme_core::ports::BeaconError;

/// In small letters and without blanks, dashes and underscores. Lighthouse: `PriorAttestationKnown`,
/// `PriorSyncCommitteeMessageKnown`, `AggregatorAlreadyKnown`, `SyncContributionSupersetKnown`,
/// `AttestationSupersetKnown`, `BLOCK_ALREADY_KNOWN`, `duplicate`; Lodestar: `..._ERROR_ALREADY_KNOWN`; Teku: `ignored ...
/// already seen`; Prysm, Nimbus and Grandine: `already seen`, `already exists`, `already in`.
const KNOWN: [&str; 9] = [
    "attestationknown",
    "messageknown",
    "exitknown",
    "alreadyknown",
    "supersetknown",
    "alreadyseen",
    "alreadyexists",
    "duplicate",
    "alreadyimported",
];

/// Whether one sentence of a beacon node means that it had this.
pub(crate) fn says_known(text: &str) -> bool {
    let text: String = text
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '_'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    KNOWN.iter().any(|known| text.contains(known))
}

/// Whether a refusal means that the beacon node had everything already. Of several failures `http` keeps one if all say
/// so, and all otherwise, joined by semicolons.
pub(crate) fn is_known(refusal: &BeaconError) -> bool {
    match refusal {
        BeaconError::Status { message, .. } => message.split("; ").all(says_known),
        BeaconError::Timeout { .. } | BeaconError::Unreachable { .. } | BeaconError::Malformed { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(status: u16, message: &str) -> bool {
        is_known(&BeaconError::Status {
            endpoint: "x",
            status,
            message: message.to_owned(),
        })
    }

    #[test]
    fn words_of_the_beacon_nodes_for_what_they_have_are_understood() {
        for message in [
            "some failures: PriorAttestationKnown",
            "Verification: PriorAttestationKnown { validator_index: 3, epoch: Epoch(7) }",
            "BLOCK_ERROR_ALREADY_KNOWN",
            "block is already known",
            "duplicate",
            "Verification: AggregatorAlreadyKnown(17)",
            "SYNC_COMMITTEE_ERROR_SYNC_COMMITTEE_AGGREGATOR_ALREADY_KNOWN",
        ] {
            assert!(known(400, message), "{message}");
        }
    }

    #[test]
    fn other_refusals_are_none_even_beside_known_ones() {
        assert!(!known(400, "some failures: PriorAttestationKnown; invalid signature"));
        assert!(!known(400, "unknown validator"));
        assert!(!known(400, "unknown parent"));
        assert!(known(500, "BLOCK_ERROR_ALREADY_KNOWN"), "whatever the status");
    }
}
