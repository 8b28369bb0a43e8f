//! How to connect to PostgreSQL, and what its sessions are limited to.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::model::{DatabaseLogin, Pooler, Secret, SslMode};

/// The name of the service in PostgreSQL's list of sessions.
const APPLICATION_NAME: &str = "outflow";
/// What each session is limited to.
pub const GUARDS: [(&str, &str); 8] = [
    ("lock_timeout", "3000"),
    ("statement_timeout", "5000"),
    ("timezone", "UTC"),
    // The locks of a replica that has vanished are released.
    ("idle_in_transaction_session_timeout", "15000"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    // Row locks and constraints are designed for this isolation level; the default of a database may differ.
    ("default_transaction_isolation", "read committed"),
];

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host name or an address, and a port.
    Tcp(String, u16),
    /// The directory of a Unix socket, and the port in the name of the socket.
    Socket(PathBuf, u16),
}

/// How to connect to PostgreSQL. It holds a password, so it has no Debug.
pub struct PostgresSettings {
    pub address: Address,
    pub user: String,
    pub password: Option<Secret>,
    pub database: Option<String>,
    /// `None`: verified on another host, preferred on this one.
    pub ssl_mode: Option<SslMode>,
    /// Authorities that are trusted in addition to the public ones.
    pub root_certificates: Option<PathBuf>,
    pub client_certificate: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    pub application_name: Option<String>,
    /// Settings of the session, such as `search_path`.
    pub options: Vec<(String, String)>,
}

impl Address {
    /// A path is the directory of a socket.
    pub fn of(host: String, port: u16) -> Self {
        if host.starts_with('/') { Self::Socket(PathBuf::from(host), port) } else { Self::Tcp(host, port) }
    }

    fn is_local(&self) -> bool {
        match self {
            Self::Socket(..) => true,
            Self::Tcp(host, _) => {
                host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
            }
        }
    }
}

impl From<&DatabaseLogin> for PostgresSettings {
    fn from(login: &DatabaseLogin) -> Self {
        let address = Address::of(login.host.clone(), login.port);
        let ssl_mode = (!address.is_local()).then_some(SslMode::VerifyFull);
        Self {
            address,
            user: login.user.clone(),
            password: login.password.as_ref().map(|password| Secret::new(password.expose().to_owned())),
            database: Some(login.name.clone()),
            ssl_mode,
            root_certificates: None,
            client_certificate: None,
            client_key: None,
            application_name: None,
            options: Vec::new(),
        }
    }
}

impl PostgresSettings {
    /// Whether the connection is local, or encrypted to a server whose certificate and name are verified.
    pub fn is_protected(&self) -> bool {
        self.address.is_local() || self.ssl_mode == Some(SslMode::VerifyFull)
    }

    /// The files of certificates.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.root_certificates, &self.client_certificate, &self.client_key].into_iter().flatten()
    }

    /// The options of the driver. Behind a pooler, the guards are set by [`guard_statement`] instead.
    pub fn connect_options(&self, pooler: Pooler) -> PgConnectOptions {
        // The driver reads variables of libpq, such as PGHOST. Those that decide where it connects are overridden.
        let mut options = PgConnectOptions::new_without_pgpass()
            .username(&self.user)
            .password(self.password.as_ref().map_or("", Secret::expose))
            .database(self.database.as_deref().unwrap_or(&self.user))
            .ssl_mode(self.ssl_mode.map_or(PgSslMode::Prefer, driver_mode))
            .application_name(self.application_name.as_deref().unwrap_or(APPLICATION_NAME));
        // Even none would be sent, as an empty parameter.
        if !self.options.is_empty() {
            options = options.options(self.options.iter().map(|(name, value)| (name, value)));
        }
        options = match &self.address {
            Address::Tcp(host, port) => options.host(host).port(*port),
            Address::Socket(directory, port) => options.socket(directory).port(*port),
        };
        let certificate = |path: &Option<PathBuf>| path.as_deref().map(Path::to_owned);
        if let Some(path) = certificate(&self.root_certificates) {
            options = options.ssl_root_cert(path);
        }
        if let (Some(path), Some(key)) = (certificate(&self.client_certificate), certificate(&self.client_key)) {
            options = options.ssl_client_cert(path).ssl_client_key(key);
        }
        options = match pooler {
            Pooler::None => options.options(GUARDS),
            // Poolers refuse this parameter; the driver needs it for text before PostgreSQL 12 only.
            Pooler::Session => options.extra_float_digits(None),
        };
        options.disable_statement_logging()
    }
}

/// Sets the guards of a session.
pub fn guard_statement() -> String {
    let guards = GUARDS.map(|(name, value)| format!("set_config('{name}', '{value}', false)"));
    format!("SELECT {}", guards.join(", "))
}

fn driver_mode(mode: SslMode) -> PgSslMode {
    match mode {
        SslMode::Disable => PgSslMode::Disable,
        SslMode::Prefer => PgSslMode::Prefer,
        SslMode::Require => PgSslMode::Require,
        SslMode::VerifyCa => PgSslMode::VerifyCa,
        SslMode::VerifyFull => PgSslMode::VerifyFull,
    }
}
