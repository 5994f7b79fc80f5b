//! Where vectors lie, and the reading of an area's index.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Entry;

/// A folder with areas in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// `own` or `shared`; for messages.
    pub name: &'static str,
    /// The folder.
    pub path: PathBuf,
}

/// The project's own root and, where there is one, the second.
///
/// # Panics
///
/// If `TRIREME_VECTORS` names something that is not a folder.
#[must_use]
pub fn roots() -> Vec<Root> {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = reader.join("../..");
    let own = reader.join("../vectors");
    let second = match std::env::var_os("TRIREME_VECTORS") {
        Some(named) => {
            let path = PathBuf::from(named);
            assert!(
                path.is_dir(),
                "TRIREME_VECTORS names {}, which is not a folder",
                path.display()
            );
            Some(path)
        }
        None => Some(repository.join("../shared/vectors")).filter(|p| p.is_dir()),
    };
    let own = own.is_dir().then_some(Root { name: "own", path: own });
    own.into_iter()
        .chain(second.map(|path| Root { name: "shared", path }))
        .collect()
}

/// The areas of a root: its folders that have an index.
///
/// # Panics
///
/// If the root cannot be listed.
pub(crate) fn areas(root: &Root) -> Vec<String> {
    let list = std::fs::read_dir(&root.path).unwrap_or_else(|e| panic!("{}: {e}", root.path.display()));
    let mut areas: Vec<String> = list
        .filter_map(Result::ok)
        .filter(|d| d.path().join("index.json").is_file())
        .map(|d| d.file_name().to_string_lossy().into_owned())
        .collect();
    areas.sort();
    areas
}

impl Root {
    /// The names of the areas in it, sorted.
    ///
    /// # Panics
    ///
    /// If the folder cannot be listed.
    #[must_use]
    pub fn areas(&self) -> Vec<String> {
        areas(self)
    }
}

/// All entries of an area's index in its order; none if the root has no such area.
///
/// # Panics
///
/// If the index is there but is not an array of objects with a kind.
#[must_use]
pub fn entries(root: &Root, area: &str) -> Vec<Entry> {
    let index = root.path.join(area).join("index.json");
    if !index.is_file() {
        return Vec::new();
    }
    let text = std::fs::read_to_string(&index).unwrap_or_else(|e| panic!("{}: {e}", index.display()));
    let list: Vec<serde_json::Map<String, Value>> =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", index.display()));
    list.into_iter().map(|fields| Entry::new(root, area, fields)).collect()
}
