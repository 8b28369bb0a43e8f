//! `outflow keys`: manages the keys that seal credentials.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::output::{print_line, start_telemetry};
use crate::config::Config;
use crate::server::{self, KeyUse};
use crate::telemetry::LogOutput;

/// Commands about keys.
#[derive(Subcommand)]
pub enum KeysCommand {
    /// Write a new key into the key directory and print its id.
    Generate {
        /// The id of the key; default: the next number.
        #[arg(long)]
        id: Option<String>,
    },
    /// Print the ids of the keys, and which one is primary.
    List,
    /// Check whether the keys open everything that is stored; exits with 0 if they do.
    Verify,
    /// Seal everything with the primary key; servers may run meanwhile.
    Rewrap,
    /// Forget a key that seals nothing, so that its file can be removed.
    Retire {
        /// The id of the key.
        id: String,
    },
}

/// Executes a command.
pub async fn execute(config: &Config, command: KeysCommand) -> Result<ExitCode> {
    // Stdout is for the result, which scripts read.
    let telemetry = start_telemetry(&config.telemetry, LogOutput::Stderr)?;
    let mut is_complete = true;
    match command {
        KeysCommand::Generate { id } => print_line(&server::generate_key(config, id.as_deref())?)?,
        KeysCommand::List => {
            for key in server::list_keys(config)? {
                print_line(&format!("{}{}", key.id, if key.primary { " (primary)" } else { "" }))?;
            }
        }
        KeysCommand::Verify => is_complete = print_use(&server::verify_keys(config).await?, "sealed")?,
        KeysCommand::Rewrap => {
            let progress = |count: u64| tracing::info!(count, "credentials were sealed with the primary key");
            is_complete = print_use(&server::rewrap_keys(config, progress).await?, "no longer sealed")?;
        }
        KeysCommand::Retire { id } => {
            server::retire_key(config, id.clone()).await?;
            print_line(&format!(
                "{id} seals nothing; remove its file, and keep a copy as long as backups of the database that need it"
            ))?;
        }
    }
    telemetry.shutdown().await;
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints a line for each key. Returns whether there were no failures.
fn print_use(used: &KeyUse, sealed: &str) -> Result<bool> {
    for (key_id, count) in &used.credentials {
        print_line(&format!("{count} credentials {sealed} with {key_id}"))?;
    }
    for failure in &used.failures {
        print_line(&format!("failed: {failure}"))?;
    }
    if used.failed > 0 {
        print_line(&format!("{} credentials failed", used.failed))?;
    }
    Ok(used.failed == 0)
}
