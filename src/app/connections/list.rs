//! Implements ListConnections.

use crate::app::App;
use crate::model::page::{Page, PageRequest};
use crate::model::{Connection, ConnectionFilter, OpContext, Result};
use crate::store;

impl App {
    /// Lists connections.
    pub async fn list_connections(
        &self,
        context: &OpContext,
        filter: &ConnectionFilter,
        page: &PageRequest,
    ) -> Result<Page<Connection>> {
        store::connections::list(&self.reader(context), &self.scope(context), filter, page).await
    }
}
