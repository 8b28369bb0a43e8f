//! Implements PreviewExport: the path of a run up to its destination.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{CreateExport, audit, stored};
use crate::app::{Affected, App, Mutation, MutationTx};
use crate::delivery::engine::{EncodingSettings, Job, PreviewLimit, Progress};
use crate::delivery::layout::Layout;
use crate::delivery::{DeliveryError, ManifestField, Output};
use crate::model::audit::AuditDiff;
use crate::model::{
    CallerAccess, Error, Export, ExportName, FailureCode, OpContext, Precondition, ResourceKind, Result, Unavailable,
};
use crate::store;

/// Maximum size of the samples of all files together, in bytes.
const MAX_SAMPLE_BYTES: u64 = 64 * 1024;

/// The export to preview.
pub enum PreviewTarget {
    /// A saved export.
    Saved(ExportName),
    /// An export that is not saved.
    Draft(Box<CreateExport>),
}

/// What a run of an export would deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPreview {
    /// The first file of each table.
    pub files: Vec<FilePreview>,
    /// The fields of all tables.
    pub fields: Vec<ManifestField>,
    /// Number of rows of all tables, if the sources know it.
    pub estimated_rows: Option<u64>,
    /// Number of bytes of all tables, if the sources know it.
    pub estimated_bytes: Option<u64>,
}

/// The beginning of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePreview {
    /// Path below the folder of the export.
    pub path: String,
    /// The table whose rows it holds.
    pub table: String,
    /// The first rows as text.
    pub sample: Vec<u8>,
    /// Number of rows in the sample.
    pub rows: u64,
}

impl App {
    /// Shows what a run of an export would deliver. Fails with `RATE_LIMITED` if the organization makes too many previews.
    pub async fn preview_export(&self, context: &OpContext, target: PreviewTarget, rows: u64) -> Result<ExportPreview> {
        // The audit log has the payload of a saved export already.
        let (export, diff) = match target {
            PreviewTarget::Saved(name) => {
                context.invalid_form.clone().into_result()?;
                (self.find_to_preview(context, &name).await?, AuditDiff::new())
            }
            PreviewTarget::Draft(mut draft) => {
                // Checks everything that a creation checks but the names of its files, and changes nothing.
                draft.is_preview = true;
                let context = OpContext { validate_only: true, ..context.clone() };
                let export = self.execute(&context, *draft).await?;
                let diff = audit::shown(&export);
                (export, diff)
            }
        };
        let _permit = self.0.previews.acquire(&context.organization)?;
        self.execute(context, RecordPreview { export: export.clone(), diff }).await?;
        let preview = self.read_preview(&export, PreviewLimit { rows, bytes: MAX_SAMPLE_BYTES });
        let deadline = tokio::time::Instant::from_std(context.deadline);
        let preview = tokio::time::timeout_at(deadline, preview).await.map_err(|_| Error::DeadlineExceeded)?;
        preview.map_err(|error| failed(&error))
    }

    async fn find_to_preview(&self, context: &OpContext, name: &ExportName) -> Result<Export> {
        let (reader, scope) = (self.reader(context), self.scope(context));
        let found = store::exports::find(&reader, &scope, &context.actor, &name.id).await?;
        let export = found.ok_or_else(|| Error::NotFound(ResourceKind::Export, name.to_string()))?;
        if export.caller_access == CallerAccess::Manage { Ok(export) } else { Err(Error::not_permitted(name)) }
    }

    async fn read_preview(&self, export: &Export, limit: PreviewLimit) -> Result<ExportPreview, DeliveryError> {
        let parts = &self.0.parts.delivery;
        let tables = parts.datasets.open(&export.name.organization, &export.payload.tables).await?;
        let rows = tables.iter().map(|table| table.estimated_rows).sum();
        let bytes = tables.iter().map(|table| table.estimated_bytes).sum();
        let tables = export.payload.tables.iter().cloned().zip(tables).collect();
        let format = parts.destinations.format(&export.connection_type);
        let settings = EncodingSettings::new(format, &export.destination_settings)?;
        // The time and the run are examples.
        let layout = Layout::of_export(export.name.clone(), Uuid::now_v7(), self.now(), &export.destination_settings)?;
        let job = Job::plan(tables, settings, layout, Some(limit))?;
        let fields = job.manifest().fields;
        let stop = CancellationToken::new();
        let _stop_at_end = stop.clone().drop_guard();
        let workers = parts.engine.reserve_preview().await?;
        let mut outputs = parts.engine.start(job, workers, Arc::new(Progress::default()), stop);
        let mut files: Vec<FilePreview> = Vec::new();
        while let Some(output) = outputs.recv().await {
            match output? {
                Output::File(file) => {
                    files.push(FilePreview { path: file.path, table: file.table, ..FilePreview::default() });
                }
                Output::Chunk(chunk) => {
                    if let Some(file) = files.last_mut() {
                        file.sample.extend_from_slice(&chunk.bytes);
                        file.rows += chunk.rows;
                    }
                }
                Output::EndOfFile(_) => {}
            }
        }
        Ok(ExportPreview { files, fields, estimated_rows: rows, estimated_bytes: bytes })
    }
}

/// Records a preview in the audit log: it shows data.
struct RecordPreview {
    export: Export,
    diff: AuditDiff,
}

impl Mutation for RecordPreview {
    type Response = ();

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        tx.audit(audit::resource(&self.export), self.diff.clone(), None, "previewed");
        Ok(stored::affected(&self.export))
    }
}

/// A run would fail for the same reason. The cause is in the log only.
fn failed(error: &DeliveryError) -> Error {
    tracing::info!(%error, "a preview failed");
    let code = error.code;
    if matches!(code, FailureCode::DatasetUnavailable | FailureCode::SourceChanged) {
        Error::Unavailable(Unavailable::Dataset)
    } else {
        Precondition::PreviewFailed { code }.into()
    }
}
