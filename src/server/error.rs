//! Why a server did not start, and why it ended.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::catalog::CatalogError;
use crate::config::ConfigError;
use crate::delivery::datasets::SourceError;
use crate::dialer::AuthoritiesError;
use crate::identity::{ClientTableError, DevelopmentError, IssuersError, KeySetError};
use crate::store::{ConnectError, MigrateError};
use crate::vault::{KeyError, VaultError};

/// An error of any type.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of connection types is invalid.
    #[error("connection types")]
    Catalog(#[from] CatalogError),
    /// The database settings are invalid.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The schema cannot be migrated or used.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The directory has no rules of time zones.
    #[error("cannot read time zones in {}", .0.display())]
    TimeZones(PathBuf, #[source] jiff::Error),
    /// The root of local directories cannot be used.
    #[error("cannot use {} as local_directory_root", .0.display())]
    LocalDirectory(PathBuf, #[source] std::io::Error),
    /// The additional certificate authorities cannot be used.
    #[error("outbound connections")]
    Authorities(#[from] AuthoritiesError),
    /// A source of datasets is misconfigured.
    #[error("sources of datasets")]
    Datasets(#[from] SourceError),
    /// The sample dataset cannot be written.
    #[error("cannot write the sample dataset")]
    Sample(#[source] std::io::Error),
    /// The keys cannot be loaded or created.
    #[error("keys")]
    Keys(#[from] KeyError),
    /// A key differs from the one with the same id that was used before.
    #[error("keys")]
    Vault(#[from] VaultError),
    /// Keys that stored credentials are sealed with are missing from the key ring.
    #[error("keys: credentials are sealed with {}, which the key ring lacks", .0.join(", "))]
    MissingKeys(Vec<String>),
    /// A stored row cannot be read.
    #[error("cannot read the database")]
    Store(#[source] crate::model::Error),
    /// The development identity cannot be set up.
    #[error("development identity")]
    Development(#[from] DevelopmentError),
    /// The issuer's keys cannot be loaded.
    #[error("identity")]
    KeySet(#[from] KeySetError),
    /// The issuer is misconfigured.
    #[error("identity")]
    Issuers(#[from] IssuersError),
    /// The table of clients cannot be used.
    #[error("identity")]
    Clients(#[from] ClientTableError),
    /// A listener cannot be bound.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The transport cannot be set up.
    #[error("transport")]
    Transport(#[source] BoxError),
}

/// A part of the server that must not end ended before the shutdown.
#[derive(Debug, thiserror::Error)]
#[error("the {0} ended unexpectedly")]
pub struct UnexpectedEnd(pub &'static str);
