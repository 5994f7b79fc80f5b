//! `docs/schemas/`: the JSON Schemas are current, and say what our readers say.

use std::{fs, path::PathBuf, sync::OnceLock};

use jsonschema::Validator;
use serde_json::{Value, json};
use trireme_cluster::{Definition, Lock, ParseError, Version, json_schema};

use crate::created::made;

/// Whether a definition, or a lock, fits its schema.
pub(crate) fn fits(lock: bool, file: &Value) -> bool {
    static BOTH: OnceLock<[Validator; 2]> = OnceLock::new();
    let [definitions, locks] = BOTH.get_or_init(|| {
        [json_schema::definition(), json_schema::lock()].map(|schema| jsonschema::validator_for(&schema).unwrap())
    });
    if lock {
        locks.is_valid(file)
    } else {
        definitions.is_valid(file)
    }
}

/// Holds the schema's verdict on a file against the reader's.
pub(crate) fn agree(name: &str, lock: bool, bytes: &[u8], read: Result<(), &ParseError>) {
    let Ok(file) = serde_json::from_slice(bytes) else {
        assert!(read.is_err(), "{name}: is not JSON, but was read");
        return;
    };
    match read {
        Ok(()) => assert!(fits(lock, &file), "{name}: was read, but does not fit the schema"),
        Err(e) if beyond_schemas(e) => {}
        Err(e) => assert!(!fits(lock, &file), "{name}: fits the schema, but was not read: {e}"),
    }
}

/// Refusals for what a schema cannot say: sums and counts.
fn beyond_schemas(error: &ParseError) -> bool {
    let text = error.to_string();
    text.contains("but num_validators is") || text.contains("must add up to")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the crate makes texts; its tests hold them against the files of the documentation"
)]
fn golden(name: &str, schema: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/schemas")
        .join(name);
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let file = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        file == text,
        "{} is not up to date: run the tests of trireme-cluster once with UPDATE=1 and look at the change",
        path.display()
    );
}

#[test]
fn the_schemas_in_the_documentation_are_those_of_the_table_of_versions() {
    golden("cluster-definition.schema.json", &json_schema::definition());
    golden("cluster-lock.schema.json", &json_schema::lock());
}

/// Whatever may stand in the place of something else.
fn strangers() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(65_537),
        json!(u64::MAX),
        json!(""),
        json!("0"),
        json!("x"),
        json!("0x"),
        json!("0x0"),
        json!("0xAB"),
        json!("0xgg"),
        json!("AAA="),
        json!("AAB="),
        json!("AB=="),
        json!("AAA"),
        json!("v1.7.0"),
        json!("999999999"),
        json!("1000000000"),
        json!("032000000000"),
        json!("32000000001"),
        json!("2048000000000"),
        json!("2048000000001"),
        json!("18446744073709551615"),
        json!("18446744073709551616"),
        json!("+32000000000"),
        json!([]),
        json!([null]),
        json!([0]),
        json!(["0xab"]),
        json!([{}]),
        json!(["32000000000"]),
        json!(["32000000001"]),
        json!(["2048000000000"]),
        json!(["2048000000001"]),
        json!(["0999999999", "32000000000"]),
        json!([32_000_000_000_u64]),
        json!({}),
        json!({"version": "v1.4.0"}),
    ]
}

/// The ways to everything in a file; of lists only to the first item.
fn ways(value: &Value, here: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                out.push(format!("{here}/{key}"));
                ways(inner, &format!("{here}/{key}"), out);
            }
        }
        Value::Array(items) => {
            if let Some(first) = items.first() {
                out.push(format!("{here}/0"));
                ways(first, &format!("{here}/0"), out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The file with everything in turn missing, and replaced by each stranger.
fn each_change(file: &Value, check: &mut dyn FnMut(&str, &Value)) {
    let mut all = Vec::new();
    ways(file, "", &mut all);
    for way in &all {
        for stranger in strangers() {
            let mut changed = file.clone();
            *changed.pointer_mut(way).unwrap() = stranger.clone();
            check(&format!("{way} = {stranger}"), &changed);
        }
        let (parent, key) = way.rsplit_once('/').unwrap();
        let mut changed = file.clone();
        match changed.pointer_mut(parent).unwrap() {
            Value::Object(map) => drop(map.remove(key)),
            Value::Array(items) => drop(items.remove(0)),
            other => panic!("{way}: {other} holds nothing"),
        }
        check(&format!("{way} missing"), &changed);
    }
}

#[test]
fn schemas_and_readers_refuse_the_same_in_every_version() {
    for version in Version::ALL {
        let lock = made(version, 3, 1).lock;
        let file: Value = serde_json::from_slice(&lock.to_json(0).unwrap()).unwrap();
        let mut refused = 0;
        each_change(&file["cluster_definition"], &mut |what, changed| {
            let bytes = changed.to_string().into_bytes();
            let read = Definition::from_json(&bytes);
            refused += usize::from(read.is_err());
            agree(
                &format!("definition {version}: {what}"),
                false,
                &bytes,
                read.as_ref().map(drop),
            );
        });
        each_change(&file, &mut |what, changed| {
            let bytes = changed.to_string().into_bytes();
            let read = Lock::from_json(&bytes);
            refused += usize::from(read.is_err());
            agree(
                &format!("lock {version}: {what}"),
                true,
                &bytes,
                read.as_ref().map(drop),
            );
        });
        assert!(refused > 100, "{version}: only {refused} changes were refused");
    }
}

#[test]
fn what_is_no_object_fits_neither_schema() {
    for file in [
        json!(null),
        json!([]),
        json!("v1.10.0"),
        json!({}),
        json!({"version": "v1.12.0"}),
    ] {
        for lock in [false, true] {
            assert!(!fits(lock, &file), "{file}");
            let wrapped = json!({"cluster_definition": file});
            assert!(!fits(lock, &wrapped), "{wrapped}");
        }
    }
}
