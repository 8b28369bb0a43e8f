//! The subcommands of the binary.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use chrono::TimeDelta;
use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Flags, IdentityMode, Settings};
use crate::grpc::health;
use crate::identity::{DevelopmentIdentity, Mint};
use crate::model::{Clock, Role};
use crate::server::{self, Server};
use crate::store::{DatabaseSettings, Store};
use crate::{telemetry, vault};

type Failure = Box<dyn std::error::Error + Send + Sync>;

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
    /// The database's schema.
    #[command(subcommand)]
    Migrate(Migrate),
    /// The keys that seal credentials.
    #[command(subcommand)]
    Keys(Keys),
    /// Tokens of the development identity.
    #[command(subcommand)]
    Token(Token),
    /// Ask a running server whether it can serve; exit 0 if so.
    Healthcheck,
    /// The configuration.
    #[command(subcommand)]
    Config(Config),
    /// Print the version.
    Version,
}

#[derive(Subcommand)]
enum Migrate {
    /// Take every step that was not taken yet.
    Up,
    /// Print which steps were taken and which were not.
    Status,
    /// Exit 0 if the schema is what this build needs.
    Check,
}

#[derive(Subcommand)]
enum Keys {
    /// Write a new key into the key directory and print its id.
    Generate {
        /// Its id; default: the next number.
        #[arg(long)]
        id: Option<String>,
    },
    /// Print the ids of the keys, and which one seals.
    List,
}

#[derive(Subcommand)]
enum Token {
    /// Print a token, and nothing else.
    Mint {
        /// May be given again.
        #[arg(long, required = true)]
        role: Vec<RoleName>,
        /// The organization.
        #[arg(long, default_value = "acme")]
        organization: String,
        /// Who.
        #[arg(long, default_value = "ann")]
        subject: String,
        /// May be given again.
        #[arg(long)]
        group: Vec<String>,
        /// For how long: `90s`, `30m`, `1h`; at most 24h.
        #[arg(long, default_value = "1h", value_parser = parse_ttl)]
        ttl: Duration,
    },
}

#[derive(Subcommand)]
enum Config {
    /// Exit 0 if the settings and the connection types can be used.
    Check,
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let answer = runtime.map_err(Failure::from).and_then(|runtime| {
        let answer = runtime.block_on(execute(cli));
        // What hangs now hangs for ever.
        runtime.shutdown_timeout(Duration::from_secs(1));
        answer
    });
    answer.unwrap_or_else(|error| {
        // The last words of a process go to whoever started it.
        let _ = writeln!(std::io::stderr(), "outflow: {}", with_causes(&*error));
        ExitCode::FAILURE
    })
}

async fn execute(cli: Cli) -> Result<ExitCode, Failure> {
    let command = cli.command.unwrap_or(Command::Serve);
    if let Command::Version = command {
        say(env!("CARGO_PKG_VERSION"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = Settings::load(&cli.flags)?;
    match command {
        Command::Serve => serve(&settings).await,
        Command::Migrate(command) => migrate(&settings, &command).await,
        Command::Keys(command) => keys(&settings, command),
        Command::Token(command) => mint(&settings, command),
        Command::Healthcheck => {
            let serving = health::check(settings.admin_listen).await?;
            Ok(if serving { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Config(Config::Check) => {
            telemetry::filter(&settings)?;
            server::check(&settings)?;
            Ok(ExitCode::SUCCESS)
        }
        // Answered before there are settings.
        Command::Version => Ok(ExitCode::SUCCESS),
    }
}

async fn serve(settings: &Settings) -> Result<ExitCode, Failure> {
    telemetry::start(settings, std::io::stdout)?;
    let stop = CancellationToken::new();
    tokio::spawn(stop_by_signal(stop.clone()));
    let server = tokio::select! {
        server = Server::start(settings) => server?,
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    let address = server.local_address()?;
    tracing::info!(%address, "serving");
    if settings.identity_mode() == IdentityMode::Development {
        // Nobody may be there to read it.
        if let Err(error) = hint(settings, address) {
            tracing::debug!(%error, "the hint was not printed");
        }
    }
    server.run(stop).await;
    Ok(ExitCode::SUCCESS)
}

/// How to reach it, for whoever started it; the token is minted by whoever pastes the line.
fn hint(settings: &Settings, address: std::net::SocketAddr) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    let data_dir = std::path::absolute(&settings.data_dir)?;
    say(&format!(
        "\nTry:\n  grpcurl -plaintext -H \"authorization: Bearer $({} token mint --role admin --data-dir {})\" {address} \
         outflow.v1.ConnectionService/ListConnectionTypes\n",
        program.display(),
        data_dir.display(),
    ))
}

/// The first signal drains, the second ends at once.
async fn stop_by_signal(stop: CancellationToken) {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        tracing::error!("signals cannot be heard");
        return;
    };
    for first in [true, false] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if first {
            stop.cancel();
        } else {
            std::process::exit(130);
        }
    }
}

async fn migrate(settings: &Settings, command: &Migrate) -> Result<ExitCode, Failure> {
    // What it prints is for scripts; what it meets on its way is for people.
    telemetry::start(settings, std::io::stderr)?;
    let url = settings.database_url();
    let store = Store::open(&DatabaseSettings { url, max_connections: 2 }, Vec::new(), Clock::default())?;
    let state = match command {
        Migrate::Up => store.migrate().await?,
        Migrate::Status | Migrate::Check => store.schema_state().await?,
    };
    for (word, steps) in [("applied", &state.applied), ("pending", &state.pending), ("unknown", &state.unknown)] {
        for step in steps {
            say(&format!("{word} {step}"))?;
        }
    }
    let fine = state.is_current() || matches!(command, Migrate::Status);
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn keys(settings: &Settings, command: Keys) -> Result<ExitCode, Failure> {
    match command {
        Keys::Generate { id } => say(&vault::generate(&settings.key_dir(), id.as_deref())?)?,
        Keys::List => {
            for key in vault::list(&settings.key_dir(), settings.primary_key.as_deref())? {
                say(&format!("{}{}", key.id, if key.primary { " (primary)" } else { "" }))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn mint(settings: &Settings, command: Token) -> Result<ExitCode, Failure> {
    let Token::Mint { role, organization, subject, group, ttl } = command;
    let roles = role.into_iter().map(|role| match role {
        RoleName::Viewer => Role::Viewer,
        RoleName::Contributor => Role::Contributor,
        RoleName::Admin => Role::Admin,
        RoleName::Runner => Role::Runner,
    });
    let mint = Mint { organization, subject, roles: roles.collect(), groups: group, ttl: TimeDelta::from_std(ttl)? };
    say(&DevelopmentIdentity::open(&settings.data_dir)?.mint(&mint, Clock::default().now())?)?;
    Ok(ExitCode::SUCCESS)
}

/// An error and what it came from.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        // Some errors repeat their cause.
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

fn say(line: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    let fault = || format!("{text} is no duration such as 90s, 30m or 1h");
    let (amount, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(fault)?;
    let amount: u64 = amount.parse().map_err(|_| fault())?;
    let seconds = match unit {
        "s" => amount,
        "m" => amount.saturating_mul(60),
        "h" => amount.saturating_mul(3600),
        _ => return Err(fault()),
    };
    Ok(Duration::from_secs(seconds))
}
