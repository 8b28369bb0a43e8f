//! Every setting, by concern.

use super::setting::Setting;
use super::{
    api, client, database, datasets, deliveries, identity, keys, limits, outbound, retention, runs, schedules,
    telemetry,
};

/// Every setting, by concern.
pub const SETTINGS: [(&str, &[Setting]); 13] = [
    ("API", api::SETTINGS),
    ("Identity", identity::SETTINGS),
    ("Limits", limits::SETTINGS),
    ("Database", database::SETTINGS),
    ("Keys and catalog", keys::SETTINGS),
    ("Datasets", datasets::SETTINGS),
    ("Telemetry", telemetry::SETTINGS),
    ("Retention", retention::SETTINGS),
    ("Schedules", schedules::SETTINGS),
    ("Runs", runs::SETTINGS),
    ("Deliveries", deliveries::SETTINGS),
    ("Outbound connections", outbound::SETTINGS),
    ("Commands that call a server", client::SETTINGS),
];

/// Every setting.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().flat_map(|(_, settings)| settings.iter())
}
