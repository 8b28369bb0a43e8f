//! The envelope: a new data key seals the content, and a key of the ring seals the data key.
//!
//! Both layers use XChaCha20-Poly1305 with a random nonce of 24 bytes, which is long enough not to repeat by chance.
//!
//! ```text
//! magic "OFE" | version 1 | algorithm 1                          5 bytes
//! key id                                                        length, bytes
//! binding paths                                                 count, then length and bytes of each
//! nonce of the key layer | sealed data key and tag              24 | 32 + 16 bytes
//! nonce of the content layer | sealed content and tag           24 | the rest
//! ```
//!
//! Every byte is authenticated. The associated data of the key layer is everything before it and the whole context. That
//! of the content layer is the same without the key id, so that the data key can be sealed with another key without opening
//! the content.

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::binding;
use super::encoding::{self, Reader, TAG_BYTES};
use super::error::VaultError;
use super::key_ring::{KEY_BYTES, KeyRing, MAX_KEY_ID_BYTES};
use crate::model::SealedSecret;

/// The largest envelope in bytes. Larger ones are not parsed.
pub const MAX_ENVELOPE_BYTES: usize = 384 * 1024;

const MAGIC: &[u8; 3] = b"OFE";
const VERSION: u8 = 1;
const XCHACHA20_POLY1305: u8 = 1;
const PREAMBLE: [u8; 5] = [MAGIC[0], MAGIC[1], MAGIC[2], VERSION, XCHACHA20_POLY1305];
const NONCE_BYTES: usize = 24;
const SEALED_KEY_BYTES: usize = KEY_BYTES + TAG_BYTES;

/// The layers. The associated data contains the layer, so that neither opens as the other.
const KEY_LAYER: u8 = 1;
const CONTENT_LAYER: u8 = 2;

/// The parts of an envelope. They are not authenticated before the envelope is opened.
pub(super) struct Header<'a> {
    /// The id of the key that sealed the data key.
    pub(super) key_id: &'a str,
    /// The binding paths that the envelope was sealed with.
    pub(super) paths: Vec<&'a str>,
    key_nonce: [u8; NONCE_BYTES],
    sealed_key: &'a [u8],
    content_nonce: [u8; NONCE_BYTES],
    content: &'a [u8],
}

impl<'a> Header<'a> {
    /// Parses an envelope. Fails with [`VaultError::TooLarge`] or [`VaultError::Malformed`].
    pub(super) fn parse(envelope: &'a [u8]) -> Result<Self, VaultError> {
        if envelope.len() > MAX_ENVELOPE_BYTES {
            return Err(VaultError::TooLarge);
        }
        let mut reader = Reader::new(envelope);
        if reader.array()? != PREAMBLE {
            return Err(VaultError::Malformed);
        }
        let key_id = reader.text()?;
        let count = reader.count()?;
        if key_id.len() > MAX_KEY_ID_BYTES || count > binding::MAX_BINDING_PATHS {
            return Err(VaultError::Malformed);
        }
        let paths = (0..count).map(|_| reader.text()).collect::<Result<Vec<_>, _>>()?;
        let key_nonce = reader.array()?;
        let sealed_key = reader.take(SEALED_KEY_BYTES)?;
        let content_nonce = reader.array()?;
        Ok(Self { key_id, paths, key_nonce, sealed_key, content_nonce, content: reader.rest() })
    }
}

/// Seals the plaintext in place and assembles the envelope.
///
/// `context` encodes unambiguously what the content belongs to. `paths` are the canonical binding paths.
pub(super) fn seal(
    ring: &KeyRing,
    key_id: &str,
    context: &[u8],
    paths: &[&str],
    mut plaintext: Zeroizing<Vec<u8>>,
) -> Result<SealedSecret, VaultError> {
    let mut data_key = Zeroizing::new(Vec::with_capacity(SEALED_KEY_BYTES));
    data_key.resize(KEY_BYTES, 0);
    random(&mut data_key)?;
    let mut content_nonce = [0; NONCE_BYTES];
    random(&mut content_nonce)?;
    let content_data = associated_data(CONTENT_LAYER, "", paths, context)?;
    cipher(&data_key)?
        .encrypt_in_place(&XNonce::from(content_nonce), &content_data, &mut *plaintext)
        .map_err(|_| VaultError::TooLarge)?;
    assemble(ring, key_id, context, paths, data_key, (&content_nonce, &plaintext))
}

/// Seals the data key with another key. The sealed content stays as it is.
pub(super) fn rewrap(
    ring: &KeyRing,
    key_id: &str,
    header: &Header<'_>,
    context: &[u8],
) -> Result<SealedSecret, VaultError> {
    let data_key = open_data_key(ring, header, context)?;
    assemble(ring, key_id, context, &header.paths, data_key, (&header.content_nonce, header.content))
}

/// Seals the data key, and assembles the envelope.
fn assemble(
    ring: &KeyRing,
    key_id: &str,
    context: &[u8],
    paths: &[&str],
    mut data_key: Zeroizing<Vec<u8>>,
    (content_nonce, sealed): (&[u8], &[u8]),
) -> Result<SealedSecret, VaultError> {
    let ring_key = ring.get(key_id).ok_or_else(|| VaultError::UnknownKey(key_id.to_owned()))?;
    let mut key_nonce = [0; NONCE_BYTES];
    random(&mut key_nonce)?;
    let key_data = associated_data(KEY_LAYER, key_id, paths, context)?;
    cipher(ring_key)?
        .encrypt_in_place(&XNonce::from(key_nonce), &key_data, &mut *data_key)
        .map_err(|_| VaultError::TooLarge)?;

    let mut envelope = Vec::from(PREAMBLE);
    encoding::put_bytes(&mut envelope, key_id.as_bytes())?;
    encoding::put_count(&mut envelope, paths.len())?;
    for path in paths {
        encoding::put_bytes(&mut envelope, path.as_bytes())?;
    }
    for piece in [&key_nonce[..], &data_key, content_nonce, sealed] {
        envelope.extend_from_slice(piece);
    }
    Ok(SealedSecret { key_id: key_id.to_owned(), envelope })
}

/// Opens both layers. Fails with [`VaultError::Refused`] if the envelope, the context or the key differs from those of the
/// sealing.
pub(super) fn open(ring: &KeyRing, header: &Header<'_>, context: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let data_key = open_data_key(ring, header, context)?;
    let mut plaintext = Zeroizing::new(header.content.to_vec());
    let content_data = associated_data(CONTENT_LAYER, "", &header.paths, context)?;
    cipher(&data_key)?
        .decrypt_in_place(&XNonce::from(header.content_nonce), &content_data, &mut *plaintext)
        .map_err(|_| refused(header))?;
    Ok(plaintext)
}

fn open_data_key(ring: &KeyRing, header: &Header<'_>, context: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let ring_key = ring.get(header.key_id).ok_or_else(|| VaultError::UnknownKey(header.key_id.to_owned()))?;
    // Large enough to be sealed again in place.
    let mut data_key = Zeroizing::new(header.sealed_key.to_vec());
    let key_data = associated_data(KEY_LAYER, header.key_id, &header.paths, context)?;
    cipher(ring_key)?
        .decrypt_in_place(&XNonce::from(header.key_nonce), &key_data, &mut *data_key)
        .map_err(|_| refused(header))?;
    Ok(data_key)
}

fn refused(header: &Header<'_>) -> VaultError {
    VaultError::Refused { key_id: header.key_id.to_owned() }
}

/// Fills a slice with random bytes of the operating system.
pub(super) fn random(bytes: &mut [u8]) -> Result<(), VaultError> {
    SysRng.try_fill_bytes(bytes).map_err(|_| VaultError::Random)
}

fn cipher(key: &[u8]) -> Result<XChaCha20Poly1305, VaultError> {
    XChaCha20Poly1305::new_from_slice(key).map_err(|_| VaultError::Malformed)
}

fn associated_data(layer: u8, key_id: &str, paths: &[&str], context: &[u8]) -> Result<Vec<u8>, VaultError> {
    let mut data = Vec::from(PREAMBLE);
    data.push(layer);
    encoding::put_bytes(&mut data, key_id.as_bytes())?;
    encoding::put_count(&mut data, paths.len())?;
    for path in paths {
        encoding::put_bytes(&mut data, path.as_bytes())?;
    }
    encoding::put_bytes(&mut data, context)?;
    Ok(data)
}
