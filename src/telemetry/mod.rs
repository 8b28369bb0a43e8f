//! Telemetry: logs, metrics and traces. Code elsewhere uses the facades `tracing` and `metrics` only.

mod log_format;
mod logs;
mod metrics;
mod settings;
mod traces;

pub use logs::{LogOutput, check_filter, start};
pub use metrics::{METRICS, Metric, MetricKind, Metrics};
pub use settings::{Settings, TracesSettings};
pub use traces::{Telemetry, inject_span_context, inject_trace_context, rpc_span, run_span};
