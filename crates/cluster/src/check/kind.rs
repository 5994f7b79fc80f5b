//! What kind of file bytes are.

use serde_json::Value;

use crate::MAX_FILE;

/// The kinds of files around a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A cluster lock.
    Lock,
    /// A cluster definition.
    Definition,
    /// An EIP-2335 keystore.
    Keystore,
    /// Deposit data.
    Deposits,
    /// A node's record.
    Enr,
    /// A node's identity key.
    IdentityKey,
    /// None of these, and what stands in the way.
    Other(String),
}

/// Tells what a file is by its content, never by its name.
#[must_use]
pub fn kind_of(bytes: &[u8]) -> Kind {
    if bytes.len() > MAX_FILE {
        return Kind::Other(format!("it has {} bytes, more than any file of a cluster", bytes.len()));
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default().trim();
    if text.starts_with("enr:") {
        return Kind::Enr;
    }
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Kind::IdentityKey;
    }
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(e) => {
            return Kind::Other(format!(
                "it is neither an ENR, nor a key, nor JSON ({e}); it may be truncated"
            ));
        }
    };
    let has = |value: &Value, key: &str| {
        value
            .as_object()
            .is_some_and(|o| o.keys().any(|k| k.eq_ignore_ascii_case(key)))
    };
    match &value {
        Value::Object(_) if has(&value, "cluster_definition") => Kind::Lock,
        Value::Object(_) if has(&value, "crypto") => Kind::Keystore,
        Value::Object(_) if has(&value, "operators") || has(&value, "num_validators") => Kind::Definition,
        Value::Array(list) if list.iter().any(|item| has(item, "withdrawal_credentials")) => Kind::Deposits,
        Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Kind::Other("it is JSON, but no file of a cluster".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_what_is_in_it() {
        for (text, kind) in [
            ("{\"cluster_definition\":{}}", Kind::Lock),
            ("{\"version\":\"v1.10.0\",\"operators\":[]}", Kind::Definition),
            ("{\"crypto\":{},\"version\":4}", Kind::Keystore),
            ("[{\"pubkey\":\"\",\"withdrawal_credentials\":\"\"}]", Kind::Deposits),
            (" enr:-abc\n", Kind::Enr),
        ] {
            assert_eq!(kind_of(text.as_bytes()), kind, "{text}");
        }
        assert_eq!(kind_of(format!("{}\n", "ab".repeat(32)).as_bytes()), Kind::IdentityKey);
        for other in ["", "{}", "[]", "{\"cluster_def", "null", "\u{0}"] {
            assert!(matches!(kind_of(other.as_bytes()), Kind::Other(_)), "{other}");
        }
    }
}
