//! Why a configuration cannot be used.

use std::io;
use std::path::PathBuf;

/// Why a configuration cannot be used. It names settings and files, and never a value that may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that is not a setting.
    #[error("configuration: unknown setting `{key}` in {location}")]
    UnknownKey {
        /// The unknown key.
        key: String,
        /// Source of the value.
        location: String,
    },
    /// A value that cannot be parsed.
    #[error("configuration: `{key}` must be {expected} (from {location})")]
    BadValue {
        /// Key of the setting.
        key: &'static str,
        /// Accepted values.
        expected: &'static str,
        /// Where the value was found.
        location: String,
    },
    /// An entry of a list that cannot be parsed. Such lists hold no secrets.
    #[error("configuration: the entry `{entry}` of `{key}` must be {expected} (from {location})")]
    BadEntry {
        /// Key of the setting.
        key: &'static str,
        /// The entry.
        entry: String,
        /// Accepted values.
        expected: &'static str,
        /// Where the value was found.
        location: String,
    },
    /// A file that cannot be read.
    #[error("configuration: cannot read {}: {cause}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// A file with a secret that cannot be read. Its name is not shown.
    #[error("configuration: cannot read the file of `{key}_file`, which must be a path: {cause}")]
    UnreadableSecret {
        /// Key of the setting that the file holds.
        key: &'static str,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// A file that is not TOML, or holds a value that cannot be used.
    #[error("configuration: {} {message}", path.display())]
    Malformed {
        /// Path of the file.
        path: PathBuf,
        /// The problem, after the name of the file.
        message: String,
    },
    /// A table of settings that cannot be read.
    #[error("configuration: {problem} (from {location})")]
    BadTable {
        /// Where the table was found.
        location: String,
        /// Says what is wrong with it, without a value.
        problem: String,
    },
    /// Two sources of callers whose principals would be equal.
    #[error(
        "configuration: {first} and {second} have the principal prefix `{prefix}`; each must have its own, and one may be empty"
    )]
    DuplicatePrefix {
        /// The first source.
        first: String,
        /// The second source.
        second: String,
        /// The prefix that both have.
        prefix: String,
    },
    /// Two entries with the same issuer.
    #[error("configuration: the issuer `{0}` is set twice")]
    DuplicateIssuer(String),
    /// Settings that do not go together, or one that is missing.
    #[error("configuration: {0}")]
    Conflict(&'static str),
}
