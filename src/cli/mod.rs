//! The subcommands of the binary.

mod follow;
mod keys;
mod output;

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::TimeDelta;
use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Exposure, Flags, Identity, TimeZoneData};
use crate::model::Role;
use crate::server::{self, Observability, Server};
use crate::telemetry::{self, LogOutput, Metrics};
use follow::RunsCommand;
use keys::KeysCommand;
use output::{print_line, start_telemetry};

/// Governs what data leaves a platform.
#[derive(Parser)]
#[command(name = "outflow", version, about)]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API (the default).
    Serve,
    /// Migrate the schema of the database.
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Manage the keys that seal credentials.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Issue tokens of the development identity.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Observe runs of exports, as a client of a server.
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Check whether a running server is ready; exits with 0 if it is.
    Healthcheck,
    /// Check or print the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version, and the release of the time zones.
    Version,
}

#[derive(Subcommand)]
enum MigrateCommand {
    /// Apply all pending migrations.
    Up,
    /// Print which migrations are applied and which are pending.
    Status,
    /// Check whether the schema is the one that this build needs; exits with 0 if it is.
    Check,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Print a token.
    Mint {
        /// A role; may be repeated.
        #[arg(long, required = true)]
        role: Vec<RoleName>,
        /// The organization.
        #[arg(long, default_value = "acme")]
        organization: String,
        /// The subject.
        #[arg(long, default_value = "ann")]
        subject: String,
        /// A group; may be repeated.
        #[arg(long)]
        group: Vec<String>,
        /// Time to live, such as `90s`, `30m` or `1h`; at most 24h.
        #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
        ttl: Duration,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Check whether the settings and the connection types are valid; exits with 0 if they are.
    Check,
    /// Print every setting with its value and its source; secrets are redacted.
    Print,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    Viewer,
    Contributor,
    Admin,
    Runner,
}

/// Runs the binary.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // The allocator returns the memory of threads that ended.
        .thread_keep_alive(Duration::from_secs(1))
        .build();
    let result = result.map_err(anyhow::Error::from).and_then(|runtime| {
        let result = runtime.block_on(execute(cli));
        // Wait no longer for blocked threads.
        runtime.shutdown_timeout(Duration::from_secs(1));
        result
    });
    result.unwrap_or_else(|error| {
        // Report the error on stderr, with its causes. If that fails too, only the exit code is left.
        let _ = writeln!(std::io::stderr(), "outflow: {error:#}");
        ExitCode::FAILURE
    })
}

async fn execute(cli: Cli) -> Result<ExitCode> {
    let command = cli.command.unwrap_or(Command::Serve);
    if let Command::Version = command {
        print_line(&version(&cli.flags)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let values = cli.flags.read()?;
    let config = Config::parse(&values)?;
    match command {
        Command::Serve => serve(&config).await,
        Command::Migrate(command) => migrate(&config, &command).await,
        Command::Keys(command) => keys::execute(&config, command).await,
        Command::Token(command) => mint(&config, command),
        Command::Runs(command) => follow::execute(&config, command).await,
        Command::Healthcheck => {
            let ready = server::is_ready(&config).await.map_err(anyhow::Error::from_boxed)?;
            Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Config(ConfigCommand::Check) => {
            telemetry::check_filter(&config.telemetry.log_filter)
                .context("configuration: `log` is not a valid filter")?;
            server::check(&config)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Config(ConfigCommand::Print) => {
            print_line(&config::effective(&values))?;
            Ok(ExitCode::SUCCESS)
        }
        // Handled before the configuration was read.
        Command::Version => Ok(ExitCode::SUCCESS),
    }
}

async fn serve(config: &Config) -> Result<ExitCode> {
    // First, so that a signal during the start is not missed.
    let signals = signals().context("failed to install signal handlers")?;
    let telemetry = start_telemetry(&config.telemetry, LogOutput::Stdout)?;
    let observability = Observability { metrics: Some(Metrics::install()?), traces: telemetry.has_traces() };
    let stop = CancellationToken::new();
    let serving = async {
        let result = serve_until(config, observability, stop.clone()).await;
        telemetry.shutdown().await;
        result
    };
    tokio::select! {
        result = serving => result,
        never = stop_on_signal(signals, stop.clone()) => match never {},
    }
}

fn signals() -> std::io::Result<(Signal, Signal)> {
    Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
}

/// Serves until `stop` is cancelled. A part of the server that ended unexpectedly is an error.
async fn serve_until(config: &Config, observability: Observability, stop: CancellationToken) -> Result<ExitCode> {
    let server = tokio::select! {
        server = Server::start(config, observability) => server?,
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    let address = server.listener().local_addr()?;
    tracing::info!(%address, "serving");
    if let Exposure::Loopback { identity: Identity::Development { data_dir }, .. } = &config.api.exposure
        && let Err(error) = print_example(data_dir, address)
    {
        // Stdout may be closed.
        tracing::debug!(%error, "failed to print the example call");
    }
    server.run(stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Prints an example call. Its token is minted by the command substitution in it.
fn print_example(data_dir: &std::path::Path, address: SocketAddr) -> Result<()> {
    let program = std::env::current_exe()?;
    let data_dir = std::path::absolute(data_dir)?;
    print_line(&format!(
        "\nTry:\n  grpcurl -plaintext -H \"authorization: Bearer $({} token mint --role admin --data-dir {})\" {address} \
         outflow.v1.ConnectionService/ListConnectionTypes\n",
        program.display(),
        data_dir.display(),
    ))
}

/// Drains on the first signal and exits on the second.
async fn stop_on_signal((mut terminate, mut interrupt): (Signal, Signal), stop: CancellationToken) -> Infallible {
    for first in [true, false] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if first {
            stop.cancel();
        }
    }
    std::process::exit(130)
}

async fn migrate(config: &Config, command: &MigrateCommand) -> Result<ExitCode> {
    // Stdout is for the result, which scripts read.
    let telemetry = start_telemetry(&config.telemetry, LogOutput::Stderr)?;
    let state = match command {
        MigrateCommand::Up => server::migrate(config).await?,
        MigrateCommand::Status | MigrateCommand::Check => server::schema_state(config).await?,
    };
    for (word, names) in [("applied", &state.applied), ("pending", &state.pending), ("unknown", &state.unknown)] {
        for name in names {
            print_line(&format!("{word} {name}"))?;
        }
    }
    telemetry.shutdown().await;
    let succeeded = state.is_current() || matches!(command, MigrateCommand::Status);
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn mint(config: &Config, command: TokenCommand) -> Result<ExitCode> {
    let TokenCommand::Mint { role, organization, subject, group, ttl } = command;
    let roles = role.into_iter().map(|role| match role {
        RoleName::Viewer => Role::Viewer,
        RoleName::Contributor => Role::Contributor,
        RoleName::Admin => Role::Admin,
        RoleName::Runner => Role::Runner,
    });
    let ttl = TimeDelta::from_std(ttl)?;
    print_line(&server::mint_token(config, organization, subject, roles.collect(), group, ttl)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The version of the binary, and the release of the configured time zones, or of the bundled ones if the setting cannot
/// be read.
fn version(flags: &Flags) -> Result<String> {
    let configured = flags.read().and_then(|values| TimeZoneData::parse(&values));
    let data = configured.unwrap_or(TimeZoneData::Bundled);
    let release = server::time_zone_release(&data)?;
    Ok(format!("{}\ntime zones {release}", env!("CARGO_PKG_VERSION")))
}
