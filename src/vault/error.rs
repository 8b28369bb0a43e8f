//! Why something was not sealed or opened.

use crate::model;

/// Why something was not sealed or opened. It names key ids and paths, never a byte of a key or a secret.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The ring lacks the key that sealed the data.
    #[error("sealed with key {0}, which is not in the key ring")]
    UnknownKey(String),
    /// The data is not what was sealed, or belongs to something else.
    #[error("sealed with key {key_id}, and does not open: altered, moved, bound to other properties, or another key")]
    Refused {
        /// The id of the key in the header.
        key_id: String,
    },
    /// The data is no envelope of a known format, or what it held is no credential.
    #[error("not a sealed value of a known format")]
    Malformed,
    /// The credential or the envelope is over its limit.
    #[error("too large to be sealed")]
    TooLarge,
    /// A binding path names no property, or there are too many.
    #[error("binding paths: {0}")]
    BindingPath(String),
    /// The key of that id is not the key that it was.
    #[error("key {key_id} is not the key that sealed its canary: wrong or swapped key file")]
    WrongKey {
        /// The key's id.
        key_id: String,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}

impl From<VaultError> for model::Error {
    fn from(error: VaultError) -> Self {
        Self::internal(error)
    }
}
