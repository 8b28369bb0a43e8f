//! Outbound connections: which addresses are permitted besides public ones, which certificate authorities are trusted, and
//! as which tenants organizations may connect.

use std::path::PathBuf;

use super::error::ConfigError;
use super::setting::{Setting, SettingValue};
use super::source::Values;
use crate::model::{EntraTenants, OutboundAllowance};

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        ALLOWED,
        "Addresses that are not public and yet permitted as destinations: `organization=range` or `organization=range:port` \
         between commas, with `*` for every organization, such as `*=10.0.0.0/8:443,acme=[fd00::/8]:5432`. By default \
         destinations have public addresses.",
    ),
    Setting::new(
        "outbound_ca_file",
        "PEM file of certificate authorities that are trusted for outbound TLS in addition to the public ones; read at start.",
    ),
    Setting::new(
        ENTRA_TENANTS,
        "Microsoft Entra tenants that organizations may use: `organization=tenant` pairs between commas, with the ID or a \
         domain of the tenant, such as `acme=contoso.com,acme=6731de76-14a6-49ae-97bc-6eba6914391e`. Connections with another \
         tenant are refused when they are saved or tested. By default, and for organizations that are not listed: every \
         tenant.",
    ),
];

const ENTRA_TENANTS: &str = "entra_tenants";
const ALLOWED: &str = "outbound_allowed";
/// Maximum number of entries: each new connection compares its addresses with them.
const MAX_ALLOWANCES: usize = 1000;

/// What outbound connections may reach and trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboundConfig {
    /// Addresses that are permitted although they are not public.
    pub allowed: Vec<OutboundAllowance>,
    /// The file of additional certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// The Microsoft Entra tenants of organizations.
    pub entra_tenants: EntraTenants,
}

impl SettingValue for EntraTenants {
    const EXPECTED: &'static str = "`organization=tenant` pairs between commas, with the ID or a domain of the tenant";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl OutboundConfig {
    pub(super) fn parse(values: &Values) -> Result<Self, ConfigError> {
        let text: String = values.get(ALLOWED)?.unwrap_or_default();
        let entries: Vec<&str> = if text.trim().is_empty() { Vec::new() } else { text.split(',').collect() };
        if entries.len() > MAX_ALLOWANCES {
            return Err(ConfigError::Conflict("`outbound_allowed` must have at most 1000 entries"));
        }
        let bad = |entry: &str| ConfigError::BadEntry {
            key: ALLOWED,
            entry: entry.trim().to_owned(),
            expected: "`organization=range` or `organization=range:port`, such as `acme=10.0.0.0/8:443`, `*=10.1.2.3` or \
                       `acme=[fd00::/8]:443`, with no bits after the prefix",
            location: values.source(ALLOWED).map(ToString::to_string).unwrap_or_default(),
        };
        let allowed = entries.iter().map(|entry| OutboundAllowance::parse(entry).ok_or_else(|| bad(entry)));
        Ok(Self {
            allowed: allowed.collect::<Result<_, _>>()?,
            ca_file: values.get("outbound_ca_file")?,
            entra_tenants: values.get(ENTRA_TENANTS)?.unwrap_or_default(),
        })
    }
}
