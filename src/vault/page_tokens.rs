//! Page tokens: encrypted, because the position that they hold is of a resource whose uid and times its caller may not see.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};

use super::envelope;
use super::error::VaultError;
use super::request_hash::RequestHasher;

/// Separates the key from digests of requests: no encoded message begins with a zero byte.
const LABEL: &[u8] = b"\0page tokens";
const NONCE_BYTES: usize = 24;

/// Encrypts page tokens with a key that all replicas of a database have. It has no `Debug`.
pub struct PageTokens(XChaCha20Poly1305);

impl PageTokens {
    /// Derives the key from that of request digests.
    pub fn new(hasher: &RequestHasher) -> Self {
        Self(XChaCha20Poly1305::new(&hasher.digest(LABEL).into()))
    }

    /// Encrypts a position of a list. The token opens only with the same arguments.
    pub fn seal(&self, position: &[u8], arguments: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut token = vec![0; NONCE_BYTES];
        envelope::random(&mut token)?;
        let nonce = XNonce::try_from(token.as_slice()).map_err(|_| VaultError::Malformed)?;
        let sealed = self.0.encrypt(&nonce, Payload { msg: position, aad: arguments });
        token.extend(sealed.map_err(|_| VaultError::TooLarge)?);
        Ok(token)
    }

    /// Decrypts a token; `None` if it was not made with this key and these arguments.
    pub fn open(&self, token: &[u8], arguments: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = token.split_at_checked(NONCE_BYTES)?;
        self.0.decrypt(&XNonce::try_from(nonce).ok()?, Payload { msg: sealed, aad: arguments }).ok()
    }
}
