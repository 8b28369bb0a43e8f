//! Every setting, by concern.

use super::setting::Setting;
use super::{api, database, datasets, identity, keys, retention, schedules, telemetry};

/// Every setting, by concern.
pub const SETTINGS: [(&str, &[Setting]); 8] = [
    ("API", api::SETTINGS),
    ("Identity", identity::SETTINGS),
    ("Database", database::SETTINGS),
    ("Keys and catalog", keys::SETTINGS),
    ("Datasets", datasets::SETTINGS),
    ("Telemetry", telemetry::SETTINGS),
    ("Retention", retention::SETTINGS),
    ("Schedules", schedules::SETTINGS),
];

/// Every setting.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().flat_map(|(_, settings)| settings.iter())
}
