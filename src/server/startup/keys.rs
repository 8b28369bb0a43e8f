//! Keys at start: read, checked against their canaries, and the key that digests requests opened.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::{KeyLocation, KeysConfig};
use crate::model::{Error, SealedSecret};
use crate::server::error::StartError;
use crate::store::{OnSuccess, Store, credentials, sealed_secrets};
use crate::vault::{self, KeyRing, RequestHasher, Vault};

/// How long the first statements may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The purpose of the sealed key that digests requests.
pub const REQUEST_HASH: &str = "request-hash";
/// The prefix of the purposes of canaries.
const CANARY: &str = "canary:";

/// Reads the key ring. Only the embedded default makes a key, and only before its database has content.
pub fn open(keys: &KeysConfig) -> Result<KeyRing, StartError> {
    if let KeyLocation::EmbeddedDirectory { database } = &keys.location
        && is_empty(database)
        && let Some(id) = vault::generate_first(&keys.directory)?
    {
        let directory = keys.directory.display();
        tracing::info!(key_id = %id, %directory, "created the first key; back it up together with the database");
    }
    read_ring(keys)
}

/// Reads the key ring; makes no key.
pub fn read_ring(keys: &KeysConfig) -> Result<KeyRing, StartError> {
    let primary = keys.primary.as_deref();
    Ok(match &keys.location {
        KeyLocation::Inline(setting) => KeyRing::from_setting(setting, primary, "OUTFLOW_KEYS")?,
        KeyLocation::Directory | KeyLocation::EmbeddedDirectory { .. } => {
            KeyRing::from_directory(&keys.directory, primary)?
        }
    })
}

/// Whether a database file is missing or has no content yet.
pub fn is_empty(file: &Path) -> bool {
    std::fs::metadata(file).map_or(true, |found| found.len() == 0)
}

/// Checks that every key opens its canary, that the hash key opens, and that the ring has the key of every credential,
/// before anything is written. A new key gets a canary, and the first start makes the key that digests requests.
pub async fn prepare(store: &Store, vault: &Vault) -> Result<RequestHasher, StartError> {
    let (mut hasher, missing) = verify_stored(store, vault).await?;
    let made = missing.into_iter().map(|purpose| make(vault, purpose)).collect::<Result<Vec<_>, _>>()?;
    // Another process may have inserted it first.
    for (purpose, row) in insert(store, made).await? {
        hasher = verify(vault, &purpose, &row)?.or(hasher);
    }
    hasher.ok_or_else(|| StartError::Store(Error::internal("no request hash key")))
}

/// Checks the stored rows. Returns the key for request digests and the purposes without a row.
pub async fn verify_stored(store: &Store, vault: &Vault) -> Result<(Option<RequestHasher>, Vec<String>), StartError> {
    let (mut hasher, mut missing) = (None, Vec::new());
    for (purpose, row) in stored(store, vault).await? {
        match row {
            Some(row) => hasher = verify(vault, &purpose, &row)?.or(hasher),
            None => missing.push(purpose),
        }
    }
    Ok((hasher, missing))
}

/// The purpose of the canary of a key.
pub fn canary(key_id: &str) -> String {
    format!("{CANARY}{key_id}")
}

/// The row of every purpose, if it is stored. A credential that is sealed with a key that the ring lacks is an error.
async fn stored(store: &Store, vault: &Vault) -> Result<Vec<(String, Option<SealedSecret>)>, StartError> {
    let reader = store.reader(None);
    let mut used = credentials::key_ids(&reader).await.map_err(StartError::Store)?;
    used.retain(|used| vault.ring().ids().all(|id| id != used));
    if !used.is_empty() {
        return Err(StartError::MissingKeys(used));
    }
    let mut rows = Vec::new();
    for purpose in vault.ring().ids().map(canary).chain([REQUEST_HASH.to_owned()]) {
        let row = sealed_secrets::get(&reader, &purpose).await.map_err(StartError::Store)?;
        rows.push((purpose, row));
    }
    Ok(rows)
}

async fn insert(store: &Store, rows: Vec<(String, SealedSecret)>) -> Result<Vec<(String, SealedSecret)>, StartError> {
    if rows.is_empty() {
        return Ok(rows);
    }
    let inserted = store.transact(None, Instant::now() + TIMEOUT, OnSuccess::Commit, rows, |db, rows| {
        Box::pin(async move {
            let mut inserted = Vec::new();
            for (purpose, sealed) in rows {
                inserted.push((purpose.clone(), sealed_secrets::get_or_insert(db, purpose, sealed.clone()).await?));
            }
            Ok(inserted)
        })
    });
    inserted.await.map_err(StartError::Store)
}

fn make(vault: &Vault, purpose: String) -> Result<(String, SealedSecret), StartError> {
    let sealed = match purpose.strip_prefix(CANARY) {
        Some(key_id) => vault.make_canary(key_id)?,
        None => RequestHasher::new_random(vault)?.1,
    };
    Ok((purpose, sealed))
}

/// Checks a row: either a canary, which only its own key can open, or the key for request digests.
fn verify(vault: &Vault, purpose: &str, row: &SealedSecret) -> Result<Option<RequestHasher>, StartError> {
    let Some(key_id) = purpose.strip_prefix(CANARY) else {
        return Ok(Some(RequestHasher::from_sealed(vault, &row.envelope)?));
    };
    vault.verify_canary(key_id, &row.envelope)?;
    Ok(None)
}
