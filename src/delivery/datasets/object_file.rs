//! Objects of an object store as files of a dataset, read through a cache of blocks.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use moka::sync::Cache;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};
use tokio::runtime::Handle;

use crate::delivery::DeliveryError;
use crate::dialer::DialError;
use crate::model::FailureCode;

/// Bytes of a block: the unit of small reads.
const BLOCK_BYTES: u64 = 512 * 1024;

/// Bytes of all cached blocks together.
const MAX_CACHED_BYTES: u64 = 32 * 1024 * 1024;

/// Timeout of a read, including its retries.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Recently read blocks of all objects. Cheap to clone.
#[derive(Clone)]
pub struct BlockCache {
    blocks: Cache<(Arc<str>, u64), Bytes>,
}

impl BlockCache {
    pub fn new() -> Self {
        let weigh = |_: &(Arc<str>, u64), block: &Bytes| u32::try_from(block.len()).unwrap_or(u32::MAX);
        let blocks = Cache::builder().max_capacity(MAX_CACHED_BYTES).weigher(weigh);
        Self { blocks: blocks.time_to_idle(Duration::from_mins(1)).build() }
    }
}

/// An object, pinned to its etag.
pub struct ObjectFile {
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    path: PathBuf,
    key: Arc<str>,
    cache: BlockCache,
    runtime: Handle,
}

impl ObjectFile {
    /// An object below `location`, the URL of the source, which makes its key in the cache unique.
    pub fn new(
        location: &str,
        store: Arc<dyn ObjectStore>,
        meta: ObjectMeta,
        cache: BlockCache,
        runtime: Handle,
    ) -> Self {
        let path = PathBuf::from(meta.location.as_ref());
        let key = format!("{location} {} {}", path.display(), identity(&meta)).into();
        Self { store, meta, path, key, cache, runtime }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Location, path and identity.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn size(&self) -> u64 {
        self.meta.size
    }

    pub fn identity(&self) -> String {
        identity(&self.meta)
    }

    /// Reads shorter than a block come from blocks, so that the many small reads of a page reader become few requests.
    pub fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DeliveryError> {
        let end = offset + length as u64;
        if length as u64 >= BLOCK_BYTES {
            return self.fetch(offset, end);
        }
        let mut bytes = BytesMut::with_capacity(length);
        let mut position = offset;
        while position < end {
            let start = position - position % BLOCK_BYTES;
            let block = self.block(start)?;
            let stop = (end - start).min(block.len() as u64);
            bytes.extend_from_slice(&block.slice(index(position - start)..index(stop)));
            position = start + stop;
        }
        Ok(bytes.freeze())
    }

    fn block(&self, start: u64) -> Result<Bytes, DeliveryError> {
        let load = || self.fetch(start, (start + BLOCK_BYTES).min(self.meta.size));
        let block = self.cache.blocks.try_get_with((self.key.clone(), start), load);
        block.map_err(|error: Arc<DeliveryError>| DeliveryError::new(error.code, error.detail.clone()))
    }

    fn fetch(&self, start: u64, end: u64) -> Result<Bytes, DeliveryError> {
        let options = GetOptions {
            if_match: self.meta.e_tag.clone(),
            if_unmodified_since: self.meta.e_tag.is_none().then_some(self.meta.last_modified),
            range: Some(GetRange::Bounded(start..end)),
            ..GetOptions::default()
        };
        let read = async {
            let result = self.store.get_opts(&self.meta.location, options).await?;
            let size = result.meta.size;
            Ok((size, result.bytes().await?))
        };
        let timed = async { tokio::time::timeout(READ_TIMEOUT, read).await };
        match self.runtime.block_on(timed) {
            Ok(Ok((size, bytes))) if size == self.meta.size && bytes.len() as u64 == end - start => Ok(bytes),
            Ok(Ok(_)) => Err(self.error(FailureCode::SourceChanged, "the size changed")),
            Ok(Err(error)) => Err(self.store_error(&error)),
            Err(elapsed) => Err(self.error(FailureCode::DatasetUnavailable, elapsed)),
        }
    }

    fn store_error(&self, error: &object_store::Error) -> DeliveryError {
        let changed = matches!(
            error,
            object_store::Error::NotFound { .. }
                | object_store::Error::Precondition { .. }
                | object_store::Error::NotModified { .. }
        );
        if changed {
            self.error(FailureCode::SourceChanged, "the object is gone or another one")
        } else {
            self.error(FailureCode::DatasetUnavailable, describe(error))
        }
    }

    fn error(&self, code: FailureCode, cause: impl fmt::Display) -> DeliveryError {
        DeliveryError::with(code, &format!("cannot read {}", self.path.display()), cause)
    }
}

fn identity(meta: &ObjectMeta) -> String {
    let etag = meta.e_tag.as_deref().unwrap_or_default();
    format!("{}-{}-{etag}", meta.size, meta.last_modified.timestamp_micros())
}

/// An offset within a block.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// What went wrong, without the text of the response.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive")]
pub fn describe(error: &object_store::Error) -> String {
    use object_store::Error as E;
    if let Some(dialed) = DialError::find(error) {
        return dialed.to_string();
    }
    let text = match error {
        E::NotFound { .. } => "not found",
        E::PermissionDenied { .. } => "permission denied",
        E::Unauthenticated { .. } => "the credential is not accepted",
        E::Precondition { .. } | E::NotModified { .. } => "the object is another one",
        E::NotSupported { .. } | E::NotImplemented { .. } => "not supported by the object store",
        E::InvalidPath { .. } => "invalid path",
        E::AlreadyExists { .. } => "already exists",
        _ => "the request was refused, or the response is invalid",
    };
    text.to_owned()
}
