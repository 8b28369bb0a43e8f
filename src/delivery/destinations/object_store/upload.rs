//! An upload in parts, several of which are sent at once.

use std::sync::Arc;

use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Attributes, MultipartId, MultipartUpload, ObjectStore as _, PutMultipartOptions, PutPayload};
use tokio::task::{JoinHandle, JoinSet};

use super::error::failure;
use super::parts::{MAX_PARTS, parts_in_flight};
use super::store::Store;
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// An object that becomes visible when its upload is complete. Dropping it stops the parts that are being sent.
pub(super) struct Upload {
    key: Path,
    session: Session,
    /// Number of parts that were begun.
    begun: usize,
    in_flight: JoinSet<object_store::Result<Option<(usize, PartId)>>>,
    /// Parts that the store has, if they have ids.
    parts: Vec<(usize, PartId)>,
}

/// The upload that is being begun, in a task of its own: who stops waiting for it can still learn its id, to abort it.
#[derive(Default)]
pub(super) struct Beginning(Option<JoinHandle<Result<Upload, DeliveryError>>>);

enum Session {
    /// An upload with an id, in which parts replace each other by their numbers.
    Identified(Arc<dyn MultipartStore>, MultipartId),
    /// Blocks with random ids of this upload.
    Blocks(Box<dyn MultipartUpload>),
}

impl Beginning {
    /// Begins an upload. Nothing is visible.
    pub(super) async fn begin(
        &mut self,
        store: &Arc<Store>,
        key: &Path,
        attributes: Attributes,
    ) -> Result<Upload, DeliveryError> {
        let (store, key) = (Arc::clone(store), key.clone());
        let begun = self.0.insert(tokio::spawn(async move { Upload::begin(&store, &key, attributes).await })).await;
        self.0 = None;
        begun.map_err(|error| DeliveryError::with(FailureCode::Internal, "begin an upload", error))?
    }

    /// Waits for the upload that was being begun when its caller stopped waiting; `None`: there is none.
    pub(super) async fn finish(&mut self) -> Option<Upload> {
        let begun = self.0.as_mut()?.await;
        self.0 = None;
        begun.ok()?.ok()
    }
}

impl Upload {
    async fn begin(store: &Store, key: &Path, attributes: Attributes) -> Result<Self, DeliveryError> {
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let session = match &store.uploads {
            Some(uploads) => {
                let id = uploads.create_multipart_opts(key, options).await;
                id.map(|id| Session::Identified(Arc::clone(uploads), id))
            }
            None => store.objects.put_multipart_opts(key, options).await.map(Session::Blocks),
        };
        let session = session.map_err(|error| failure(&format!("begin the upload of {key}"), &error))?;
        Ok(Self { key: key.clone(), session, begun: 0, in_flight: JoinSet::new(), parts: Vec::new() })
    }

    /// The key of its object.
    pub(super) fn key(&self) -> &Path {
        &self.key
    }

    /// Its id, by which it is aborted.
    pub(super) fn id(&self) -> Option<&str> {
        match &self.session {
            Session::Identified(_, id) => Some(id),
            Session::Blocks(_) => None,
        }
    }

    /// Number of parts that were begun, which is the index of the next part.
    pub(super) fn begun(&self) -> usize {
        self.begun
    }

    /// Begins to send the next part. Waits until the number of parts in flight permits it.
    pub(super) async fn put(&mut self, payload: PutPayload) -> Result<(), DeliveryError> {
        if self.begun == MAX_PARTS {
            let detail = format!("{} has more than {MAX_PARTS} parts: limit the bytes per file", self.key);
            return Err(DeliveryError::new(FailureCode::LimitExceeded, detail));
        }
        while self.in_flight.len() >= parts_in_flight(self.begun) {
            self.wait_for_part().await?;
        }
        let index = self.begun;
        self.begun += 1;
        match &mut self.session {
            Session::Identified(uploads, id) => {
                let (uploads, key, id) = (Arc::clone(uploads), self.key.clone(), id.clone());
                self.in_flight.spawn(async move {
                    let part = uploads.put_part(&key, &id, index, payload).await?;
                    Ok(Some((index, part)))
                });
            }
            Session::Blocks(upload) => {
                let part = upload.put_part(payload);
                self.in_flight.spawn(async move { part.await.map(|()| None) });
            }
        }
        Ok(())
    }

    /// Waits until the store has all parts.
    pub(super) async fn finish_parts(&mut self) -> Result<(), DeliveryError> {
        while !self.in_flight.is_empty() {
            self.wait_for_part().await?;
        }
        self.parts.sort_unstable_by_key(|(index, _)| *index);
        Ok(())
    }

    /// Makes the object visible.
    pub(super) async fn complete(&mut self) -> object_store::Result<()> {
        match &mut self.session {
            Session::Identified(uploads, id) => {
                let parts = self.parts.iter().map(|(_, part)| part.clone()).collect();
                uploads.complete_multipart(&self.key, id, parts).await.map(drop)
            }
            Session::Blocks(upload) => upload.complete().await.map(drop),
        }
    }

    /// Stops sending.
    pub(super) async fn stop(mut self) {
        self.in_flight.shutdown().await;
    }

    /// Removes the upload from the store.
    pub(super) async fn abort(mut self) -> Result<(), DeliveryError> {
        self.in_flight.shutdown().await;
        let aborted = match &mut self.session {
            Session::Identified(uploads, id) => uploads.abort_multipart(&self.key, id).await,
            Session::Blocks(upload) => upload.abort().await,
        };
        match aborted {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure(&format!("abort the upload of {}", self.key), &error)),
        }
    }

    async fn wait_for_part(&mut self) -> Result<(), DeliveryError> {
        match self.in_flight.join_next().await {
            None => Ok(()),
            Some(Ok(Ok(part))) => {
                self.parts.extend(part);
                Ok(())
            }
            Some(Ok(Err(error))) => Err(failure(&format!("put a part of {}", self.key), &error)),
            Some(Err(error)) => Err(DeliveryError::with(FailureCode::Internal, "put a part", error)),
        }
    }
}
