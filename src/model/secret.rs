//! Secrets: plain text in memory, sealed in the database.

use zeroize::Zeroizing;

/// A secret in plain text: a password, a private key, a database URL.
///
/// It has no `Debug`, `Display`, `Clone`, `Eq` or `Serialize`, so that it cannot be formatted into a log line, an error
/// or a response; its memory is zeroed on drop.
pub struct Secret(Zeroizing<String>);

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
