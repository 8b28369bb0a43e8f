//! ListConnectionTypes and GetConnectionType: the catalog.

use super::App;
use crate::catalog::{ConnectionType, TypeFilter};
use crate::model::{ConnectionTypeId, Error, ResourceKind, Result};

impl App {
    /// Lists up to `size` types that match a filter after the id `after`, in order of their ids, and whether there are more.
    pub fn list_connection_types(
        &self,
        filter: &TypeFilter,
        after: Option<&str>,
        size: usize,
    ) -> (Vec<&ConnectionType>, bool) {
        let is_after = |found: &&ConnectionType| after.is_none_or(|after| found.id.as_str() > after);
        let matching = self.0.parts.catalog.iter().filter(|found| filter.matches(found));
        let mut types: Vec<_> = matching.filter(is_after).take(size + 1).collect();
        let more = types.len() > size;
        types.truncate(size);
        (types, more)
    }

    /// Gets one type.
    pub fn get_connection_type(&self, id: &ConnectionTypeId) -> Result<&ConnectionType> {
        self.connection_type(id).ok_or_else(|| Error::NotFound(ResourceKind::ConnectionType, id.name()))
    }
}
