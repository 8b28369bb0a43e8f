//! `outflow keys verify`, `rewrap` and `retire`: what the keys of the ring seal in the database.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::commands::open_store;
use super::error::StartError;
use super::startup::keys::{REQUEST_HASH, canary, read_ring, verify_stored};
use crate::config::Config;
use crate::model::{ConnectionUid, Error, OrganizationId};
use crate::store::credentials::{self, StoredCredential};
use crate::store::{Store, Transaction, sealed_secrets};
use crate::vault::{RequestHasher, SealContext, Vault};

/// Credentials that are read at once. Their envelopes have at most 128 KiB each.
const PAGE: u64 = 100;
/// How long the statements of a page may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often all credentials are read, while servers change them.
const MAX_REWRAP_PASSES: usize = 5;
/// Failures that are named.
const MAX_FAILURES: usize = 20;

/// What the keys of a ring seal.
#[derive(Debug, Default)]
pub struct KeyUse {
    /// Number of credentials by the id of the key.
    pub credentials: BTreeMap<String, u64>,
    /// The first connections whose credential was not opened, or not sealed again, and why.
    pub failures: Vec<String>,
    /// Number of those credentials.
    pub failed: u64,
}

impl KeyUse {
    fn count(&mut self, credential: &StoredCredential) {
        *self.credentials.entry(credential.sealed.key_id.clone()).or_default() += 1;
    }

    fn sealed(&self) -> u64 {
        self.credentials.values().sum()
    }

    fn fail(&mut self, credential: &StoredCredential, error: &impl Display) {
        self.failed += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(format!("{}: {error}", credential.connection));
        }
    }
}

/// Opens the canary of every key, the key that digests requests, and every credential. Changes nothing.
pub async fn verify_keys(config: &Config) -> Result<KeyUse, StartError> {
    let (store, vault) = open(config)?;
    verify_stored(&store, &vault).await?;
    let mut used = KeyUse::default();
    for key_id in key_ids(&store).await? {
        let mut position = None;
        loop {
            let page = page(&store, &key_id, position.as_ref()).await?;
            let Some(last) = page.last().map(position_of) else { break };
            for credential in &page {
                used.count(credential);
                let opened = vault.open(&context(credential), &credential.properties, &credential.sealed.envelope);
                if let Err(error) = opened {
                    used.fail(credential, &error);
                }
            }
            position = Some(last);
        }
    }
    store.shutdown().await;
    Ok(used)
}

/// Seals everything that other keys seal with the primary key: the key that digests requests, and all credentials. Each row
/// is replaced only if it is as it was read, so this can run beside servers, be interrupted and be repeated.
///
/// Returns what it sealed, by the key that had sealed it. `progress` is called with the number of credentials after each
/// page.
pub async fn rewrap_keys(config: &Config, mut progress: impl FnMut(u64)) -> Result<KeyUse, StartError> {
    let (store, vault) = open(config)?;
    let primary = vault.ring().primary();
    let (_, missing) = verify_stored(&store, &vault).await?;
    if missing.contains(&canary(primary)) {
        store_canary(&store, &vault, primary).await?;
    }
    rewrap_request_hash(&store, &vault).await?;
    let mut used = KeyUse::default();
    for _ in 0..MAX_REWRAP_PASSES {
        let before = used.sealed();
        (used.failed, used.failures) = (0, Vec::new());
        for key_id in key_ids(&store).await?.iter().filter(|key_id| *key_id != primary) {
            let mut position = None;
            loop {
                let page = page(&store, key_id, position.as_ref()).await?;
                let Some(last) = page.last().map(position_of) else { break };
                rewrap_page(&store, &vault, page, &mut used).await?;
                progress(used.sealed());
                position = Some(last);
            }
        }
        // A server that still has another primary key may have stored a credential behind the position, or another one of a
        // connection that was read.
        if used.sealed() == before && used.failed == 0 {
            break;
        }
    }
    store.shutdown().await;
    Ok(used)
}

async fn rewrap_page(
    store: &Store,
    vault: &Vault,
    page: Vec<StoredCredential>,
    used: &mut KeyUse,
) -> Result<(), StartError> {
    let mut sealed = Vec::new();
    for credential in page {
        match vault.rewrap(&context(&credential), &credential.properties, &credential.sealed.envelope) {
            Ok(made) => sealed.push((credential, made)),
            Err(error) => used.fail(&credential, &error),
        }
    }
    let sealed = Arc::new(sealed);
    let replaced = write(store, Arc::clone(&sealed), |db, sealed| {
        Box::pin(async move {
            let mut replaced = Vec::new();
            for (credential, made) in sealed.iter() {
                replaced.push(credentials::replace(db, credential, made).await?);
            }
            Ok(replaced)
        })
    });
    for ((credential, _), is_replaced) in sealed.iter().zip(replaced.await?) {
        if is_replaced {
            used.count(credential);
        } else {
            used.fail(credential, &"it was changed meanwhile; repeat the command");
        }
    }
    Ok(())
}

async fn rewrap_request_hash(store: &Store, vault: &Vault) -> Result<(), StartError> {
    let reader = store.background_reader();
    let found = sealed_secrets::get(&reader, REQUEST_HASH).await.map_err(StartError::Store)?;
    drop(reader);
    if let Some(found) = found.filter(|found| found.key_id != vault.ring().primary()) {
        let sealed = RequestHasher::rewrap(vault, &found.envelope)?;
        // Another process may have replaced it meanwhile.
        write(store, (found, sealed), |db, (found, sealed)| {
            Box::pin(sealed_secrets::replace(db, REQUEST_HASH, found, sealed))
        })
        .await?;
    }
    Ok(())
}

/// Why a key cannot be retired.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// New credentials would be sealed with it.
    #[error(
        "{0} is the primary key; set primary_key to another key, restart the servers and run `outflow keys rewrap`"
    )]
    Primary(String),
    /// It seals something.
    #[error("{0} is in use; run `outflow keys rewrap`, and restart servers that have it as their primary key")]
    InUse(String),
    /// Neither the ring nor the database has it.
    #[error("{0} is no key of this service; `outflow keys list` prints those of the ring")]
    Unknown(String),
    /// The keys or the database cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Forgets a key that seals nothing, so that its file can be removed from all servers.
pub async fn retire_key(config: &Config, key_id: String) -> Result<(), RetireError> {
    let (store, vault) = open(config)?;
    if vault.ring().primary() == key_id {
        return Err(RetireError::Primary(key_id));
    }
    let reader = store.background_reader();
    let is_stored = sealed_secrets::get(&reader, &canary(&key_id)).await.map_err(StartError::Store)?.is_some();
    drop(reader);
    if !is_stored && vault.ring().ids().all(|id| id != key_id) {
        return Err(RetireError::Unknown(key_id));
    }
    let retired = write(&store, key_id.clone(), |db, key_id| {
        Box::pin(async move {
            let hash = sealed_secrets::get(db, REQUEST_HASH).await?;
            if hash.is_some_and(|hash| hash.key_id == *key_id) || credentials::uses(db, key_id).await? {
                return Ok(false);
            }
            sealed_secrets::remove(db, &canary(key_id)).await?;
            Ok(true)
        })
    });
    let retired = retired.await?;
    store.shutdown().await;
    if retired { Ok(()) } else { Err(RetireError::InUse(key_id)) }
}

fn open(config: &Config) -> Result<(Store, Vault), StartError> {
    let vault = Vault::new(read_ring(&config.keys)?);
    Ok((open_store(config)?, vault))
}

fn context(credential: &StoredCredential) -> SealContext<'_> {
    SealContext {
        organization: credential.connection.organization.as_str(),
        connection_uid: credential.connection_uid.0,
        revision: u64::try_from(credential.revision).unwrap_or(0),
    }
}

fn position_of(credential: &StoredCredential) -> (OrganizationId, ConnectionUid) {
    (credential.connection.organization.clone(), credential.connection_uid)
}

async fn key_ids(store: &Store) -> Result<Vec<String>, StartError> {
    let reader = store.background_reader();
    credentials::key_ids(&reader).await.map_err(StartError::Store)
}

async fn page(
    store: &Store,
    key_id: &str,
    position: Option<&(OrganizationId, ConnectionUid)>,
) -> Result<Vec<StoredCredential>, StartError> {
    let reader = store.background_reader();
    credentials::page(&reader, key_id, position, PAGE).await.map_err(StartError::Store)
}

async fn store_canary(store: &Store, vault: &Vault, key_id: &str) -> Result<(), StartError> {
    let made = (canary(key_id), vault.make_canary(key_id)?);
    let stored =
        write(store, made, |db, (purpose, made)| Box::pin(sealed_secrets::get_or_insert(db, purpose, made.clone())));
    Ok(vault.verify_canary(key_id, &stored.await?.envelope)?)
}

async fn write<S: Send + Sync + 'static, T: Send + 'static>(
    store: &Store,
    state: S,
    work: impl for<'a> Fn(&'a Transaction, &'a S) -> BoxFuture<'a, Result<T, Error>> + Send + Sync + 'static,
) -> Result<T, StartError> {
    store.transact_in_background(Instant::now() + TIMEOUT, state, work).await.map_err(StartError::Store)
}
