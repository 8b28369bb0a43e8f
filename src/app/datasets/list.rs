//! Implements ListDatasets.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use uuid::Uuid;

use super::error::unavailable;
use crate::app::App;
use crate::model::page::{Page, PageRequest, Position, PositionKey};
use crate::model::{Dataset, Error, OpContext, Result, limits};

/// How long a page reads schemas; it waits longer for its first dataset.
const READ_TIME: Duration = Duration::from_secs(4);
/// Number of schemas that are read at the same time.
const CONCURRENCY: usize = 8;
/// Bytes of a field in a response besides its name, at most.
const FIELD_BYTES: usize = 12;
/// Bytes of a dataset in a response besides its names and fields, at most.
const DATASET_BYTES: usize = 128;

impl App {
    /// Lists the datasets of an organization whose tables contain `search`, in any case, in order of their tables.
    pub async fn list_datasets(
        &self,
        context: &OpContext,
        search: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Dataset>> {
        let list = self.read_page(context, search, page);
        tokio::time::timeout_at(context.deadline.into(), list).await.map_err(|_| Error::DeadlineExceeded)?
    }

    async fn read_page(&self, context: &OpContext, search: Option<&str>, page: &PageRequest) -> Result<Page<Dataset>> {
        let organization = &context.organization;
        let end = Instant::now() + READ_TIME;
        let mut tables =
            self.datasets().tables(organization).await.map_err(|error| unavailable(organization, error))?;
        let search = search.map(str::to_lowercase);
        tables.retain(|table| {
            let is_after = after(page).is_none_or(|after| table.as_str() > after);
            is_after && search.as_ref().is_none_or(|search| table.to_lowercase().contains(search))
        });
        let left = tables.len();
        let read = stream::iter(tables).map(async |table| {
            let found = self.datasets().describe(organization, &table).await;
            found.map(|found| (table, found)).map_err(|error| unavailable(organization, error))
        });
        let mut read = std::pin::pin!(read.buffered(CONCURRENCY));
        let (mut items, mut bytes, mut seen, mut last) = (Vec::new(), 0, 0, None);
        while seen < page.size as usize {
            let next = if seen == 0 {
                read.next().await
            } else {
                tokio::time::timeout_at(end.into(), read.next()).await.unwrap_or_default()
            };
            let Some(found) = next else { break };
            let (table, dataset) = found?;
            bytes += dataset.as_ref().map_or(0, size);
            if seen > 0 && bytes > limits::MAX_PAGE_BYTES {
                break;
            }
            seen += 1;
            items.extend(dataset);
            last = Some(table);
        }
        let next = last.filter(|_| seen < left);
        Ok(Page { items, next: next.map(|table| Position { key: PositionKey::Text(table), uid: Uuid::nil() }) })
    }
}

/// The table after which the page begins.
fn after(page: &PageRequest) -> Option<&str> {
    match &page.after.as_ref()?.key {
        PositionKey::Text(table) => Some(table),
        PositionKey::Uid | PositionKey::Time(_) | PositionKey::Feed(_) => None,
    }
}

/// Bytes of a dataset in a response, at most.
fn size(dataset: &Dataset) -> usize {
    let fields = dataset.fields.iter().map(|field| field.name.len() + FIELD_BYTES).sum::<usize>();
    2 * dataset.table.len() + fields + DATASET_BYTES
}
