//! Opaque tokens that callers pass back: etags, page tokens, cursors.
//!
//! A token is a kind, a payload and a checksum, in base64url. The checksum detects truncated or mixed-up tokens. It is
//! no protection: data that a token refers to is read with the rights of the caller.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike as _, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Kind of a token; a token of one kind is not accepted as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Revision of a resource (etag).
    Etag = 1,
    /// Set of exports attached to a connection.
    BlockingSet = 2,
    /// Position in a stream.
    Cursor = 4,
    /// Position in the list of connection types.
    Catalog = 5,
}

const CHECKSUM_BYTES: usize = 4;

/// Encodes `payload` as a token.
pub fn encode(kind: TokenKind, payload: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(1 + payload.len() + CHECKSUM_BYTES);
    bytes.push(kind as u8);
    bytes.extend_from_slice(payload);
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum[..CHECKSUM_BYTES]);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes a token of this kind; `None` if it is not one.
pub fn decode(kind: TokenKind, token: &str) -> Option<Vec<u8>> {
    let mut bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let body = bytes.len().checked_sub(CHECKSUM_BYTES)?;
    let checksum = Sha256::digest(&bytes[..body]);
    if bytes.first() != Some(&(kind as u8)) || bytes[body..] != checksum[..CHECKSUM_BYTES] {
        return None;
    }
    bytes.truncate(body);
    bytes.remove(0);
    Some(bytes)
}

/// A time of a token, in microseconds since 1970; `None` outside of the years 1 to 9999.
pub fn time(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).filter(|time| (1..=9999).contains(&time.year()))
}

/// The revision of a resource at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Etag {
    /// Uid of the resource.
    pub uid: Uuid,
    /// Revision of the resource.
    pub revision: i64,
}

impl Etag {
    /// Encodes the etag for callers.
    pub fn encode(self, kind: TokenKind) -> String {
        encode(kind, &[self.uid.as_bytes().as_slice(), &self.revision.to_be_bytes()].concat())
    }

    /// Decodes an etag from a caller; `None` if it is not one.
    pub fn decode(kind: TokenKind, token: &str) -> Option<Self> {
        let payload = decode(kind, token)?;
        let (uid, revision) = payload.split_at_checked(16)?;
        Some(Self { uid: Uuid::from_slice(uid).ok()?, revision: i64::from_be_bytes(revision.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_decodes_as_its_own_kind_only() {
        let etag = Etag { uid: Uuid::now_v7(), revision: 7 };
        let token = etag.encode(TokenKind::Etag);
        assert_eq!(Etag::decode(TokenKind::Etag, &token), Some(etag));
        assert_eq!(Etag::decode(TokenKind::BlockingSet, &token), None);
        assert_eq!(Etag::decode(TokenKind::Etag, &token[..token.len() - 2]), None);
        assert_eq!(Etag::decode(TokenKind::Etag, ""), None);
    }
}
