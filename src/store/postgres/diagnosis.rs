//! What failed connections mean, and what an operator can do.

use std::io;

use super::settings::{Address, PostgresSettings};
use crate::model::SslMode;

/// What to do about a pooler that refuses start-up parameters.
const SESSION_POOLER: &str = "set `database_pooler = \"session\"` if it gives each client a server connection of its own \
                              (`pool_mode = session` in PgBouncer), else connect to PostgreSQL itself";
/// What to do about transaction pooling.
pub const NO_TRANSACTION_POOLING: &str = "a pooler shares server connections between clients (transaction pooling), which breaks timeouts, locks and prepared \
     statements; connect to PostgreSQL itself, because the number of connections is bounded, or to a pool with \
     `pool_mode = session` and set `database_pooler = \"session\"`";

/// Says in one sentence why a connection failed and what to do. It contains no password.
pub fn explain(error: &sqlx::Error, settings: &PostgresSettings) -> String {
    let place = place(&settings.address);
    if let sqlx::Error::Io(error) = error {
        return explain_io(error, settings);
    }
    if let sqlx::Error::Tls(error) = error {
        return explain_tls(&error.to_string(), settings);
    }
    if let sqlx::Error::Database(error) = error {
        return explain_refusal(error.code().as_deref().unwrap_or_default(), error.message(), settings);
    }
    if let sqlx::Error::Protocol(_) = error {
        return format!("what listens at {place} does not respond as PostgreSQL does; check host and port");
    }
    format!("cannot connect to {place}: {error}")
}

/// The address in words.
pub fn place(address: &Address) -> String {
    match address {
        Address::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
        Address::Tcp(host, port) => format!("{host}:{port}"),
        Address::Socket(directory, port) => format!("{}/.s.PGSQL.{port}", directory.display()),
    }
}

fn explain_io(error: &io::Error, settings: &PostgresSettings) -> String {
    let place = place(&settings.address);
    let text = error.to_string();
    if text.contains("certificate") || text.contains("received fatal alert") || text.contains("peer") {
        return explain_tls(&text, settings);
    }
    match (error.kind(), &settings.address) {
        (io::ErrorKind::ConnectionRefused, Address::Tcp(..)) => {
            format!(
                "connection refused by {place}: nothing listens there; check host and port, and whether PostgreSQL runs"
            )
        }
        (io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused, Address::Socket(..)) => {
            format!("no socket of PostgreSQL at {place}; check the directory, and whether PostgreSQL runs")
        }
        (io::ErrorKind::PermissionDenied, _) => format!("permission denied for {place}"),
        (io::ErrorKind::TimedOut, _) => no_response(settings),
        (io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable, _) => {
            format!("no route to {place} ({text}); check the address, and whether this host has IPv6 if it is one")
        }
        (io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe, _) => format!(
            "{place} closed the connection without a response; check that it is PostgreSQL, and its log or that of the proxy"
        ),
        (_, Address::Tcp(host, _)) if text.contains("lookup") => {
            format!("the host name {host} cannot be resolved ({text}); check its spelling, and the DNS of this host")
        }
        _ => format!("cannot connect to {place}: {text}"),
    }
}

/// Nothing came back in time.
pub fn no_response(settings: &PostgresSettings) -> String {
    format!(
        "no response from {}; check the address, firewalls and NetworkPolicies on the way, and whether a pooler has a free \
         connection",
        place(&settings.address)
    )
}

fn explain_tls(text: &str, settings: &PostgresSettings) -> String {
    let place = place(&settings.address);
    if text.contains("does not support TLS") {
        let mode = if settings.ssl_mode == Some(SslMode::VerifyFull) {
            "enable `ssl` there, or set `sslmode=disable` with `database_allow_unverified = true` if the network is trusted"
        } else {
            "enable `ssl` there, or set `sslmode=disable`"
        };
        return format!("the server at {place} has no TLS; {mode}");
    }
    let hint = if text.contains("CaUsedAsEndEntity") {
        "its certificate is that of an authority (CA:TRUE), which is not accepted for a server; issue one for the server from it"
    } else if text.contains("UnsupportedCertVersion") {
        "its certificate is of version 1 of X.509; issue one of version 3, with the host as a subject alternative name"
    } else if text.contains("UnknownIssuer") && settings.root_certificates.is_some() {
        "its certificate is not issued by an authority in the file of `sslrootcert` or `database_ca_file`"
    } else if text.contains("UnknownIssuer") {
        "its certificate is not issued by a trusted authority; set `database_ca_file`, or `sslrootcert` in the URL, to the \
         certificate of the authority"
    } else if text.contains("NotValidForName") || text.contains("not valid for name") {
        "its certificate is for another name than the host of the settings; use a name of the certificate"
    } else if text.contains("xpired") {
        "its certificate has expired; renew it"
    } else if text.contains("NotValidYet") || text.contains("not valid yet") {
        "its certificate is not valid yet; check the clock of this host"
    } else if text.contains("fatal alert") {
        "it refused the TLS handshake; check whether it requires a client certificate (`sslcert` and `sslkey`)"
    } else {
        "check its certificate and the files of `sslrootcert`, `sslcert` and `sslkey`"
    };
    format!("TLS with {place} failed: {hint} ({text})")
}

/// Whether a pooler refused the connection for what it cannot do.
pub fn is_of_pooler(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .map(sqlx::error::DatabaseError::message)
        .is_some_and(|message| is_parameter_refusal(message) || is_pooling_refusal(message))
}

fn is_parameter_refusal(message: &str) -> bool {
    message.contains("startup parameter")
}

fn is_pooling_refusal(message: &str) -> bool {
    message.contains("statement pooling") || message.contains("prepared statement")
}

fn explain_refusal(code: &str, message: &str, settings: &PostgresSettings) -> String {
    let PostgresSettings { user, database, .. } = settings;
    let database = database.as_deref().unwrap_or(user);
    let place = place(&settings.address);
    if is_parameter_refusal(message) {
        return format!("{message}: a pooler is in front of PostgreSQL; {SESSION_POOLER}");
    }
    if is_pooling_refusal(message) {
        return format!("{message}: {NO_TRANSACTION_POOLING}");
    }
    // PgBouncer answers with 08P01 whatever it refuses.
    let hint = match code {
        "28P01" if settings.password.is_none() => format!("set the password of the role {user}"),
        "28P01" => format!("check user and password of the role {user}"),
        "28000" if message.contains("pg_hba") => format!(
            "pg_hba.conf of the server has no entry for this host, the role {user} and the database {database}, or only one \
             with `hostssl`"
        ),
        "28000" => format!("create the role {user} and let it log in, or set another user"),
        "3D000" => format!("create the database {database} (`CREATE DATABASE`), or set another name"),
        "42501" => format!("grant CONNECT on the database {database} to the role {user}"),
        "53300" => format!(
            "raise max_connections of the server, or the limits of the role {user} and the database {database}; or lower \
             `database_max_connections` or the number of replicas"
        ),
        "57P03" => "the server is starting, stopping or in recovery; wait until it accepts connections".to_owned(),
        "57P01" | "57P02" => "the server is stopping; wait until it accepts connections".to_owned(),
        "08P01" if message.contains("password") || message.contains("SASL") => {
            format!("check user and password of the role {user}, in the pooler too")
        }
        "08P01" if message.contains("no such database") => format!("add the database {database} to the pooler"),
        "08P01" if message.contains("no such user") => format!("add the role {user} to the pooler"),
        _ => format!("SQLSTATE {code}"),
    };
    format!("{place} refused the connection: {message}; {hint}")
}
