//! What the project's own code logs on this thread, for tests that ask what an operator would read.
//!
//! Not here: formats (`trireme-telemetry`), spans, the lines of libraries.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, Once, PoisonError},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::{DefaultGuard, Interest},
};

type Kept = Arc<Mutex<Vec<(Level, String)>>>;

/// Collects lines as long as it lives: `message name=value …`.
pub struct Lines {
    kept: Kept,
    _here: DefaultGuard,
}

impl Lines {
    /// To be called before the first line of a test binary, some of whose tests collect and others do not: a place in
    /// the code that logs first while nobody collects could otherwise be taken for one that nobody ever listens to.
    pub fn anywhere() {
        static ONCE: Once = Once::new();
        // Somebody else's global subscriber does as well.
        ONCE.call_once(|| drop(tracing::subscriber::set_global_default(Deaf)));
    }

    /// Begins to collect on this thread.
    #[must_use]
    pub fn here() -> Self {
        Self::anywhere();
        let kept = Kept::default();
        let collector = Collector(Arc::clone(&kept));
        Self {
            kept,
            _here: tracing::subscriber::set_default(collector),
        }
    }

    /// The lines of a level since the last call, which forgets those of all levels.
    #[must_use]
    pub fn take(&self, level: Level) -> Vec<String> {
        let all = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        all.into_iter()
            .filter(|(l, _)| *l == level)
            .map(|(_, line)| line)
            .collect()
    }
}

/// Hears nothing, and wants to be asked each time.
struct Deaf;

impl Subscriber for Deaf {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Collector(Kept);

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("trireme")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((*event.metadata().level(), line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a text cannot fail.
        let _ = if field.name() == "message" {
            write!(self.0, "{value:?} ")
        } else {
            write!(self.0, "{}={value:?} ", field.name())
        };
    }
}
