//! Declaration of settings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The definition of a setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key: in lower case in a file, with `OUTFLOW_` and in upper case in the environment.
    pub key: &'static str,
    /// Description in Markdown.
    pub description: &'static str,
    /// Its default as text; `None`: it is not set by default.
    pub default: Option<&'static str>,
    /// Whether it is a flag too.
    pub flag: bool,
    /// Whether it is a secret. It is never printed, and `<key>_file` names a file that holds it.
    pub secret: bool,
    /// Whether it is a list of `key=value` pairs, which a file may write as a table.
    pub map: bool,
}

impl Setting {
    /// A setting that is not set by default.
    pub const fn new(key: &'static str, description: &'static str) -> Self {
        Self { key, description, default: None, flag: false, secret: false, map: false }
    }

    /// The setting with a default.
    #[must_use]
    pub const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The setting as a flag too.
    #[must_use]
    pub const fn flag(self) -> Self {
        Self { flag: true, ..self }
    }

    /// The setting as a secret.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// The setting as a list of pairs.
    #[must_use]
    pub const fn map(self) -> Self {
        Self { map: true, ..self }
    }

    /// Its environment variable.
    pub fn variable(&self) -> String {
        format!("OUTFLOW_{}", self.key.to_ascii_uppercase())
    }

    /// Its flag, without the leading dashes.
    pub fn flag_name(&self) -> String {
        self.key.replace('_', "-")
    }
}

/// A type that settings have.
pub trait SettingValue: Sized {
    /// Description of accepted values, for errors.
    const EXPECTED: &'static str;

    /// Parses a value.
    fn parse(text: &str) -> Option<Self>;
}

impl SettingValue for String {
    const EXPECTED: &'static str = "a string";

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl SettingValue for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }
}

impl SettingValue for SocketAddr {
    const EXPECTED: &'static str = "an IP address with a port, such as 127.0.0.1:50051 or [::1]:50051";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl SettingValue for u32 {
    const EXPECTED: &'static str = "an integer that is not negative";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl SettingValue for Duration {
    const EXPECTED: &'static str = "a duration, such as 30s, 5m or 12h";

    fn parse(text: &str) -> Option<Self> {
        humantime::parse_duration(text).ok()
    }
}

impl SettingValue for bool {
    const EXPECTED: &'static str = "true or false";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}
