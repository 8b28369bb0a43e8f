//! Exports: which data is exported, and how often. A contributor who manages an export may do everything except detach
//! it, which only administrators may.

mod attach;
mod attachment;
mod audit;
mod create;
mod delete;
mod detach;
mod duplicate;
mod get;
mod list;
mod pause_schedule;
mod pin_payload;
mod preview;
mod preview_schedule;
mod settings;
mod stored;
mod update;
mod update_schedules;

pub use attach::{AttachExport, BatchAttachExports};
pub use create::{CreateExport, ExportDraft};
pub use delete::{BatchDeleteExports, DeleteExport};
pub use detach::{BatchDetachExports, BatchDetached, DetachExport, DetachTarget};
pub use duplicate::DuplicateExport;
pub use pause_schedule::PauseSchedule;
pub use preview::{ExportPreview, FilePreview, PreviewTarget};
pub use preview_schedule::SchedulePreview;
pub use stored::{BatchOutcome, BatchResult};
pub(in crate::app) use stored::{lock_managed, single};
pub use update::{ExportUpdate, UpdateExport};
pub use update_schedules::{BatchUpdateExportSchedules, ScheduleUpdate};
