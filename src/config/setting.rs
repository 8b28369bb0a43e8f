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
    /// Whether a file can hold it, and whether it is a secret.
    pub holder: Holder,
    /// How a file may write it.
    pub form: Form,
}

/// How a file may write a setting, besides as the text that the environment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a string, number or boolean.
    Scalar,
    /// As an array: its text is a list between commas.
    List,
    /// As a table: its text is a list of `key=value` pairs between commas.
    Pairs,
    /// As a table of tables, each with settings of its own: its text is TOML.
    Entries,
}

/// Where the value of a setting can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// In a source of settings alone.
    Setting,
    /// Also in a file that `<key>_file` names.
    File,
    /// Also in such a file; it is a secret, which is never printed.
    SecretFile,
}

impl Setting {
    /// A setting that is not set by default.
    pub const fn new(key: &'static str, description: &'static str) -> Self {
        Self { key, description, default: None, flag: false, holder: Holder::Setting, form: Form::Scalar }
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

    /// The setting as a secret, which a file may hold.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { holder: Holder::SecretFile, ..self }
    }

    /// The setting in a file too, such as an entry of a mounted Secret.
    #[must_use]
    pub const fn file(self) -> Self {
        Self { holder: Holder::File, ..self }
    }

    /// The setting as a list of pairs.
    #[must_use]
    pub const fn map(self) -> Self {
        Self { form: Form::Pairs, ..self }
    }

    /// The setting as a list between commas.
    #[must_use]
    pub const fn list(self) -> Self {
        Self { form: Form::List, ..self }
    }

    /// The setting as a TOML table of entries.
    #[must_use]
    pub const fn table(self) -> Self {
        Self { form: Form::Entries, ..self }
    }

    /// Whether it is never printed.
    pub fn is_secret(&self) -> bool {
        self.holder == Holder::SecretFile
    }

    /// Whether `<key>_file` names a file that holds it.
    pub fn has_file(&self) -> bool {
        self.holder != Holder::Setting
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
    const EXPECTED: &str = "a path, not the content of a file";

    fn parse(text: &str) -> Option<Self> {
        is_path(text).then(|| text.into())
    }
}

/// Whether a text can be a path: not a URL, nor a file's content with line breaks, which can be secrets.
pub(super) fn is_path(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains("://") && !text.chars().any(char::is_control)
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

impl SettingValue for u16 {
    const EXPECTED: &'static str = "a number from 1 to 65535";

    fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok().filter(|port| *port > 0)
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
