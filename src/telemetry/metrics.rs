//! Metrics: recorded through the `metrics` facade, rendered in the Prometheus text format.

use std::sync::LazyLock;

use metrics::{SetRecorderError, Unit};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use serde::Deserialize;

/// The upper bounds of the buckets of durations, in seconds.
const DURATION_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Every metric. A metric that is not in this list is not described, and a test fails.
pub static METRICS: LazyLock<Vec<Metric>> = LazyLock::new(|| {
    let list: List = toml::from_str(include_str!("metrics.toml")).unwrap_or_default();
    list.metric
});

/// A metric of the list.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its name, by the conventions of OpenTelemetry.
    pub name: String,
    /// What kind of metric it is.
    pub kind: MetricKind,
    /// Whether it is a duration in seconds.
    #[serde(default)]
    pub seconds: bool,
    /// The names of its labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Description in the output.
    pub description: String,
}

/// A kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// A value that only increases.
    Counter,
    /// A value that can increase and decrease.
    Gauge,
    /// A distribution.
    Histogram,
}

#[derive(Default, Deserialize)]
struct List {
    metric: Vec<Metric>,
}

/// The recorded metrics. Clones render the same metrics.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// Why metrics could not be started.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The buckets are invalid.
    #[error("metrics")]
    Build(#[from] BuildError),
    /// The process has a recorder already.
    #[error("metrics")]
    Installed(#[from] SetRecorderError<PrometheusRecorder>),
}

impl Metrics {
    /// Starts recording for the whole process.
    pub fn install() -> Result<Self, MetricsError> {
        let recorder =
            PrometheusBuilder::new().with_recommended_naming(true).set_buckets(&DURATION_BUCKETS)?.build_recorder();
        let metrics = Self(recorder.handle());
        metrics::set_global_recorder(recorder)?;
        for Metric { name, kind, seconds, labels, description } in METRICS.iter() {
            let unit = if *seconds { Unit::Seconds } else { Unit::Count };
            match kind {
                MetricKind::Counter => metrics::describe_counter!(name.clone(), unit, description.clone()),
                MetricKind::Gauge => metrics::describe_gauge!(name.clone(), unit, description.clone()),
                MetricKind::Histogram => metrics::describe_histogram!(name.clone(), unit, description.clone()),
            }
            // Starts at 0, so that the first increment is visible in a rate.
            if *kind == MetricKind::Counter && labels.is_empty() {
                metrics::counter!(name.clone()).increment(0);
            }
        }
        Ok(metrics)
    }

    /// Renders all metrics.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Moves recorded values of histograms into their buckets.
    pub fn run_upkeep(&self) {
        self.0.run_upkeep();
    }
}
