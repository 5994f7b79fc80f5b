//! What a node tells about itself: logs, metrics, whether it is alive and ready.
//!
//! Guarantees: names of metrics, fields and texts that operators' dashboards match on are those of Charon; nothing in
//! here knows a duty or a peer; credentials in addresses are cut out by [`redact`].
//! Not here: which metrics and spans exist (each component makes its own).

pub mod debug;
pub mod health;
mod http;
pub mod logs;
pub mod machine;
pub mod metrics;
pub mod push;
pub mod redact;
pub mod server;
pub mod traces;

pub use debug::Debug;
pub use health::{PeerQuorum, Readiness};
pub use logs::{LogColor, LogConfig, LogCounters, LogError, LogFormat, LogLevel, Loki, LokiConfig, Outlets};
pub use metrics::ClusterLabels;
pub use push::{Push, PushConfig};
pub use redact::redacted;
pub use server::Monitoring;
pub use traces::{TraceConfig, Traces};
