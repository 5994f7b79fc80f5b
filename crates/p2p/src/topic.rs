//! What an outgoing message is about, as a metric label: read from its first bytes, nothing is decoded.
//!
//! Guarantees: a message that is not as expected has the empty label.

use trireme_core::duty::DutyType;

const QBFT: &str = "/charon/consensus/qbft/2.0.0";
const PARSIGEX: &str = "/charon/parsigex/2.0.0";
const PEERINFO: &str = "/charon/peerinfo/2.0.0";
const PRIORITY: &str = "/charon/priority/2.0.0";

/// The label of a message of this protocol.
pub(crate) fn topic(protocol: &str, msg: &[u8]) -> String {
    match protocol {
        PEERINFO => "peerinfo".to_owned(),
        PRIORITY => "priority_consensus".to_owned(),
        // A QBFT message begins with the vote, and that with its type.
        QBFT => match number_in_first(msg, 1) {
            Some(1) => "qbft_pre_prepare".to_owned(),
            Some(2) => "qbft_prepare".to_owned(),
            Some(3) => "qbft_commit".to_owned(),
            Some(4) => "qbft_round_change".to_owned(),
            Some(5) => "qbft_decided".to_owned(),
            Some(_) | None => String::new(),
        },
        // A set of partial signatures begins with the duty; the type is its second field.
        PARSIGEX => number_in_first(msg, 2)
            .and_then(|n| DutyType::try_from(i64::try_from(n).ok()?).ok())
            .map_or_else(String::new, |kind| format!("parsigex_{}", kind.name())),
        _ => String::new(),
    }
}

/// The number in field `wanted` of the message in field 1, if that comes first.
fn number_in_first(msg: &[u8], wanted: u64) -> Option<u64> {
    const FIELD_1_MESSAGE: u64 = 1 << 3 | 2;
    let (tag, rest) = varint(msg)?;
    let (len, rest) = varint(rest).filter(|_| tag == FIELD_1_MESSAGE)?;
    let mut inner = rest.get(..usize::try_from(len).ok()?)?;
    loop {
        let (tag, rest) = varint(inner)?;
        // Only numbers may come before.
        let (value, rest) = varint(rest).filter(|_| tag & 7 == 0)?;
        if tag >> 3 == wanted {
            return Some(value);
        }
        inner = rest;
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    unsigned_varint::decode::u64(bytes).ok()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use trireme_proto::core::v1 as pb;

    use super::*;

    #[test]
    fn votes_are_labelled_by_their_type_and_partials_by_their_duty() {
        let vote = pb::QbftConsensusMsg {
            msg: Some(pb::QbftMsg {
                r#type: 4,
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(topic(QBFT, &vote.encode_to_vec()), "qbft_round_change");
        let partials = pb::ParSigExMsg {
            duty: Some(pb::Duty {
                slot: 9_000_000,
                r#type: 2,
            }),
            ..Default::default()
        };
        assert_eq!(topic(PARSIGEX, &partials.encode_to_vec()), "parsigex_attester");
        assert_eq!(topic(PEERINFO, &[]), "peerinfo");
        assert_eq!(topic(PRIORITY, &[]), "priority_consensus");
    }

    #[test]
    fn anything_else_has_no_label() {
        for bytes in [
            &[][..],
            &[10],
            &[10, 200],
            &[10, 2, 8],
            &[10, 2, 8, 9],
            &[8, 1],
            &[10, 2, 18, 0],
            &[255; 12],
        ] {
            assert_eq!(topic(QBFT, bytes), "", "{bytes:?}");
            assert_eq!(topic(PARSIGEX, bytes), "", "{bytes:?}");
        }
        assert_eq!(topic("/other/1.0.0", &[10, 2, 8, 1]), "");
    }
}
