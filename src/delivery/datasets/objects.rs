//! Lists the objects of an organization in an object store.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use tokio::runtime::Handle;

use super::listing::{FoundFile, MAX_FILES};
use super::object_file::{BlockCache, ObjectFile, describe};
use super::options::{SourceError, SourceOptions};
use super::source_file::SourceFile;
use crate::delivery::DeliveryError;
use crate::dialer::Dialer;
use crate::model::{FailureCode, OrganizationId};

/// Timeout of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Retries of a request, besides those of the run.
const RETRY: RetryConfig = RetryConfig {
    backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2.0 },
    max_retries: 3,
    retry_timeout: Duration::from_secs(20),
};

/// A prefix of a bucket or container, below which each organization has a folder.
#[derive(Clone)]
pub struct ObjectSource {
    store: Arc<dyn ObjectStore>,
    /// Scheme, bucket and prefix, for errors and keys of caches.
    location: String,
    prefix: Path,
}

impl ObjectSource {
    /// A location such as `s3://bucket/prefix`. Without secret options, the identity of the process is used: environment
    /// variables, the metadata service, or a workload identity.
    pub fn new(url: &reqwest::Url, options: &SourceOptions, dialer: &Dialer) -> Result<Self, SourceError> {
        let bucket = url.host_str().filter(|bucket| !bucket.is_empty()).ok_or(SourceError::NoBucket)?;
        let prefix = Path::from_url_path(url.path()).map_err(|_| SourceError::Malformed)?;
        let connector = dialer.operator_object_store_connector(REQUEST_TIMEOUT).map_err(SourceError::Client)?;
        let is_ambient = !options.has_secrets();
        let store: Arc<dyn ObjectStore> = match url.scheme() {
            "s3" => {
                let builder = if is_ambient { AmazonS3Builder::from_env() } else { AmazonS3Builder::new() };
                let mut builder = builder.with_http_connector(connector);
                for (key, value) in options.iter() {
                    builder = builder.with_config(parse_key(key)?, value);
                }
                let built = builder.with_bucket_name(bucket).with_retry(RETRY).build();
                Arc::new(built.map_err(|_| SourceError::Options)?)
            }
            "az" => {
                let builder = if is_ambient { MicrosoftAzureBuilder::from_env() } else { MicrosoftAzureBuilder::new() };
                let mut builder = builder.with_http_connector(connector);
                for (key, value) in options.iter() {
                    builder = builder.with_config(parse_key(key)?, value);
                }
                let built = builder.with_container_name(bucket).with_retry(RETRY).build();
                Arc::new(built.map_err(|_| SourceError::Options)?)
            }
            _ => {
                let new = GoogleCloudStorageBuilder::new;
                let builder = if is_ambient { GoogleCloudStorageBuilder::from_env() } else { new() };
                let mut builder = builder.with_http_connector(connector);
                for (key, value) in options.iter() {
                    builder = builder.with_config(parse_key(key)?, value);
                }
                let built = builder.with_bucket_name(bucket).with_retry(RETRY).build();
                Arc::new(built.map_err(|_| SourceError::Options)?)
            }
        };
        Ok(Self { store, location: format!("{}://{bucket}/{prefix}", url.scheme()), prefix })
    }

    /// A prefix of any store, for tests.
    #[cfg(test)]
    pub fn of_store(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self { store, location: format!("memory://{prefix}"), prefix: Path::from(prefix) }
    }

    /// The objects below the folder of an organization, and one folder deeper.
    pub async fn list(
        &self,
        organization: &OrganizationId,
        cache: &BlockCache,
    ) -> Result<Vec<FoundFile>, DeliveryError> {
        let folder = self.prefix.clone().join(organization.as_str());
        let depth = folder.parts().count();
        let (mut objects, mut found, mut seen) = (self.store.list(Some(&folder)), Vec::new(), 0_usize);
        while let Some(meta) = objects.try_next().await.map_err(|error| self.error(describe(&error)))? {
            seen += 1;
            if seen > MAX_FILES {
                return Err(self.error("the folder of the organization has more than 20,000 objects"));
            }
            let mut names: Vec<String> =
                meta.location.parts().skip(depth).map(|part| part.as_ref().to_owned()).collect();
            let Some(name) = names.pop().filter(|_| names.len() < 2) else { continue };
            let modified = Some(meta.last_modified);
            let (store, cache, runtime) = (Arc::clone(&self.store), cache.clone(), Handle::current());
            let file = SourceFile::object(ObjectFile::new(&self.location, store, meta, cache, runtime));
            found.push(FoundFile { folder: names.pop(), name, file, modified });
        }
        Ok(found)
    }

    fn error(&self, cause: impl Display) -> DeliveryError {
        DeliveryError::with(FailureCode::DatasetUnavailable, &format!("cannot list {}", self.location), cause)
    }
}

/// Parses the name of an option. Those of the HTTP client, such as proxies, are refused: the dialer has its own.
fn parse_key<K: FromStr>(key: &str) -> Result<K, SourceError> {
    let unknown = || SourceError::UnknownOption(key.to_owned());
    let bare = ["aws_", "azure_", "google_"].iter().find_map(|prefix| key.strip_prefix(prefix)).unwrap_or(key);
    match ClientConfigKey::from_str(bare) {
        Ok(client) if client != ClientConfigKey::AllowHttp => Err(unknown()),
        Ok(_) | Err(_) => key.parse().map_err(|_| unknown()),
    }
}
