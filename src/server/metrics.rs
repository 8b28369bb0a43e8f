//! The metrics endpoint of the admin listener, and the gauges that are read when it is called.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::background::{Task, TaskError};
use crate::grpc::middleware::Admission;
use crate::telemetry::Metrics;

/// The time between two runs of the upkeep.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Where the values of gauges come from.
pub struct Gauges {
    app: App,
    admission: Arc<Admission>,
}

/// Moves recorded values into the buckets of their histograms, which bounds memory when metrics are not scraped.
pub struct MetricsUpkeep {
    metrics: Metrics,
}

impl Gauges {
    /// Reads an application and its admission.
    pub fn new(app: App, admission: Arc<Admission>) -> Self {
        Self { app, admission }
    }

    /// Sets every gauge to its current value.
    pub fn record(&self) {
        let number = |count: u64| u32::try_from(count).map_or(f64::INFINITY, f64::from);
        metrics::gauge!("rpc.server.permits.used").set(number(self.admission.calls_in_flight()));
        metrics::gauge!("rpc.server.permits.max").set(number(self.admission.max_calls()));
        metrics::gauge!("rpc.server.streams.open").set(number(self.app.open_streams()));
        for pool in self.app.store().pools() {
            let gauge = |state| {
                metrics::gauge!(
                    "db.client.connection.count",
                    "db.client.connection.pool.name" => pool.name,
                    "db.client.connection.state" => state
                )
            };
            gauge("idle").set(f64::from(pool.idle));
            gauge("used").set(f64::from(pool.used));
            metrics::gauge!("db.client.connection.max", "db.client.connection.pool.name" => pool.name)
                .set(f64::from(pool.max));
        }
    }
}

impl MetricsUpkeep {
    /// Maintains the metrics of a handle.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

#[async_trait::async_trait]
impl Task for MetricsUpkeep {
    fn name(&self) -> &'static str {
        "metrics_upkeep"
    }

    fn interval(&self) -> Duration {
        UPKEEP_INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        self.metrics.run_upkeep();
        Ok(())
    }
}
