//! The one reader of the test vectors.
//!
//! Vectors lie in areas (`core`, `p2p`, …), each with an `index.json`: an array of objects with `file` or `directory`,
//! `kind`, `origin` and more (see `testutil/vectors/README.md`). Two roots are read: the project's own
//! `testutil/vectors/`, and besides it the folder that `TRIREME_VECTORS` names or, if that is not set,
//! `../shared/vectors` beside the repository where it exists.
//!
//! Each kind has exactly one test. It calls [`each`] and never names a file:
//!
//! ```ignore
//! mod vectors {
//!     #[test]
//!     fn qbft_leader() {
//!         trireme_vectors::each("core", "qbft-leader", |e| {
//!             let case: Case = e.parse();
//!             // …
//!         });
//!     }
//! }
//! ```
//!
//! Guarantees: an entry that the closure did not open fails the test; a failure names the root and the entry; the
//! other entries are still visited; a kind that is not in [`KINDS`] panics. That each kind in an index is in the table
//! and each claim is real is tested in `testutil/tests`.
//! Not here: what an entry means (the README of its area says so).

mod entry;
mod kinds;
mod roots;

pub use entry::{Entry, File};
pub use kinds::{Claim, KINDS, claim};
pub use roots::{Root, entries, roots};

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `visit` with every entry of the kind in every root, then panics if any of the calls panicked or left its
/// entry unopened.
///
/// # Panics
///
/// If the kind is not in [`KINDS`], an index cannot be read, or a visit went wrong.
pub fn each(area: &str, kind: &str, mut visit: impl FnMut(&Entry)) {
    assert!(
        claim(area, kind).is_some(),
        "kind {area}/{kind} is not in the table of testutil/reader/src/kinds.rs"
    );
    let mut wrong = Vec::new();
    let mut seen = 0_usize;
    for root in roots() {
        for entry in entries(&root, area) {
            if entry.kind() != kind {
                continue;
            }
            seen = seen.saturating_add(1);
            if catch_unwind(AssertUnwindSafe(|| visit(&entry))).is_err() {
                wrong.push(format!("{entry}: went wrong, see the panic above"));
            } else if !entry.was_opened() {
                wrong.push(format!("{entry}: the test did not open it"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {seen} entries of {area}/{kind}:\n  {}",
        wrong.len(),
        wrong.join("\n  ")
    );
}
