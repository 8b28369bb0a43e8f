//! Implements GetExportRun.

use super::stored;
use crate::app::App;
use crate::model::{OpContext, Result, Run, RunName};
use crate::store;

impl App {
    /// Gets a run.
    pub async fn get_export_run(&self, context: &OpContext, name: &RunName) -> Result<Run> {
        let (reader, scope) = (self.reader(context), self.scope(context));
        stored::named(store::runs::get(&reader, &scope, name.uid).await?, name)
    }
}
