//! JSON Schemas (draft 2020-12) of definitions and locks, made from the table of versions: what the readers of this crate
//! accept, for other programs and for editors. `docs/schemas/` holds them; tests hold them against the readers, too.
//!
//! Guarantees: a file with a key in another case than written here aside, what does not fit the schema is not read, and what
//! is read fits.
//! Not here: what a schema cannot say. It takes `1.0` for a whole number, and it does not count: whether there are as many
//! address pairs as validators, whether amounts add up, whether a key stands twice; nor hashes and signatures.

use serde_json::{Map, Value, json};

use crate::{
    definition::MAX_VALIDATORS,
    deposit,
    json::Bytes,
    version::{Deposits, Schema, Version},
};

/// The schema of a cluster definition of any version.
#[must_use]
pub fn definition() -> Value {
    let cases: Vec<Value> = Version::ALL
        .iter()
        .map(|v| {
            json!({
                "if": {"properties": {"version": {"const": v.as_str()}}},
                "then": reference(&format!("definition-{v}")),
            })
        })
        .collect();
    json!({
        "$schema": DRAFT,
        "title": "Cluster definition",
        "description": "What the operators of a distributed validator cluster intend to create. Missing members and null count as empty, unknown members are ignored.",
        "type": "object",
        "required": ["version"],
        "properties": {"version": {"enum": versions()}},
        "allOf": cases,
        "$defs": parts(definition_parts()),
    })
}

/// The schema of a cluster lock of any version.
#[must_use]
pub fn lock() -> Value {
    let cases: Vec<Value> = Version::ALL
        .iter()
        .map(|v| {
            json!({
                "if": {"properties": {"cluster_definition": {"properties": {"version": {"const": v.as_str()}}}}},
                "then": reference(&format!("lock-{v}")),
            })
        })
        .collect();
    let locks = Version::ALL.iter().map(|v| (format!("lock-{v}"), lock_of(v.schema())));
    json!({
        "$schema": DRAFT,
        "title": "Cluster lock",
        "description": "A created distributed validator cluster: its definition and its validators. Missing members and null count as empty, unknown members are ignored.",
        "type": "object",
        "required": ["cluster_definition"],
        "properties": {
            "cluster_definition": {
                "type": "object",
                "required": ["version"],
                "properties": {"version": {"enum": versions()}},
            },
        },
        "allOf": cases,
        "$defs": parts(definition_parts().chain(locks)),
    })
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

fn versions() -> Vec<&'static str> {
    Version::ALL.iter().map(|v| v.as_str()).collect()
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// A reference with a sentence beside it.
fn described(name: &str, what: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}"), "description": what})
}

fn definition_parts() -> impl Iterator<Item = (String, Value)> {
    Version::ALL
        .iter()
        .map(|v| (format!("definition-{v}"), definition_of(v.schema())))
}

/// What all versions share, and these.
fn parts(more: impl Iterator<Item = (String, Value)>) -> Map<String, Value> {
    let text = json!({"type": ["string", "null"]});
    let kinds = [
        ("text", text),
        ("hex", pattern(r"^(0x)?([0-9a-fA-F]{2})*$")),
        (
            "base64",
            pattern(r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"),
        ),
        ("flag", json!({"type": ["boolean", "null"]})),
        (
            "count",
            json!({"type": ["integer", "null"], "minimum": 0, "maximum": u64::MAX}),
        ),
        (
            "signed",
            json!({"type": ["integer", "null"], "minimum": i64::MIN, "maximum": i64::MAX}),
        ),
        ("quoted-count", pattern(&format!("^{}$", quoted(1, u64::MAX)))),
        (
            "registration",
            object(vec![
                (
                    "message",
                    object(vec![
                        ("fee_recipient", reference("hex")),
                        ("gas_limit", reference("count")),
                        ("timestamp", described("signed", "Seconds since 1970.")),
                        ("pubkey", reference("hex")),
                    ]),
                ),
                ("signature", described("hex", "BLS signature by the group key.")),
            ]),
        ),
        (
            "deposit",
            object(vec![
                ("pubkey", reference("hex")),
                ("withdrawal_credentials", reference("hex")),
                ("amount", described("quoted-count", "Gwei.")),
                ("signature", reference("hex")),
            ]),
        ),
    ];
    let kinds = kinds.map(|(name, kind)| (name.to_owned(), kind));
    kinds.into_iter().chain(more).collect()
}

fn pattern(pattern: &str) -> Value {
    json!({"type": ["string", "null"], "pattern": pattern})
}

fn object(members: Vec<(&str, Value)>) -> Value {
    let members: Map<String, Value> = members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    json!({"type": ["object", "null"], "properties": members})
}

fn list(of: &Value) -> Value {
    json!({"type": ["array", "null"], "items": of})
}

fn bytes(schema: &Schema) -> &'static str {
    match schema.bytes {
        Bytes::Hex => "hex",
        Bytes::Base64 => "base64",
    }
}

fn definition_of(schema: &Schema) -> Value {
    let form = bytes(schema);
    let mut operator = vec![
        (
            "address",
            described("text", "Ethereum address; empty if nothing is signed."),
        ),
        ("enr", described("text", "Node record.")),
        ("config_signature", reference(form)),
        ("enr_signature", reference(form)),
    ];
    if schema.nonce {
        operator.push(("nonce", json!({"enum": [0, null]})));
    }
    let mut members = vec![
        ("name", reference("text")),
        ("operators", list(&object(operator))),
        ("uuid", reference("text")),
        ("version", json!({"const": schema.text})),
        ("timestamp", described("text", "Usually RFC 3339.")),
        (
            "num_validators",
            json!({"type": ["integer", "null"], "minimum": 0, "maximum": MAX_VALIDATORS}),
        ),
        ("threshold", described("count", "Nodes that are needed to sign.")),
        ("dkg_algorithm", described("text", "default, frost or pedersen.")),
        ("fork_version", described("hex", "Genesis fork version of the network.")),
        ("config_hash", reference(form)),
        ("definition_hash", reference(form)),
    ];
    let fee = || described("text", "Ethereum address that receives tips.");
    let withdrawal = || described("text", "Ethereum address that receives withdrawals.");
    let pair = [("fee_recipient_address", fee()), ("withdrawal_address", withdrawal())];
    if schema.creator {
        let creator = vec![("address", reference("text")), ("config_signature", reference("hex"))];
        members.push(("creator", object(creator)));
    }
    if schema.addresses_each {
        let each = json!({
            "type": ["array", "null"],
            "maxItems": MAX_VALIDATORS,
            "items": object(pair.to_vec()),
            "description": "As many as num_validators.",
        });
        members.push(("validators", each));
    } else {
        members.extend(pair);
    }
    if schema.amounts {
        let most = if schema.gas_and_compounding {
            deposit::COMPOUNDING_MAX
        } else {
            deposit::ACTIVATION
        };
        members.push(("deposit_amounts", amounts(most)));
    }
    if schema.protocol {
        members.push(("consensus_protocol", reference("text")));
    }
    if !schema.gas_and_compounding {
        return object(members);
    }
    members.push(("target_gas_limit", reference("count")));
    members.push(("compounding", described("flag", "Withdrawal credentials of type 0x02.")));
    let mut out = object(members);
    if let Some(out) = out.as_object_mut() {
        let compounding = json!({"properties": {"compounding": {"const": true}}, "required": ["compounding"]});
        let usual = json!({"properties": {"deposit_amounts": amounts(deposit::ACTIVATION)}});
        out.insert("if".to_owned(), compounding);
        out.insert("else".to_owned(), usual);
    }
    out
}

/// A list of quoted amounts of Gwei, each from 1 ETH to this.
fn amounts(most: u64) -> Value {
    json!({
        "type": ["array", "null"],
        "items": {"type": "string", "pattern": format!("^{}$", quoted(10, most))},
        "description": "Gwei, each at least 1 ETH; together at least 32 ETH.",
    })
}

/// The pattern of decimal numbers of at least so many digits that are at most `most`, zeros before them allowed.
fn quoted(least_digits: usize, most: u64) -> String {
    let digits = most.to_string();
    // Shorter ones, then those that are smaller from some digit on, then `most` itself.
    let mut cases = Vec::new();
    if least_digits < digits.len() {
        let (fewest, longest) = (least_digits.saturating_sub(1), digits.len().saturating_sub(2));
        if least_digits == 1 {
            cases.push(format!("[0-9]{{1,{}}}", longest.saturating_add(1)));
        } else {
            cases.push(format!("[1-9][0-9]{{{fewest},{longest}}}"));
        }
    }
    for (at, digit) in digits.bytes().enumerate() {
        let first = if at == 0 { b'1' } else { b'0' };
        if digit <= first {
            continue;
        }
        let before = digits.get(..at).unwrap_or_default();
        let below = char::from(digit.saturating_sub(1));
        let behind = digits.len().saturating_sub(at).saturating_sub(1);
        let one = if below == char::from(first) {
            below.to_string()
        } else {
            format!("[{}-{below}]", char::from(first))
        };
        cases.push(match behind {
            0 => format!("{before}{one}"),
            _ => format!("{before}{one}[0-9]{{{behind}}}"),
        });
    }
    cases.push(digits);
    format!("0*({})", cases.join("|"))
}

fn lock_of(schema: &Schema) -> Value {
    let form = bytes(schema);
    let mut validator = vec![
        ("distributed_public_key", described("hex", "Group key.")),
        ("public_shares", list(&reference(form))),
    ];
    if schema.old_fee_recipient {
        let empty = json!({
            "type": ["string", "null"],
            "maxLength": 0,
            "description": "Not supported any more.",
        });
        validator.push(("fee_recipient_address", empty));
    }
    match schema.deposits {
        Deposits::None => {}
        Deposits::Flat | Deposits::One => validator.push(("deposit_data", reference("deposit"))),
        Deposits::PerAmount => validator.push(("partial_deposit_data", list(&reference("deposit")))),
    }
    if schema.registrations {
        validator.push(("builder_registration", reference("registration")));
    }
    let mut members = vec![
        ("cluster_definition", reference(&format!("definition-{}", schema.text))),
        ("distributed_validators", list(&object(validator))),
        (
            "signature_aggregate",
            described(
                form,
                "BLS aggregate of the signatures of all shares over the lock hash.",
            ),
        ),
        ("lock_hash", reference(form)),
    ];
    if schema.node_signatures {
        let signatures = described("hex", "secp256k1 signature of an operator's node over the lock hash.");
        members.push(("node_signatures", list(&signatures)));
    }
    object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_numbers_are_exact_at_their_ends() {
        assert_eq!(quoted(1, 25), "0*([0-9]{1,1}|1[0-9]{1}|2[0-4]|25)");
        assert_eq!(
            quoted(10, 32_000_000_000),
            "0*([1-9][0-9]{9,9}|[1-2][0-9]{10}|3[0-1][0-9]{9}|32000000000)"
        );
    }
}
