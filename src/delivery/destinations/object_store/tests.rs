//! Uploads at a store that responds late; what the tests of several files need.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use bytes::Bytes;
use futures_util::poll;
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, PutMultipartOptions, PutPayload, PutResult};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::origin::Origin;
use super::parts::PART_BYTES;
use super::state::{OpenUpload, SavedState, State};
use super::store::Store;
use super::writer::ObjectWriter;
use crate::delivery::destinations::{StateLog, Target, Writer as _};
use crate::delivery::{Chunk, DeliveryError, OutputFile};
use crate::dialer::Dialer;
use crate::model::OrganizationId;
use crate::model::json::Object;

/// Begins an upload at once, and responds when it may.
pub(super) struct LateStore {
    objects: InMemory,
    /// The ids of uploads that are neither complete nor aborted.
    pub(super) open: Mutex<HashSet<MultipartId>>,
    /// A permit for each response.
    pub(super) responses: Semaphore,
    /// How many parts arrive after their upload was aborted, which is open again then.
    late_parts: AtomicUsize,
}

#[async_trait::async_trait]
impl MultipartStore for LateStore {
    async fn create_multipart(&self, path: &Path) -> object_store::Result<MultipartId> {
        let id = self.objects.create_multipart(path).await?;
        self.open.lock().insert(id.clone());
        self.responses.acquire().await.expect("it is not closed").forget();
        Ok(id)
    }

    async fn create_multipart_opts(
        &self,
        path: &Path,
        _options: PutMultipartOptions,
    ) -> object_store::Result<MultipartId> {
        self.create_multipart(path).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        data: PutPayload,
    ) -> object_store::Result<PartId> {
        self.objects.put_part(path, id, index, data).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> object_store::Result<PutResult> {
        self.open.lock().remove(id);
        self.objects.complete_multipart(path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> object_store::Result<()> {
        if !self.open.lock().remove(id) {
            return Err(object_store::Error::NotFound { path: path.to_string(), source: "no such upload".into() });
        }
        if self.late_parts.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            self.open.lock().insert(id.clone());
        }
        Ok(())
    }
}

/// Remembers the last text that was saved.
#[derive(Default)]
pub(super) struct Memory(pub(super) Mutex<String>);

#[async_trait::async_trait]
impl StateLog for Memory {
    async fn save(&self, state: &str) -> Result<(), DeliveryError> {
        state.clone_into(&mut self.0.lock());
        Ok(())
    }
}

/// A store whose uploads are those of a late one.
pub(super) fn late_store() -> (Arc<Store>, Arc<LateStore>) {
    let late = Arc::new(LateStore {
        objects: InMemory::new(),
        open: Mutex::default(),
        responses: Semaphore::new(0),
        late_parts: AtomicUsize::new(0),
    });
    let organization = OrganizationId::parse("acme").unwrap();
    let network = Dialer::default().network(&organization);
    let target = Target { organization, properties: Object::new(), credential: None, settings: Object::new() };
    let origin = Origin { host: "store.example".to_owned(), port: 443 };
    let uploads = Arc::clone(&late) as Arc<dyn MultipartStore>;
    let store = Store::new(Arc::new(InMemory::new()), Some(uploads), &target, (origin, network), "storage_class");
    (Arc::new(store), late)
}

#[tokio::test]
async fn an_upload_whose_id_arrives_after_an_interruption_is_aborted() {
    let ((store, uploads), log) = (late_store(), Arc::new(Memory::default()));
    let state = SavedState::new(State::default(), Arc::<Memory>::clone(&log));
    let mut writer = ObjectWriter::new(store, state, Path::from("weekly.csv.manifest.json"), (Uuid::nil(), 1));
    let file = OutputFile { path: "weekly.csv".to_owned(), table: "customers".to_owned(), fields: Vec::new() };
    writer.start_file(&file).await.unwrap();
    {
        let mut writing = writer.write(Chunk { bytes: Bytes::from(vec![0; PART_BYTES]), rows: 1 });
        while uploads.open.lock().is_empty() {
            assert!(matches!(poll!(&mut writing), Poll::Pending));
            tokio::task::yield_now().await;
        }
        // The delivery is interrupted: the future is dropped.
    }
    let mut aborting = writer.abort();
    assert!(matches!(poll!(&mut aborting), Poll::Pending), "the id is not known yet");
    uploads.responses.add_permits(1);
    aborting.await;
    assert_eq!(State::read(&log.0.lock()).unwrap().uploads.len(), 1, "a later removal knows the id too");
    assert!(uploads.open.lock().is_empty(), "an upload remains");
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_aborted_until_the_store_does_not_know_it() {
    let (store, uploads) = late_store();
    uploads.responses.add_permits(1);
    let id = uploads.create_multipart(&Path::from("weekly.csv")).await.unwrap();
    uploads.late_parts.store(2, Relaxed);
    let upload = OpenUpload { key: "weekly.csv".to_owned(), id };
    store.abort(&upload).await.unwrap();
    assert!(uploads.open.lock().is_empty(), "a part that arrived late keeps it open");
    store.abort(&upload).await.unwrap();
}
