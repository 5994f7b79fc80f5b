//! Words on the command line to matched flags, with all words that no flag knows told together.
//!
//! Not here: what the values mean (`commands`), and where missing ones come from (`layers`).

use std::{ffi::OsString, fmt};

use clap::{
    ArgMatches, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// What the command line is refused for; or help, which clap treats alike.
#[derive(Debug)]
pub struct Refused {
    first: clap::Error,
    others: Vec<clap::Error>,
}

impl Refused {
    /// The help text, if that is what was asked for.
    #[must_use]
    pub fn help(&self) -> Option<&clap::Error> {
        (!self.first.use_stderr()).then_some(&self.first)
    }

    /// How to use the command, as clap shows it below its message.
    #[must_use]
    pub fn usage(&self) -> String {
        let text = self.first.render().to_string();
        text.find("Usage:")
            .and_then(|at| text.get(at..))
            .unwrap_or_default()
            .to_owned()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.others.is_empty() {
            return f.write_str(&sentence(&self.first));
        }
        write!(f, "{} words are wrong:", self.others.len().saturating_add(1))?;
        let mut all = std::iter::once(&self.first).chain(&self.others);
        all.try_for_each(|e| write!(f, "\n  {}", sentence(e)))
    }
}

impl std::error::Error for Refused {}

/// What is wrong and what may have been meant, on one line.
fn sentence(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let before = text.split("\n\nUsage:").next().unwrap_or(text);
    before
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
        .replace(":; ", ": ")
}

/// Matches the command line, its first word the program's name.
///
/// # Errors
/// [`Refused`] with every word that belongs to no flag, or the first fault of another kind.
pub fn parse(root: &Command, arguments: &[OsString]) -> Result<ArgMatches, Box<Refused>> {
    let first = match root.clone().try_get_matches_from(arguments) {
        Ok(matches) => return Ok(matches),
        Err(error) => error,
    };
    let mut others = Vec::new();
    let mut rest = arguments.to_vec();
    let mut unknown = unknown_word(&first);
    // Each round takes away one word at least.
    while let Some(word) = unknown {
        if !remove(&mut rest, &word) {
            break;
        }
        unknown = match root.clone().try_get_matches_from(&rest) {
            Err(error) => unknown_word(&error).inspect(|_| others.push(error)),
            Ok(_) => None,
        };
    }
    Err(Box::new(Refused { first, others }))
}

fn unknown_word(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    }
}

/// Takes a word away, with the value that stands behind it if it looks like a flag; whether it was there.
fn remove(words: &mut Vec<OsString>, unknown: &str) -> bool {
    let is = |word: &OsString| {
        let text = word.to_string_lossy();
        text == unknown || text.strip_prefix(unknown).is_some_and(|rest| rest.starts_with('='))
    };
    let Some(at) = words.iter().skip(1).position(is).map(|at| at.saturating_add(1)) else {
        return false;
    };
    let word = words.remove(at);
    let value_behind = words
        .get(at)
        .is_some_and(|next| !next.to_string_lossy().starts_with('-'));
    if unknown.starts_with('-') && value_behind && !word.to_string_lossy().contains('=') {
        words.remove(at);
    }
    true
}
