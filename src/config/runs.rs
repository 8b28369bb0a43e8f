//! Runs: whether and how this replica runs exports.

use std::time::Duration;

use super::error::ConfigError;
use super::setting::{Setting, SettingValue};
use super::source::Values;

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[
    Setting::new("runs", "`on`: this replica schedules and runs exports. `off`: other replicas have to.").default("on"),
    Setting::new("run_max_concurrent", "Runs of this replica at the same time.").default("8"),
    Setting::new(
        "run_max_concurrent_per_organization",
        "Runs of one organization at the same time, over all replicas.",
    )
    .default("16"),
    Setting::new(
        "run_max_concurrent_per_connection_type",
        "Runs of one organization to connections of one type at the same time, over all replicas.",
    )
    .default("12"),
    Setting::new("run_max_attempts", "Failed attempts after which a run fails. An attempt whose replica stopped does not count.")
        .default("3"),
    Setting::new("run_retry_delay", "Delay before the second attempt, doubled for each further one up to 1h, and shortened at random by up to a half.").default("30s"),
    Setting::new("run_max_duration", "How long a run may take from the start of its first attempt; after that, it fails.").default("12h"),
    Setting::new(
        "run_drain_timeout",
        "How long deliveries go on after a shutdown begins. Another replica repeats the others.",
    )
    .default("20s"),
    Setting::new(
        "run_lease",
        "How long a run belongs to a replica that does not respond, at least 500ms; after that, another one repeats it.",
    )
    .default("30s"),
    Setting::new("run_heartbeat", "How often leases are renewed, at most a third of `run_lease`.").default("2s"),
    Setting::new("run_retention_days", "Days that runs are kept after their end, at most 36500.").default("90"),
    Setting::new("engine_threads", "Threads that read and encode data; by default one fewer than there are cores, at least 1 and at most 8."),
    Setting::new("engine_memory_mib", "Memory in MiB for data that runs and previews read and encode, at least 24.").default("256"),
];

/// The shortest lease.
const MIN_LEASE: Duration = Duration::from_millis(500);
/// Renewals that fit into a lease.
const RENEWALS_PER_LEASE: u32 = 3;
/// The longest retention: 100 years. The time at which a run expires is part of the API.
const MAX_RETENTION_DAYS: u32 = 36_500;
const DAY: Duration = Duration::from_hours(24);

/// Whether and how this replica runs exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunsConfig {
    /// Whether it runs them.
    pub enabled: bool,
    /// Runs at the same time.
    pub max_concurrent: u32,
    /// Runs of one organization at the same time, over all replicas.
    pub max_concurrent_per_organization: u32,
    /// Runs of one organization to connections of one type at the same time, over all replicas.
    pub max_concurrent_per_connection_type: u32,
    /// Failed attempts after which a run fails.
    pub max_attempts: u32,
    /// Delay before the second attempt.
    pub retry_delay: Duration,
    /// Maximum duration of an attempt.
    pub max_duration: Duration,
    /// How long deliveries may go on during a shutdown.
    pub drain_timeout: Duration,
    /// How long a lease is valid.
    pub lease: Duration,
    /// The time between two renewals of a lease.
    pub heartbeat: Duration,
    /// How long runs are kept.
    pub retention: Duration,
    /// Threads of the engine; `None`: one fewer than there are cores, at least 1 and at most 8.
    pub engine_threads: Option<u32>,
    /// Memory of the engine in MiB.
    pub engine_memory_mib: u32,
}

/// On or off.
struct Switch(bool);

impl SettingValue for Switch {
    const EXPECTED: &'static str = "`on` or `off`";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "on" => Some(Self(true)),
            "off" => Some(Self(false)),
            _ => None,
        }
    }
}

impl RunsConfig {
    pub(super) fn parse(values: &Values) -> Result<Self, ConfigError> {
        let (lease, heartbeat): (Duration, Duration) = (values.require("run_lease")?, values.require("run_heartbeat")?);
        if lease < MIN_LEASE {
            return Err(ConfigError::Conflict("`run_lease` must be at least 500ms"));
        }
        if heartbeat.is_zero() || heartbeat * RENEWALS_PER_LEASE > lease {
            return Err(ConfigError::Conflict("`run_heartbeat` must be at most a third of `run_lease`, and not 0"));
        }
        let Switch(enabled) = values.require("runs")?;
        let positive = |key| match values.require::<u32>(key) {
            Ok(0) => Err(ConfigError::Conflict("limits of runs and of the engine must not be 0")),
            number => number,
        };
        let retention_days = positive("run_retention_days")?;
        if retention_days > MAX_RETENTION_DAYS {
            return Err(ConfigError::Conflict("`run_retention_days` must be at most 36500"));
        }
        Ok(Self {
            enabled,
            max_concurrent: positive("run_max_concurrent")?,
            max_concurrent_per_organization: positive("run_max_concurrent_per_organization")?,
            max_concurrent_per_connection_type: positive("run_max_concurrent_per_connection_type")?,
            max_attempts: positive("run_max_attempts")?,
            retry_delay: values.require("run_retry_delay")?,
            max_duration: values.require("run_max_duration")?,
            drain_timeout: values.require("run_drain_timeout")?,
            lease,
            heartbeat,
            retention: DAY * retention_days,
            engine_threads: values.get("engine_threads")?,
            engine_memory_mib: positive("engine_memory_mib")?,
        })
    }
}
