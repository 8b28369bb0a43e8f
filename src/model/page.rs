//! Pages of lists: how many, in which order, from where.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::token::{self, TokenKind};
use super::{Error, Invalid, Result, limits};

/// What a list is ordered by; the uid breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// By creation: the uid alone.
    CreateTime,
    /// By display name, in byte order.
    DisplayName,
    /// By the last change.
    UpdateTime,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub key: OrderKey,
    /// Turned round.
    pub descending: bool,
}

/// The place of an entry in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// What the list is ordered by, unless that is the uid alone.
    pub key: PositionKey,
    /// Breaks ties.
    pub uid: Uuid,
}

/// The value that an entry has for its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PositionKey {
    /// The uid is all.
    Uid,
    /// A display name.
    Text(String),
    /// A time.
    Time(DateTime<Utc>),
}

/// Which page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// At most so many entries.
    pub size: u32,
    /// In this order.
    pub order: Order,
    /// Behind this place; `None`: from the beginning.
    pub after: Option<Position>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page begins; `None`: this is the last.
    pub next: Option<Position>,
}

/// What a page token belongs to: the organization and every argument of the list but size and token.
#[derive(Clone, Debug)]
pub struct ListArguments([u8; 8]);

impl ListArguments {
    /// Digests the arguments; each is kept apart from the next.
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

    /// The token of the page that begins behind `position`.
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

    /// Reads a page token; empty: the first page. Anything that this list did not give is `PAGE_TOKEN_INVALID`.
    pub fn position(&self, page_token: &str, order: Order) -> Result<Option<Position>> {
        if page_token.is_empty() {
            return Ok(None);
        }
        let position = token::decode(TokenKind::Page, page_token).and_then(|payload| self.read(&payload, order));
        position.map(Some).ok_or_else(|| {
            let description = "does not belong to a list with these arguments: begin again without it";
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

/// The number of entries that a caller asked for: 0 = 50, more than 1,000 = 1,000, `None` for a negative one.
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
        // Nobody but us makes tokens, but anybody could: what a database cannot hold is refused here.
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
