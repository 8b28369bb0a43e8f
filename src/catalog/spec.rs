//! What a connection type is: plain data, as the catalog shows it to callers.
//!
//! Kept apart from files and checks, so that a reader sees the whole vocabulary on one page.

use std::time::Duration;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

/// A kind of external service that connections can be made to.
#[derive(Clone, Debug)]
pub struct ConnectionType {
    /// Its id: `sftp`.
    pub id: String,
    /// What people call it.
    pub display_name: String,
    /// What it does, in a sentence or two.
    pub description: String,
    /// The heading under which a catalog lists it.
    pub category: String,
    /// Where the makers of the service describe it.
    pub documentation_uri: String,
    /// How far it can be relied on.
    pub launch_stage: LaunchStage,
    /// Grows with every change of its fields.
    pub schema_version: u32,
    /// What a connection is configured with.
    pub property_fields: Vec<FieldSpec>,
    /// The ways to authenticate; none means that it takes no credential.
    pub auth_methods: Vec<AuthMethod>,
    /// What an export on it may set.
    pub export_fields: Vec<FieldSpec>,
    /// Who carries out its runs.
    pub delivered_by: DeliveredBy,
    /// The shortest time between two scheduled runs of one export.
    pub min_schedule_interval: Duration,
    /// How many runs may go on at once on one connection.
    pub max_concurrent_runs: u32,
}

/// One way to authenticate.
#[derive(Clone, Debug)]
pub struct AuthMethod {
    /// Its id: `private_key`.
    pub id: String,
    /// What people call it.
    pub display_name: String,
    /// What a credential of this kind consists of; all of it is secret, all of it is text.
    pub credential_fields: Vec<FieldSpec>,
}

/// One field to fill in.
#[derive(Clone, Debug)]
pub struct FieldSpec {
    /// The key in `properties`, `values` or `destination_settings`.
    pub key: String,
    /// What people call it.
    pub display_name: String,
    /// What it means: unit, format, default.
    pub description: String,
    /// What kind of value it takes.
    pub value_type: ValueType,
    /// Whether it must be given.
    pub required: bool,
    /// Whether it decides where or as whom we connect; says nothing on fields of credentials and exports.
    pub binding: bool,
    /// What the whole text, or each text of a list, must match.
    pub pattern: Option<Pattern>,
    /// Whether the text is a path below the connection's own directory or prefix.
    pub relative_path: bool,
    /// What the text, or each text of a list, may be; empty means anything.
    pub allowed_values: Vec<String>,
    /// What is written in when nothing is given.
    pub default_value: Option<Value>,
    /// The least number permitted.
    pub minimum: Option<f64>,
    /// The greatest number permitted.
    pub maximum: Option<f64>,
}

/// What kind of value a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ValueType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any finite number.
    Double,
    /// True or false.
    Bool,
    /// One of the allowed values.
    Enum,
    /// A list of texts.
    StringList,
    /// An absolute URI.
    Uri,
    /// A host name or an IP address.
    Host,
    /// A TCP port.
    Port,
}

/// How far a connection type can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LaunchStage {
    /// May still change.
    Preview,
    /// Stable.
    Ga,
    /// Will go.
    Deprecated,
}

/// Who carries out the runs of a connection type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveredBy {
    /// The runner inside the service.
    BuiltIn,
    /// An outside runner.
    Runner,
}

/// A regular expression that must match the whole of a text; compiled once.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    anchored: Regex,
}

impl Pattern {
    /// Compiles `source`; fails when it is not a regular expression.
    pub fn new(source: &str) -> Result<Self, regex::Error> {
        // On its own first: `a)(b` would become valid by the group around it.
        Regex::new(source)?;
        Ok(Self { source: source.to_owned(), anchored: Regex::new(&format!(r"\A(?:{source})\z"))? })
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        self.anchored.is_match(text)
    }
}
