//! Resumption of a stream of blocking exports.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::token::{self, TokenKind};
use super::{ConnectionUid, Error, Invalid, Result};

/// A position in the sequence of attachments and releases of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The connection.
    pub connection: ConnectionUid,
    /// Releases up to this revision happened before the stream began and are not sent.
    pub start_revision: i64,
    /// Everything up to this revision was sent.
    pub last_revision: i64,
    /// Releases up to this time, by the database's clock, were sent. Releases are kept for one day.
    pub released_until: DateTime<Utc>,
}

impl Cursor {
    /// Encodes the cursor for callers.
    pub fn encode(&self) -> String {
        let mut payload = self.connection.0.as_bytes().to_vec();
        payload.extend_from_slice(&self.start_revision.to_be_bytes());
        payload.extend_from_slice(&self.last_revision.to_be_bytes());
        payload.extend_from_slice(&self.released_until.timestamp_micros().to_be_bytes());
        token::encode(TokenKind::Cursor, &payload)
    }

    /// Decodes a cursor from a caller; an empty one starts from the beginning. Text that this service did not produce
    /// is `CURSOR_INVALID`.
    pub fn decode(text: &str) -> Result<Option<Self>> {
        if text.is_empty() {
            return Ok(None);
        }
        let cursor = token::decode(TokenKind::Cursor, text).and_then(|payload| Self::read(&payload));
        cursor.map(Some).ok_or_else(Self::invalid)
    }

    /// The error for a cursor that belongs to another stream or was not produced by this service.
    pub fn invalid() -> Error {
        let description = "does not belong to this stream; restart without a cursor";
        Error::invalid_as(Invalid::Cursor, "cursor", description)
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (uid, rest) = payload.split_at_checked(16)?;
        let (start, rest) = rest.split_at_checked(8)?;
        let (last, time) = rest.split_at_checked(8)?;
        Some(Self {
            connection: ConnectionUid(Uuid::from_slice(uid).ok()?),
            start_revision: i64::from_be_bytes(start.try_into().ok()?),
            last_revision: i64::from_be_bytes(last.try_into().ok()?),
            released_until: token::time(i64::from_be_bytes(time.try_into().ok()?))?,
        })
    }
}
