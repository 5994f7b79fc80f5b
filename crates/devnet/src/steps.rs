//! What our own nodes' logs say about duties that were missed.
//!
//! Guarantees: only what a node says itself; a node that says nothing is left out. Not here: the judge's own reasons.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

/// For each duty in its text form (`123/attester`) where it got stuck, as the node's tracker says.
pub(crate) fn failed_duties(log: &Path) -> BTreeMap<String, String> {
    let Ok(file) = File::open(log) else {
        return BTreeMap::new();
    };
    let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    lines
        .filter_map(|line| failed_duty(&String::from_utf8_lossy(&line)))
        .collect()
}

fn failed_duty(line: &str) -> Option<(String, String)> {
    if field(line, "msg")? != "Duty failed" {
        return None;
    }
    let step = field(line, "step")?;
    let reason = field(line, "reason").unwrap_or_default();
    Some((field(line, "duty")?, format!("{step}: {reason}")))
}

/// The value of a field of a logfmt line.
fn field(line: &str, name: &str) -> Option<String> {
    let start = line.match_indices(name).find_map(|(at, _)| {
        let before = line.get(..at)?;
        let rest = line.get(at.saturating_add(name.len())..)?.strip_prefix('=')?;
        (before.is_empty() || before.ends_with(' ')).then_some(rest)
    })?;
    match start.strip_prefix('"') {
        None => start.split(' ').next().map(str::to_owned),
        Some(quoted) => {
            let (mut value, mut escaped) = (String::new(), false);
            for c in quoted.chars() {
                match c {
                    _ if escaped => {
                        value.push(c);
                        escaped = false;
                    }
                    '\\' => escaped = true,
                    '"' => return Some(value),
                    _ => value.push(c),
                }
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trackers_lines_are_read_and_others_are_not() {
        let line = r#"ts=2026-11-21T14:46:16Z level=warn msg="Duty failed" duty=73/proposer step=fetcher reason_code=x reason="no \"answer\" came" pretty="WARN duty=9/x""#;
        let expected = ("73/proposer".to_owned(), "fetcher: no \"answer\" came".to_owned());
        assert_eq!(failed_duty(line), Some(expected));
        assert_eq!(
            failed_duty(r#"ts=1 level=info msg="duty finished" duty=73/proposer step=x"#),
            None
        );
        assert_eq!(failed_duty("nonsense"), None);
        assert_eq!(failed_duty(r#"msg="Duty failed" duty=1/x step="open"#), None);
    }
}
