//! Opaque texts that callers hand back: etags, page tokens, cursors.
//!
//! They are bytes with a kind and a checksum, in base64url. The checksum catches what was cut or mixed up; it grants
//! nothing, for whatever a token leads to is read under the caller's own rights.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike as _, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What a token is for; one kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// The state of one resource.
    Etag = 1,
    /// The set of exports attached to a connection.
    BlockingSet = 2,
    /// A place in a list.
    Page = 3,
    /// A place in a stream.
    Cursor = 4,
    /// A place in the catalog.
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

/// The payload of a token of this kind; `None` for anything else.
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

/// A time that a token holds, in microseconds since 1970; `None` if it is none of years 1 to 9999.
pub fn time(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).filter(|time| (1..=9999).contains(&time.year()))
}

/// The state of one resource at one time: its uid and its revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Etag {
    /// Whose.
    pub uid: Uuid,
    /// Grows by one with every change by a caller.
    pub revision: i64,
}

impl Etag {
    /// As it goes to callers.
    pub fn encode(self, kind: TokenKind) -> String {
        let mut payload = self.uid.as_bytes().to_vec();
        payload.extend_from_slice(&self.revision.to_be_bytes());
        encode(kind, &payload)
    }

    /// As it comes from callers; `None` if it never was one.
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
    fn a_token_is_read_as_its_own_kind_only() {
        let etag = Etag { uid: Uuid::now_v7(), revision: 7 };
        let token = etag.encode(TokenKind::Etag);
        assert_eq!(Etag::decode(TokenKind::Etag, &token), Some(etag));
        assert_eq!(Etag::decode(TokenKind::BlockingSet, &token), None);
        assert_eq!(Etag::decode(TokenKind::Etag, &token[..token.len() - 2]), None);
        assert_eq!(Etag::decode(TokenKind::Etag, ""), None);
    }
}
