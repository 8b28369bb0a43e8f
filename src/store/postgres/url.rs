//! Parses URLs of PostgreSQL, and tells what is wrong in those that people write.
//!
//! The parser is our own, because the driver's ignores unknown parameters and logs them with their values, and because its
//! errors do not tell which character of a password must be escaped.

use std::path::PathBuf;

use super::error::PostgresUrlError;
use super::parameters::{self, Parameters};
use super::settings::{Address, PostgresSettings};
use super::text::{check_host, decode, parse_port};
use crate::model::{POSTGRES_PORT, Secret};

/// Characters that end a part of a URL, with their escapes.
const ENCODED: [(char, &str); 4] = [('@', "%40"), ('/', "%2F"), ('?', "%3F"), ('#', "%23")];

/// Parses what follows `postgres://`.
pub fn parse(rest: &str) -> Result<PostgresSettings, PostgresUrlError> {
    if rest.contains('#') {
        return Err(unescaped('#'));
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let (login, address) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    check_tail(login, address, path, query)?;
    let (user, password) = login.map(user_and_password).transpose()?.unwrap_or((None, None));
    let parameters = parameters::parse(query)?;
    let database = database_name(path)?;
    let (host, port) = host_and_port(address)?;
    let port = parameters.port.or(port).unwrap_or(POSTGRES_PORT);
    let host = parameters.host.clone().or(host).ok_or(PostgresUrlError::NoHost)?;
    settings(parameters, Address::of(host, port), user, password, database)
}

fn settings(
    parameters: Parameters,
    address: Address,
    user: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
) -> Result<PostgresSettings, PostgresUrlError> {
    Ok(PostgresSettings {
        address,
        user: parameters.user.or(user).filter(|user| !user.is_empty()).ok_or(PostgresUrlError::NoUser)?,
        password: parameters.password.or(password),
        database: parameters.database.or(database),
        ssl_mode: parameters.ssl_mode,
        root_certificates: parameters.root_certificates.map(PathBuf::from),
        client_certificate: parameters.client_certificate.map(PathBuf::from),
        client_key: parameters.client_key.map(PathBuf::from),
        application_name: parameters.application_name,
        options: parameters.options,
    })
}

/// Finds characters of a password that end the authority: what follows them up to the `@` was meant as a part of it.
fn check_tail(login: Option<&str>, address: &str, path: &str, query: &str) -> Result<(), PostgresUrlError> {
    if path.contains('@') {
        return Err(unescaped('/'));
    }
    let is_cut = query.contains('@') && (!parameters::are_known(query) || has_password(login, address));
    if is_cut { Err(unescaped('?')) } else { Ok(()) }
}

/// Whether `user:password` stands where the host and the port should.
fn has_password(login: Option<&str>, address: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    login.is_none() && !address.starts_with('[') && address.rsplit_once(':').is_some_and(|(_, port)| !is_port(port))
}

fn user_and_password(login: &str) -> Result<(Option<String>, Option<Secret>), PostgresUrlError> {
    let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
    let password = password.map(decode).transpose()?.filter(|password| !password.is_empty());
    if password.as_deref().is_some_and(is_placeholder) {
        return Err(PostgresUrlError::Placeholder("password"));
    }
    let user = decode(user)?;
    if is_placeholder(&user) {
        return Err(PostgresUrlError::Placeholder("user"));
    }
    Ok((Some(user), password.map(Secret::new)))
}

/// What templates, shells and the consoles of providers leave: `${NAME}`, `$(NAME)`, `{{ name }}`, `[YOUR-PASSWORD]`,
/// `<password>`.
fn is_placeholder(text: &str) -> bool {
    let is_name = |name: &str| {
        let name = name.trim();
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-. ".contains(c))
    };
    let pairs = [("${", "}"), ("$(", ")"), ("{{", "}}"), ("[YOUR-", "]"), ("<", ">")];
    pairs
        .iter()
        .any(|(start, end)| text.strip_prefix(start).and_then(|text| text.strip_suffix(end)).is_some_and(is_name))
}

fn host_and_port(address: &str) -> Result<(Option<String>, Option<u16>), PostgresUrlError> {
    if address.contains(',') {
        return Err(PostgresUrlError::SeveralHosts);
    }
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(PostgresUrlError::Host)?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(PostgresUrlError::Host);
        }
        (host, port.strip_prefix(':').or_else(|| port.is_empty().then_some("")).ok_or(PostgresUrlError::Host)?)
    } else {
        if address.matches(':').count() > 1 {
            return Err(PostgresUrlError::Host);
        }
        address.split_once(':').unwrap_or((address, ""))
    };
    let port = (!port.is_empty()).then(|| parse_port(port).ok_or(PostgresUrlError::Port)).transpose()?;
    let host = decode(host)?;
    if is_placeholder(&host) {
        return Err(PostgresUrlError::Placeholder("host"));
    }
    Ok((check_host(host)?, port))
}

fn database_name(path: &str) -> Result<Option<String>, PostgresUrlError> {
    let name = path.strip_prefix('/').unwrap_or(path);
    if name.contains('/') {
        return Err(PostgresUrlError::DatabaseName);
    }
    let name = decode(name)?;
    if is_placeholder(&name) {
        return Err(PostgresUrlError::Placeholder("name of the database"));
    }
    Ok(Some(name).filter(|name| !name.is_empty()))
}

fn unescaped(found: char) -> PostgresUrlError {
    let encoded = ENCODED.iter().find(|(character, _)| *character == found).map_or("", |(_, encoded)| encoded);
    PostgresUrlError::Unescaped(found, encoded)
}
