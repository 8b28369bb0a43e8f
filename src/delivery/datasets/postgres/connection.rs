//! Connections to a source, each with one read-only transaction.

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use crate::delivery::DeliveryError;
use crate::delivery::datasets::options::{SourceError, SourceOptions};
use crate::dialer::{Dialer, Network, Relay};
use crate::model::FailureCode;

/// Timeout of a connection attempt, up to the start of the transaction.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout of the end of a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What fails if no connection is opened.
const CONNECTING: &str = "cannot connect to the source";

/// A server, and how to log in.
#[derive(Clone)]
pub struct Server {
    options: PgConnectOptions,
    /// How it is reached; `None`: its host is the directory of a Unix socket.
    network: Option<Network>,
}

/// A connection with a transaction.
pub struct Connection {
    connection: PgConnection,
    relay: Option<Relay>,
}

impl Server {
    /// `postgres://user@host:port/database`, with the options `password`, `sslmode`, `sslrootcert` and `host` (the
    /// directory of a Unix socket), which it takes from `options`.
    pub fn parse(url: &Url, options: &mut SourceOptions, dialer: &Dialer) -> Result<Self, SourceError> {
        let host = match (url.host_str(), options.take("host")) {
            (None | Some(""), Some(socket)) => socket.expose().to_owned(),
            (Some(host), None) if !host.is_empty() => host.trim_matches(['[', ']']).to_owned(),
            _ => return Err(SourceError::Options),
        };
        let database = decode(url.path().trim_start_matches('/'))?;
        let user = decode(url.username())?;
        if user.is_empty() || database.is_empty() || database.contains('/') {
            return Err(SourceError::Options);
        }
        let ssl_mode = match options.take("sslmode") {
            Some(mode) => mode.expose().parse().map_err(|_| SourceError::Options)?,
            None if is_local(&host) => PgSslMode::Prefer,
            None => PgSslMode::VerifyFull,
        };
        let password = options.take("password");
        let port = url.port().unwrap_or(5432);
        let network = (!host.starts_with('/')).then(|| dialer.operator_network(&host, port));
        let mut connect = PgConnectOptions::new_without_pgpass()
            .host(&host)
            .port(port)
            .username(&user)
            .database(&database)
            .password(password.as_ref().map_or("", |password| password.expose()))
            .ssl_mode(ssl_mode)
            .application_name("outflow-datasets")
            .extra_float_digits(None)
            .statement_cache_capacity(8);
        // sqlx trusts these in addition to the public authorities.
        if let Some(certificate) = options.take("sslrootcert") {
            connect = connect.ssl_root_cert(certificate.expose());
        } else if let Some(network) = network.as_ref().filter(|network| !network.authorities_pem().is_empty()) {
            connect = connect.ssl_root_cert_from_pem(network.authorities_pem().to_vec());
        }
        Ok(Self { options: connect.disable_statement_logging(), network })
    }

    /// Connects, and begins a transaction that sees one snapshot.
    pub async fn open(&self, statement_timeout: Duration) -> Result<Connection, DeliveryError> {
        // SET LOCAL instead of startup parameters, which poolers refuse.
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}; \
             SET LOCAL lock_timeout = 5000; SET LOCAL idle_in_transaction_session_timeout = 0; \
             SET LOCAL timezone = 'UTC'; SET LOCAL search_path = ''",
            statement_timeout.as_millis()
        );
        let connect = async {
            let mut connection = self.connect().await?;
            let result = sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *connection).await;
            result.map_err(|error| failed(CONNECTING, &error))?;
            Ok(connection)
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect).await;
        connected.unwrap_or_else(|elapsed| Err(unavailable(elapsed)))
    }

    async fn connect(&self) -> Result<Connection, DeliveryError> {
        let Some(network) = &self.network else { return login(&self.options, None).await };
        let (host, port) = (self.options.get_host(), self.options.get_port());
        let stream = network.connect(host, port).await.map_err(unavailable)?;
        let relay = Relay::to_trusted(stream, port).map_err(unavailable)?;
        login(&self.options.clone().socket(relay.directory()), Some(relay)).await
    }
}

async fn login(options: &PgConnectOptions, relay: Option<Relay>) -> Result<Connection, DeliveryError> {
    let connection = PgConnection::connect_with(options).await.map_err(|error| failed(CONNECTING, &error))?;
    Ok(Connection { connection, relay })
}

impl Connection {
    /// Closes it; the end of its transaction is of no interest.
    pub async fn close(self) {
        match self.relay {
            Some(relay) => relay.close(self.connection.close(), CLOSE_TIMEOUT).await,
            None => drop(tokio::time::timeout(CLOSE_TIMEOUT, self.connection.close()).await),
        }
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

fn is_local(host: &str) -> bool {
    host.starts_with('/') || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Decodes a part of a URL.
fn decode(part: &str) -> Result<String, SourceError> {
    // A query decodes in the same way, apart from `+`.
    let url = Url::parse(&format!("x:?x={}", part.replace('+', "%2B").replace('&', "%26")))
        .map_err(|_| SourceError::Malformed)?;
    Ok(url.query_pairs().next().map(|(_, value)| value.into_owned()).unwrap_or_default())
}

fn unavailable(cause: impl std::fmt::Display) -> DeliveryError {
    DeliveryError::with(FailureCode::DatasetUnavailable, CONNECTING, cause)
}

/// The error of a statement, without the text of the server.
pub fn failed(doing: &str, error: &sqlx::Error) -> DeliveryError {
    let code = error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
    match code {
        // An undefined table or column: it was removed after the listing.
        Some(code) if code == "42P01" || code == "42703" => {
            DeliveryError::with(FailureCode::SourceChanged, doing, format_args!("SQLSTATE {code}"))
        }
        Some(code) => DeliveryError::with(FailureCode::DatasetUnavailable, doing, format_args!("SQLSTATE {code}")),
        None => DeliveryError::with(FailureCode::DatasetUnavailable, doing, describe(error)),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive")]
fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(_) => "TLS could not be established, or the certificate is not trusted".to_owned(),
        sqlx::Error::Protocol(_) => "the response is invalid".to_owned(),
        _ => "the connection failed".to_owned(),
    }
}
