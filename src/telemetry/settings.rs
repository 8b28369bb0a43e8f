//! What is logged and where traces are exported to.

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
