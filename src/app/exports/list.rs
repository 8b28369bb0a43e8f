//! Implements ListExports.

use crate::app::App;
use crate::model::page::{Page, PageRequest};
use crate::model::{Export, ExportFilter, OpContext, Result};
use crate::store;

impl App {
    /// Lists exports.
    pub async fn list_exports(
        &self,
        context: &OpContext,
        filter: &ExportFilter,
        page: &PageRequest,
    ) -> Result<Page<Export>> {
        let (reader, scope) = (self.reader(context), self.scope(context));
        let found = store::exports::list(&reader, &scope, &context.actor, filter, page).await?;
        let now = self.now();
        let items = found.items.into_iter().map(|export| export.with_due_time_after(self.schedules(), now)).collect();
        Ok(Page { items, next: found.next })
    }
}
