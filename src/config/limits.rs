//! Limits: how much of this replica its callers can use.

use std::time::Duration;

use super::api::{ApiConfig, Exposure, NetworkTls};
use super::error::ConfigError;
use super::setting::Setting;
use super::source::Values;

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[
    Setting::new("max_connections", "Connections of clients to the API at the same time.").default("1000"),
    Setting::new(
        "max_connections_per_address",
        "Connections from one address, or one /64 network of IPv6; by default a quarter of `max_connections` if clients connect \
         to this server directly, else all of them.",
    ),
    Setting::new(
        "max_connection_age",
        "Age, up to 20 % more or less at random, at which a client is asked to open a new connection. Calls and streams have \
         5 minutes more.",
    )
    .default("30m"),
    Setting::new(
        "max_unary_calls",
        "Unary calls at the same time. An organization has a quarter of them and a principal an eighth, or twice as many while \
         no more than half are in progress.",
    )
    .default("256"),
    Setting::new("max_streams", "Open streams; an organization has a quarter of them, and a principal 20.").default("1000"),
    Setting::new(
        "max_message_memory_mib",
        "Memory in MiB for requests that are handled and responses that were not sent yet, at least 32. It is shared as \
         `max_unary_calls` are. Requests that arrive have half as much in addition.",
    )
    .default("32"),
    Setting::new("organization_max_connections", "Connections that an organization can have; by default no limit."),
    Setting::new("organization_max_exports", "Exports that an organization can have; by default no limit."),
    Setting::new(
        "organization_max_writes_per_second",
        "Changing calls of an organization per second and replica, retries included; by default no limit.",
    ),
];

/// The smallest `max_connection_age`.
const MIN_CONNECTION_AGE: Duration = Duration::from_secs(10);
/// The smallest `max_message_memory_mib`: an eighth of it holds the largest request, or a page.
const MIN_MESSAGE_MEMORY_MIB: u32 = 32;

/// How much of a replica callers can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Connections of clients.
    pub connections: u32,
    /// Connections from one address.
    pub connections_per_address: u32,
    /// Age at which a connection is closed.
    pub connection_age: Duration,
    /// Unary calls at the same time.
    pub unary_calls: u32,
    /// How many streams can be open.
    pub streams: u32,
    /// Memory for messages in MiB.
    pub message_memory_mib: u32,
    /// Connections of an organization; `None`: no limit.
    pub organization_connections: Option<u32>,
    /// Exports of an organization; `None`: no limit.
    pub organization_exports: Option<u32>,
    /// Writing calls of an organization per second; `None`: no limit.
    pub organization_writes_per_second: Option<u32>,
}

impl LimitsConfig {
    pub(super) fn parse(values: &Values, api: &ApiConfig) -> Result<Self, ConfigError> {
        let positive = |key| match values.require::<u32>(key) {
            Ok(0) => Err(ConfigError::Conflict("limits of callers must not be 0")),
            number => number,
        };
        let connections = positive("max_connections")?;
        // Through a proxy, and on loopback, all clients have one address or a few.
        let has_addresses = matches!(api.exposure, Exposure::Network { tls: NetworkTls::Own(_), .. });
        let by_default = if has_addresses { connections.div_ceil(4) } else { connections };
        let connection_age: Duration = values.require("max_connection_age")?;
        if connection_age < MIN_CONNECTION_AGE {
            return Err(ConfigError::Conflict("`max_connection_age` must be at least 10s"));
        }
        let message_memory_mib = positive("max_message_memory_mib")?;
        if message_memory_mib < MIN_MESSAGE_MEMORY_MIB {
            return Err(ConfigError::Conflict("`max_message_memory_mib` must be at least 32"));
        }
        Ok(Self {
            connections,
            connections_per_address: match values.get("max_connections_per_address")? {
                Some(0) => return Err(ConfigError::Conflict("limits of callers must not be 0")),
                connections => connections.unwrap_or(by_default),
            },
            connection_age,
            unary_calls: positive("max_unary_calls")?,
            streams: positive("max_streams")?,
            message_memory_mib,
            organization_connections: values.get("organization_max_connections")?,
            organization_exports: values.get("organization_max_exports")?,
            organization_writes_per_second: match values.get("organization_max_writes_per_second")? {
                Some(0) => return Err(ConfigError::Conflict("limits of callers must not be 0")),
                writes => writes,
            },
        })
    }
}
