//! Callers that are identified by client certificates: a table gives the organization, subject, roles and groups of each
//! SPIFFE id.
//!
//! The TLS layer has verified the certificate against the configured authorities. Its id is the one of an X.509-SVID
//! (SPIFFE, X509-SVID, section 2): the only URI among its subject alternative names.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::Deserialize;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::claims;
use super::error::AuthnError;
use super::times::is_live;
use crate::model::{Caller, OrganizationId, Role};

/// Maximum size of the table in bytes.
const MAX_TABLE_BYTES: u64 = 4 * 1024 * 1024;
/// The scheme of SPIFFE ids.
const SCHEME: &str = "spiffe://";
/// The longest SPIFFE id in bytes.
const MAX_ID_BYTES: usize = 2048;

/// What is known of the client of a connection from its verified certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    spiffe_id: String,
    expire_time: DateTime<Utc>,
}

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientTableError {
    /// It cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] std::io::Error),
    /// It is larger than 4 MiB.
    #[error("{0} has more than 4 MiB")]
    TooLarge(PathBuf),
    /// It is not TOML, or an entry has unknown or missing keys.
    #[error("{0} is not a table of clients")]
    Format(PathBuf, #[source] toml::de::Error),
    /// An entry has an invalid value.
    #[error("{path}: {id:?}: {reason}")]
    Entry {
        /// The file with the entry.
        path: PathBuf,
        /// The key of the entry.
        id: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// An entry of the table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    organization: String,
    subject: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
}

/// A client of the table.
struct Client {
    principal: String,
    organization: OrganizationId,
    roles: Vec<Role>,
    groups: Vec<String>,
}

/// The clients whose certificates are accepted, from a file that is read again when it changes.
pub struct ClientTable {
    path: PathBuf,
    principal_prefix: String,
    /// The prefixes of principals of the issuers of tokens.
    issuer_prefixes: Vec<String>,
    state: Mutex<State>,
}

struct State {
    /// The file as it was last read, whether it could be used or not.
    read: Vec<u8>,
    clients: Arc<HashMap<String, Client>>,
}

impl ClientCertificate {
    /// Reads the end-entity certificate of a client, in DER. Fails if it has no SPIFFE id.
    pub fn parse(der: &[u8]) -> Result<Self, AuthnError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| AuthnError::Certificate)?;
        let names = certificate.subject_alternative_name().map_err(|_| AuthnError::Certificate)?;
        let mut uris = names
            .iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
        let (Some(uri), None) = (uris.next(), uris.next()) else { return Err(AuthnError::Certificate) };
        if certificate.is_ca() || uri.len() > MAX_ID_BYTES || !uri.starts_with(SCHEME) {
            return Err(AuthnError::Certificate);
        }
        let expire_time = DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0);
        Ok(Self { spiffe_id: uri.to_owned(), expire_time: expire_time.ok_or(AuthnError::Certificate)? })
    }
}

impl ClientTable {
    /// Reads the table. Principals start with `principal_prefix`, which differs from those of the
    /// issuers.
    pub fn open(path: &Path, principal_prefix: &str, issuer_prefixes: &[String]) -> Result<Self, ClientTableError> {
        let read = read(path)?;
        let clients = parse(path, &read, principal_prefix, issuer_prefixes)?;
        Ok(Self {
            path: path.to_owned(),
            principal_prefix: principal_prefix.to_owned(),
            issuer_prefixes: issuer_prefixes.to_vec(),
            state: Mutex::new(State { read, clients: Arc::new(clients) }),
        })
    }

    /// The caller that a certificate identifies.
    pub fn caller(&self, certificate: &ClientCertificate, now: DateTime<Utc>) -> Result<Arc<Caller>, AuthnError> {
        if !is_live(certificate.expire_time, now) {
            return Err(AuthnError::Expired);
        }
        let clients = Arc::clone(&self.state.lock().clients);
        let client = clients.get(&certificate.spiffe_id).ok_or(AuthnError::UnknownClient)?;
        Ok(Arc::new(Caller {
            principal: client.principal.clone(),
            organization: client.organization.clone(),
            roles: client.roles.clone(),
            groups: client.groups.clone(),
            expire_time: certificate.expire_time,
        }))
    }

    /// Reads the file again. The table stays in use if the file cannot be used.
    pub fn reload(&self) {
        let read = match read(&self.path) {
            Ok(read) => read,
            Err(error) => {
                failed_reload().increment(1);
                return tracing::warn!(error = &error as &dyn std::error::Error, "cannot read the clients");
            }
        };
        if read == self.state.lock().read {
            return;
        }
        let clients = parse(&self.path, &read, &self.principal_prefix, &self.issuer_prefixes);
        let mut state = self.state.lock();
        state.read = read;
        match clients {
            Ok(clients) => {
                tracing::info!(count = clients.len(), "the table of clients was read again");
                state.clients = Arc::new(clients);
            }
            Err(error) => {
                failed_reload().increment(1);
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the changed table of clients cannot be used; the old one stays");
            }
        }
    }
}

fn failed_reload() -> metrics::Counter {
    metrics::counter!("file.reload.failed", "file" => "clients")
}

fn read(path: &Path) -> Result<Vec<u8>, ClientTableError> {
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| ClientTableError::Read(path.to_owned(), error))?;
    file.take(MAX_TABLE_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(|error| ClientTableError::Read(path.to_owned(), error))?;
    if content.len() as u64 > MAX_TABLE_BYTES {
        return Err(ClientTableError::TooLarge(path.to_owned()));
    }
    Ok(content)
}

fn parse(
    path: &Path,
    content: &[u8],
    prefix: &str,
    issuer_prefixes: &[String],
) -> Result<HashMap<String, Client>, ClientTableError> {
    let entries: BTreeMap<String, Entry> =
        toml::from_slice(content).map_err(|error| ClientTableError::Format(path.to_owned(), error))?;
    let client = |(id, entry): (String, Entry)| match client(&id, entry, prefix, issuer_prefixes) {
        Ok(client) => Ok((id, client)),
        Err(reason) => Err(ClientTableError::Entry { path: path.to_owned(), id, reason }),
    };
    entries.into_iter().map(client).collect()
}

fn client(id: &str, entry: Entry, prefix: &str, issuer_prefixes: &[String]) -> Result<Client, &'static str> {
    let is_id = id.strip_prefix(SCHEME).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if !is_id || id.len() > MAX_ID_BYTES {
        return Err("is not a SPIFFE id, such as \"spiffe://example.org/ns/data/sa/loader\"");
    }
    let others = || issuer_prefixes.iter().map(String::as_str);
    let is_own = |principal: &String| !claims::is_foreign(principal, prefix, others());
    let principal = claims::principal_of(prefix, &entry.subject).filter(is_own);
    let roles: Option<BTreeSet<Role>> = entry.roles.iter().map(|role| Role::parse(role)).collect();
    let groups: BTreeSet<String> = entry.groups.into_iter().collect();
    if !claims::are_groups(groups.iter().map(String::as_str)) {
        return Err("`groups` must be at most 200 names of 1 to 256 bytes");
    }
    Ok(Client {
        principal: principal
            .ok_or("`subject` must be a name of 1 to 256 bytes that looks like no principal of an issuer")?,
        organization: OrganizationId::parse(&entry.organization).ok_or("`organization` is not an id")?,
        roles: roles
            .ok_or("`roles` must be names of roles, such as `viewer`, `contributor` or `admin`")?
            .into_iter()
            .collect(),
        groups: groups.into_iter().collect(),
    })
}
