//! Where a stream of blocking exports is to go on.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::token::{self, TokenKind};
use super::{ConnectionUid, Error, Invalid, Result};

/// A place in the sequence of a connection's attachments and releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Whose sequence.
    pub connection: ConnectionUid,
    /// Releases up to this revision came before the stream and are not told.
    pub start_revision: i64,
    /// Everything up to this revision was told.
    pub last_revision: i64,
    /// Up to when releases were told, by the database's clock; they are kept for a day only.
    pub released_until: DateTime<Utc>,
}

impl Cursor {
    /// As it goes to callers.
    pub fn encode(&self) -> String {
        let mut payload = self.connection.0.as_bytes().to_vec();
        payload.extend_from_slice(&self.start_revision.to_be_bytes());
        payload.extend_from_slice(&self.last_revision.to_be_bytes());
        payload.extend_from_slice(&self.released_until.timestamp_micros().to_be_bytes());
        token::encode(TokenKind::Cursor, &payload)
    }

    /// As it comes from callers; empty: from the beginning. Anything else that this service did not give is
    /// `CURSOR_INVALID`.
    pub fn decode(text: &str) -> Result<Option<Self>> {
        if text.is_empty() {
            return Ok(None);
        }
        let cursor = token::decode(TokenKind::Cursor, text).and_then(|payload| Self::read(&payload));
        cursor.map(Some).ok_or_else(Self::invalid)
    }

    /// The cursor does not belong to the stream that it was given to.
    pub fn invalid() -> Error {
        let description = "does not belong to this stream: begin again without it";
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
