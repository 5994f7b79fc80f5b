//! The journal: what is to be moved out of the staging folder, and which files make it whole.
//!
//! A text file, a line each, that ends in a line `end`, so that a torn one is known. It is made under another name and
//! renamed, so a torn one is not to be expected either.

use std::fmt::Write as _;

/// First line.
const HEAD: &str = "trireme journal 1";
/// Last line.
const END: &str = "end";

/// One step of a commit. Paths are relative, with `/`, equal in the staging folder and in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Moves a file or folder to where nothing is, or an empty folder.
    Move(String),
    /// Moves a file to its place, where an old one may stand, which is gone then.
    Replace(String),
    /// Removes an old file from the target. Such steps come last.
    Remove(String),
}

impl Step {
    /// What is moved or removed.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Move(path) | Self::Replace(path) | Self::Remove(path) => path,
        }
    }
}

/// Steps, and the files that must be there after them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Journal {
    /// In order.
    pub(crate) steps: Vec<Step>,
    /// Path and length in bytes.
    pub(crate) files: Vec<(String, u64)>,
}

/// Whether a path stays below its folder and fits a line.
pub(crate) fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\n', '\0', '\\'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

impl Journal {
    pub(crate) fn to_text(&self) -> String {
        let mut out = format!("{HEAD}\n");
        for step in &self.steps {
            let verb = match step {
                Step::Move(_) => "move",
                Step::Replace(_) => "replace",
                Step::Remove(_) => "remove",
            };
            // Writing to memory does not fail.
            let _ = writeln!(out, "{verb} {}", step.path());
        }
        for (path, len) in &self.files {
            let _ = writeln!(out, "file {len} {path}");
        }
        out.push_str(END);
        out.push('\n');
        out
    }

    /// # Errors
    /// What is wrong with it.
    pub(crate) fn from_text(text: &str) -> Result<Self, &'static str> {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err("it does not begin as one");
        }
        let mut journal = Self::default();
        loop {
            let line = lines.next().ok_or("it is cut short")?;
            if line == END {
                break;
            }
            let (verb, rest) = line.split_once(' ').ok_or("it has a line of one word")?;
            let path = match verb {
                "file" => rest.split_once(' ').ok_or("it has a file without length")?.1,
                _ => rest,
            };
            if !is_plain(path) {
                return Err("it names a path outside its folder");
            }
            let path = path.to_owned();
            match verb {
                "move" => journal.steps.push(Step::Move(path)),
                "replace" => journal.steps.push(Step::Replace(path)),
                "remove" => journal.steps.push(Step::Remove(path)),
                "file" => {
                    let len = rest.split_once(' ').and_then(|(len, _)| len.parse().ok());
                    journal.files.push((path, len.ok_or("it has a file without length")?));
                }
                _ => return Err("it asks for something unknown; a newer version may have written it"),
            }
        }
        match lines.next() {
            None => Ok(journal),
            Some(_) => Err("it goes on behind its end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Journal {
        Journal {
            steps: vec![
                Step::Move("node0".into()),
                Step::Replace("a b.json".into()),
                Step::Remove("x/y".into()),
            ],
            files: vec![("node0/cluster-lock.json".into(), 17)],
        }
    }

    #[test]
    fn a_journal_is_read_as_it_was_written() {
        let text = sample().to_text();
        assert_eq!(Journal::from_text(&text), Ok(sample()));
    }

    #[test]
    fn a_journal_cut_anywhere_is_refused() {
        let text = sample().to_text();
        // Without its last line end it is still whole.
        for end in 0..text.len() - 1 {
            assert!(Journal::from_text(&text[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_journal_that_leads_out_of_its_folder_is_refused() {
        for path in ["/etc/passwd", "../x", "a/../b", "a//b", "", "."] {
            let text = format!("{HEAD}\nmove {path}\n{END}\n");
            assert!(Journal::from_text(&text).is_err(), "{path}");
        }
        assert!(Journal::from_text(&format!("{HEAD}\nburn a\n{END}\n")).is_err());
        assert!(Journal::from_text(&format!("{HEAD}\n{END}\nmove a\n")).is_err());
    }
}
