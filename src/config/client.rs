//! Commands that call a server, such as `outflow runs follow`.

use super::error::ConfigError;
use super::setting::Setting;
use super::source::Values;
use crate::model::Secret;

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[Setting::new(
    "token",
    "Token that `outflow runs follow` sends. By default it mints one of the development identity for a server on loopback.",
)
.secret()];

/// What commands that call a server authenticate with.
pub struct ClientConfig {
    /// The token; `None`: the commands mint one if they can.
    pub token: Option<Secret>,
}

impl ClientConfig {
    pub(super) fn parse(values: &Values) -> Result<Self, ConfigError> {
        Ok(Self { token: values.get("token")?.map(Secret::new) })
    }
}
