//! The catalog of connection types, "Discover".

use super::App;
use crate::catalog::ConnectionType;
use crate::model::{Call, Error, ResourceKind, Result, Role, ConnectionTypeId};

impl App {
    /// Up to `size` types behind `after`, in order of their ids, and whether there are more.
    pub fn list_connection_types(
        &self,
        call: &Call,
        after: Option<&str>,
        size: usize,
    ) -> Result<(Vec<&ConnectionType>, bool)> {
        call.caller.require(Role::Viewer)?;
        let behind = |found: &&ConnectionType| after.is_none_or(|after| found.id.as_str() > after);
        let mut types: Vec<_> = self.0.catalog.iter().filter(behind).take(size + 1).collect();
        let more = types.len() > size;
        types.truncate(size);
        Ok((types, more))
    }

    /// One type.
    pub fn get_connection_type(&self, call: &Call, id: &ConnectionTypeId) -> Result<&ConnectionType> {
        call.caller.require(Role::Viewer)?;
        self.0.catalog.get(id.as_str()).ok_or_else(|| Error::NotFound(ResourceKind::ConnectionType, id.name()))
    }

    /// The type of a connection or export; `None` if the catalog does not have it any more.
    pub(super) fn connection_type(&self, id: &ConnectionTypeId) -> Option<&ConnectionType> {
        self.0.catalog.get(id.as_str())
    }
}
