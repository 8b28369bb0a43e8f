//! The parameters of a URL of PostgreSQL: those that are used, those that need nothing, and those of other drivers.

use super::error::PostgresUrlError;
use super::text;
use crate::model::{Secret, SslMode};

/// The values of parameters.
#[derive(Default)]
pub struct Parameters {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub database: Option<String>,
    pub ssl_mode: Option<SslMode>,
    pub root_certificates: Option<String>,
    pub client_certificate: Option<String>,
    pub client_key: Option<String>,
    pub application_name: Option<String>,
    pub options: Vec<(String, String)>,
}

/// Parameters that are used, under their names of libpq.
const USED: [&str; 13] = [
    "application_name",
    "channel_binding",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];
/// Parameters that need nothing: this service has its own timeouts and keepalives, and checks itself that a server accepts
/// writes. Their values are checked.
const UNUSED: [(&str, &[&str]); 11] = [
    ("client_encoding", &["utf8", "utf-8", "UTF8", "UTF-8", "unicode", "UNICODE", "auto"]),
    ("connect_timeout", &[]),
    ("gssencmode", &["disable", "prefer"]),
    ("keepalives", &[]),
    ("keepalives_count", &[]),
    ("keepalives_idle", &[]),
    ("keepalives_interval", &[]),
    ("sslsni", &["1"]),
    ("statement-cache-capacity", &[]),
    ("target_session_attrs", &["any", "read-write", "primary"]),
    ("tcp_user_timeout", &[]),
];
/// Other spellings of the names that are used.
const SPELLINGS: [(&str, &str); 6] = [
    ("ssl-mode", "sslmode"),
    ("ssl-root-cert", "sslrootcert"),
    ("ssl-ca", "sslrootcert"),
    ("ssl-cert", "sslcert"),
    ("ssl-key", "sslkey"),
    ("database", "dbname"),
];
/// Parameters of other drivers, and what to do.
const FOREIGN: [(&str, &str); 20] = [
    ("pgbouncer", "Prisma's; behind PgBouncer with `pool_mode = session`, set `database_pooler = \"session\"`"),
    ("connection_limit", "Prisma's; set `database_max_connections`"),
    ("pool_timeout", "Prisma's; remove it"),
    ("schema", "Prisma's; write `options=-c%20search_path%3D<schema>`"),
    ("currentSchema", "JDBC's; write `options=-c%20search_path%3D<schema>`"),
    ("search_path", "write `options=-c%20search_path%3D<schema>`"),
    ("ssl", "write `sslmode=verify-full`"),
    ("sslfactory", "JDBC's; write `sslmode=verify-full`"),
    ("prepareThreshold", "JDBC's; remove it"),
    ("prepared_statement_cache_size", "SQLAlchemy's; remove it"),
    ("statement_cache_size", "asyncpg's; remove it"),
    ("pool_max_conns", "pgx's; set `database_max_connections`"),
    ("uselibpqcompat", "node-postgres's; remove it"),
    ("sslpassword", "decrypt the key of the client certificate, and remove it"),
    ("sslnegotiation", "TLS is negotiated as PostgreSQL 16 does; remove it"),
    ("ssl_min_protocol_version", "TLS 1.2 and 1.3 are used; remove it"),
    ("ssl_max_protocol_version", "TLS 1.2 and 1.3 are used; remove it"),
    ("require_auth", "it is not supported; let pg_hba.conf of the server decide"),
    ("sslcrl", "revocation lists are not supported; remove it"),
    ("service", "service files are not read; write the settings into the URL"),
];
/// The value of `sslrootcert` for the public authorities, which are trusted in any case.
const SYSTEM: &str = "system";

/// Parses a query.
pub fn parse(query: &str) -> Result<Parameters, PostgresUrlError> {
    let (mut parameters, mut seen, mut after_password) = (Parameters::default(), Vec::new(), false);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(PostgresUrlError::MalformedParameter)?;
        // As for libpq, `+` is a plus. Between options it can only be a space, which form encoders write so.
        let value = if name == "options" { value.replace('+', "%20") } else { value.to_owned() };
        let value = text::decode(&value)?;
        let name = known(name).ok_or_else(|| unknown(name, after_password))?;
        if name != "options" && seen.contains(&name) {
            return Err(PostgresUrlError::Repeated(name));
        }
        seen.push(name);
        after_password |= name == "password";
        if let Some((name, hint)) = FOREIGN.iter().find(|(foreign, _)| *foreign == name) {
            return Err(PostgresUrlError::Parameter(name, hint));
        }
        set(&mut parameters, name, value)?;
    }
    Ok(parameters)
}

/// Whether all parameters of a query are known.
pub fn are_known(query: &str) -> bool {
    query.split('&').all(|pair| pair.split_once('=').is_some_and(|(name, _)| known(name).is_some()))
}

fn known(name: &str) -> Option<&'static str> {
    if name.starts_with("options[") || name.starts_with("options%5B") {
        return None;
    }
    let spelled = SPELLINGS.iter().find(|(spelling, _)| *spelling == name).map(|(_, name)| *name);
    let all = USED.iter().chain(UNUSED.iter().map(|(name, _)| name)).chain(FOREIGN.iter().map(|(name, _)| name));
    spelled.or_else(|| all.copied().find(|known| *known == name))
}

/// What follows a `password` with an unescaped `&` may be a part of it, so it is not shown.
fn unknown(name: &str, after_password: bool) -> PostgresUrlError {
    let is_name =
        !name.is_empty() && name.len() <= 40 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if is_name && !after_password {
        PostgresUrlError::UnknownParameter(name.to_owned())
    } else {
        PostgresUrlError::MalformedParameter
    }
}

fn set(parameters: &mut Parameters, name: &'static str, value: String) -> Result<(), PostgresUrlError> {
    match name {
        "host" | "hostaddr" => parameters.host = text::check_host(value)?,
        "port" => {
            let port = text::parse_port(&value).ok_or(PostgresUrlError::Port)?;
            parameters.port = Some(port);
        }
        "user" => parameters.user = Some(value),
        "password" => parameters.password = Some(Secret::new(value)),
        "dbname" => parameters.database = Some(value),
        "sslmode" => parameters.ssl_mode = Some(ssl_mode(&value)?),
        "sslrootcert" => parameters.root_certificates = Some(value).filter(|value| value != SYSTEM),
        "sslcert" => parameters.client_certificate = Some(value),
        "sslkey" => parameters.client_key = Some(value),
        "application_name" => parameters.application_name = Some(value),
        "options" => parameters.options.extend(session_options(&value)?),
        "channel_binding" if value == "require" => {
            let hint = "remove it; `sslmode=verify-full` verifies the server";
            return Err(PostgresUrlError::Parameter("channel_binding", hint));
        }
        _ => check_unused(name, &value)?,
    }
    Ok(())
}

/// The settings of a session, as `-c name=value` or `--name=value`. Those by which Neon finds an endpoint are left out,
/// because it finds it by the name of the host too.
fn session_options(text: &str) -> Result<Vec<(String, String)>, PostgresUrlError> {
    let expected = "`-c name=value` or `--name=value`, percent-encoded: `options=-c%20search_path%3Doutflow`";
    let malformed = PostgresUrlError::ParameterValue("options", expected);
    let mut found = Vec::new();
    let mut words =
        text.split_whitespace().filter(|word| !word.starts_with("endpoint=") && !word.starts_with("project="));
    while let Some(word) = words.next() {
        let pair = match word.strip_prefix("-c") {
            Some("") => words.next(),
            pair => pair.or_else(|| word.strip_prefix("--")),
        };
        let Some((name, value)) = pair.and_then(|pair| pair.split_once('=')) else { return Err(malformed) };
        found.push((name.to_owned(), value.to_owned()));
    }
    Ok(found)
}

fn ssl_mode(value: &str) -> Result<SslMode, PostgresUrlError> {
    let expected = "`verify-full`, `verify-ca`, `require`, `prefer` or `disable`";
    SslMode::parse(value).ok_or(PostgresUrlError::ParameterValue("sslmode", expected))
}

fn check_unused(name: &'static str, value: &str) -> Result<(), PostgresUrlError> {
    let allowed = UNUSED.iter().find(|(unused, _)| *unused == name).map(|(_, values)| *values).unwrap_or_default();
    if allowed.is_empty() {
        let is_number = value.parse::<u32>().is_ok() || name == "channel_binding";
        return if is_number { Ok(()) } else { Err(PostgresUrlError::ParameterValue(name, "a number")) };
    }
    let expected = match name {
        "target_session_attrs" => "`read-write`, `primary` or `any`, because this service writes",
        "client_encoding" => "`utf8`",
        _ => "`prefer` or `disable`",
    };
    if allowed.contains(&value) { Ok(()) } else { Err(PostgresUrlError::ParameterValue(name, expected)) }
}
