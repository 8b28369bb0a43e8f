//! Telemetry: logs, metrics and traces. Code elsewhere uses the facades `tracing` and `metrics` only.

mod logs;
mod metrics;
mod traces;

pub use logs::{LogOutput, check_filter, start};
pub use metrics::{METRICS, Metric, MetricKind, Metrics};
pub use traces::{Telemetry, inject_span_context, inject_trace_context, rpc_span};

/// How logs are written and where traces are exported to.
pub struct Settings<'a> {
    /// The log filter.
    pub log_filter: &'a str,
    /// Whether log lines are JSON objects.
    pub json: bool,
    /// The export of traces; `None`: there are none.
    pub traces: Option<TracesSettings<'a>>,
}

/// The export of traces.
pub struct TracesSettings<'a> {
    /// URL of the collector.
    pub endpoint: &'a str,
    /// Share of the traces that are exported, where the caller has not decided.
    pub sample_ratio: f64,
}
