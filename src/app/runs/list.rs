//! Implements ListExportRuns.

use crate::app::App;
use crate::model::page::{Page, PageRequest};
use crate::model::{Error, ExportName, OpContext, ResourceKind, Result, Run, RunFilter};
use crate::store;

impl App {
    /// Lists runs: of the export that has the id of the filter now, or of all exports.
    pub async fn list_export_runs(
        &self,
        context: &OpContext,
        filter: &RunFilter,
        page: &PageRequest,
    ) -> Result<Page<Run>> {
        let (reader, scope) = (self.reader(context), self.scope(context));
        let export = match &filter.export {
            None => None,
            Some(id) => {
                let found = store::exports::find_references(&reader, &scope, std::slice::from_ref(id)).await?;
                let name = ExportName { organization: context.organization.clone(), id: id.clone() };
                let not_found = || Error::NotFound(ResourceKind::Export, name.to_string());
                Some(found.first().ok_or_else(not_found)?.uid)
            }
        };
        store::runs::list(&reader, &scope, filter, export, page).await
    }
}
