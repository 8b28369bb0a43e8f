//! Length-prefixed bytes: the encoding of envelopes, associated data and credentials.
//!
//! Every piece is preceded by its length (32 bits, big endian), so that different lists of pieces have different encodings.

use zeroize::Zeroizing;

use super::error::VaultError;

/// The length of the authentication tag that the AEAD appends, in bytes.
pub(super) const TAG_BYTES: usize = 16;

/// Creates an empty buffer for `size` bytes of plaintext, with capacity for sealing in place without reallocation.
pub(super) fn plaintext_buffer(size: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(size + TAG_BYTES))
}

/// Appends a count as 32 bits, big endian.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) -> Result<(), VaultError> {
    let count = u32::try_from(count).map_err(|_| VaultError::TooLarge)?;
    out.extend_from_slice(&count.to_be_bytes());
    Ok(())
}

/// Appends the length of a piece, then the piece.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), VaultError> {
    put_count(out, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// Reads pieces in the order in which they were written. Missing bytes are [`VaultError::Malformed`].
pub(super) struct Reader<'a> {
    whole: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Creates a reader that starts at the first byte.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { whole: bytes, position: 0 }
    }

    /// Reads the next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], VaultError> {
        let end = self.position.checked_add(count).ok_or(VaultError::Malformed)?;
        let piece = self.whole.get(self.position..end).ok_or(VaultError::Malformed)?;
        self.position = end;
        Ok(piece)
    }

    /// Reads the next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], VaultError> {
        self.take(N)?.try_into().map_err(|_| VaultError::Malformed)
    }

    /// Reads the next count.
    pub(super) fn count(&mut self) -> Result<usize, VaultError> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| VaultError::Malformed)
    }

    /// Reads the next piece as UTF-8.
    pub(super) fn text(&mut self) -> Result<&'a str, VaultError> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| VaultError::Malformed)
    }

    /// Returns all bytes that were not read.
    pub(super) fn rest(self) -> &'a [u8] {
        self.whole.get(self.position..).unwrap_or_default()
    }

    /// Fails with [`VaultError::Malformed`] if bytes were not read.
    pub(super) fn finish(self) -> Result<(), VaultError> {
        if self.rest().is_empty() { Ok(()) } else { Err(VaultError::Malformed) }
    }
}
