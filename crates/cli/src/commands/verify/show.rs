//! A report on a terminal, and as JSON.

use std::{collections::BTreeMap, io::Write};

use serde_json::{Value, json};
use trireme_cluster::check::{Check, Facts, Fault, Finding, Outcome, Report, Severity, Skipped, Verdict};

use super::words::{eth, promise, remedy, sentence, what, why};

/// So many findings of one check are told in full; the others are counted.
const SHOWN: usize = 5;

/// For people: the cluster, its validators, what was found, what to look at, and the verdict as the last line.
pub(super) fn text(report: &Report, opened: bool, out: &mut dyn Write) -> std::io::Result<()> {
    if let Some(facts) = &report.facts {
        cluster(facts, out)?;
    }
    let mut by_check: BTreeMap<Check, Vec<&Finding>> = BTreeMap::new();
    for finding in &report.findings {
        by_check.entry(finding.check).or_default().push(finding);
    }
    writeln!(out, "Checks")?;
    for (check, findings) in &by_check {
        passed(*check, findings, out)?;
        faults(findings, out)?;
    }
    writeln!(out)?;
    if report.verdict() == Verdict::Verified && report.facts.as_ref().is_some_and(|f| f.lock_hash.is_some()) {
        writeln!(
            out,
            "Before money is sent: is the withdrawal address yours? Is the lock hash the same at every operator's?\n"
        )?;
    }
    writeln!(out, "{}", sentence(report, opened))
}

fn cluster(facts: &Facts, out: &mut dyn Write) -> std::io::Result<()> {
    let network = facts
        .network
        .clone()
        .unwrap_or_else(|| format!("unknown (fork version 0x{})", hex::encode(&facts.fork_version)));
    writeln!(out, "Cluster {:?}", facts.name)?;
    writeln!(
        out,
        "  network    {network}\n  operators  {}, any {} of them sign together\n  schema     {}",
        facts.operators.len(),
        facts.threshold,
        facts.version
    )?;
    if let Some(hash) = &facts.lock_hash {
        writeln!(out, "  lock hash  0x{}", hex::encode(hash))?;
    }
    for (at, operator) in facts.operators.iter().enumerate() {
        let peer = operator.peer.as_deref().unwrap_or("(unreadable ENR)");
        let wallet = match operator.address.as_str() {
            "" => String::new(),
            address => format!(", wallet {address}"),
        };
        let here = if operator.here { ", this folder is here" } else { "" };
        writeln!(out, "  operator {at}  {peer}{wallet}{here}")?;
    }
    for (at, validator) in facts.validators.iter().enumerate() {
        let key = validator.public_key.as_ref();
        let key = key.map_or_else(|| "(no key yet)".to_owned(), |k| format!("0x{}", hex::encode(k)));
        let amounts: Vec<String> = validator.amounts.iter().map(|a| eth(*a)).collect();
        let or_none = |text: &str| if text.is_empty() { "(none)" } else { text }.to_owned();
        writeln!(out, "\nValidator {at}  {key}")?;
        writeln!(out, "  withdrawals to  {}", or_none(&validator.withdrawal))?;
        writeln!(out, "  fees to         {}", or_none(&validator.fee_recipient))?;
        if validator.public_key.is_some() {
            writeln!(out, "  deposits        {}", or_none(&amounts.join(", ")))?;
        }
    }
    writeln!(out)
}

/// One line if the check passed, with the places only if it did not pass everywhere; and one for each reason not to make it.
fn passed(check: Check, findings: &[&Finding], out: &mut dyn Write) -> std::io::Result<()> {
    let places = |wanted: &Outcome| -> Vec<&str> {
        let of = findings.iter().filter(|f| f.outcome == *wanted);
        of.map(|f| f.place.as_str()).collect()
    };
    let fine = places(&Outcome::Passed);
    if fine.len() == findings.len() {
        writeln!(out, "  ok     {}", promise(check))?;
    } else if !fine.is_empty() {
        writeln!(out, "  ok     {}{}", promise(check), several(&fine))?;
    }
    let mut told: Vec<Skipped> = Vec::new();
    for finding in findings {
        let Outcome::Skipped(skipped) = finding.outcome else {
            continue;
        };
        if !told.contains(&skipped) {
            let all = places(&finding.outcome);
            writeln!(out, "  -      {}: {}{}", promise(check), why(skipped), several(&all))?;
            told.push(skipped);
        }
    }
    Ok(())
}

fn several(places: &[&str]) -> String {
    match places {
        [] | [""] => String::new(),
        [one] => format!("  [{}]", one.trim_end_matches('/')),
        [first, rest @ ..] => format!("  [{} and {} more]", first.trim_end_matches('/'), rest.len()),
    }
}

/// Faults of one check; those that say the same are told once.
fn faults(findings: &[&Finding], out: &mut dyn Write) -> std::io::Result<()> {
    let mut same: Vec<(String, &Fault, Vec<&str>)> = Vec::new();
    for finding in findings {
        let Outcome::Fault(fault) = &finding.outcome else {
            continue;
        };
        let text = what(fault);
        let place = finding.place.trim_end_matches('/');
        let room = same.len() < SHOWN;
        match same.iter_mut().find(|(known, ..)| *known == text) {
            Some((_, _, places)) => places.push(place),
            None if room => same.push((text, fault, vec![place])),
            // Only counted, so that a thousand different ones do not take a million comparisons.
            None => {}
        }
    }
    let mut told = 0_usize;
    for (text, fault, places) in &same {
        told = told.saturating_add(places.len());
        let place = match places.as_slice() {
            [] | [""] => String::new(),
            [one] => format!("{one}: "),
            [first, rest @ ..] => format!("{first} (and {} more): ", rest.len()),
        };
        let place_of_remedy = places.first().copied().unwrap_or_default();
        writeln!(out, "  {:<5}  {place}{text}", label(fault.severity()))?;
        writeln!(out, "         {}", remedy(fault, place_of_remedy))?;
    }
    let all = findings
        .iter()
        .filter(|f| matches!(f.outcome, Outcome::Fault(_)))
        .count();
    match all.saturating_sub(told) {
        0 => Ok(()),
        more => writeln!(out, "         and {more} more like these (--output json lists all)"),
    }
}

const fn label(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Lacking => "LACKS",
        Severity::Unchecked => "?",
        Severity::Wrong => "WRONG",
    }
}

/// For programs. Names of members, checks, results and verdicts stay.
pub(super) fn json(report: &Report, opened: bool, exit_code: u8) -> Value {
    let verdict = match report.verdict() {
        Verdict::Verified => "verified",
        Verdict::Incomplete => "incomplete",
        Verdict::Unchecked => "unchecked",
        Verdict::Wrong => "wrong",
    };
    json!({
        "verdict": verdict,
        "exit_code": exit_code,
        "sentence": sentence(report, opened),
        "cluster": report.facts.as_ref().map(facts),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    let Finding { check, place, outcome } = finding;
    let (result, what, remedy) = match outcome {
        Outcome::Passed => ("passed", promise(*check).to_owned(), None),
        Outcome::Skipped(skipped) => ("skipped", why(*skipped), None),
        Outcome::Fault(fault) => {
            let result = match fault.severity() {
                Severity::Note => "note",
                Severity::Lacking => "lacking",
                Severity::Unchecked => "unchecked",
                Severity::Wrong => "wrong",
            };
            (result, what(fault), Some(remedy(fault, place)))
        }
    };
    json!({ "check": check.name(), "place": place.trim_end_matches('/'), "result": result, "what": what, "remedy": remedy })
}

/// A cluster's facts, as `inspect` shows them, too.
pub(crate) fn facts(facts: &Facts) -> Value {
    let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    json!({
        "name": facts.name,
        "version": facts.version.as_str(),
        "lock_hash": facts.lock_hash.as_deref().map(hex),
        "fork_version": hex(&facts.fork_version),
        "network": facts.network,
        "threshold": facts.threshold,
        "compounding": facts.compounding,
        "operators": facts.operators.iter().enumerate().map(|(at, o)| json!({
            "index": at,
            "peer": o.peer,
            "address": o.address,
            "enr": o.enr,
            "folder_is_here": o.here,
        })).collect::<Vec<_>>(),
        "validators": facts.validators.iter().enumerate().map(|(at, v)| json!({
            "index": at,
            "public_key": v.public_key.as_deref().map(hex),
            "withdrawal_address": v.withdrawal,
            "fee_recipient_address": v.fee_recipient,
            "deposit_amounts_gwei": v.amounts.iter().collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}
