//! The keyed digest of requests, by which a repeated request is told from another under the same id.
//!
//! It has a key because a bare hash of a request that holds a password could be guessed from the database.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::envelope;
use super::error::VaultError;
use super::seal::Vault;
use crate::model::SealedSecret;

/// What the sealed row is for; part of what the seal binds.
const PURPOSE: &str = "request-hash-key";

/// The length of the key in bytes.
const KEY_BYTES: usize = 32;

/// The block of SHA-256 in bytes, to which HMAC itself fills a shorter key with zeros (RFC 2104, section 2).
const BLOCK_BYTES: usize = 64;

/// HMAC-SHA256 under a random key that is stored sealed. It has no `Debug`, and the key is wiped when it is dropped.
pub struct RequestHasher(Zeroizing<[u8; BLOCK_BYTES]>);

impl RequestHasher {
    /// A hasher with a new random key, and the sealed row to store for [`Self::from_sealed`].
    pub fn new_random(vault: &Vault) -> Result<(Self, SealedSecret), VaultError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        envelope::random(key.as_mut_slice())?;
        let sealed = vault.seal_purpose(PURPOSE, key.as_slice())?;
        Ok((Self::new(&key), sealed))
    }

    /// The hasher of a stored row; [`VaultError`] if the row does not open or was sealed for something else.
    pub fn from_sealed(vault: &Vault, envelope: &[u8]) -> Result<Self, VaultError> {
        let key = vault.open_purpose(PURPOSE, envelope)?;
        let key: &[u8; KEY_BYTES] = key.as_slice().try_into().map_err(|_| VaultError::Malformed)?;
        Ok(Self::new(key))
    }

    /// The digest of the content.
    pub fn digest(&self, content: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new((&*self.0).into());
        mac.update(content);
        mac.finalize().into_bytes().into()
    }

    fn new(key: &[u8; KEY_BYTES]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK_BYTES]);
        block[..KEY_BYTES].copy_from_slice(key);
        Self(block)
    }
}
