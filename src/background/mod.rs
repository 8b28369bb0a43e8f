//! Background tasks. A task is a type with a name, an interval and `run_once`; the supervisor runs all of them.

mod connection_watch;
mod denied_attempts;
mod idle_connections;
mod key_refresh;
mod key_usage;
mod readiness;
mod retention;
mod run_watch;
mod supervisor;
mod task;

use std::sync::Arc;

use crate::app::App;
use crate::store::Retention;

pub use key_refresh::IssuerKeys;
pub use readiness::Readiness;
pub use retention::RetentionJob;
pub use supervisor::{Supervisor, TaskStatus};
pub use task::{Task, TaskError};

/// The tasks of a server.
///
/// `issuer_keys` are the key sets that are refreshed; `readiness` publishes whether the server is ready.
pub fn tasks(
    app: &App,
    issuer_keys: Vec<IssuerKeys>,
    retention: Retention,
    readiness: Readiness,
) -> Vec<Arc<dyn Task>> {
    let mut tasks: Vec<Arc<dyn Task>> = vec![
        Arc::new(connection_watch::ConnectionWatch::new(app.clone())),
        Arc::new(denied_attempts::DeniedAttempts::new(app.clone())),
        Arc::new(idle_connections::IdleConnections::new(app.store().clone())),
        Arc::new(key_usage::KeyUsage::new(app.clone())),
        Arc::new(readiness),
        Arc::new(run_watch::RunWatch::new(app.clone())),
        Arc::new(retention::RetentionJob::new(app.store().clone(), retention)),
    ];
    for keys in issuer_keys {
        tasks.push(Arc::new(key_refresh::KeyRefresh::new(keys)));
    }
    tasks
}
