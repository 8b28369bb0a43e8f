//! Errors of sealing and opening.

use crate::model;

/// Why a value was not sealed or opened. It names key ids and paths, never a byte of a key or a secret.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key ring does not have the key.
    #[error("key {0} is not in the key ring")]
    UnknownKey(String),
    /// The envelope was altered, or does not belong to this context.
    #[error(
        "cannot open a value sealed with key {key_id}: it was altered, moved or bound to other properties, or the key differs"
    )]
    Refused {
        /// The id of the key in the header of the envelope.
        key_id: String,
    },
    /// The bytes are not an envelope in a known format, or its content is not a credential.
    #[error("not a sealed value in a known format")]
    Malformed,
    /// The credential or the envelope exceeds its size limit.
    #[error("the value exceeds the size limit")]
    TooLarge,
    /// A binding path is invalid, or there are too many.
    #[error("invalid binding paths: {0}")]
    BindingPath(String),
    /// The key with this id is not the one that sealed the canary.
    #[error("key {key_id} is not the key that sealed its canary: wrong or swapped key file")]
    WrongKey {
        /// The key's id.
        key_id: String,
    },
    /// The operating system returned no random bytes.
    #[error("cannot read random bytes from the operating system")]
    Random,
}

impl From<VaultError> for model::Error {
    fn from(error: VaultError) -> Self {
        Self::internal(error)
    }
}
