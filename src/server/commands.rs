//! The operations of the commands that do not serve.

use chrono::TimeDelta;

use super::error::{BoxError, StartError};
use super::startup;
use crate::config::{Config, Location, TimeZoneData};
use crate::grpc::health;
use crate::identity::{DevelopmentError, DevelopmentIdentity, TokenClaims};
use crate::model::{Clock, DatabaseLogin, Role, Secret};
use crate::store::{ConnectError, DatabaseSettings, DatabaseSource, SchemaState, Store};
use crate::vault::{self, KeyError, KeyListing};

/// Applies all pending migrations.
pub async fn migrate(config: &Config) -> Result<SchemaState, StartError> {
    Ok(open_store(config)?.migrate().await?)
}

/// Reads the state of the schema; changes nothing.
pub async fn schema_state(config: &Config) -> Result<SchemaState, StartError> {
    Ok(open_store(config)?.schema_state().await?)
}

/// The release of the time zones.
pub fn time_zone_release(data: &TimeZoneData) -> Result<String, StartError> {
    Ok(startup::time_zones::open(data)?.release().to_owned())
}

/// Whether the server with this configuration is ready.
pub async fn is_ready(config: &Config) -> Result<bool, BoxError> {
    health::check(config.api.admin_listen).await
}

/// Writes a new key into the key directory and returns its id.
pub fn generate_key(config: &Config, id: Option<&str>) -> Result<String, KeyError> {
    vault::generate(&config.keys.directory, id)
}

/// Lists the keys of the key directory.
pub fn list_keys(config: &Config) -> Result<Vec<KeyListing>, KeyError> {
    vault::list(&config.keys.directory, config.keys.primary.as_deref())
}

/// Mints a token of the development identity.
pub fn mint_token(
    config: &Config,
    organization: String,
    subject: String,
    roles: Vec<Role>,
    groups: Vec<String>,
    ttl: TimeDelta,
) -> Result<String, DevelopmentError> {
    let claims = TokenClaims { organization, subject, roles, groups, ttl };
    DevelopmentIdentity::open(&config.data_dir)?.mint(&claims, Clock::default().now())
}

/// How the database is opened.
pub(super) fn database_settings(config: &Config) -> DatabaseSettings {
    let database = &config.database;
    let copy = |secret: &Secret| Secret::new(secret.expose().to_owned());
    let source = match &database.location {
        Location::Embedded(file) => DatabaseSource::Url(Secret::new(format!("sqlite://{}", file.display()))),
        Location::Url(url) => DatabaseSource::Url(copy(url)),
        Location::Login(DatabaseLogin { host, port, name, user, password }) => DatabaseSource::Login(DatabaseLogin {
            host: host.clone(),
            port: *port,
            name: name.clone(),
            user: user.clone(),
            password: password.as_ref().map(copy),
        }),
    };
    DatabaseSettings {
        source,
        max_connections: database.max_connections,
        allow_unverified: database.allow_unverified,
        ssl_mode: database.ssl_mode,
        ca_file: database.ca_file.clone(),
        pooler: database.pooler,
    }
}

pub(super) fn open_store(config: &Config) -> Result<Store, ConnectError> {
    let settings = DatabaseSettings { max_connections: 2, ..database_settings(config) };
    Store::open(&settings, Vec::new(), Clock::default())
}
