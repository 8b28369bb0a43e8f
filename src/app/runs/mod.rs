//! Runs: started, cancelled, read and watched by callers.

mod cancel;
mod get;
mod list;
mod start;
mod stored;
mod watch;
mod watcher;

pub use cancel::CancelExportRun;
pub use start::{BatchRunExports, BatchRuns, RunExport, RunTarget};
pub use watcher::{RunWatcher, TASK as RUN_WATCH_TASK};
