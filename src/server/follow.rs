//! `outflow runs follow`: follows a run of a server as its client, until the run has ended.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::Uri;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tonic::{Code, Status};

use super::commands::mint_token;
use crate::config::{ApiConfig, Config};
use crate::grpc::client::{ClientError, RunClient};
use crate::grpc::proto as pb;
use crate::identity::DevelopmentError;
use crate::model::{Role, RunName, Secret};

/// The delay before a lost stream is opened again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How often in a row a lost stream is opened again.
const MAX_RETRIES: u32 = 60;
/// The subject and the lifetime of tokens that the command mints.
const SUBJECT: &str = "outflow-runs-follow";
const TOKEN_TTL: TimeDelta = TimeDelta::hours(1);

/// What to follow, and where.
pub struct FollowOptions {
    /// The name of the run.
    pub name: String,
    /// The URL of the API; `None`: that of a server with the configuration.
    pub endpoint: Option<String>,
    /// A PEM file with the authorities that are trusted; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
}

/// The state of a run in a message of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunUpdate {
    /// The state, such as `RUNNING`.
    pub state: String,
    /// Whether the run succeeded.
    pub succeeded: bool,
    /// Number of attempts that were started.
    pub attempt: i32,
    /// Rows read, before filters.
    pub rows_read: u64,
    /// Rows that there are to read; `None`: unknown.
    pub rows_estimated: Option<u64>,
    /// Rows written.
    pub rows_written: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Complete files.
    pub files: i32,
    /// Why the run failed or was skipped, or why the last attempt failed.
    pub error: Option<String>,
    /// The earliest time of the next attempt.
    pub next_attempt: Option<DateTime<Utc>>,
}

/// Why a run cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The name is malformed.
    #[error("`{0}` is not the name of a run, which is organizations/ORGANIZATION/exports/EXPORT/runs/RUN")]
    Name(String),
    /// The endpoint is malformed.
    #[error("`{0}` is not an endpoint, which is http://HOST:PORT or https://HOST:PORT")]
    Endpoint(String),
    /// Authorities are given for a connection without TLS.
    #[error("--ca-file is for https endpoints, and {0} is not one")]
    NoTls(String),
    /// The file of authorities cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    CaFile {
        /// Its path.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The file of authorities has no certificates.
    #[error("{} does not consist of certificates in PEM", .0.display())]
    NoCertificates(PathBuf),
    /// The server cannot be reached.
    #[error("cannot reach {endpoint}: {cause}")]
    Unreachable {
        /// The endpoint.
        endpoint: String,
        /// The cause.
        cause: String,
    },
    /// The certificate of the server is not accepted.
    #[error("TLS with {endpoint} failed: {cause}; --ca-file names a file with the authorities to trust")]
    Certificate {
        /// The endpoint.
        endpoint: String,
        /// The cause.
        cause: String,
    },
    /// There is no token.
    #[error("no token for {0}: set OUTFLOW_TOKEN or OUTFLOW_TOKEN_FILE")]
    NoToken(String),
    /// A token cannot be minted.
    #[error(transparent)]
    Mint(#[from] DevelopmentError),
    /// The server does not accept the token.
    #[error(
        "the server does not accept the token ({0}); set OUTFLOW_TOKEN, or --data-dir to the directory of the server"
    )]
    Token(String),
    /// There is no such run.
    #[error("no such run: {0}")]
    NotFound(String),
    /// The caller may not see the run.
    #[error("not permitted: {0}")]
    Denied(String),
    /// The server answered with another error.
    #[error("the server responded with {code:?}: {message}")]
    Server {
        /// The code.
        code: Code,
        /// The message.
        message: String,
    },
}

/// Follows a run until it has ended, and returns its last update. A stream that is lost is opened again.
pub async fn follow_run(
    config: &Config,
    options: &FollowOptions,
    mut on_update: impl FnMut(&RunUpdate),
) -> Result<RunUpdate, FollowError> {
    let name = RunName::parse(&options.name).ok_or_else(|| FollowError::Name(options.name.clone()))?;
    let endpoint = options.endpoint.clone().unwrap_or_else(|| default_endpoint(&config.api));
    let uri = parse_endpoint(&endpoint)?;
    let authorities = read_authorities(options, &uri)?;
    // Fails before anything is sent.
    let mut token = token(config, &name, &uri)?;
    let connected = RunClient::connect(&endpoint, authorities.as_deref()).await;
    let mut client = connected.map_err(|error| client_error(error, &endpoint))?;
    let (mut seen, mut retries) = (false, 0);
    loop {
        let result = watch(&mut client, &options.name, &token, |update| {
            (seen, retries) = (true, 0);
            on_update(update);
        });
        match result.await {
            Ok(update) => return Ok(update),
            // Tokens expire while a run goes on.
            Err(status)
                if status.code() == Code::Unauthenticated && seen && retries == 0 && config.client.token.is_none() =>
            {
                token = self::token(config, &name, &uri)?;
            }
            Err(status) if is_interruption(&status) && seen && retries < MAX_RETRIES => {
                tokio::time::sleep(RETRY_DELAY).await;
            }
            Err(status) => return Err(status_error(&status, options, &endpoint)),
        }
        retries += 1;
    }
}

/// Reads one stream until the run has ended.
async fn watch(
    client: &mut RunClient,
    name: &str,
    token: &Secret,
    mut on_update: impl FnMut(&RunUpdate),
) -> Result<RunUpdate, Status> {
    let mut stream = client.watch(name, token).await?;
    while let Some(message) = stream.message().await? {
        let Some(run) = message.run else { continue };
        let (ended, update) = (run.end_time.is_some(), update(run));
        on_update(&update);
        if ended {
            return Ok(update);
        }
    }
    Err(Status::unavailable("the stream ended before the run"))
}

fn update(run: pb::ExportRun) -> RunUpdate {
    let state = run.state();
    let count = |count: i64| u64::try_from(count).unwrap_or_default();
    let skip_reason = (state == pb::export_run::State::Skipped)
        .then(|| format!("skipped: {}", run.skip_reason().as_str_name().trim_start_matches("SKIP_REASON_")));
    let failure = |error: pb::export_run::Error| {
        format!("{}: {}", error.code().as_str_name().trim_start_matches("CODE_"), error.message)
    };
    let next_attempt = run.next_attempt_time.and_then(|time| {
        let nanoseconds = u32::try_from(time.nanos).unwrap_or_default();
        DateTime::from_timestamp(time.seconds, nanoseconds)
    });
    let counts = run.stats.unwrap_or_default();
    RunUpdate {
        state: state.as_str_name().trim_start_matches("STATE_").to_owned(),
        succeeded: state == pb::export_run::State::Succeeded,
        attempt: run.attempt,
        rows_read: count(counts.rows_read),
        rows_estimated: counts.rows_estimated.map(count),
        rows_written: count(counts.rows_written),
        bytes_written: count(counts.bytes_written),
        files: counts.files,
        error: run.error.or(run.last_error).map(failure).or(skip_reason),
        next_attempt,
    }
}

/// The URL of a server with this configuration, as this machine reaches it.
fn default_endpoint(api: &ApiConfig) -> String {
    let scheme = if api.exposure.tls().is_some() { "https" } else { "http" };
    let ip = match api.listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(ip, api.listen.port()))
}

fn parse_endpoint(endpoint: &str) -> Result<Uri, FollowError> {
    let is_endpoint = |uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
    };
    let uri = endpoint.parse().ok().filter(is_endpoint);
    uri.ok_or_else(|| FollowError::Endpoint(endpoint.to_owned()))
}

fn read_authorities(options: &FollowOptions, uri: &Uri) -> Result<Option<Vec<u8>>, FollowError> {
    let Some(path) = &options.ca_file else { return Ok(None) };
    if uri.scheme_str() != Some("https") {
        return Err(FollowError::NoTls(uri.to_string()));
    }
    let pem = fs::read(path).map_err(|cause| FollowError::CaFile { path: path.clone(), cause })?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(Some(pem)),
        _ => Err(FollowError::NoCertificates(path.clone())),
    }
}

/// The configured token, or a new one of the development identity for a server on loopback.
fn token(config: &Config, name: &RunName, uri: &Uri) -> Result<Secret, FollowError> {
    if let Some(token) = &config.client.token {
        return Ok(Secret::new(token.expose().to_owned()));
    }
    if !config.api.exposure.is_development() || !is_loopback(uri) {
        return Err(FollowError::NoToken(uri.to_string()));
    }
    let organization = name.organization.to_string();
    let token = mint_token(config, organization, SUBJECT.to_owned(), vec![Role::Viewer], Vec::new(), TOKEN_TTL)?;
    Ok(Secret::new(token))
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether the stream can be opened again: the server stops, a proxy ended it, or the connection was lost.
fn is_interruption(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal
    )
}

fn client_error(error: ClientError, endpoint: &str) -> FollowError {
    let endpoint = endpoint.to_owned();
    match error {
        ClientError::Url => FollowError::Endpoint(endpoint),
        ClientError::Certificate(cause) => FollowError::Certificate { endpoint, cause },
        ClientError::Unreachable(cause) => FollowError::Unreachable { endpoint, cause },
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other codes are of the server")]
fn status_error(status: &Status, options: &FollowOptions, endpoint: &str) -> FollowError {
    let message = status.message().to_owned();
    match status.code() {
        Code::NotFound => FollowError::NotFound(options.name.clone()),
        Code::PermissionDenied => FollowError::Denied(message),
        Code::Unauthenticated => FollowError::Token(message),
        Code::Unavailable => FollowError::Unreachable { endpoint: endpoint.to_owned(), cause: message },
        code => FollowError::Server { code, message },
    }
}
