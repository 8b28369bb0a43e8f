//! Logs: one line per event, as text or JSON, on stdout or stderr.

use std::io::{IsTerminal as _, stderr, stdout};

use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry};

use super::log_format;
use super::settings::Settings;
use super::traces::{self, Telemetry};

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
    settings: &Settings<'_>,
    output: LogOutput,
) -> Result<Telemetry, Box<dyn std::error::Error + Send + Sync>> {
    let filter = filter(settings.log_filter)?;
    let (writer, ansi) = match output {
        LogOutput::Stdout => (BoxMakeWriter::new(stdout), stdout().is_terminal()),
        LogOutput::Stderr => (BoxMakeWriter::new(stderr), stderr().is_terminal()),
    };
    let logs = log_format::layer(settings.json, ansi, writer);
    let (traces, telemetry) = traces::layer::<Registry>(settings.traces.as_ref())?;
    // Traces are filtered first: the log filter does not apply to their spans.
    tracing_subscriber::registry().with(traces).with(logs.with_filter(filter)).try_init()?;
    Ok(telemetry)
}

/// Whether a text is a log filter.
pub fn check_filter(text: &str) -> Result<(), ParseError> {
    filter(text).map(drop)
}

/// The filter of the log; without one, only errors are logged. Spans for tracing are never logged.
fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    let given = if text.trim().is_empty() { "error" } else { text };
    let filter = EnvFilter::try_new(format!("{DEFAULT_DIRECTIVES},{given}"))?;
    let spans = format!("{}={}", traces::TARGET, LevelFilter::OFF);
    Ok(filter.add_directive(spans.parse()?))
}
