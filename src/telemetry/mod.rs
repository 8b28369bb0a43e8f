//! Telemetry: logs, metrics and traces. Code elsewhere uses the facades `tracing` and `metrics` only.

mod logs;
mod metrics;
mod traces;

pub use logs::{LogOutput, filter, start};
pub use metrics::{Kind, METRICS, Metric, Metrics};
pub use traces::{Telemetry, inject_span_context, inject_trace_context, rpc_span};
