//! Files that others wrote in their own way keep every value, and files that are wrong in their form are refused.

use serde_json::{Map, Value};
use trireme_cluster::{Definition, Lock, Networks, Version};
use trireme_testutil::mutations::Signed;

/// Every object of the document through `change`, innermost first.
fn each_object(value: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(|v| each_object(v, change));
            change(map);
        }
        Value::Array(items) => items.iter_mut().for_each(|v| each_object(v, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn each_text(value: &mut Value, change: &dyn Fn(&str) -> String) {
    match value {
        Value::Object(map) => map.values_mut().for_each(|v| each_text(v, change)),
        Value::Array(items) => items.iter_mut().for_each(|v| each_text(v, change)),
        Value::String(text) => *text = change(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Bytes in hex, and no address, which is kept as typed.
fn is_bytes(text: &str) -> bool {
    text.len() != 42
        && text
            .strip_prefix("0x")
            .is_some_and(|digits| hex::decode(digits).is_ok())
}

#[test]
fn other_orders_cases_and_unknown_keys_lose_nothing() {
    for version in Version::ALL {
        let ours = Signed::new(version).lock.to_json(1).unwrap();
        let value: Value = serde_json::from_slice(&ours).unwrap();
        let read = |value: &Value| {
            let lock = Lock::from_json(value.to_string().as_bytes()).unwrap();
            lock.verify(&Networks::known()).unwrap();
            String::from_utf8(lock.to_json(1).unwrap()).unwrap()
        };
        let ours = String::from_utf8(ours).unwrap();
        // `Value` sorts keys, so already this is another order.
        assert_eq!(read(&value), ours, "{version}");

        let mut other = value.clone();
        each_object(&mut other, &mut |map| {
            let entries = std::mem::take(map);
            *map = entries.into_iter().map(|(k, v)| (k.to_uppercase(), v)).collect();
            map.insert("unknown_key".into(), serde_json::json!({"any": [1, "x", null]}));
        });
        assert_eq!(read(&other), ours, "{version}: other case, unknown keys");

        let mut other = value.clone();
        each_text(&mut other, &|text| match text.strip_prefix("0x") {
            Some(digits) if is_bytes(text) => digits.to_uppercase(),
            _ => text.to_owned(),
        });
        assert_eq!(read(&other), ours, "{version}: upper-case digits without 0x");
    }
}

/// Each place of the document with something else in it: `None` takes the key or item away.
fn places(value: &Value, path: &mut Vec<String>, out: &mut Vec<String>) {
    let pointer = |path: &[String]| path.iter().map(|p| format!("/{p}")).collect::<String>();
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                path.push(key.clone());
                out.push(pointer(path));
                places(inner, path, out);
                path.pop();
            }
        }
        // One item stands for all.
        Value::Array(items) => {
            if let Some(inner) = items.first() {
                path.push("0".into());
                out.push(pointer(path));
                places(inner, path, out);
                path.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn without(value: &Value, pointer: &str) -> Value {
    let mut out = value.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match out.pointer_mut(parent).unwrap() {
        Value::Object(map) => drop(map.remove(key)),
        Value::Array(items) => drop(items.remove(0)),
        _ => unreachable!("the parent of a place is an object or a list"),
    }
    out
}

fn with(value: &Value, pointer: &str, other: Value) -> Value {
    let mut out = value.clone();
    *out.pointer_mut(pointer).unwrap() = other;
    out
}

/// What is in the lock; the oldest schemas remember who wrote `null` for nothing.
fn meaning(lock: &Lock) -> Value {
    fn nulls_out(value: &mut Value) {
        match value {
            Value::Null => *value = Value::String(String::new()),
            Value::Object(map) => map.values_mut().for_each(nulls_out),
            Value::Array(items) => items.iter_mut().for_each(nulls_out),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut value = serde_json::to_value(lock).unwrap();
    nulls_out(&mut value);
    value
}

/// A file with a field changed verifies only if it means the same as before.
#[test]
fn a_field_that_is_missing_null_of_another_type_or_too_long_is_never_accepted_for_another_value() {
    for version in [Version::V1_1, Version::V1_4, Version::V1_7, Version::V1_11] {
        let right = Signed::new(version).lock;
        let value: Value = serde_json::from_slice(&right.to_json(0).unwrap()).unwrap();
        let mut all = Vec::new();
        places(&value, &mut Vec::new(), &mut all);
        assert!(all.len() > 20, "{all:?}");
        for place in &all {
            let others = [
                ("missing", without(&value, place)),
                ("null", with(&value, place, Value::Null)),
                ("a list", with(&value, place, serde_json::json!(["x"]))),
                ("an object", with(&value, place, serde_json::json!({"x": 1}))),
                ("a fraction", with(&value, place, serde_json::json!(1.5))),
                ("negative", with(&value, place, serde_json::json!(-1))),
                ("huge", with(&value, place, serde_json::json!(u64::MAX))),
                ("a text", with(&value, place, Value::String("zz".into()))),
                ("a long text", with(&value, place, Value::String("a".repeat(100_000)))),
                ("true", with(&value, place, Value::Bool(true))),
            ];
            for (what, other) in others {
                // An unsigned lock of the oldest schemas is fine.
                let unsigned = version <= Version::V1_1 && place == "/signature_aggregate";
                if other == value || unsigned {
                    continue;
                }
                let Ok(lock) = Lock::from_json(other.to_string().as_bytes()) else {
                    continue;
                };
                // Hashes alone would do for almost all; signatures are what no hash covers.
                if lock.verify_hashes().is_ok() && lock.verify(&Networks::known()).is_ok() {
                    assert_eq!(meaning(&lock), meaning(&right), "{version} {place} {what}");
                }
            }
        }
    }
}

#[test]
fn an_unknown_version_says_which_are_known() {
    let text = String::from_utf8(Signed::new(Version::V1_10).lock.definition.to_json(1).unwrap()).unwrap();
    for other in ["v1.12.0", "v1.10", "1.10.0", "", "v1.10.0 "] {
        let changed = text.replace("v1.10.0", other);
        let error = Definition::from_json(changed.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("known are v1.0.0 to v1.11.0"), "{other:?}: {error}");
    }
    let without = text.replace("\"version\": \"v1.10.0\",", "");
    assert!(Definition::from_json(without.as_bytes()).is_err());
}

#[test]
fn huge_counts_are_refused_before_anything_is_made_of_them() {
    let text = String::from_utf8(Signed::new(Version::V1_4).lock.definition.to_json(1).unwrap()).unwrap();
    for count in ["65537", "4294967296", "18446744073709551615"] {
        let changed = text.replace("\"num_validators\": 2", &format!("\"num_validators\": {count}"));
        let error = Definition::from_json(changed.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "num_validators: more than 65536 validators");
    }
}

#[test]
fn the_last_of_a_key_that_is_there_twice_counts_as_everywhere() {
    let signed = Signed::new(Version::V1_10);
    let text = String::from_utf8(signed.lock.definition.to_json(1).unwrap()).unwrap();
    let twice = text.replacen("{\n \"name\"", "{\n \"name\": \"first\",\n \"name\"", 1);
    assert_ne!(twice, text);
    assert_eq!(Definition::from_json(twice.as_bytes()).unwrap(), signed.lock.definition);
    let wrong = text.replacen("\n \"uuid\"", "\n \"name\": \"last\",\n \"uuid\"", 1);
    let definition = Definition::from_json(wrong.as_bytes()).unwrap();
    assert_eq!(definition.name, "last");
    assert!(definition.verify_hashes().is_err());
}
