//! Logs: one line per event, as text or JSON, on stdout or stderr.

use std::io::{IsTerminal as _, stderr, stdout};

use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt};

use super::traces::{self, Telemetry};
use crate::config::{LogFormat, TelemetryConfig};

/// Directives that apply unless the setting names their targets: the lines of the migration library repeat our own.
const DEFAULT_DIRECTIVES: &str = "sea_orm_migration=warn";

/// Where log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// The log of a server.
    Stdout,
    /// The log of a command, whose result is on stdout.
    Stderr,
}

/// Starts logs and traces for the whole process.
pub fn start(
    config: &TelemetryConfig,
    output: LogOutput,
) -> Result<Telemetry, Box<dyn std::error::Error + Send + Sync>> {
    let filter = filter(config)?;
    let (writer, ansi) = match output {
        LogOutput::Stdout => (BoxMakeWriter::new(stdout), stdout().is_terminal()),
        LogOutput::Stderr => (BoxMakeWriter::new(stderr), stderr().is_terminal()),
    };
    let logs = fmt::layer().with_ansi(ansi).with_writer(writer);
    let logs = match config.log_format {
        LogFormat::Text => logs.boxed(),
        LogFormat::Json => logs.json().flatten_event(true).boxed(),
    };
    let (traces, telemetry) = traces::layer::<Registry>(config.traces.as_ref())?;
    // Traces are filtered first: the log filter does not apply to their spans.
    tracing_subscriber::registry().with(traces).with(logs.with_filter(filter)).try_init()?;
    Ok(telemetry)
}

/// The filter of the log. Spans for tracing are never logged.
pub fn filter(config: &TelemetryConfig) -> Result<EnvFilter, ParseError> {
    let filter = EnvFilter::try_new(format!("{DEFAULT_DIRECTIVES},{}", config.log_filter))?;
    let spans = format!("{}={}", traces::TARGET, LevelFilter::OFF);
    Ok(filter.add_directive(spans.parse()?))
}
