//! The encoding of the secret part of a connection.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::encoding;
use super::error::VaultError;
use crate::model::{CredentialSecret, Secret};

/// Maximum size of a credential in its encoded form in bytes. It is more than callers may send.
pub const MAX_ENCODED_CREDENTIAL_BYTES: usize = 320 * 1024;

/// Encodes the credential into a buffer that is wiped and never reallocated: a reallocation would leave a copy in
/// memory.
///
/// Fails with [`VaultError::TooLarge`] above [`MAX_ENCODED_CREDENTIAL_BYTES`].
pub(super) fn encode(credential: &CredentialSecret) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let fields: usize = credential.fields.iter().map(|(key, value)| 8 + key.len() + value.expose().len()).sum();
    let size = 4 + credential.auth_method.len() + 4 + fields;
    if size > MAX_ENCODED_CREDENTIAL_BYTES {
        return Err(VaultError::TooLarge);
    }
    let mut buffer = encoding::plaintext_buffer(size);
    encoding::put_bytes(&mut buffer, credential.auth_method.as_bytes())?;
    encoding::put_count(&mut buffer, credential.fields.len())?;
    for (key, value) in &credential.fields {
        encoding::put_bytes(&mut buffer, key.as_bytes())?;
        encoding::put_bytes(&mut buffer, value.expose().as_bytes())?;
    }
    Ok(buffer)
}

/// Decodes the encoded form. Fails with [`VaultError::Malformed`] if it is invalid.
pub(super) fn decode(bytes: &[u8]) -> Result<CredentialSecret, VaultError> {
    let mut reader = encoding::Reader::new(bytes);
    let auth_method = reader.text()?.to_owned();
    let count = reader.count()?;
    let mut fields = BTreeMap::new();
    for _ in 0..count {
        let key = reader.text()?.to_owned();
        fields.insert(key, Secret::new(reader.text()?.to_owned()));
    }
    reader.finish()?;
    Ok(CredentialSecret { auth_method, fields })
}
