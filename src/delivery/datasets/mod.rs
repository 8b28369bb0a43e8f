//! Datasets: finds the tables of an organization in the sources that the operator configured, and opens them.
//!
//! A table is looked up by its name in the listing of its source, never joined to a path. Listings are cached for a few
//! seconds, and schemas of files as long as the file does not change.

mod directory;
mod file_schema;
mod listing;
mod object_file;
mod objects;
mod options;
mod pinned;
mod postgres;
mod sample;
mod settings;
mod source_file;
mod table;
#[cfg(test)]
mod tests;
mod types;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::DeliveryError;
use crate::dialer::Dialer;
use crate::model::{Dataset, FailureCode, OrganizationId, PayloadTable};
use file_schema::SchemaError;
use listing::TableEntry;
use object_file::BlockCache;
use postgres::PostgresTable;
use settings::Source;
use table::FileSchemas;
use work::{blocking, within};

pub use options::SourceError;
pub use pinned::{MAX_BATCH_ROWS, PinnedTable, RowSource, TableContent};
pub use sample::write_sample;
pub use settings::{DatasetSettings, SourceSettings};
pub use source_file::{SourceFile, SourceReader};
pub use types::{arrow_type, common_type, field_type};

/// How long a listing is used again.
const LISTING_TTL: Duration = Duration::from_secs(10);
/// Number of files, or fields of PostgreSQL tables, in all cached listings together.
const MAX_CACHED_ENTRIES: u64 = 200_000;
/// Timeout of a listing and of the schema of a table.
pub const SCHEMA_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of listings and schemas that are read from one source at the same time.
const MAX_CONCURRENT_READS: usize = 16;
/// Number of local files that stay open between reads.
const MAX_OPEN_FILES: usize = 256;

/// The datasets of all organizations. Cheap to clone.
#[derive(Clone)]
pub struct Datasets(Arc<Inner>);

struct Inner {
    default: Option<ConfiguredSource>,
    organizations: BTreeMap<OrganizationId, ConfiguredSource>,
    listings: Cache<OrganizationId, Arc<Listing>>,
    schemas: FileSchemas,
    blocks: BlockCache,
    handles: Arc<Semaphore>,
}

/// A source, with permits of its own: one that does not respond does not delay the others.
struct ConfiguredSource {
    source: Source,
    permits: Arc<Semaphore>,
}

/// The tables of an organization, by name.
enum Listing {
    Files(BTreeMap<String, TableEntry>),
    Postgres(BTreeMap<String, PostgresTable>),
}

impl Listing {
    /// Files or fields.
    fn entries(&self) -> u32 {
        let files = |entry: &TableEntry| entry.as_ref().map_or(1, |table| table.files.len());
        let entries: usize = match self {
            Self::Files(tables) => tables.values().map(files).sum(),
            Self::Postgres(tables) => tables.values().map(|table| table.fields.len()).sum(),
        };
        u32::try_from(entries + 1).unwrap_or(u32::MAX)
    }
}

impl Datasets {
    /// Parses the settings of all sources. Nothing is opened.
    pub fn new(settings: DatasetSettings, dialer: &Dialer) -> Result<Self, SourceError> {
        let configured = |settings: SourceSettings| {
            let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_READS));
            Ok(ConfiguredSource { source: settings.parse(dialer)?, permits })
        };
        let default = settings.default.map(configured).transpose()?;
        let organizations = settings.organizations.into_iter();
        let organizations = organizations.map(|(id, settings)| Ok((id, configured(settings)?)));
        let organizations = organizations.collect::<Result<_, _>>()?;
        let weigh = |_: &OrganizationId, listing: &Arc<Listing>| listing.entries();
        let listings = Cache::builder().max_capacity(MAX_CACHED_ENTRIES).weigher(weigh).time_to_live(LISTING_TTL);
        Ok(Self(Arc::new(Inner {
            default,
            organizations,
            listings: listings.build(),
            schemas: FileSchemas::new(),
            blocks: BlockCache::new(),
            handles: Arc::new(Semaphore::new(MAX_OPEN_FILES)),
        })))
    }

    /// Whether the organization has a source.
    pub fn is_configured(&self, organization: &OrganizationId) -> bool {
        self.source(organization).is_some()
    }

    /// The names of the tables of an organization, in byte order; none if it has no source.
    pub async fn tables(&self, organization: &OrganizationId) -> Result<Vec<String>, DeliveryError> {
        let Some(source) = self.source(organization) else { return Ok(Vec::new()) };
        Ok(match &*self.listing(source, organization).await? {
            Listing::Files(tables) => tables.keys().cloned().collect(),
            Listing::Postgres(tables) => tables.keys().cloned().collect(),
        })
    }

    /// The tables of an organization, by name; none if it has no source. A table whose schema cannot be read has no fields.
    pub async fn list(&self, organization: &OrganizationId) -> Result<Vec<Dataset>, DeliveryError> {
        let mut datasets = Vec::new();
        for table in self.tables(organization).await? {
            datasets.extend(self.describe(organization, &table).await?);
        }
        Ok(datasets)
    }

    /// Like [`Self::get`], but a table whose schema cannot be read has no fields.
    pub async fn describe(&self, organization: &OrganizationId, table: &str) -> Result<Option<Dataset>, DeliveryError> {
        match self.find(organization, table).await {
            Err(SchemaError::Unreadable(cause)) => {
                tracing::warn!(%organization, table, cause, "the schema of a dataset cannot be read");
                let (organization, table) = (organization.clone(), table.to_owned());
                let (fields, estimated_rows, estimated_bytes, update_time) = (Vec::new(), None, None, None);
                Ok(Some(Dataset { organization, table, fields, estimated_rows, estimated_bytes, update_time }))
            }
            found => Ok(found?),
        }
    }

    /// A table; `None` if it does not exist or the organization has no source.
    pub async fn get(&self, organization: &OrganizationId, table: &str) -> Result<Option<Dataset>, DeliveryError> {
        Ok(self.find(organization, table).await?)
    }

    async fn find(&self, organization: &OrganizationId, table: &str) -> Result<Option<Dataset>, SchemaError> {
        let Some(source) = self.source(organization) else { return Ok(None) };
        match &*self.listing(source, organization).await? {
            Listing::Postgres(tables) => Ok(tables.get(table).map(|found| found.dataset(organization))),
            Listing::Files(tables) => {
                let Some(entry) = tables.get(table) else { return Ok(None) };
                let files = files(table, entry)?;
                let schema = self.0.schemas.of_table(files, &source.permits, Instant::now() + SCHEMA_TIMEOUT).await?;
                Ok(Some(schema.dataset(organization, table, files)))
            }
        }
    }

    /// Opens the tables of a payload for reading, as they are now. The payload says which fields and rows a query has to
    /// give; files are read as a whole. All queries see one snapshot.
    pub async fn open(
        &self,
        organization: &OrganizationId,
        payload: &[PayloadTable],
    ) -> Result<Vec<PinnedTable>, DeliveryError> {
        let source = self.source(organization).ok_or_else(|| {
            let detail = format!("the organization {organization} has no source of datasets");
            DeliveryError::new(FailureCode::DatasetNotConfigured, detail)
        })?;
        let missing = |table: &PayloadTable| {
            DeliveryError::new(FailureCode::FieldMissing, format!("there is no table {}", table.table))
        };
        // A cached listing may hold files that were replaced since.
        let listing = self.read_listing(source, organization).await?;
        match (&*listing, &source.source) {
            (Listing::Files(tables), _) => {
                let mut opened = Vec::new();
                for table in payload {
                    let entry = tables.get(&table.table).ok_or_else(|| missing(table))?;
                    let (files, deadline) = (files(&table.table, entry)?, Instant::now() + SCHEMA_TIMEOUT);
                    let schema = self.0.schemas.of_table(files, &source.permits, deadline).await?;
                    opened.push(schema.pinned(&table.table, files));
                }
                Ok(opened)
            }
            (Listing::Postgres(tables), Source::Postgres(postgres)) => {
                let found = payload.iter().map(|table| {
                    let found = tables.get(&table.table).ok_or_else(|| missing(table))?;
                    Ok((found, table))
                });
                let tables = found.collect::<Result<Vec<_>, DeliveryError>>()?;
                let opened = postgres.open(organization, &tables).await?.into_iter().zip(tables);
                let pinned = opened.map(|((schema, rows), (found, _))| found.pinned(schema, rows));
                Ok(pinned.collect())
            }
            (Listing::Postgres(_), Source::Directory(_) | Source::Objects(_)) => {
                payload.iter().map(|table| Err(missing(table))).collect()
            }
        }
    }

    fn source(&self, organization: &OrganizationId) -> Option<&ConfiguredSource> {
        self.0.organizations.get(organization).or(self.0.default.as_ref())
    }

    async fn listing(
        &self,
        source: &ConfiguredSource,
        organization: &OrganizationId,
    ) -> Result<Arc<Listing>, DeliveryError> {
        match self.0.listings.get(organization) {
            Some(listing) => Ok(listing),
            None => self.read_listing(source, organization).await,
        }
    }

    async fn read_listing(
        &self,
        source: &ConfiguredSource,
        organization: &OrganizationId,
    ) -> Result<Arc<Listing>, DeliveryError> {
        let listing = async {
            let permit = Arc::clone(&source.permits).acquire_owned().await;
            let permit = permit.map_err(|error| DeliveryError::with(FailureCode::Internal, "cannot list", error))?;
            match &source.source {
                Source::Directory(source) => {
                    let (source, organization) = (source.clone(), organization.clone());
                    let handles = Arc::clone(&self.0.handles);
                    // It goes on after the timeout if the file system does not respond, and keeps the permit.
                    let list = move || {
                        let _permit = permit;
                        source.list(&organization, &handles).map(listing::tables)
                    };
                    Ok(Listing::Files(blocking(list).await?))
                }
                Source::Objects(source) => {
                    Ok(Listing::Files(listing::tables(source.list(organization, &self.0.blocks).await?)))
                }
                Source::Postgres(source) => {
                    let tables = source.tables(organization).await?.into_iter();
                    Ok(Listing::Postgres(tables.map(|table| (table.name.clone(), table)).collect()))
                }
            }
        };
        match within(SCHEMA_TIMEOUT, listing).await {
            Ok(listing) => {
                let listing = Arc::new(listing);
                self.0.listings.insert(organization.clone(), Arc::clone(&listing));
                Ok(listing)
            }
            Err(error) => {
                self.0.listings.invalidate(organization);
                Err(error)
            }
        }
    }
}

fn files<'a>(table: &str, entry: &'a TableEntry) -> Result<&'a listing::TableFiles, SchemaError> {
    entry.as_ref().map_err(|cause| SchemaError::Unreadable(format!("{table}: {cause}")))
}
