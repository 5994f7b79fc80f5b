//! What a person sees while a run goes on: one row per slot and kind of duty as soon as its time is over.

use std::{collections::BTreeMap, path::Path};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use trireme_eth2::Slot;
use trireme_testutil::judge::{DutyKind, DutyReport, Server, due, report};

use crate::{
    config::Output,
    metrics::{Scrape, Tracked},
    plan::{Plan, faulty},
    summary::Summary,
};

/// Columns: slot, duty, done, offset, round, partials.
const HEADER: &str = "  slot  duty                   done   sent after   round  partials by node";
/// On a chain outside: slot, duty, what each node has counted since the slot before.
const HEADER_SAID: &str = "  slot  duty                  what nodes say: succeeded of those looked at";

/// See the module.
pub(crate) struct Table {
    output: Output,
    bar: ProgressBar,
    first: Option<u64>,
    next: BTreeMap<DutyKind, u64>,
    partials: BTreeMap<DutyKind, BTreeMap<usize, u64>>,
    observed: BTreeMap<(u64, DutyKind), Observed>,
    nodes: usize,
}

/// What nodes said about a slot's duty.
struct Observed {
    round: Option<u64>,
    partials: String,
}

/// The rows of a slot in the order of their time.
const KINDS: [DutyKind; 7] = DutyKind::ALL;

impl Table {
    pub(crate) fn new(output: Output, plan: &Plan, slots: u64) -> Self {
        let bar = if slots == 0 {
            ProgressBar::no_length()
        } else {
            ProgressBar::new(slots)
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        let table = Self {
            output,
            bar,
            first: None,
            next: BTreeMap::new(),
            partials: BTreeMap::new(),
            observed: BTreeMap::new(),
            nodes: plan.nodes.len(),
        };
        let kinds: Vec<&str> = plan.nodes.iter().map(|i| i.name()).collect();
        table.line(&format!(
            "{} nodes ({}): f = {}, quorum = {}, threshold = {}",
            plan.nodes.len(),
            kinds.join(", "),
            faulty(plan.nodes.len()),
            plan.quorum(),
            plan.threshold
        ));
        table
    }

    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the command's output")]
    fn line(&self, text: &str) {
        // The bar is lifted while a line is written, and drawn again below it.
        self.bar.suspend(|| match self.output {
            Output::Text => println!("{text}"),
            Output::Json => eprintln!("{text}"),
        });
    }

    /// A sentence between the rows.
    pub(crate) fn note(&self, text: &str) {
        self.line(text);
    }

    /// While nodes are not ready. Without a terminal, where there is no bar, each change is a line.
    pub(crate) fn waiting(&self, slot: u64, waiting: &[(usize, String)]) {
        let who: Vec<String> = waiting.iter().map(|(n, why)| format!("node{n}: {why}")).collect();
        let who = format!("waiting for {}", who.join("; "));
        if self.bar.is_hidden() && !self.bar.message().ends_with(&who) {
            self.line(&format!("slot {slot}, {who}"));
        }
        self.bar.set_message(format!("slot {slot}, {who}"));
        self.bar.tick();
    }

    /// All are ready.
    pub(crate) fn announce(&mut self, first: u64, slots: u64, judged: bool) {
        self.bar.set_message("");
        self.first = Some(first);
        self.next = KINDS.map(|kind| (kind, first)).into();
        let until = if slots == 0 {
            "until Ctrl-C".to_owned()
        } else {
            format!("for {slots} slots")
        };
        self.line(&format!(
            "all nodes are ready; counting begins with slot {first}, {until}"
        ));
        self.line(if judged { HEADER } else { HEADER_SAID });
    }

    /// Where validator clients find their node and their keys.
    pub(crate) fn for_clients(&self, node: usize, api: &str, keys: &Path) {
        self.line(&format!(
            "node{node}: validator API {api}, share keystores with their password files in {}",
            keys.display()
        ));
    }

    /// Takes the counters from which the first slot's are counted.
    pub(crate) fn begin(&mut self, scrapes: &BTreeMap<usize, Scrape>) {
        for kind in KINDS {
            self.new_partials(kind, scrapes);
        }
    }

    /// Keeps what the nodes say near the end of a slot.
    pub(crate) fn observe(&mut self, slot: u64, scrapes: &BTreeMap<usize, Scrape>) {
        for kind in KINDS {
            let round = scrapes.values().filter_map(|s| s.round(kind.name())).max();
            let partials = self.new_partials(kind, scrapes);
            self.observed.insert((slot, kind), Observed { round, partials });
        }
    }

    /// Writes the rows of every slot before `until` whose time is over (or of all of them at the end).
    pub(crate) fn rows(&mut self, judge: &Server, until: u64, end: bool) {
        let now = judge.now();
        self.progress(until);
        let mut ready: BTreeMap<u64, Vec<DutyKind>> = BTreeMap::new();
        for kind in KINDS {
            let Some(next) = self.next.get_mut(&kind) else { continue };
            while *next < until && (end || judge.with(|j| due(j, kind, Slot(*next))) <= now) {
                ready.entry(*next).or_default().push(kind);
                *next = next.saturating_add(1);
            }
        }
        for (slot, kinds) in ready {
            let counted = judge.with(|j| report(j, slot..slot.saturating_add(1)));
            for kind in kinds {
                let observed = self.observed.remove(&(slot, kind));
                if let Some(duty) = counted.duties.get(&kind) {
                    self.row(slot, kind.name(), duty, observed);
                }
            }
        }
    }

    fn progress(&self, until: u64) {
        if let Some(first) = self.first {
            self.bar.set_position(until.saturating_sub(first));
        }
    }

    fn row(&self, slot: u64, name: &str, duty: &DutyReport, observed: Option<Observed>) {
        let offset = if duty.completed > 0 {
            format!("{} ms", duty.offset_ms.max)
        } else {
            "–".to_owned()
        };
        let round = observed.as_ref().and_then(|o| o.round).filter(|_| duty.completed > 0);
        self.line(&format!(
            "{slot:>6}  {name:<20} {:>7}   {offset:>10}   {:>5}  {}",
            format!("{}/{}", duty.completed, duty.expected),
            round.map_or("–".to_owned(), |r| r.to_string()),
            observed.map_or("–".to_owned(), |o| o.partials),
        ));
        for missed in &duty.missed {
            self.line(&format!("        missed: {}", missed.reason));
        }
    }

    /// A row about something that only the nodes know of: when, what, and whether it was done.
    pub(crate) fn agreed(&self, slot: u64, name: &str, done: bool) {
        let done = u8::from(done);
        self.line(&format!(
            "{slot:>6}  {name:<20} {:>7}   {:>10}       –  –",
            format!("{done}/1"),
            "–"
        ));
    }

    /// Rows of a chain outside.
    pub(crate) fn said(&self, slot: u64, news: &BTreeMap<String, BTreeMap<usize, Tracked>>) {
        self.progress(slot);
        for (duty, nodes) in news {
            let each = nodes.iter().map(|(n, t)| format!("node{n} {}/{}", t.done, t.expected));
            self.line(&format!(
                "{slot:>6}  {duty:<20}  {}",
                each.collect::<Vec<_>>().join("  ")
            ));
        }
    }

    /// Partial signatures that the first node that says so has stored since it was last asked, by sender.
    fn new_partials(&mut self, kind: DutyKind, scrapes: &BTreeMap<usize, Scrape>) -> String {
        let Some(now) = scrapes
            .values()
            .map(|s| s.partials(kind.name()))
            .find(|p| !p.is_empty())
        else {
            return "–".to_owned();
        };
        let before = self.partials.insert(kind, now.clone()).unwrap_or_default();
        let of = |n: usize| {
            let count = now.get(&n).copied().unwrap_or_default();
            // A node that was started again counts from zero.
            count
                .checked_sub(before.get(&n).copied().unwrap_or_default())
                .unwrap_or(count)
        };
        (0..self.nodes).map(|n| of(n).to_string()).collect::<Vec<_>>().join(" ")
    }

    /// No more rows.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// The last words.
    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    pub(crate) fn summary(&self, summary: &Summary) {
        self.line("");
        self.line(summary.text().trim_end());
        if self.output == Output::Json {
            println!("{}", summary.json());
        }
    }
}
