//! Retention: how long the audit log is kept.

use std::time::Duration;

use super::error::ConfigError;
use super::setting::Setting;
use super::source::Values;

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "audit_retention_days",
        "Days that audit events are kept, 1 to 36500; denied attempts are kept no longer than that.",
    )
    .default("400"),
    Setting::new("denied_retention_days", "Days that denied attempts are kept in the audit log, 1 to 36500.")
        .default("30"),
];

/// The longest retention: 100 years. The database computes with times of its calendar.
const MAX_DAYS: u32 = 36_500;
const DAY: Duration = Duration::from_hours(24);

/// How long the audit log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Retention of audit events about changes.
    pub audit: Duration,
    /// Retention of denied attempts.
    pub denied: Duration,
}

impl RetentionConfig {
    pub(super) fn parse(values: &Values) -> Result<Self, ConfigError> {
        let days = |key| match values.require::<u32>(key)? {
            days @ 1..=MAX_DAYS => Ok(DAY * days),
            _ => Err(ConfigError::Conflict("retention must be 1 to 36500 days")),
        };
        Ok(Self { audit: days("audit_retention_days")?, denied: days("denied_retention_days")? })
    }
}
