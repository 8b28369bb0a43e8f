//! `outflow runs follow`: shows how a run goes on until it has ended.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use chrono::SecondsFormat;
use clap::Subcommand;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::config::Config;
use crate::server::{self, FollowOptions, RunUpdate};

/// The layout of the progress bar: with a known number of rows, and without.
const BAR: &str = "{bar:30} {percent}% {msg}";
const SPINNER: &str = "{spinner} {msg}";

/// The subcommands of `outflow runs`.
#[derive(Subcommand)]
pub enum RunsCommand {
    /// Follow a run until it has ended; exits with 0 if it succeeded. Prints a line for each change, and shows a progress
    /// bar on a terminal.
    Follow {
        /// Name of the run: organizations/ORGANIZATION/exports/EXPORT/runs/RUN.
        name: String,
        /// URL of the API, such as https://outflow.example:443; by default that of a server with these settings.
        #[arg(long, value_name = "URL")]
        endpoint: Option<String>,
        /// PEM file of the certificate authorities to trust for an https endpoint, instead of those of the system.
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
    },
}

/// Executes a subcommand.
pub async fn execute(config: &Config, command: RunsCommand) -> Result<ExitCode> {
    let RunsCommand::Follow { name, endpoint, ca_file } = command;
    let options = FollowOptions { name, endpoint, ca_file };
    let mut display = if std::io::stdout().is_terminal() { Display::bar()? } else { Display::Lines(String::new()) };
    let followed = server::follow_run(config, &options, |update| display.show(update)).await;
    display.clear();
    let run = followed?;
    if !matches!(display, Display::Lines(_)) {
        print_line(&line(&run));
    }
    if run.succeeded {
        return Ok(ExitCode::SUCCESS);
    }
    let error = run.error.unwrap_or_else(|| format!("the run is {}", run.state));
    // If that fails, only the exit code is left.
    let _ = writeln!(std::io::stderr(), "outflow: {error}");
    Ok(ExitCode::FAILURE)
}

/// How a run is shown.
enum Display {
    /// A progress bar.
    Bar(ProgressBar),
    /// A line for each change; the last one that was printed.
    Lines(String),
}

impl Display {
    fn bar() -> Result<Self> {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        bar.set_style(ProgressStyle::with_template(SPINNER)?);
        Ok(Self::Bar(bar))
    }

    fn show(&mut self, update: &RunUpdate) {
        let line = line(update);
        match self {
            Self::Bar(bar) => {
                let length = update.rows_estimated.filter(|rows| *rows > 0);
                if length != bar.length()
                    && let Ok(style) = ProgressStyle::with_template(if length.is_some() { BAR } else { SPINNER })
                {
                    bar.set_style(style);
                }
                match length {
                    Some(length) => bar.set_length(length),
                    None => bar.unset_length(),
                }
                bar.set_position(length.map_or(update.rows_read, |length| update.rows_read.min(length)));
                bar.set_message(line);
            }
            Self::Lines(last) if *last != line => {
                print_line(&line);
                *last = line;
            }
            Self::Lines(_) => {}
        }
    }

    /// Removes the progress bar.
    fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// The state of a run in one line.
fn line(update: &RunUpdate) -> String {
    let mut counts = String::new();
    if update.rows_read > 0 || update.rows_written > 0 || update.files > 0 {
        let read = update.rows_estimated.map(|estimated| format!(", {} of {estimated} rows read", update.rows_read));
        let (bytes, read) = (HumanBytes(update.bytes_written), read.unwrap_or_default());
        counts = format!(": {} rows written{read}, {bytes}, files: {}", update.rows_written, update.files);
    }
    let attempt = if update.attempt > 0 { format!(", attempt {}", update.attempt) } else { String::new() };
    let next = update.next_attempt.map(|time| {
        let time = time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let error = update.error.as_ref().map(|error| format!(" after {error}")).unwrap_or_default();
        format!("; next attempt not before {time}{error}")
    });
    format!("{}{attempt}{counts}{}", update.state, next.unwrap_or_default())
}

/// Prints a line. The exit code does not depend on whether anybody reads it.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_known() {
        let queued = RunUpdate {
            state: "QUEUED".to_owned(),
            succeeded: false,
            attempt: 0,
            rows_read: 0,
            rows_estimated: None,
            rows_written: 0,
            bytes_written: 0,
            files: 0,
            error: None,
            next_attempt: None,
        };
        assert_eq!(line(&queued), "QUEUED");
        let running = RunUpdate {
            state: "RUNNING".to_owned(),
            attempt: 1,
            rows_read: 4_096,
            rows_estimated: Some(5_000),
            rows_written: 12,
            bytes_written: 2_048,
            ..queued.clone()
        };
        let text = "RUNNING, attempt 1: 12 rows written, 4096 of 5000 rows read, 2.00 KiB, files: 0";
        assert_eq!(line(&running), text);
        let again = RunUpdate {
            attempt: 1,
            error: Some("DESTINATION_UNREACHABLE: it did not respond".to_owned()),
            next_attempt: chrono::DateTime::from_timestamp(1_800_000_000, 0),
            ..queued
        };
        let text = "QUEUED, attempt 1; next attempt not before 2027-01-15T08:00:00Z after \
                    DESTINATION_UNREACHABLE: it did not respond";
        assert_eq!(line(&again), text);
    }
}
