//! What is told to traces and to no log: spans beside those of duties and steps, their attributes and how they ended.
//!
//! An event of the target [`TRACE`] with a message is an event of its span by that name. Without one its fields become
//! attributes of the span, later ones in place of earlier ones; the field `error` is an exception and the span's status, the
//! field `ended` an exception alone.
//!
//! Guarantees: where no traces are sent, nobody listens to the target, so that none of this is made: each place costs a
//! comparison.
//! Not here: the span around a duty (`cx`) and that of a step (`step`), which log lines need too; who records
//! (`trireme-telemetry`); which spans there are (docs/traces.md).

use std::{fmt::Display, future::Future};

use tracing::{Instrument as _, Span};

use crate::step::ErrorKind;

/// The target of what is for traces alone. `trireme-telemetry` has it too; the test of all spans holds them together.
pub const TRACE: &str = "otel";

/// Says how a span ended: by an error, or because time was over or somebody gave up.
pub fn failed(span: &Span, error: &dyn Display, kind: ErrorKind) {
    match kind {
        ErrorKind::Temporary | ErrorKind::Permanent => tracing::debug!(target: TRACE, parent: span, error = %error),
        ErrorKind::Expired | ErrorKind::Stopped => tracing::debug!(target: TRACE, parent: span, ended = %error),
    }
}

/// Does `work` in `span` and says how it ended.
pub async fn within<T, E: Display>(
    span: Span,
    kind: impl Fn(&E) -> ErrorKind,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let done = work.instrument(span.clone()).await;
    if let Err(error) = &done {
        failed(&span, error, kind(error));
    }
    done
}
