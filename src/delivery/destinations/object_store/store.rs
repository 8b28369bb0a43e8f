//! One bucket or container, with the prefix of a connection and the folder of an export.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};
use serde_json::Value;

use super::connector::MAX_RESPONSE_BYTES;
use super::error::{failure, is_absent, is_not_implemented};
use super::origin::Origin;
use super::state::OpenUpload;
use crate::delivery::DeliveryError;
use crate::delivery::destinations::Target;
use crate::dialer::Network;
use crate::model::FailureCode;
use crate::model::json::Object;

/// Name of the metadata of objects that names the attempt which wrote them. Azure permits letters and digits only.
const MARKER: &str = "outflowattempt";

/// Maximum number of objects that are removed from the folder of a run.
const MAX_REMOVED_OBJECTS: usize = 10_000;

/// Delays before each time that an upload is aborted.
const ABORT_DELAYS: [Duration; 4] =
    [Duration::ZERO, Duration::ZERO, Duration::from_millis(50), Duration::from_millis(200)];

/// Where a delivery writes.
pub(super) struct Store {
    /// Objects of the bucket.
    pub(super) objects: Arc<dyn ObjectStore>,
    /// Uploads that have an id; `None` if uploads of the store have none and expire by themselves.
    pub(super) uploads: Option<Arc<dyn MultipartStore>>,
    /// The server.
    pub(super) origin: Origin,
    /// What may be connected to.
    pub(super) network: Network,
    prefix: String,
    folder: String,
    storage_class: Option<String>,
}

impl Store {
    /// A store. `storage_class` is the key of the setting that holds the storage class of files.
    pub(super) fn new(
        objects: Arc<dyn ObjectStore>,
        uploads: Option<Arc<dyn MultipartStore>>,
        target: &Target,
        (origin, network): (Origin, Network),
        storage_class: &str,
    ) -> Self {
        let owned = |object: &Object, key: &str| text(object, key).unwrap_or_default().to_owned();
        Self {
            objects,
            uploads,
            origin,
            network,
            prefix: owned(&target.properties, "prefix"),
            folder: owned(&target.settings, "folder"),
            storage_class: text(&target.settings, storage_class).map(ToOwned::to_owned),
        }
    }

    /// The key of a path below the folder of the export.
    pub(super) fn key(&self, path: &str) -> Result<Path, DeliveryError> {
        let segments = [self.prefix.as_str(), self.folder.as_str(), path].map(|part| part.trim_matches('/'));
        let joined: Vec<&str> = segments.into_iter().filter(|part| !part.is_empty()).collect();
        Path::parse(joined.join("/")).map_err(|error| DeliveryError::with(FailureCode::Internal, "key", error))
    }

    /// Attributes of the files of an attempt.
    pub(super) fn attributes(&self, marker: &str) -> Attributes {
        let mut attributes = marked(marker);
        if let Some(class) = &self.storage_class {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        attributes
    }

    /// Writes an object as a whole, over one that exists.
    pub(super) async fn put(
        &self,
        key: &Path,
        payload: PutPayload,
        attributes: Attributes,
    ) -> object_store::Result<()> {
        let options = PutOptions { attributes, ..PutOptions::default() };
        self.objects.put_opts(key, payload, options).await.map(drop)
    }

    /// Writes a small object in the default storage class, over one that exists.
    pub(super) async fn replace(&self, key: &Path, text: String, marker: &str) -> Result<(), DeliveryError> {
        let put = self.put(key, text.into(), marked(marker)).await;
        put.map_err(|error| failure(&format!("put {key}"), &error))
    }

    /// Writes a small object in the default storage class unless it exists. Returns whether it was written. Stores
    /// without conditional requests replace it.
    pub(super) async fn create(&self, key: &Path, text: String, marker: &str) -> Result<bool, DeliveryError> {
        let options = PutOptions { mode: PutMode::Create, attributes: marked(marker), ..PutOptions::default() };
        match self.objects.put_opts(key, text.clone().into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) if is_not_implemented(&error) => {
                self.replace(key, text, marker).await?;
                Ok(true)
            }
            Err(error) => Err(failure(&format!("create {key}"), &error)),
        }
    }

    /// Whether an object exists that the attempt wrote. Without a permission to read it, the answer is no.
    pub(super) async fn is_written(&self, key: &Path, bytes: u64, marker: &str) -> bool {
        let found = self.objects.get_opts(key, GetOptions { head: true, ..GetOptions::default() }).await;
        found.is_ok_and(|found| found.meta.size == bytes && is_marked(&found.attributes, marker))
    }

    /// Reads an object; `None` if it does not exist. Fails if it is larger than a response may be.
    pub(super) async fn read(&self, key: &Path) -> Result<Option<Bytes>, DeliveryError> {
        let doing = format!("get {key}");
        let found = match self.objects.get(key).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(failure(&doing, &error)),
        };
        if found.meta.size > MAX_RESPONSE_BYTES as u64 {
            return Err(DeliveryError::new(
                FailureCode::DestinationRefused,
                format!("{doing}: the object is too large"),
            ));
        }
        found.bytes().await.map(Some).map_err(|error| failure(&doing, &error))
    }

    /// Removes an object, if it exists.
    pub(super) async fn delete(&self, key: &Path) -> Result<(), DeliveryError> {
        match self.objects.delete(key).await {
            Err(error) if !is_absent(&error) => Err(failure(&format!("delete {key}"), &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes the objects of a folder.
    pub(super) async fn remove_folder(&self, folder: &Path) -> Result<(), DeliveryError> {
        let objects = self.objects.list(Some(folder)).take(MAX_REMOVED_OBJECTS);
        let keys: Vec<Path> = objects
            .map_ok(|object| object.location)
            .try_collect()
            .await
            .map_err(|error| failure(&format!("list {folder}"), &error))?;
        for key in keys {
            self.delete(&key).await?;
        }
        Ok(())
    }

    /// Aborts an upload, if it exists. A part that was still being received can outlive that, so the upload is aborted until
    /// the store does not know it, as the documentation of S3 says.
    pub(super) async fn abort(&self, upload: &OpenUpload) -> Result<(), DeliveryError> {
        let Some(uploads) = &self.uploads else { return Ok(()) };
        let key = Path::parse(&upload.key).map_err(|error| DeliveryError::with(FailureCode::Internal, "key", error))?;
        for delay in ABORT_DELAYS {
            tokio::time::sleep(delay).await;
            match uploads.abort_multipart(&key, &upload.id).await {
                Ok(()) => {}
                Err(object_store::Error::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(failure(&format!("abort the upload of {key}"), &error)),
            }
        }
        Ok(())
    }
}

/// The text of a property, setting or field, unless it is empty.
pub(super) fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn is_marked(attributes: &Attributes, marker: &str) -> bool {
    attributes.get(&Attribute::Metadata(MARKER.into())).is_some_and(|found| found.as_ref() == marker)
}

fn marked(marker: &str) -> Attributes {
    Attributes::from_iter([(Attribute::Metadata(MARKER.into()), marker.to_owned())])
}
