//! Keys at start: read, recognised by their canaries, and the key that digests requests opened.

use std::path::Path;
use std::time::{Duration, Instant};

use super::StartError;
use crate::config::Settings;
use crate::model::Error;
use crate::store::credentials::{self, Sealed};
use crate::store::{OnSuccess, Store, sealed};
use crate::vault::{self, KeyRing, RequestHasher, Vault};

/// How long the first statements may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The row of the key that digests requests.
const REQUEST_HASH: &str = "request-hash";
/// What the purpose of a key's canary begins with.
const CANARY: &str = "canary:";

/// Reads the key ring. Only the embedded default makes a key, and only before there is anything to open.
pub fn open(settings: &Settings) -> Result<KeyRing, StartError> {
    let primary = settings.primary_key.as_deref();
    if let Some(keys) = &settings.keys {
        let setting = vault::Secret::new(keys.expose().to_owned());
        return Ok(KeyRing::from_setting(&setting, primary, "OUTFLOW_KEYS")?);
    }
    let directory = settings.key_dir();
    let first = settings.is_embedded() && settings.key_dir.is_none() && is_empty(&settings.embedded_file());
    if first && let Some(id) = vault::generate_first(&directory)? {
        tracing::info!(key_id = %id, directory = %directory.display(), "made the first key: keep it with the database");
    }
    Ok(KeyRing::from_directory(&directory, primary)?)
}

fn is_empty(file: &Path) -> bool {
    std::fs::metadata(file).map_or(true, |found| found.len() == 0)
}

/// Recognises every key, and what it sealed, before anything is written. A new key gets its canary, and the first start
/// makes the key that digests requests.
pub async fn prepare(store: &Store, vault: &Vault) -> Result<RequestHasher, StartError> {
    let (mut hasher, missing) = recognise_all(store, vault).await?;
    let made = missing.into_iter().map(|purpose| make(vault, purpose)).collect::<Result<Vec<_>, _>>()?;
    // Another start may have been first.
    for (purpose, row) in insert(store, made).await? {
        hasher = recognise(vault, &purpose, &row)?.or(hasher);
    }
    hasher.ok_or_else(|| StartError::Store(Error::internal("no request hash key")))
}

/// Recognises what is stored already: the key that digests requests, and the purposes that have no row yet.
pub async fn recognise_all(store: &Store, vault: &Vault) -> Result<(Option<RequestHasher>, Vec<String>), StartError> {
    let (mut hasher, mut missing) = (None, Vec::new());
    for (purpose, row) in stored(store, vault).await? {
        match row {
            Some(row) => hasher = recognise(vault, &purpose, &row)?.or(hasher),
            None => missing.push(purpose),
        }
    }
    Ok((hasher, missing))
}

fn canary(key_id: &str) -> String {
    format!("{CANARY}{key_id}")
}

/// The rows of every purpose, as far as they are there; no credential may be sealed with a key that the ring lacks.
async fn stored(store: &Store, vault: &Vault) -> Result<Vec<(String, Option<Sealed>)>, StartError> {
    let reader = store.reader().await.map_err(StartError::Store)?;
    let mut used = credentials::key_ids(&reader).await.map_err(StartError::Store)?;
    used.retain(|used| vault.ring().ids().all(|id| id != used));
    if !used.is_empty() {
        return Err(StartError::MissingKeys(used));
    }
    let mut rows = Vec::new();
    for purpose in vault.ring().ids().map(canary).chain([REQUEST_HASH.to_owned()]) {
        let row = sealed::get(&reader, &purpose).await.map_err(StartError::Store)?;
        rows.push((purpose, row));
    }
    Ok(rows)
}

async fn insert(store: &Store, rows: Vec<(String, vault::Sealed)>) -> Result<Vec<(String, Sealed)>, StartError> {
    let inserted = store.transact(Instant::now() + TIMEOUT, OnSuccess::Commit, rows, |db, rows| {
        Box::pin(async move {
            let mut inserted = Vec::new();
            for (purpose, sealed) in rows {
                let row = Sealed { key_id: sealed.key_id.clone(), envelope: sealed.envelope.clone() };
                inserted.push((purpose.clone(), sealed::get_or_insert(db, purpose, row).await?));
            }
            Ok(inserted)
        })
    });
    inserted.await.map_err(StartError::Store)
}

fn make(vault: &Vault, purpose: String) -> Result<(String, vault::Sealed), StartError> {
    let sealed = match purpose.strip_prefix(CANARY) {
        Some(key_id) => vault.make_canary(key_id)?,
        None => RequestHasher::new_random(vault)?.1,
    };
    Ok((purpose, sealed))
}

/// A canary opens with its own key alone; the other row is the key that digests requests.
fn recognise(vault: &Vault, purpose: &str, row: &Sealed) -> Result<Option<RequestHasher>, StartError> {
    let Some(key_id) = purpose.strip_prefix(CANARY) else {
        return Ok(Some(RequestHasher::from_sealed(vault, &row.envelope)?));
    };
    vault.verify_canary(key_id, &row.envelope)?;
    Ok(None)
}
