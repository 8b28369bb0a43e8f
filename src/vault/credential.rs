//! The secret part of a connection, and its encoding.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::encoding;
use super::error::VaultError;
use crate::model::Secret;

/// Maximum size of a credential in its encoded form in bytes. It is more than callers may send.
pub const MAX_ENCODED_CREDENTIAL_BYTES: usize = 64 * 1024;

/// The secret part of a connection: the auth method and the values of its fields.
///
/// Like [`Secret`] it has no `Debug`, `Display`, `Clone`, `Eq` or `Serialize`.
pub struct CredentialSecret {
    /// The id of the auth method in the catalog, such as `password`.
    pub auth_method: String,
    /// The value of each credential field, by its key.
    pub fields: BTreeMap<String, Secret>,
}

impl CredentialSecret {
    /// Encodes the credential into a buffer that is wiped and never reallocated: a reallocation would leave a copy in
    /// memory.
    ///
    /// Fails with [`VaultError::TooLarge`] above [`MAX_ENCODED_CREDENTIAL_BYTES`].
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let fields: usize = self.fields.iter().map(|(key, value)| 8 + key.len() + value.expose().len()).sum();
        let size = 4 + self.auth_method.len() + 4 + fields;
        if size > MAX_ENCODED_CREDENTIAL_BYTES {
            return Err(VaultError::TooLarge);
        }
        let mut buffer = encoding::plaintext_buffer(size);
        encoding::put_bytes(&mut buffer, self.auth_method.as_bytes())?;
        encoding::put_count(&mut buffer, self.fields.len())?;
        for (key, value) in &self.fields {
            encoding::put_bytes(&mut buffer, key.as_bytes())?;
            encoding::put_bytes(&mut buffer, value.expose().as_bytes())?;
        }
        Ok(buffer)
    }

    /// Decodes the encoded form. Fails with [`VaultError::Malformed`] if it is invalid.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, VaultError> {
        let mut reader = encoding::Reader::new(bytes);
        let auth_method = reader.text()?.to_owned();
        let count = reader.count()?;
        let mut fields = BTreeMap::new();
        for _ in 0..count {
            let key = reader.text()?.to_owned();
            fields.insert(key, Secret::new(reader.text()?.to_owned()));
        }
        reader.finish()?;
        Ok(Self { auth_method, fields })
    }
}
