//! Telemetry: logs and traces. Metrics are always served on the admin listener.

use super::error::ConfigError;
use super::setting::{Setting, SettingValue};
use super::source::Values;

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[
    Setting::new("log", "Log filter in the syntax of `tracing`, such as `info` or `outflow=debug`.").default("info"),
    Setting::new("log_format", "`text` or `json`.").default("text"),
    Setting::new(
        "traces_endpoint",
        "URL of an OTLP collector (gRPC), such as `http://localhost:4317`; by default no traces.",
    ),
    Setting::new(
        "traces_sample_ratio",
        "Share of traces that are exported, 0 to 1, where the caller has not decided (parent-based sampling).",
    )
    .default("1"),
];

/// Logs and traces.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryConfig {
    /// The log filter.
    pub log_filter: String,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// Where traces are exported to; `None`: there are none.
    pub traces: Option<TracesConfig>,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Readable lines.
    Text,
    /// One JSON object per line.
    Json,
}

/// The export of traces.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesConfig {
    /// URL of the collector.
    pub endpoint: String,
    /// Share of the traces that are exported, where the caller has not decided.
    pub sample_ratio: f64,
}

impl SettingValue for LogFormat {
    const EXPECTED: &'static str = "`text` or `json`";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// A ratio from 0 to 1.
struct Ratio(f64);

impl SettingValue for Ratio {
    const EXPECTED: &'static str = "a number from 0 to 1";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).map(Self)
    }
}

impl TelemetryConfig {
    pub(super) fn parse(values: &Values) -> Result<Self, ConfigError> {
        let Ratio(sample_ratio) = values.require("traces_sample_ratio")?;
        let endpoint: Option<String> = values.get("traces_endpoint")?;
        Ok(Self {
            log_filter: values.require("log")?,
            log_format: values.require("log_format")?,
            traces: endpoint.map(|endpoint| TracesConfig { endpoint, sample_ratio }),
        })
    }
}
