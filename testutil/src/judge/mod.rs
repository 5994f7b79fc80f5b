//! The judge: beacon nodes on a chain of their own that give out duties and check everything that comes back.
//!
//! [`Judge`] is a pure state machine: a question or a submission, the face that it comes to and the time go in, answers
//! and verdicts come out. [`Server`] is its HTTP face. It uses none of the code that it judges: of our crates only the
//! containers of `eth2` and the signatures of `tbls`.
//!
//! The chain has real slot time, and all its validators are the cluster's: every slot has a proposer, every validator
//! one attestation per epoch, some sit in the sync committee. A block becomes the head when the cluster publishes it; a
//! slot without one stays empty. Blocks hold the votes and messages that were sent. The chain is seen through one or
//! several beacon nodes, the faces, of which each may have its faults for a while.
//!
//! Guarantees: every submitted signature is verified under the group key and domain; a refusal says why and is kept;
//! anything slashable is recorded, also in submissions that are refused; what is expected follows from the assignment
//! alone, whether or not anyone asked (for who aggregates it needs the group secrets: `selection`).
//! Not here: execution, KZG, finality by votes (each epoch start counts as justified one epoch later), exits that take
//! effect, bids of builders.

mod aggregates;
mod blocks;
mod builder;
mod chain;
mod config;
mod contributions;
mod events;
mod faces;
mod garbler;
mod http;
mod inclusion;
mod pool;
mod proposals;
mod reads;
mod registrations;
mod report;
mod selection;
mod sight;
mod signing;
mod slashable;
mod spec;
mod state;
mod sync;
mod view;
mod votes;

pub use blocks::{Ingredients, TRANSACTION_BYTES};
pub use chain::{ChainConfig, Committees, FAR_FUTURE, ForkAt, HOODI, Seat};
pub use config::{JudgeConfig, Prover, Registration, Reorg};
pub use events::ChainEvent;
pub use faces::{BEHIND, Fault, FaultError, FaultKind, Manner};
pub use garbler::Garbler;
pub use http::{Now, Server, ServerError, wall_clock};
pub use pool::{Sum, bls_sum};
pub use reads::{Door, PathReads, Reads};
pub use report::{DutyReport, Heads, Missed, Offsets, Report, due, report};
pub use sight::View;
pub use signing::{Claim, Purpose, Verifier, domain, signing_root};
pub use slashable::{SignedHistory, Slashable, SlashableKind, Vote};
pub use spec::spec;
pub use state::{ChainBlock, DutyKind, DutyOf, Judge, Refusal, Refused, SubmittedVote, Taken};
pub use view::BlockView;
