//! One instance of QBFT, the Istanbul Byzantine fault tolerant consensus algorithm, as a state machine.
//!
//! `n` processes agree on one value while at most `f = floor((n-1)/3)` of them are faulty. A leader proposes with a
//! PRE-PREPARE; a quorum of PREPAREs locks the value; a quorum of COMMITs decides it. A round that does not come to a
//! decision in time is left with ROUND-CHANGEs, which carry the lock into the next round and justify what its leader
//! proposes.
//!
//! ```text
//!   leader ── PRE_PREPARE(v) ──► all ── PREPARE(v) ──► all ── COMMIT(v) ──► all: decide v
//!                    timer ──► ROUND_CHANGE(lock) ──► leader of the next round ── PRE_PREPARE(v', proof) ──► …
//! ```
//!
//! [`Instance::step`] takes one [`Input`] and returns what must be done about it. Nothing here reads a clock, a socket
//! or randomness, and no decision depends on the order of a hash map: the same inputs give the same effects.
//!
//! Guarantees, with at most `f` faulty processes: no two instances decide differently; what is decided was proposed
//! by someone; once messages arrive in time, every instance decides. Memory is bounded per sender
//! ([`PER_SENDER`], [`PER_STEP`]) whatever arrives.
//! Not here: signatures and values (a message must be verified before it enters; a value is any small ordered thing
//! that stands for one), how long a round lasts, who the leader's offset belongs to.
//!
//! # Rules
//!
//! Paper: Henrique Moniz, *The Istanbul BFT Consensus Algorithm*, 2020 (arXiv 2002.03613), "algorithm:line". The rules
//! differ from it where the nodes of existing clusters do: see the third column.
//!
//! | upon | paper | difference | function | test |
//! |---|---|---|---|---|
//! | start | 1:11 | timer runs before the own value is known | `upon_start` | `a_leader_proposes_as_soon_as_it_has_both_its_turn_and_a_value` |
//! | own value | 1:11 | the value may come late | `upon_own_value` | same |
//! | justified PRE-PREPARE | 2:1 | may jump to a later round; one per round; compare step | `upon_justified_pre_prepare` | `a_second_proposal_of_an_equivocating_leader_gets_no_second_prepare` |
//! | quorum of PREPAREs | 2:4 | PREPAREs inside justifications count | `upon_quorum_prepares` | `a_quorum_of_prepares_locks_and_commits` |
//! | quorum of COMMITs | 2:8 | of any round, as in the paper; the own COMMIT is sent if it was not yet | `upon_quorum_commits` | `a_quorum_of_commits_decides_whatever_round_we_are_in` |
//! | timer expired | 3:1 | | `upon_timeout` | `a_timeout_changes_the_round_with_the_lock` |
//! | f+1 ROUND-CHANGEs above | 3:5 | | `upon_f_plus_1_round_changes` | `f_plus_one_later_rounds_pull_us_to_the_lowest` |
//! | quorum of ROUND-CHANGEs, leader | 3:11 | | `upon_quorum_round_changes` | `a_leader_of_a_later_round_proposes_the_lock_it_was_shown` |
//! | ROUND-CHANGE after deciding | 3:17 | at most [`DECIDED_RESENDS`] answers per peer, each for a higher round | `upon_late_round_change` | `a_late_process_is_told_the_decision_a_limited_number_of_times` |
//! | justified DECIDED | 3:17 | a message of its own, with the COMMITs | `upon_justified_decided` | `a_decided_message_needs_a_quorum_of_commits` |
//! | JustifyRoundChange | 4:1 | | `justify::round_change` | `justify::tests` |
//! | JustifyPrePrepare | 4:3 | no value is no proposal; compare failure | `justify::pre_prepare` | `justify::tests` |
//!
//! Agreement, validity and termination of all rules together are tested by `tests/sim`.

#![deny(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod buffer;
mod instance;
mod justify;
mod message;
mod quorum;
mod report;

pub use buffer::{PER_SENDER, PER_STEP};
pub use instance::{DECIDED_RESENDS, Effect, Effects, Input, Instance, Params, Rule, Trace};
pub use justify::Unjustified;
pub use message::{Draft, Kind, Msg, Process, Round, Signed, UnknownKind, Value, Vote};
pub use quorum::{NodeCountError, Nodes};
pub use report::RoundReport;
