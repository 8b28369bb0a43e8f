//! The model of a connection type: plain data, as callers see it in the catalog. The file format and the checks are in
//! other files.

use std::sync::OnceLock;
use std::time::Duration;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::format::Format;

/// A type of external service that connections can be made to.
#[derive(Clone, Debug)]
pub struct ConnectionType {
    /// Id, such as `sftp`.
    pub id: String,
    /// Display name.
    pub display_name: String,
    /// Describes the type in one or two sentences.
    pub description: String,
    /// Explains the type in Markdown: what a person needs to know to set up a connection and to use what arrives.
    pub article: String,
    /// Category under which user interfaces list it.
    pub category: String,
    /// Link to the vendor's documentation of the service.
    pub documentation_uri: String,
    /// Stability of the type.
    pub launch_stage: LaunchStage,
    /// Version of the fields. It increases with every change of them.
    pub schema_version: u32,
    /// Fields that configure a connection.
    pub property_fields: Vec<FieldSpec>,
    /// Ways to authenticate. Empty: connections take no credential.
    pub auth_methods: Vec<AuthMethod>,
    /// Fields that an export may set for its destination.
    pub export_fields: Vec<FieldSpec>,
    /// Which runner executes its runs.
    pub delivered_by: DeliveredBy,
    /// What a receiver can rely on.
    pub delivery: DeliveryGuarantee,
    /// Shortest interval between two scheduled runs of one export.
    pub min_schedule_interval: Duration,
    /// Maximum number of concurrent runs on one connection.
    pub max_concurrent_runs: u32,
}

/// Filter for listing connection types; unset fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeFilter {
    /// Has this category.
    pub category: Option<String>,
    /// Has this stability.
    pub launch_stage: Option<LaunchStage>,
    /// Its display name or description contains this text, ignoring case.
    pub search: Option<String>,
}

impl TypeFilter {
    /// Whether a type matches.
    pub fn matches(&self, found: &ConnectionType) -> bool {
        let contains = |search: &String| {
            let search = search.to_lowercase();
            [&found.display_name, &found.description].iter().any(|text| text.to_lowercase().contains(&search))
        };
        self.category.as_ref().is_none_or(|category| *category == found.category)
            && self.launch_stage.is_none_or(|stage| stage == found.launch_stage)
            && self.search.as_ref().is_none_or(contains)
    }
}

/// A way to authenticate.
#[derive(Clone, Debug)]
pub struct AuthMethod {
    /// Id, such as `private_key`.
    pub id: String,
    /// Display name.
    pub display_name: String,
    /// Fields of a credential. All values are secret strings.
    pub credential_fields: Vec<FieldSpec>,
    /// Keys of optional properties that a connection with this auth method must have.
    pub required_properties: Vec<String>,
}

/// A field of a connection, a credential or an export.
#[derive(Clone, Debug)]
pub struct FieldSpec {
    /// Key in `properties`, `values` or `destination_settings`.
    pub key: String,
    /// Display name.
    pub display_name: String,
    /// Describes the meaning, unit, format and default.
    pub description: String,
    /// Type of its value.
    pub value_type: ValueType,
    /// Whether a value is required.
    pub required: bool,
    /// Whether it decides where or as whom the service connects. Always `false` for fields of credentials and exports.
    pub binding: bool,
    /// Format that the string, or each string of a list, must have.
    pub format: Option<Format>,
    /// Pattern that the whole string, or each string of a list, must match.
    pub pattern: Option<Pattern>,
    /// Another pattern that applies while a condition holds.
    pub pattern_if: Option<(Condition, Pattern)>,
    /// Whether the string is a path below the directory or prefix of the connection.
    pub relative_path: bool,
    /// Permitted values of the string, or of each string of a list. Empty: any.
    pub allowed_values: Vec<AllowedValue>,
    /// Value that is stored if none is set.
    pub default_value: Option<Value>,
    /// Value of a required property with which a draft is tested that has none, because the test finds the right one.
    pub draft_value: Option<Value>,
    /// Smallest permitted number.
    pub minimum: Option<f64>,
    /// Largest permitted number.
    pub maximum: Option<f64>,
    /// Heading under which user interfaces show the field. Empty: none.
    pub group: String,
    /// A value as an example.
    pub example: Option<Value>,
    /// When user interfaces show the field, by another field of the same list. `None`: always.
    pub shown_if: Option<Condition>,
    /// When a field of a credential is required that is otherwise optional, by a property.
    pub required_if: Option<Condition>,
    /// Key of the field of the same list that the format of this one refers to: the passphrase of a key, or the bucket that
    /// an endpoint must not contain.
    pub companion: Option<String>,
}

/// A permitted value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedValue {
    /// The text that callers send and that is stored.
    pub value: String,
    /// The name that user interfaces show instead.
    pub display_name: String,
}

/// Whether a field has one of some values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Key of the field.
    pub key: String,
    /// The values for which the condition holds; at least one.
    pub values: Vec<Value>,
}

impl Condition {
    /// Whether the field has one of the values.
    pub fn holds(&self, values: &Map<String, Value>) -> bool {
        values.get(&self.key).is_some_and(|value| self.values.contains(value))
    }
}

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ValueType {
    /// A string.
    String,
    /// An integer.
    Integer,
    /// A finite number.
    Double,
    /// True or false.
    Bool,
    /// One of the allowed values.
    Enum,
    /// A list of strings.
    StringList,
    /// An absolute URI.
    Uri,
    /// A host name or an IP address.
    Host,
    /// A TCP port.
    Port,
}

/// The stability of a connection type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LaunchStage {
    /// May still change.
    Preview,
    /// Generally available: changes are compatible.
    Ga,
    /// Existing connections continue to work; new ones should not be created.
    Deprecated,
}

/// Which runner executes the runs of a connection type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveredBy {
    /// The built-in runner of the service.
    BuiltIn,
    /// An external runner that the operator connects.
    Runner,
}

/// What the receiver of exports can rely on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveryGuarantee {
    /// A result becomes visible whole, and once.
    Atomic,
    /// Parts become visible one after the other, and some of them may arrive again.
    #[default]
    AtLeastOnce,
}

/// A regular expression that must match a whole string, and what it permits in words. It is compiled at its first use: most
/// installations use few connection types, and a compiled expression takes up to 100 KB.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    anchored: OnceLock<Option<Regex>>,
    hint: String,
}

impl Pattern {
    /// Fails if `source` is not a regular expression. The hint follows the words "must be".
    pub fn new(source: &str, hint: &str) -> Result<Self, regex::Error> {
        // Compiled alone first: the group would make `a)(b` valid.
        Regex::new(source)?;
        anchored(source)?;
        Ok(Self { source: source.to_owned(), anchored: OnceLock::new(), hint: hint.to_owned() })
    }

    /// Returns what the expression permits in words.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Returns the expression without anchors.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether the expression matches the whole of `text`.
    pub fn matches(&self, text: &str) -> bool {
        let compiled = self.anchored.get_or_init(|| anchored(&self.source).ok());
        compiled.as_ref().is_some_and(|compiled| compiled.is_match(text))
    }
}

/// Compiles an expression that matches whole strings.
fn anchored(source: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!(r"\A(?:{source})\z"))
}
