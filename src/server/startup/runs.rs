//! The parts that run exports: the engine, and the tasks of the built-in runner.

use std::sync::Arc;
use std::thread;

use tokio::sync::Notify;

use crate::app::App;
use crate::background::Task;
use crate::config::RunsConfig;
use crate::delivery::engine::Engine;
use crate::runs::{Dispatcher, LeaseKeeper, RemainsRemoval, RunSettings, Runner, Scheduler};

/// Threads of the engine, unless the operator says otherwise.
const MAX_DEFAULT_THREADS: usize = 8;

/// The engine with its budget. By default one core is left to the calls.
pub fn engine(config: &RunsConfig) -> Engine {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let default = cores.saturating_sub(1).clamp(1, MAX_DEFAULT_THREADS);
    let threads = config.engine_threads.map_or(default, |threads| threads as usize);
    Engine::new(threads, config.engine_memory_mib as usize * 1024 * 1024)
}

/// How runs are executed.
pub fn settings(config: &RunsConfig) -> RunSettings {
    RunSettings {
        lease: config.lease,
        heartbeat: config.heartbeat,
        max_runs: config.max_concurrent,
        max_runs_per_organization: config.max_concurrent_per_organization,
        max_runs_per_connection_type: config.max_concurrent_per_connection_type,
        max_failures: config.max_attempts,
        retry_delay: config.retry_delay,
        max_duration: config.max_duration,
        drain_timeout: config.drain_timeout,
    }
}

/// The tasks that turn due times into runs and lease them for a runner.
pub fn tasks(app: &App, runner: Runner) -> Vec<Arc<dyn Task>> {
    let queued = Arc::new(Notify::new());
    vec![
        Arc::new(Scheduler::new(app, Arc::clone(&queued))),
        Arc::new(Dispatcher::new(app.store().clone(), app.catalog(), runner, queued)),
        Arc::new(LeaseKeeper::new(app.clone())),
        Arc::new(RemainsRemoval::new(app.clone())),
    ]
}
