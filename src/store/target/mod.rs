//! Which database the settings name, and why they cannot be used.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sqlx::sqlite::SqliteConnectOptions;

use super::postgres::{self, PostgresSettings, PostgresUrlError};
use crate::model::{DatabaseLogin, Pooler, Secret, SslMode};

/// Parameters for opening a database.
pub struct DatabaseSettings {
    /// Where the database is.
    pub source: DatabaseSource,
    /// Connections to PostgreSQL for calls: half for reads, half for writes.
    pub max_connections: u32,
    /// Whether a PostgreSQL server on another host needs no verified certificate.
    pub allow_unverified: bool,
    /// What TLS protects from, if the URL does not say so.
    pub ssl_mode: Option<SslMode>,
    /// Authorities of the server, if the URL does not name them.
    pub ca_file: Option<PathBuf>,
    /// What is between this process and PostgreSQL.
    pub pooler: Pooler,
}

/// Where the database is. It may hold a password, so it has no Debug.
pub enum DatabaseSource {
    /// `postgres://…` or `sqlite:…`.
    Url(Secret),
    /// Separate settings of PostgreSQL.
    Login(DatabaseLogin),
}

/// A parsed source.
pub enum Target {
    /// A file of SQLite.
    Sqlite(SqliteConnectOptions),
    /// A server of PostgreSQL.
    Postgres(PostgresSettings),
}

/// An error while opening the database; it never contains the URL.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is of another kind, and what it is.
    #[error("the database URL {0}")]
    Unsupported(&'static str),
    /// The host is not one, and what it is.
    #[error("`database_host` {0}")]
    Host(&'static str),
    /// The URL of PostgreSQL is malformed.
    #[error("the database URL cannot be used: {0}")]
    Url(PostgresUrlError),
    /// A parameter of SQLite is unknown or has an invalid value.
    #[error("the database URL cannot be used: SQLite has the parameters `mode`, `cache`, `immutable` and `vfs`")]
    SqliteParameter,
    /// A SQLite database in memory would be lost with the process.
    #[error("a SQLite database must be a file, not in memory")]
    SqliteInMemory,
    /// A path of Windows.
    #[error("the path of the SQLite file is one of Windows; write `sqlite:` and a path with `/`")]
    SqlitePath,
    /// A setting is in the URL and beside it.
    #[error("`{0}` is set, but the database URL has `{1}` too; set one of them")]
    Twice(&'static str, &'static str),
    /// A setting of PostgreSQL beside SQLite.
    #[error("`{0}` is set, but the database is SQLite; remove it")]
    OnlyPostgres(&'static str),
    /// A client certificate without its key, or the reverse.
    #[error("`sslcert` and `sslkey` must be set together")]
    ClientCertificate,
    /// The connection to PostgreSQL on another host could be intercepted.
    #[error(
        "the database is on another host; add `sslmode=verify-full` to its URL (or set `database_ssl_mode`), with \
         `sslrootcert` (or `database_ca_file`) if the authority is not a public one, or set `database_allow_unverified` to \
         `true`"
    )]
    Unverified,
    /// The directory of the SQLite file cannot be created.
    #[error("cannot create the directory of the SQLite file")]
    Directory(#[source] std::io::Error),
}

// The message has that of the cause, which is therefore not a source.
impl From<PostgresUrlError> for ConnectError {
    fn from(error: PostgresUrlError) -> Self {
        Self::Url(error)
    }
}

impl DatabaseSettings {
    /// The database of a URL, with defaults.
    pub fn of_url(url: String, max_connections: u32) -> Self {
        let source = DatabaseSource::Url(Secret::new(url));
        Self { source, max_connections, allow_unverified: false, ssl_mode: None, ca_file: None, pooler: Pooler::None }
    }

    /// Whether the settings are valid; opens nothing.
    pub fn check(&self) -> Result<(), ConnectError> {
        Target::parse(self).map(drop)
    }

    /// The file of SQLite; `None`: the database is another one.
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        match Target::parse(self) {
            Ok(Target::Sqlite(options)) => Some(options.get_filename().to_owned()),
            Ok(Target::Postgres(_)) | Err(_) => None,
        }
    }
}

impl Target {
    /// Parses the settings.
    pub fn parse(settings: &DatabaseSettings) -> Result<Self, ConnectError> {
        let parsed = match &settings.source {
            DatabaseSource::Url(url) => Self::of_url(url.expose())?,
            DatabaseSource::Login(login) => match host_problem(&login.host) {
                Some(problem) => return Err(ConnectError::Host(problem)),
                None => Self::Postgres(PostgresSettings::from(login)),
            },
        };
        match parsed {
            Self::Postgres(target) => complete(target, settings).map(Self::Postgres),
            Self::Sqlite(_) if settings.ssl_mode.is_some() => Err(ConnectError::OnlyPostgres("database_ssl_mode")),
            Self::Sqlite(_) if settings.ca_file.is_some() => Err(ConnectError::OnlyPostgres("database_ca_file")),
            Self::Sqlite(_) if settings.pooler != Pooler::None => Err(ConnectError::OnlyPostgres("database_pooler")),
            Self::Sqlite(options) => Ok(Self::Sqlite(options)),
        }
    }

    fn of_url(url: &str) -> Result<Self, ConnectError> {
        if let Some(problem) = problem(url) {
            return Err(ConnectError::Unsupported(problem));
        }
        match url.split_once(':') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sqlite") => sqlite_options(rest).map(Self::Sqlite),
            Some((scheme, rest)) if is_postgres(scheme) && rest.starts_with("//") => {
                Ok(Self::Postgres(postgres::parse(&rest[2..])?))
            }
            _ => Err(ConnectError::Unsupported(
                "must begin with `postgres://`, `postgresql://` or `sqlite:`, such as \
                 `postgres://user:password@host:5432/database`",
            )),
        }
    }
}

fn is_postgres(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("postgres") || scheme.eq_ignore_ascii_case("postgresql")
}

/// What a text is that is no URL of a supported database.
fn problem(url: &str) -> Option<&'static str> {
    let lower = url.to_ascii_lowercase();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| lower.starts_with(prefix));
    if url.is_empty() {
        return Some("is empty; remove the setting for the embedded SQLite database, or set a URL");
    }
    if url.contains(char::is_whitespace)
        && begins(&["host=", "hostaddr=", "dbname=", "user=", "port=", "server=", "psql "])
    {
        return Some(if begins(&["psql "]) {
            "begins with the command `psql`; keep the URL alone, without quotes"
        } else {
            "is a list of `name=value`; write `postgres://user:password@host:5432/database`, or use `database_host`, \
             `database_name`, `database_user` and `database_password_file`"
        });
    }
    if begins(&["\"", "'", "`"]) || url.ends_with(['"', '\'', '`']) {
        return Some("has quotes around it; remove them");
    }
    if begins(&["database_url=", "outflow_database_url=", "export "]) {
        return Some("begins with the name of a variable; keep what follows `=`");
    }
    if begins(&["${", "$(", "{{"]) {
        return Some("is a placeholder that was not replaced");
    }
    if !begins(&["sqlite:"]) && url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some("has a space or a line break; remove it, or write `%20` if it belongs to the password");
    }
    if begins(&["jdbc:", "r2dbc:"]) {
        return Some(
            "is one of Java; write `postgres://user:password@host:5432/database`, with user and password in it",
        );
    }
    if begins(&["postgresql+", "postgres+"]) {
        return Some("names a driver of SQLAlchemy after `+`; write `postgres://` instead");
    }
    if begins(&["pg://", "pgsql:", "psql://", "postgis://", "pgx", "cockroach", "ecto://"]) {
        return Some("has the scheme of another tool; write `postgres://` instead");
    }
    if begins(&["mysql", "mariadb", "mssql", "sqlserver", "oracle", "mongodb", "redis", "http:", "https:"]) {
        return Some("is one of another system; PostgreSQL and SQLite are supported");
    }
    if begins(&["/", "./", "../", "file:"]) || (!lower.contains(':') && Path::new(&lower).extension().is_some()) {
        return Some(
            "is a path; write `sqlite:` before that of a SQLite file, or set `database_url_file` to that of a URL",
        );
    }
    None
}

/// What a text is that is no host.
fn host_problem(host: &str) -> Option<&'static str> {
    let after_colon = host.rsplit_once(':').filter(|_| host.matches(':').count() == 1).map(|(_, port)| port);
    if host.contains("://") {
        return Some("is a URL; set `database_url`, or the host alone");
    }
    if host.contains(',') {
        return Some("names several hosts; set one of them, or an address that always leads to the primary");
    }
    if host.starts_with('[') {
        return Some("has brackets; write an IPv6 address without them");
    }
    if after_colon.is_some_and(|port| !host.starts_with('/') && port.parse::<u16>().is_ok()) {
        return Some("has a port; set it as `database_port`");
    }
    host.contains(char::is_whitespace).then_some("has white space")
}

/// Completes the settings of a URL with those beside it.
fn complete(mut target: PostgresSettings, settings: &DatabaseSettings) -> Result<PostgresSettings, ConnectError> {
    let is_url = matches!(settings.source, DatabaseSource::Url(_));
    if let Some(mode) = settings.ssl_mode {
        if is_url && target.ssl_mode.is_some_and(|named| named != mode) {
            return Err(ConnectError::Twice("database_ssl_mode", "sslmode"));
        }
        target.ssl_mode = Some(mode);
    }
    if let Some(file) = &settings.ca_file {
        if target.root_certificates.as_ref().is_some_and(|named| named != file) {
            return Err(ConnectError::Twice("database_ca_file", "sslrootcert"));
        }
        target.root_certificates = Some(file.clone());
    }
    if target.client_certificate.is_some() != target.client_key.is_some() {
        return Err(ConnectError::ClientCertificate);
    }
    if !target.is_protected() && !settings.allow_unverified {
        return Err(ConnectError::Unverified);
    }
    Ok(target)
}

fn sqlite_options(rest: &str) -> Result<SqliteConnectOptions, ConnectError> {
    let path = rest.trim_start_matches("//");
    let is_drive = path.as_bytes().get(1) == Some(&b':') && path.starts_with(|c: char| c.is_ascii_alphabetic());
    if path.contains('\\')
        || is_drive
        || path.strip_prefix('/').is_some_and(|path| path.as_bytes().get(1) == Some(&b':'))
    {
        return Err(ConnectError::SqlitePath);
    }
    let options = SqliteConnectOptions::from_str(&format!("sqlite:{rest}"));
    let options = options.map_err(|_| ConnectError::SqliteParameter)?;
    if rest.contains(":memory:") || rest.contains("mode=memory") || options.get_filename().as_os_str().is_empty() {
        return Err(ConnectError::SqliteInMemory);
    }
    Ok(options)
}
