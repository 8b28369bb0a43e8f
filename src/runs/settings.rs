//! How runs are executed.

use std::time::Duration;

/// The settings of a replica that runs exports.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// How long a lease is valid without being renewed.
    pub lease: Duration,
    /// The time between two renewals; at most a third of the lease.
    pub heartbeat: Duration,
    /// Runs of this replica at the same time.
    pub max_runs: u32,
    /// Runs of one organization at the same time, over all replicas.
    pub max_runs_per_organization: u32,
    /// Runs of one organization to connections of one type at the same time, over all replicas.
    pub max_runs_per_connection_type: u32,
    /// Attempts of a run that may fail before the run fails.
    pub max_failures: u32,
    /// The delay of the second attempt, doubled for each further one.
    pub retry_delay: Duration,
    /// How long one attempt may take.
    pub max_duration: Duration,
    /// How long deliveries go on after a shutdown begins.
    pub drain_timeout: Duration,
}
