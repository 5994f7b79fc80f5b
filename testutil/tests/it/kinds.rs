//! Holds the table of kinds against the indexes and against the sources.

mod vectors {
    use std::{
        collections::{BTreeMap, BTreeSet},
        fs,
        path::{Path, PathBuf},
    };

    use trireme_vectors::{Claim, KINDS, claim, entries, roots};

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
        for item in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = item.path();
            let name = item.file_name();
            if path.is_dir() && name != "target" && name != ".git" {
                rust_files(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }

    /// The string literals `area`, `kind` of every call `each("area", "kind", …` in a source text.
    fn calls(source: &str) -> Vec<(String, String)> {
        let literal = |text: &str| -> Option<(String, usize)> {
            let trimmed = text.trim_start_matches([' ', '\n', '\t', '\r', ',']);
            let inner = trimmed.strip_prefix('"')?;
            let end = inner.find('"')?;
            Some((inner.get(..end)?.to_owned(), text.len() - trimmed.len() + end + 2))
        };
        let mut found = Vec::new();
        for line_start in source.match_indices("each(").map(|(at, _)| at) {
            let before = source[..line_start].rsplit('\n').next().unwrap_or_default();
            if before.trim_start().starts_with("//") {
                continue;
            }
            let rest = &source[line_start + "each(".len()..];
            let Some((area, used)) = literal(rest) else { continue };
            let Some((kind, _)) = literal(&rest[used..]) else {
                continue;
            };
            found.push((area, kind));
        }
        found
    }

    /// Which files call `each` for which kind.
    fn claimed() -> BTreeMap<(String, String), Vec<PathBuf>> {
        let top = repository();
        let mut files = Vec::new();
        for folder in ["crates", "proto", "testutil"] {
            rust_files(&top.join(folder), &mut files);
        }
        let mut claimed: BTreeMap<_, Vec<PathBuf>> = BTreeMap::new();
        for file in files {
            for call in calls(&fs::read_to_string(&file).unwrap()) {
                let below = file.strip_prefix(&top).unwrap().to_path_buf();
                claimed.entry(call).or_default().push(below);
            }
        }
        claimed
    }

    #[test]
    fn every_kind_of_every_index_is_in_the_table_once() {
        let mut wrong = Vec::new();
        for root in roots() {
            for area in root.areas() {
                let kinds: BTreeSet<String> = entries(&root, &area).iter().map(|e| e.kind().to_owned()).collect();
                for kind in kinds.iter().filter(|k| claim(&area, k).is_none()) {
                    wrong.push(format!("{area}/{kind} of {}", root.path.display()));
                }
            }
        }
        assert!(
            wrong.is_empty(),
            "kinds that no test claims and nobody deferred: {wrong:#?}"
        );
        let names: BTreeSet<_> = KINDS.iter().map(|(a, k, _)| (a, k)).collect();
        assert_eq!(names.len(), KINDS.len(), "a kind stands twice in the table");
    }

    #[test]
    fn every_claim_is_kept_by_exactly_one_call_in_the_crate_that_it_names() {
        let claimed = claimed();
        let mut wrong = Vec::new();
        for (area, kind, claim) in KINDS {
            let calls = claimed
                .get(&((*area).to_owned(), (*kind).to_owned()))
                .map_or(&[][..], Vec::as_slice);
            match claim {
                Claim::By(crate_folder) => match calls {
                    [one] if one.starts_with(crate_folder) => {}
                    [] => wrong.push(format!("{area}/{kind}: no test of {crate_folder} reads it")),
                    others => wrong.push(format!("{area}/{kind}: claimed by {crate_folder}, read by {others:?}")),
                },
                Claim::Later(_) if calls.is_empty() => {}
                Claim::Later(_) => wrong.push(format!("{area}/{kind}: deferred, but {calls:?} reads it")),
            }
        }
        for (area, kind) in claimed.keys().filter(|(a, k)| claim(a, k).is_none()) {
            wrong.push(format!("{area}/{kind}: read by a test, but not in the table"));
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn every_file_of_a_root_belongs_to_an_entry() {
        for root in roots() {
            let mut known = BTreeSet::new();
            let mut folders = Vec::new();
            for area in root.areas() {
                for entry in entries(&root, &area) {
                    if entry.has("directory") {
                        folders.push(entry.dir().canonicalize().unwrap());
                    } else {
                        known.insert(entry.path().canonicalize().unwrap());
                    }
                    let others = entry.twin().into_iter().chain(entry.inputs().into_values());
                    known.extend(others.map(|f| f.path().canonicalize().unwrap()));
                }
            }
            for area in root.areas() {
                let folder = root.path.join(&area).canonicalize().unwrap();
                for file in files(&folder) {
                    let at_top = file.parent() == Some(&folder);
                    let name = file.file_name().unwrap();
                    let of_the_area = at_top && (name == "index.json" || name == "README.md");
                    let in_folder = folders.iter().any(|d| file.starts_with(d));
                    assert!(
                        of_the_area || in_folder || known.contains(&file),
                        "nothing names {}",
                        file.display()
                    );
                }
            }
        }
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for item in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if item.path().is_dir() {
                found.extend(files(&item.path()));
            } else {
                found.push(item.path());
            }
        }
        found
    }

    #[test]
    fn the_own_root_holds_nothing_of_other_projects() {
        for root in roots().iter().filter(|r| r.name == "own") {
            for area in root.areas() {
                for entry in entries(root, &area) {
                    assert!(!entry.is_upstream(), "{entry} is of another project");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "the test did not open it")]
    fn an_entry_that_the_closure_leaves_unopened_is_a_failure() {
        let (area, kind, _) = KINDS
            .iter()
            .find(|(a, k, _)| *a == "core" && *k == "qbft-quorum")
            .unwrap();
        trireme_vectors::each(area, kind, |_| {});
        // Without any root there is nothing to leave unopened.
        assert!(!roots().is_empty(), "the test did not open it");
    }
}
