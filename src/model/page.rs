//! Pages of lists: size, order and position.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::token::{self, TokenKind};
use super::{Error, Invalid, Result, limits};

/// Sort key of a list; the uid breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// By creation, which is the order of uids.
    CreateTime,
    /// By display name, in byte order.
    DisplayName,
    /// By the time of the last change.
    UpdateTime,
}

/// Sort order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Sort key.
    pub key: OrderKey,
    /// Descending instead of ascending.
    pub descending: bool,
}

/// The position of an entry in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Value of the sort key.
    pub key: PositionKey,
    /// Uid of the entry, the tie-breaker.
    pub uid: Uuid,
}

/// Value of the sort key of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PositionKey {
    /// The order is by uid alone.
    Uid,
    /// A display name.
    Text(String),
    /// A time.
    Time(DateTime<Utc>),
}

/// A request for a page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Maximum number of entries.
    pub size: u32,
    /// Sort order.
    pub order: Order,
    /// Return entries after this position; `None`: from the beginning.
    pub after: Option<Position>,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Entries of the page.
    pub items: Vec<T>,
    /// Position after which the next page begins; `None` on the last page.
    pub next: Option<Position>,
}

/// Digest of the organization and all arguments of a list except page size and page token. A page token is bound to it.
#[derive(Clone, Debug)]
pub struct ListArguments([u8; 8]);

impl ListArguments {
    /// Digests the arguments, each prefixed with its length.
    pub fn digest<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = Sha256::new();
        for argument in arguments {
            hasher.update((argument.len() as u64).to_be_bytes());
            hasher.update(argument.as_bytes());
        }
        let mut digest = [0; 8];
        digest.copy_from_slice(&hasher.finalize()[..8]);
        Self(digest)
    }

    /// The token for the page after `position`.
    pub fn page_token(&self, position: &Position) -> String {
        let mut payload = self.0.to_vec();
        payload.extend_from_slice(position.uid.as_bytes());
        match &position.key {
            PositionKey::Uid => payload.push(0),
            PositionKey::Text(text) => {
                payload.push(1);
                payload.extend_from_slice(text.as_bytes());
            }
            PositionKey::Time(time) => {
                payload.push(2);
                payload.extend_from_slice(&time.timestamp_micros().to_be_bytes());
            }
        }
        token::encode(TokenKind::Page, &payload)
    }

    /// Decodes a page token; an empty one is the first page. A token that this list did not produce is
    /// `PAGE_TOKEN_INVALID`.
    pub fn position(&self, page_token: &str, order: Order) -> Result<Option<Position>> {
        if page_token.is_empty() {
            return Ok(None);
        }
        let position = token::decode(TokenKind::Page, page_token).and_then(|payload| self.read(&payload, order));
        position.map(Some).ok_or_else(|| {
            let description = "does not belong to a list with these arguments; restart from the first page";
            Error::invalid_as(Invalid::PageToken, "page_token", description)
        })
    }

    fn read(&self, payload: &[u8], order: Order) -> Option<Position> {
        let (digest, rest) = payload.split_at_checked(self.0.len())?;
        let (uid, rest) = rest.split_at_checked(16)?;
        let (kind, rest) = rest.split_first()?;
        let key = match (order.key, kind) {
            (OrderKey::CreateTime, 0) if rest.is_empty() => PositionKey::Uid,
            (OrderKey::DisplayName, 1) => {
                let text = String::from_utf8(rest.to_vec()).ok()?;
                PositionKey::Text(Some(text).filter(|text| !text.contains(char::is_control))?)
            }
            (OrderKey::UpdateTime, 2) => PositionKey::Time(token::time(i64::from_be_bytes(rest.try_into().ok()?))?),
            _ => return None,
        };
        (digest == self.0).then_some(Position { key, uid: Uuid::from_slice(uid).ok()? })
    }
}

/// The effective page size: 0 = 50, more than 1,000 = 1,000; `None` if negative.
pub fn page_size(asked: i32) -> Option<u32> {
    match u32::try_from(asked).ok()? {
        0 => Some(limits::DEFAULT_PAGE_SIZE),
        size => Some(size.min(limits::MAX_PAGE_SIZE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_belongs_to_its_arguments() {
        let order = Order { key: OrderKey::DisplayName, descending: false };
        let list = ListArguments::digest(["acme", "display_name", ""]);
        let position = Position { key: PositionKey::Text("Züri".into()), uid: Uuid::now_v7() };
        let token = list.page_token(&position);
        assert_eq!(list.position(&token, order).unwrap(), Some(position));
        assert_eq!(list.position("", order).unwrap(), None);
        let other = ListArguments::digest(["acm", "edisplay_name", ""]);
        assert!(matches!(other.position(&token, order), Err(Error::Invalid(Invalid::PageToken, _))));
        let turned = Order { key: OrderKey::UpdateTime, descending: false };
        assert!(list.position(&token, turned).is_err());
        assert!(list.position("x", order).is_err());
        // Tokens are not signed, so values that a database cannot store must be refused here.
        for key in [PositionKey::Text("a\0".into()), PositionKey::Time(DateTime::<Utc>::MAX_UTC)] {
            let token = list.page_token(&Position { key, uid: Uuid::now_v7() });
            assert!(list.position(&token, order).is_err() && list.position(&token, turned).is_err());
        }
    }

    #[test]
    fn page_sizes_are_bounded() {
        assert_eq!([0, 1, 1_000, 1_001, -1].map(page_size), [Some(50), Some(1), Some(1_000), Some(1_000), None]);
    }
}
