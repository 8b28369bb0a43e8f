//! Options of the client of a source, and why they cannot be used.

use std::collections::BTreeMap;

use reqwest::Url;

use crate::dialer::DialError;
use crate::model::Secret;

/// Why settings of a source cannot be used. It never contains a value of an option.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The scheme is unknown.
    #[error("must be a directory, or begin with `s3://`, `az://`, `gs://` or `postgres://`")]
    UnknownScheme,
    /// The URL cannot be parsed.
    #[error("the URL is malformed")]
    Malformed,
    /// The URL has no bucket or container.
    #[error("the URL needs a bucket or container")]
    NoBucket,
    /// The URL contains a password.
    #[error("the URL must not contain a password; set it in `dataset_options`")]
    PasswordInUrl,
    /// The URL has a fragment, or a user where none is used.
    #[error("the URL has a part that is not used: a fragment, a port, or a user")]
    UnusedPart,
    /// An option does not exist.
    #[error("the option `{0}` is unknown")]
    UnknownOption(String),
    /// An option is set twice.
    #[error("the option `{0}` is set twice")]
    DuplicateOption(String),
    /// Options have a bad value, or do not go together.
    #[error("the options cannot be used: one is missing or has a bad value")]
    Options,
    /// The HTTP client of an object store cannot be built.
    #[error("no HTTP client can be built")]
    Client(#[source] DialError),
}

/// The options of a client, from the URL and from the secrets.
pub struct SourceOptions {
    values: BTreeMap<String, Secret>,
    has_secrets: bool,
}

impl SourceOptions {
    /// The options in the query of the URL, and the secrets.
    pub fn new(url: &Url, secrets: BTreeMap<String, Secret>) -> Result<Self, SourceError> {
        let (has_secrets, mut values) = (!secrets.is_empty(), secrets);
        for (key, value) in url.query_pairs() {
            if values.insert(key.to_string(), Secret::new(value.into_owned())).is_some() {
                return Err(SourceError::DuplicateOption(key.into_owned()));
            }
        }
        Ok(Self { values, has_secrets })
    }

    /// Whether any option is one of the secrets.
    pub fn has_secrets(&self) -> bool {
        self.has_secrets
    }

    /// Removes an option and returns it.
    pub fn take(&mut self, key: &str) -> Option<Secret> {
        self.values.remove(key)
    }

    /// The options with their values. Do not format these.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.expose()))
    }
}
