//! Secrets: in memory as plain text, in the database sealed.

use zeroize::Zeroizing;

/// A secret text: a password, a private key, a database URL.
///
/// It has no `Debug`, `Display`, `Clone`, `Eq` or `Serialize`, and its memory is overwritten when it is dropped: what
/// cannot be formatted or copied cannot reach a log line, an error or a response by accident.
pub struct Secret(Zeroizing<String>);

/// A sealed value, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// The id of the key that opens it.
    pub key_id: String,
    /// The sealed bytes.
    pub envelope: Vec<u8>,
}

impl Secret {
    /// Takes a text over without copying it.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for the code that uses it; never format what this returns.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
