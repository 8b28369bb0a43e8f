//! Object stores: Amazon S3, Azure Blob Storage and Google Cloud Storage share one implementation.
//!
//! A file becomes visible when its upload is complete, or for small files when it is put as a whole; both happen at
//! the commit, and the manifest comes last. The ids of uploads are saved before their first byte, so that the next
//! attempt or a background task aborts what a lost attempt left. An upload that begins just before its process ends stays
//! unknown: a lifecycle rule of the bucket that removes incomplete uploads is advisable.
//!
//! | File | What |
//! |---|---|
//! | `s3`, `azure_blob`, `gcs` | build the client of a store from a connection |
//! | `store` | operations on the bucket of a connection |
//! | `writer`, `upload`, `parts` | the files of an attempt, their uploads, the sizes of parts |
//! | `manifest`, `state`, `remains` | results, what is no result yet, and its removal |
//! | `check` | the test of a connection |
//! | `connector`, `error`, `origin`, `credential` | HTTP, errors, endpoints, credentials |

use std::sync::Arc;

use object_store::path::Path;

use super::{Check, Delivery, Destination, Opened};
use crate::delivery::{DeliveryError, OutputFormat};
use state::{SavedState, State};
use store::Store;
use writer::ObjectWriter;

pub mod azure_blob;
mod check;
mod connector;
mod credential;
mod error;
pub mod gcs;
mod manifest;
mod origin;
mod parts;
mod remains;
pub mod s3;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod upload;
mod writer;

/// A bucket or container of any type.
struct ObjectDestination {
    store: Arc<Store>,
}

impl ObjectDestination {
    fn boxed(store: Store) -> Box<dyn Destination> {
        Box::new(Self { store: Arc::new(store) })
    }
}

#[async_trait::async_trait]
impl Destination for ObjectDestination {
    fn format(&self) -> OutputFormat {
        OutputFormat::Files
    }

    async fn test(&self) -> Vec<Check> {
        check::run(&self.store).await
    }

    async fn open(&self, delivery: &Delivery) -> Result<Opened, DeliveryError> {
        let store = &self.store;
        let key = store.key(&delivery.manifest_path)?;
        let state = State::read(delivery.saved_state.as_deref().unwrap_or_default())?;
        let mut delivered = manifest::read(store, &key, delivery.run).await?;
        // If the export was edited since, the manifests of earlier attempts had other keys. If these cannot be read, there may
        // be a result, and this attempt must not write another.
        for earlier in state.commits.iter().filter_map(|commit| Path::parse(&commit.manifest).ok()) {
            if delivered.is_none() && earlier != key {
                delivered = manifest::read(store, &earlier, delivery.run).await?;
            }
        }
        let (left, removed) = remains::remove(store, state).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "cannot remove what an earlier attempt wrote");
        }
        if let Some(manifest) = delivered {
            return Ok(Opened::AlreadyDelivered(Some(Box::new(manifest))));
        }
        let state = SavedState::new(left, Arc::clone(&delivery.state_log));
        let attempt = (delivery.run, delivery.attempt);
        Ok(Opened::Writer(Box::new(ObjectWriter::new(Arc::clone(store), state, key, attempt))))
    }

    async fn remove_staged(&self, saved_state: &str) -> Result<(), DeliveryError> {
        remains::remove(&self.store, State::read(saved_state)?).await.1
    }
}
