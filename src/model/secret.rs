//! Secrets: plain text in memory, sealed in the database.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

/// A secret in plain text: a password, a private key, a database URL.
///
/// It has no `Debug`, `Display`, `Clone`, `Eq` or `Serialize`, so that it cannot be formatted into a log line, an error
/// or a response; its memory is zeroed on drop.
pub struct Secret(Zeroizing<String>);

/// The secret part of a connection: the auth method and the values of its fields.
///
/// Like [`Secret`] it has no `Debug`, `Display`, `Clone`, `Eq` or `Serialize`.
pub struct CredentialSecret {
    /// The id of the auth method in the catalog, such as `password`.
    pub auth_method: String,
    /// The value of each credential field, by its key.
    pub fields: BTreeMap<String, Secret>,
}

/// A sealed secret, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// Id of the key that it is sealed with.
    pub key_id: String,
    /// Sealed bytes.
    pub envelope: Vec<u8>,
}

impl Secret {
    /// Wraps a text without copying it.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The plain text. Do not format the result.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
