//! What commands print: lines on standard output, and telemetry.

use std::io::Write as _;

use anyhow::Result;

use crate::config::{LogFormat, TelemetryConfig};
use crate::telemetry::{self, LogOutput, Telemetry, TracesSettings};

/// Starts logs and traces.
pub fn start_telemetry(config: &TelemetryConfig, output: LogOutput) -> Result<Telemetry> {
    let traces = config.traces.as_ref();
    let settings = telemetry::Settings {
        log_filter: &config.log_filter,
        json: config.log_format == LogFormat::Json,
        traces: traces.map(|traces| TracesSettings { endpoint: &traces.endpoint, sample_ratio: traces.sample_ratio }),
    };
    telemetry::start(&settings, output).map_err(anyhow::Error::from_boxed)
}

/// Prints a line for the caller of the command.
pub fn print_line(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
