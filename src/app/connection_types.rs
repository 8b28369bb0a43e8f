//! ListConnectionTypes and GetConnectionType: the catalog.

use std::collections::HashMap;

use super::App;
use crate::catalog::{ConnectionType, TypeFilter};
use crate::model::{ConnectionTypeId, Error, OpContext, ResourceKind, Result, Role, Unavailable};
use crate::store;

/// A type as the catalog shows it to a caller.
pub struct CatalogEntry<'a> {
    /// The type of the catalog.
    pub connection_type: &'a ConnectionType,
    /// Number of connections of the type; `None` if the caller is not an administrator or the database does not respond.
    pub connection_count: Option<u64>,
}

impl App {
    /// Lists up to `size` types that match a filter after the id `after`, in order of their ids, and whether there are more.
    pub async fn list_connection_types(
        &self,
        context: &OpContext,
        filter: &TypeFilter,
        after: Option<&str>,
        size: usize,
    ) -> Result<(Vec<CatalogEntry<'_>>, bool)> {
        let is_after = |found: &&ConnectionType| after.is_none_or(|after| found.id.as_str() > after);
        let matching = self.0.parts.catalog.iter().filter(|found| filter.matches(found));
        let mut types: Vec<_> = matching.filter(is_after).take(size + 1).collect();
        let more = types.len() > size;
        types.truncate(size);
        Ok((self.catalog_entries(context, types).await?, more))
    }

    /// Gets one type.
    pub async fn get_connection_type(&self, context: &OpContext, id: &ConnectionTypeId) -> Result<CatalogEntry<'_>> {
        let not_found = || Error::NotFound(ResourceKind::ConnectionType, id.name());
        let found = self.connection_type(id).ok_or_else(not_found)?;
        self.catalog_entries(context, vec![found]).await?.pop().ok_or_else(not_found)
    }

    async fn catalog_entries<'a>(
        &self,
        context: &OpContext,
        types: Vec<&'a ConnectionType>,
    ) -> Result<Vec<CatalogEntry<'a>>> {
        let counts = match self.count_connections(context, &types).await {
            // The catalog itself needs no database.
            Err(Error::Unavailable(Unavailable::Database)) => None,
            counts => counts?,
        };
        let count = |found: &ConnectionType| Some(counts.as_ref()?.get(&found.id).copied().unwrap_or_default());
        let entry = |found: &'a ConnectionType| CatalogEntry { connection_type: found, connection_count: count(found) };
        Ok(types.into_iter().map(entry).collect())
    }

    async fn count_connections(
        &self,
        context: &OpContext,
        types: &[&ConnectionType],
    ) -> Result<Option<HashMap<String, u64>>> {
        if types.is_empty() || !context.actor.has(Role::Admin) {
            return Ok(None);
        }
        let (reader, scope) = (self.reader(context), self.scope(context));
        let ids = types.iter().map(|found| found.id.as_str());
        Ok(Some(store::connection_counts::by_type(&reader, &scope, ids).await?))
    }
}
