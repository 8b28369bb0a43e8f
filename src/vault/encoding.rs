//! Length-prefixed bytes: the one encoding below envelopes, bound data and credentials.
//!
//! Every piece carries its length (32 bits, big endian), so that no two different lists of pieces have one encoding.

use zeroize::Zeroizing;

use super::error::VaultError;

/// What an AEAD adds to its plaintext, in bytes.
pub(super) const TAG_BYTES: usize = 16;

/// An empty buffer for `size` bytes of plaintext that is sealed in place without growing.
pub(super) fn plaintext_buffer(size: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(size + TAG_BYTES))
}

/// Appends a count.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) -> Result<(), VaultError> {
    let count = u32::try_from(count).map_err(|_| VaultError::TooLarge)?;
    out.extend_from_slice(&count.to_be_bytes());
    Ok(())
}

/// Appends one piece behind its length.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), VaultError> {
    put_count(out, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// Reads pieces in the order in which they were written; every shortage is [`VaultError::Malformed`].
pub(super) struct Reader<'a> {
    whole: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { whole: bytes, position: 0 }
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], VaultError> {
        let end = self.position.checked_add(count).ok_or(VaultError::Malformed)?;
        let piece = self.whole.get(self.position..end).ok_or(VaultError::Malformed)?;
        self.position = end;
        Ok(piece)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], VaultError> {
        self.take(N)?.try_into().map_err(|_| VaultError::Malformed)
    }

    /// The next count.
    pub(super) fn count(&mut self) -> Result<usize, VaultError> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| VaultError::Malformed)
    }

    /// The next piece as text.
    pub(super) fn text(&mut self) -> Result<&'a str, VaultError> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| VaultError::Malformed)
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.whole.get(self.position..).unwrap_or_default()
    }

    /// Refuses anything left over.
    pub(super) fn finish(self) -> Result<(), VaultError> {
        if self.rest().is_empty() { Ok(()) } else { Err(VaultError::Malformed) }
    }
}
