//! Logs: on stdout, for people or for machines.

use std::io::{IsTerminal, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{LogFormat, Settings};

/// Starts logging, for the whole process: to stdout, or for a command whose output is its answer to stderr. A filter
/// that cannot be read is an error.
pub fn start<W>(settings: &Settings, output: fn() -> W) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    W: Write + IsTerminal + 'static,
{
    let filter = filter(settings)?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(output().is_terminal()).with_writer(output);
    match settings.log_format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    }
}

/// What is logged.
pub fn filter(settings: &Settings) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(&settings.log)
}
