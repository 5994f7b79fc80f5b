//! What came of a run, once its last slot is over.
//!
//! Guarantees: everything in the summary is about the counted slots only. Not here: the run itself.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use trireme_eth2::Slot;
use trireme_testutil::{
    judge::{Heads, Offsets, Server, report},
    vc::{Answer, Question, ValidatorClient},
};

use super::Devnet;
use crate::{
    beacon::Beacon,
    infosync,
    summary::{BnReads, Summary},
    table::Table,
};

/// Failures of validator clients that are shown.
const SHOWN_FAILURES: usize = 12;

impl Devnet {
    /// The last rows, and what came of `slots`.
    pub(super) async fn conclude(&mut self, slots: Range<u64>, table: &mut Table) -> Summary {
        let scrapes = self.nodes.scrape().await;
        if let Some(server) = self.beacon.judge() {
            table.rows(server, slots.end, true);
        }
        let mut heads = Heads::default();
        let asked = slots.clone();
        let (mut duties, slashable, bn_reads) = match &self.beacon {
            Beacon::Judge(server) => {
                let counted = server.with(|judge| report(judge, slots.clone()));
                heads = counted.heads;
                let duties = counted
                    .duties
                    .into_iter()
                    .map(|(kind, duty)| (kind.name().to_owned(), duty));
                let mut duties: BTreeMap<_, _> = duties.collect();
                self.nodes.add_last_steps(&mut duties);
                let count = slots.end.saturating_sub(slots.start);
                let reads = counted
                    .reads
                    .into_iter()
                    .map(|(path, reads)| (path, per_slot(reads, count)));
                (duties, server.with(|judge| judge.slashable().to_vec()), reads.collect())
            }
            Beacon::Outside(_) => {
                self.counted.said.observe(&scrapes);
                let duties = self.counted.said.report(&self.nodes.failures(), &slots);
                (duties, Vec::new(), BTreeMap::new())
            }
        };
        if let Some(info_sync) = &mut self.counted.info_sync {
            info_sync.observe(slots.end, &scrapes);
            let counted = info_sync.report(&self.clock, slots);
            if counted.expected > 0 {
                duties.insert(infosync::NAME.to_owned(), counted);
            }
        }
        table.end();
        self.tell_failures(table);
        let summary = Summary {
            answers: self.answers(&asked),
            duties,
            slashable,
            nodes: self.nodes.summaries(),
            bn_reads,
            heads,
        };
        table.summary(&summary);
        summary
    }

    /// How long clients waited for something to sign.
    fn answers(&self, slots: &Range<u64>) -> BTreeMap<&'static str, Offsets> {
        let activities: Vec<_> = self.clients.iter().map(ValidatorClient::activity).collect();
        let answers = activities.iter().flat_map(|a| a.answers.iter());
        let answers: Vec<Answer> = answers.filter(|a| slots.contains(&a.slot.0)).copied().collect();
        let votes = answers.iter().filter(|a| a.to == Question::AttestationData);
        let votes = votes.map(|a| millis(a.waited())).collect();
        // A block counts once, by the last client that has it: from the first question to a beacon node on.
        let mut last: BTreeMap<Slot, Duration> = BTreeMap::new();
        for answer in answers.iter().filter(|a| a.to == Question::Block) {
            let at = last.entry(answer.slot).or_default();
            *at = answer.at.max(*at);
        }
        let asked = |slot| self.beacon.judge()?.with(|judge| judge.block_asked(slot));
        let blocks = last
            .into_iter()
            .filter_map(|(slot, at)| Some(millis(at.saturating_sub(asked(slot)?))));
        let blocks = blocks.collect();
        let all = [("attestation_data", votes), ("block", blocks)];
        let measured = all.into_iter().filter(|(_, waits): &(_, Vec<u64>)| !waits.is_empty());
        measured.map(|(what, waits)| (what, Offsets::of(waits))).collect()
    }

    /// What clients failed at, their numbers replaced so that the same failure is told once.
    pub(super) fn client_failures(&self) -> BTreeMap<String, u64> {
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        for (failure, count) in self.clients.iter().flat_map(|c| c.activity().failures) {
            let sum = all.entry(without_numbers(&failure)).or_default();
            *sum = sum.saturating_add(count);
        }
        all
    }

    /// What did not go well, though it need not have cost a duty.
    fn tell_failures(&self, table: &Table) {
        if let Some(unknown) = self.beacon.judge().map(Server::unknown_requests)
            && !unknown.is_empty()
        {
            table.note(&format!("requests that this beacon node does not have: {unknown:?}"));
        }
        let before = &self.counted.failures_before;
        let new = self.client_failures().into_iter().filter_map(|(failure, count)| {
            let count = count.saturating_sub(before.get(&failure).copied().unwrap_or_default());
            (count > 0).then_some((count, failure))
        });
        let mut new: Vec<(u64, String)> = new.collect();
        new.sort_unstable_by(|a, b| b.cmp(a));
        for (count, failure) in new.iter().take(SHOWN_FAILURES) {
            table.note(&format!("validator clients failed {count} times: {failure}"));
        }
        if new.len() > SHOWN_FAILURES {
            let more = new.len().saturating_sub(SHOWN_FAILURES);
            table.note(&format!("and in {more} other ways"));
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a mean for people; counts are far below 2^52")]
fn per_slot(reads: trireme_testutil::judge::PathReads, slots: u64) -> BnReads {
    let per_slot = reads.total as f64 / slots.max(1) as f64;
    BnReads { per_slot, reads }
}

/// The text with every run of digits as one `#`.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn failures_that_differ_in_numbers_only_are_the_same() {
        let of = super::without_numbers;
        assert_eq!(of("slot 123 has 4 of 16"), "slot # has # of #");
        assert_eq!(of("slot 9 has 14 of 16"), of("slot 123 has 4 of 16"));
    }
}
