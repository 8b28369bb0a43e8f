//! Implements GetExport.

use crate::app::App;
use crate::model::{Error, Export, ExportName, OpContext, ResourceKind, Result};
use crate::store;

impl App {
    /// Gets an export.
    pub async fn get_export(&self, context: &OpContext, name: &ExportName) -> Result<Export> {
        let (reader, scope) = (self.reader(context), self.scope(context));
        let found = store::exports::find(&reader, &scope, &context.actor, &name.id).await?;
        let export = found.ok_or_else(|| Error::NotFound(ResourceKind::Export, name.to_string()))?;
        Ok(export.with_due_time_after(self.schedules(), self.now()))
    }
}
