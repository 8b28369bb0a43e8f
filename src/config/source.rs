//! Where settings come from: flags, environment variables, a file, files that hold secrets, defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::error::ConfigError;
use super::setting::{Form, Setting, SettingValue, is_path};

/// The prefix of environment variables, in lower case.
const PREFIX: &str = "outflow_";
/// The variable of that prefix that names the file.
const CONFIG: &str = "config";

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The flag with this name.
    Flag(String),
    /// The environment variable with this name.
    Environment(String),
    /// The configuration file.
    File(PathBuf),
    /// A file that holds a secret, and what named it.
    SecretFile(PathBuf),
    /// An entry of a table, and where the table was found.
    Entry(String, Box<Source>),
    /// The default of the setting.
    Default,
    /// Code, in tests.
    Code,
}

/// The values of settings, with their sources. They may be secrets, so it has no Debug.
pub struct Values {
    settings: Vec<&'static Setting>,
    values: BTreeMap<&'static str, (String, Source)>,
}

impl Values {
    /// The defaults, overridden by these values.
    pub fn of<'a>(
        settings: Vec<&'static Setting>,
        values: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Result<Self, ConfigError> {
        let mut loaded = Self::defaults(settings);
        for (key, value) in values {
            loaded.set(key, value, Source::Code)?;
        }
        Ok(loaded)
    }

    /// Reads all sources: flags override the environment, which overrides the file, which overrides the defaults.
    pub fn read(
        settings: Vec<&'static Setting>,
        flags: &BTreeMap<&'static str, String>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let (mut loaded, mut secret_files) = (Self::defaults(settings), BTreeMap::new());
        if let Some(path) = file {
            for (key, value) in loaded.read_file(path)? {
                loaded.set_or_note(&key, value, Source::File(path.to_owned()), &mut secret_files)?;
            }
        }
        for (key, value) in variables(environment) {
            let source = Source::Environment(format!("{PREFIX}{key}").to_ascii_uppercase());
            loaded.set_or_note(&key, value, source, &mut secret_files)?;
        }
        for (key, value) in flags {
            secret_files.remove(key);
            loaded.set(key, value.clone(), Source::Flag(format!("--{}", key.replace('_', "-"))))?;
        }
        for (key, path) in secret_files {
            if loaded.is_set(key) {
                return Err(ConfigError::Conflict("a secret and the file that holds it are both set; set one of them"));
            }
            let text = read_secret(key, &path)?;
            // A password may begin or end with spaces; the line break is the editor's.
            let value = if key.ends_with("password") { text.trim_end_matches(['\r', '\n']) } else { text.trim() };
            loaded.set(key, value.to_owned(), Source::SecretFile(path))?;
        }
        Ok(loaded)
    }

    /// The parsed value of a setting; `None` if it is not set.
    pub fn get<T: SettingValue>(&self, key: &'static str) -> Result<Option<T>, ConfigError> {
        let Some((text, source)) = self.values.get(key) else { return Ok(None) };
        let bad = || ConfigError::BadValue { key, expected: T::EXPECTED, location: source.to_string() };
        T::parse(text).map(Some).ok_or_else(bad)
    }

    /// The parsed value of a setting that has a default.
    pub fn require<T: SettingValue>(&self, key: &'static str) -> Result<T, ConfigError> {
        let missing = || ConfigError::BadValue {
            key,
            expected: T::EXPECTED,
            location: "no source: it has no default".to_owned(),
        };
        self.get(key)?.ok_or_else(missing)
    }

    /// Whether a setting is set, other than by its default.
    pub fn is_set(&self, key: &str) -> bool {
        self.source(key).is_some_and(|source| *source != Source::Default)
    }

    /// Where the value of a setting was found.
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.values.get(key).map(|(_, source)| source)
    }

    /// The text of a setting; a secret's too.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(text, _)| text.as_str())
    }

    /// The entries of a table setting by their names. Those of an entry are the settings that begin with `prefix`, without it.
    pub(super) fn entries(&self, key: &'static str, prefix: &str) -> Result<Vec<(String, Self)>, ConfigError> {
        let Some((text, source)) = self.values.get(key) else { return Ok(Vec::new()) };
        let bad = || ConfigError::BadValue { key, expected: "a TOML table of tables", location: source.to_string() };
        let table = text.parse::<Table>().map_err(|_| bad())?;
        let entry = |(name, value): (String, Value)| {
            let Value::Table(entry) = value else { return Err(bad()) };
            let source = Source::Entry(name.clone(), Box::new(source.clone()));
            let settings = self.settings.iter().copied().filter(|setting| setting.form != Form::Entries);
            let settings = settings.filter(|setting| setting.key.starts_with(prefix)).collect();
            let mut values = Self::defaults(settings);
            let malformed = |problem| ConfigError::BadTable { location: source.to_string(), problem };
            for (key, value) in values.flattened(prefix, entry).map_err(malformed)? {
                values.set(&key, value, source.clone())?;
            }
            Ok((name, values))
        };
        table.into_iter().map(entry).collect()
    }

    fn defaults(settings: Vec<&'static Setting>) -> Self {
        let default = |setting: &&'static Setting| Some((setting.key, (setting.default?.to_owned(), Source::Default)));
        Self { values: settings.iter().filter_map(default).collect(), settings }
    }

    fn find(&self, key: &str) -> Option<&'static Setting> {
        self.settings.iter().copied().find(|setting| setting.key == key)
    }

    /// The settings of a TOML file. Tables may nest: `[jwt] issuer = …` is `jwt_issuer`.
    fn read_file(&self, path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
        let malformed = |message: String| ConfigError::Malformed { path: path.to_owned(), message };
        let table = read(path)?.parse::<Table>();
        let table = table.map_err(|error| malformed(format!("is not valid TOML: {}", error.message())))?;
        self.flattened("", table).map_err(|problem| malformed(format!("cannot be used: {problem}")))
    }

    /// The settings of a table, each once.
    fn flattened(&self, prefix: &str, table: Table) -> Result<Vec<(String, String)>, String> {
        let mut values = Vec::new();
        self.flatten(prefix, table, &mut values)?;
        let mut keys = BTreeSet::new();
        match values.iter().find(|(key, _)| !keys.insert(key)) {
            Some((key, _)) => Err(format!("`{key}` is set twice")),
            None => Ok(values),
        }
    }

    fn flatten(&self, prefix: &str, table: Table, values: &mut Vec<(String, String)>) -> Result<(), String> {
        for (key, value) in table {
            let key = if prefix.is_empty() { key } else { format!("{prefix}_{key}") };
            let form = self.find(&key).map(|setting| setting.form);
            let text = match (value, form) {
                (Value::Table(table), Some(Form::Pairs)) => join(&table)?,
                (Value::Table(table), Some(Form::Entries)) => table.to_string(),
                (Value::Table(table), _) => {
                    self.flatten(&key, table, values)?;
                    continue;
                }
                (Value::Array(list), Some(Form::List)) => join_list(&key, &list)?,
                (value, _) => scalar(&value).ok_or_else(|| format!("`{key}` must be a string, number or boolean"))?,
            };
            values.push((key, text));
        }
        Ok(())
    }

    /// Sets a value, or notes the file that holds it.
    fn set_or_note(
        &mut self,
        key: &str,
        value: String,
        source: Source,
        secret_files: &mut BTreeMap<&'static str, PathBuf>,
    ) -> Result<(), ConfigError> {
        match key.strip_suffix("_file").and_then(|key| self.find(key)).filter(|setting| setting.has_file()) {
            Some(setting) => {
                secret_files.insert(setting.key, PathBuf::from(value));
                Ok(())
            }
            None => self.set(key, value, source),
        }
    }

    fn set(&mut self, key: &str, value: String, source: Source) -> Result<(), ConfigError> {
        let setting = self
            .find(key)
            .ok_or_else(|| ConfigError::UnknownKey { key: key.to_owned(), location: source.to_string() })?;
        self.values.insert(setting.key, (value, source));
        Ok(())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(formatter, "flag {name}"),
            Self::Environment(name) => write!(formatter, "environment variable {name}"),
            Self::File(path) | Self::SecretFile(path) => write!(formatter, "file {}", path.display()),
            Self::Entry(name, table) => write!(formatter, "entry {name:?} of {table}"),
            Self::Default => formatter.write_str("default"),
            Self::Code => formatter.write_str("code"),
        }
    }
}

/// The variables that are settings, without their prefix and in lower case.
fn variables(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<(String, String)> {
    let text = |(key, value): (OsString, OsString)| {
        let key = key.to_str()?.to_ascii_lowercase();
        Some((key.strip_prefix(PREFIX)?.to_owned(), value.to_string_lossy().into_owned()))
    };
    let variables = environment.into_iter().filter_map(text);
    variables.filter(|(key, value)| key != CONFIG && !is_service_link(key, value)).collect()
}

/// Kubernetes sets variables in every container next to Services named `outflow` or `outflow-…`: `OUTFLOW_X_SERVICE_HOST`,
/// `OUTFLOW_X_SERVICE_PORT`, one for each named port, and `OUTFLOW_X_PORT`, `OUTFLOW_X_PORT_5432_TCP`, … of Docker's links.
/// Their values tell them from settings, such as the port of a Service `outflow-database` from `database_port`.
fn is_service_link(key: &str, value: &str) -> bool {
    let is_url = || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_address = || value.parse::<IpAddr>().is_ok();
    let is_port = || value.parse::<u16>().is_ok();
    let words: Vec<&str> = key.split('_').collect();
    let is_link = |port: &str, protocol: &str| port.parse::<u16>().is_ok() && is_protocol(protocol);
    match words.as_slice() {
        [.., "service", "host"] => is_address(),
        [.., "port"] if is_url() => true,
        [.., "port", port, protocol] if is_link(port, protocol) => is_url(),
        [.., "port", port, protocol, "addr"] if is_link(port, protocol) => is_address(),
        [.., "port", port, protocol, "port"] if is_link(port, protocol) => is_port(),
        [.., "port", port, protocol, "proto"] if is_link(port, protocol) => is_protocol(value),
        words => words.windows(2).any(|pair| pair == ["service", "port"]) && is_port(),
    }
}

fn is_protocol(text: &str) -> bool {
    ["tcp", "udp", "sctp"].contains(&text)
}

/// A table of pairs, as the environment writes it.
fn join(pairs: &Table) -> Result<String, String> {
    let pair = |(key, value): (&String, &Value)| {
        let value = scalar(value).filter(|value| !key.contains([',', '=']) && !value.contains(','))?;
        Some(format!("{key}={value}"))
    };
    let pairs: Option<Vec<String>> = pairs.iter().map(pair).collect();
    Ok(pairs.ok_or("a table of pairs must have keys without `,` and `=`, and values without `,`")?.join(","))
}

/// A list, as the environment writes it.
fn join_list(key: &str, list: &[Value]) -> Result<String, String> {
    let entries: Option<Vec<String>> =
        list.iter().map(|entry| scalar(entry).filter(|text| !text.contains(','))).collect();
    Ok(entries.ok_or_else(|| format!("`{key}` must be a list of strings without `,`"))?.join(","))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(value) => Some(value.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

/// Reads the file of a secret. If its name does not begin as paths do, it could be the secret itself, and is not shown.
fn read_secret(key: &'static str, path: &Path) -> Result<String, ConfigError> {
    let text = path.to_str().unwrap_or_default();
    match read(path) {
        Err(ConfigError::Unreadable { cause, .. }) if !is_path(text) || !text.starts_with(['/', '.']) => {
            Err(ConfigError::UnreadableSecret { key, cause })
        }
        read => Ok(read?.trim_start_matches('\u{feff}').to_owned()),
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })
}
