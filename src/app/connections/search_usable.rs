//! Implements SearchUsableConnections.

use crate::app::App;
use crate::model::page::{Page, PageRequest};
use crate::model::{ConnectionFilter, OpContext, Result, UsableConnection};
use crate::store;

impl App {
    /// Searches the connections that the caller may use for exports.
    pub async fn search_usable_connections(
        &self,
        context: &OpContext,
        filter: &ConnectionFilter,
        page: &PageRequest,
    ) -> Result<Page<UsableConnection>> {
        let (reader, scope) = (self.reader(context), self.scope(context));
        store::connections::search_usable(&reader, &scope, &context.actor, filter, page).await
    }
}
