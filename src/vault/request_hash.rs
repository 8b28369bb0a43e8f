//! The keyed digest of requests, which distinguishes a repeated request from another one with the same request id.
//!
//! It is keyed because a password could be guessed from a plain hash of its request in the database.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::envelope;
use super::error::VaultError;
use super::seal::Vault;
use crate::model::SealedSecret;

/// The purpose that the sealed key is bound to.
const PURPOSE: &str = "request-hash-key";

/// The length of the key in bytes.
const KEY_BYTES: usize = 32;

/// The block size of SHA-256 in bytes. HMAC pads a shorter key with zeros to this length (RFC 2104, section 2).
const BLOCK_BYTES: usize = 64;

/// Computes HMAC-SHA256 with a random key that is stored sealed. It has no `Debug`, and the key is wiped when it is
/// dropped.
pub struct RequestHasher(Zeroizing<[u8; BLOCK_BYTES]>);

impl RequestHasher {
    /// Creates a hasher with a new random key. Returns it with the sealed key to store for [`Self::from_sealed`].
    pub fn new_random(vault: &Vault) -> Result<(Self, SealedSecret), VaultError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        envelope::random(key.as_mut_slice())?;
        let sealed = vault.seal_purpose(PURPOSE, key.as_slice())?;
        Ok((Self::new(&key), sealed))
    }

    /// Opens a stored key. Fails if it does not open or was sealed for another purpose.
    pub fn from_sealed(vault: &Vault, envelope: &[u8]) -> Result<Self, VaultError> {
        let key = vault.open_purpose(PURPOSE, envelope)?;
        let key: &[u8; KEY_BYTES] = key.as_slice().try_into().map_err(|_| VaultError::Malformed)?;
        Ok(Self::new(key))
    }

    /// Seals a stored key with the primary key of the vault in place of the key that sealed it.
    pub fn rewrap(vault: &Vault, envelope: &[u8]) -> Result<SealedSecret, VaultError> {
        vault.rewrap_purpose(PURPOSE, envelope)
    }

    /// Computes the digest of a request.
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
