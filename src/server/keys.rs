//! Keys at start: read, recognised by their canaries, and the key that digests requests opened.

use std::path::Path;
use std::time::{Duration, Instant};

use super::StartError;
use crate::config::Settings;
use crate::store::credentials::Sealed;
use crate::store::{Ending, Store, sealed};
use crate::vault::{self, KeyRing, RequestHasher, Vault};

/// How long the first statements may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The row of the key that digests requests.
const REQUEST_HASH: &str = "request-hash";

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

/// Recognises every key by its canary, and opens the key that digests requests; both are made by the first start.
pub async fn prepare(store: &Store, ring: KeyRing) -> Result<(Vault, RequestHasher), StartError> {
    let vault = Vault::new(ring);
    let mut rows = Vec::new();
    for key_id in vault.ring().ids() {
        let canary = vault.make_canary(key_id)?;
        rows.push((format!("canary:{key_id}"), canary.key_id, canary.envelope));
    }
    let (_, hash_key) = RequestHasher::new_random(&vault)?;
    rows.push((REQUEST_HASH.to_owned(), hash_key.key_id, hash_key.envelope));
    let stored = store.transact(Instant::now() + TIMEOUT, Ending::Commit, rows, |db, rows| {
        Box::pin(async move {
            let mut stored = Vec::new();
            for (purpose, key_id, envelope) in rows {
                let row = Sealed { key_id: key_id.clone(), envelope: envelope.clone() };
                stored.push((purpose.clone(), sealed::get_or_insert(db, purpose, row).await?));
            }
            Ok(stored)
        })
    });
    let stored = stored.await.map_err(StartError::Store)?;
    let mut hasher = None;
    for (purpose, row) in stored {
        match purpose.strip_prefix("canary:") {
            Some(key_id) => vault.verify_canary(key_id, &row.envelope)?,
            None => hasher = Some(RequestHasher::from_sealed(&vault, &row.envelope)?),
        }
    }
    let hasher = hasher.ok_or_else(|| StartError::Store(crate::model::Error::internal("no request hash key")))?;
    Ok((vault, hasher))
}
