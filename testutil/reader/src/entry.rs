//! One entry of an index, and the files that belong to it.
//!
//! Every method that reads content marks the entry as opened. Problems panic and name the file: this is test code.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Root;

/// A test case: one file or one folder with the fields that the index gives it.
#[derive(Debug)]
pub struct Entry {
    root: &'static str,
    area: String,
    base: PathBuf,
    fields: Map<String, Value>,
    opened: Cell<bool>,
}

/// A file that belongs to an entry: its twin or one of its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    path: PathBuf,
}

impl File {
    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes.
    ///
    /// # Panics
    ///
    /// If it cannot be read.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()))
    }

    /// Its text.
    ///
    /// # Panics
    ///
    /// If it cannot be read or is not UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()))
    }

    /// Its content as a JSON value.
    ///
    /// # Panics
    ///
    /// If it cannot be read or is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        self.parse()
    }

    /// Its JSON content as a `T`.
    ///
    /// # Panics
    ///
    /// If it cannot be read or does not fit.
    #[must_use]
    pub fn parse<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.bytes()).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()))
    }

    /// One JSON value per line; empty lines are skipped.
    ///
    /// # Panics
    ///
    /// If it cannot be read or a line does not fit.
    #[must_use]
    pub fn lines<T: DeserializeOwned>(&self) -> Vec<T> {
        let parse = |(n, line): (usize, &str)| {
            serde_json::from_str(line)
                .unwrap_or_else(|e| panic!("{} line {}: {e}", self.path.display(), n.saturating_add(1)))
        };
        self.text()
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty())
            .map(parse)
            .collect()
    }
}

impl Entry {
    pub(crate) fn new(root: &Root, area: &str, fields: Map<String, Value>) -> Self {
        Self {
            root: root.name,
            area: area.to_owned(),
            base: root.path.join(area),
            fields,
            opened: Cell::new(false),
        }
    }

    pub(crate) fn was_opened(&self) -> bool {
        self.opened.get()
    }

    /// What the index calls `kind`.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.fields
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{self}: no kind"))
    }

    /// `ours` or `upstream`.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.fields
            .get("origin")
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{self}: no origin"))
    }

    /// Whether the entry comes from another project.
    #[must_use]
    pub fn is_upstream(&self) -> bool {
        self.origin() == "upstream"
    }

    /// The area's name.
    #[must_use]
    pub fn area(&self) -> &str {
        &self.area
    }

    /// The path in the index, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        let path = self.fields.get("file").or_else(|| self.fields.get("directory"));
        path.and_then(Value::as_str).unwrap_or("(neither file nor directory)")
    }

    fn file(&self) -> File {
        self.opened.set(true);
        let name = self.fields.get("file").and_then(Value::as_str);
        File {
            path: self.base.join(name.unwrap_or_else(|| panic!("{self}: is not a file"))),
        }
    }

    /// Where the file or folder lies; counts as opening it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.opened.set(true);
        self.base.join(self.name())
    }

    /// The folder of a `directory` entry; counts as opening it.
    ///
    /// # Panics
    ///
    /// If the entry is not a folder.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        let path = self.path();
        assert!(path.is_dir(), "{self}: is not a folder");
        path
    }

    /// The file's content as a JSON value.
    #[must_use]
    pub fn json(&self) -> Value {
        self.file().json()
    }

    /// The file's JSON content as a `T`.
    #[must_use]
    pub fn parse<T: DeserializeOwned>(&self) -> T {
        self.file().parse()
    }

    /// The file's lines, each a JSON value.
    #[must_use]
    pub fn lines<T: DeserializeOwned>(&self) -> Vec<T> {
        self.file().lines()
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        self.file().text()
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.file().bytes()
    }

    /// A field of the index.
    ///
    /// # Panics
    ///
    /// If it is missing or does not fit.
    #[must_use]
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> T {
        self.opt(name)
            .unwrap_or_else(|| panic!("{self}: the index has no field {name}"))
    }

    /// A field of the index, if it is there.
    ///
    /// # Panics
    ///
    /// If it does not fit.
    #[must_use]
    pub fn opt<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let value = self.fields.get(name)?.clone();
        Some(serde_json::from_value(value).unwrap_or_else(|e| panic!("{self}: field {name}: {e}")))
    }

    /// A flag of the index; absent is false.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.opt(name).unwrap_or_default()
    }

    /// Whether the index gives this field.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// The names of all fields that the index gives.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// The other form of the same object.
    #[must_use]
    pub fn twin(&self) -> Option<File> {
        let name: String = self.opt("twin")?;
        Some(File {
            path: self.base.join(name),
        })
    }

    fn input_value(&self, name: &str) -> Option<Value> {
        self.opt::<Map<String, Value>>("inputs")?.get(name).cloned()
    }

    /// Whether an input of that name is there.
    #[must_use]
    pub fn has_input(&self, name: &str) -> bool {
        self.input_value(name).is_some()
    }

    /// The input of that name, a single path.
    ///
    /// # Panics
    ///
    /// If it is missing or not one path.
    #[must_use]
    pub fn input(&self, name: &str) -> File {
        let value = self.input_value(name);
        let path = value.as_ref().and_then(Value::as_str);
        File {
            path: self
                .base
                .join(path.unwrap_or_else(|| panic!("{self}: input {name} is not a path"))),
        }
    }

    /// The input of that name, a list of paths.
    ///
    /// # Panics
    ///
    /// If it is missing or no list of paths.
    #[must_use]
    pub fn input_list(&self, name: &str) -> Vec<File> {
        let value = self
            .input_value(name)
            .unwrap_or_else(|| panic!("{self}: no input {name}"));
        let list: Vec<String> = serde_json::from_value(value).unwrap_or_else(|e| panic!("{self}: input {name}: {e}"));
        list.into_iter()
            .map(|p| File {
                path: self.base.join(p),
            })
            .collect()
    }

    /// The input of that name, an object of paths.
    ///
    /// # Panics
    ///
    /// If it is missing or no object of paths.
    #[must_use]
    pub fn input_map(&self, name: &str) -> BTreeMap<String, File> {
        let value = self
            .input_value(name)
            .unwrap_or_else(|| panic!("{self}: no input {name}"));
        let map: BTreeMap<String, String> =
            serde_json::from_value(value).unwrap_or_else(|e| panic!("{self}: input {name}: {e}"));
        map.into_iter()
            .map(|(k, p)| {
                (
                    k,
                    File {
                        path: self.base.join(p),
                    },
                )
            })
            .collect()
    }

    /// Every input with its name (`name`, `name.0`, `name.key`).
    #[must_use]
    pub fn inputs(&self) -> BTreeMap<String, File> {
        let mut all = BTreeMap::new();
        for (name, value) in self.opt::<Map<String, Value>>("inputs").unwrap_or_default() {
            self.collect(name, &value, &mut all);
        }
        all
    }

    fn collect(&self, name: String, value: &Value, all: &mut BTreeMap<String, File>) {
        match value {
            Value::String(path) => drop(all.insert(
                name,
                File {
                    path: self.base.join(path),
                },
            )),
            Value::Array(list) => {
                for (n, v) in list.iter().enumerate() {
                    self.collect(format!("{name}.{n}"), v, all);
                }
            }
            Value::Object(map) => {
                for (key, v) in map {
                    self.collect(format!("{name}.{key}"), v, all);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => panic!("{self}: input {name} is not a path"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} root, {}/{}", self.root, self.area, self.name())
    }
}
