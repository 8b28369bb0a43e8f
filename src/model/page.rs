//! Pages of lists: size, order and position.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Error, Invalid, limits, token};

/// Sort key of a list; the uid breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// By creation, which is the order of uids.
    CreateTime,
    /// By display name, in byte order.
    DisplayName,
    /// By the time of the last change.
    UpdateTime,
    /// In the order of commits: nothing is added before what was listed, so the last page has a position after it.
    Feed,
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
    /// A position in the order of commits.
    Feed(i64),
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
    /// Position after which the next page begins; `None` on the last page, except of a feed.
    pub next: Option<Position>,
}

/// Digest of the organization and all arguments of a list except page size and page token. A page token is bound to it.
#[derive(Clone, Debug)]
pub struct ListArguments([u8; 32]);

impl ListArguments {
    /// Digests the arguments, each prefixed with its length.
    pub fn digest<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = Sha256::new();
        for argument in arguments {
            hasher.update((argument.len() as u64).to_be_bytes());
            hasher.update(argument.as_bytes());
        }
        Self(hasher.finalize().into())
    }

    /// The bytes of the digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Position {
    /// Encodes the position for a page token.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.uid.as_bytes().to_vec();
        match &self.key {
            PositionKey::Uid => bytes.push(0),
            PositionKey::Text(text) => {
                bytes.push(1);
                bytes.extend_from_slice(text.as_bytes());
            }
            PositionKey::Time(time) => {
                bytes.push(2);
                bytes.extend_from_slice(&time.timestamp_micros().to_be_bytes());
            }
            PositionKey::Feed(position) => {
                bytes.push(3);
                bytes.extend_from_slice(&position.to_be_bytes());
            }
        }
        bytes
    }

    /// Decodes a position in an order.
    pub fn decode(bytes: &[u8], order: Order) -> Option<Self> {
        let (uid, rest) = bytes.split_at_checked(16)?;
        let (kind, rest) = rest.split_first()?;
        let key = match (order.key, kind) {
            (OrderKey::CreateTime, 0) if rest.is_empty() => PositionKey::Uid,
            (OrderKey::DisplayName, 1) => PositionKey::Text(String::from_utf8(rest.to_vec()).ok()?),
            (OrderKey::UpdateTime, 2) => PositionKey::Time(token::time(i64::from_be_bytes(rest.try_into().ok()?))?),
            (OrderKey::Feed, 3) => PositionKey::Feed(i64::from_be_bytes(rest.try_into().ok()?)),
            _ => return None,
        };
        Some(Self { key, uid: Uuid::from_slice(uid).ok()? })
    }

    /// The error for a page token that belongs to another list, or that this service did not make.
    pub fn invalid() -> Error {
        let description = "does not belong to a list with these arguments; restart from the first page";
        Error::invalid_as(Invalid::PageToken, "page_token", description)
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
    fn a_position_is_of_its_order() {
        let order = |key| Order { key, descending: false };
        let time = DateTime::from_timestamp_micros(1_764_000_000_000_001).unwrap();
        for (key, position) in [
            (OrderKey::CreateTime, PositionKey::Uid),
            (OrderKey::DisplayName, PositionKey::Text("Züri".into())),
            (OrderKey::UpdateTime, PositionKey::Time(time)),
            (OrderKey::Feed, PositionKey::Feed(i64::MAX)),
        ] {
            let position = Position { key: position, uid: Uuid::now_v7() };
            assert_eq!(Position::decode(&position.encode(), order(key)), Some(position.clone()));
            let other = if key == OrderKey::CreateTime { OrderKey::DisplayName } else { OrderKey::CreateTime };
            assert_eq!(Position::decode(&position.encode(), order(other)), None);
        }
        assert_eq!(Position::decode(b"", order(OrderKey::CreateTime)), None);
    }

    #[test]
    fn arguments_have_lengths() {
        let digest = |arguments: [&'static str; 2]| ListArguments::digest(arguments).0;
        assert_ne!(digest(["acme", "name"]), digest(["acm", "ename"]));
    }

    #[test]
    fn page_sizes_are_bounded() {
        assert_eq!([0, 1, 1_000, 1_001, -1].map(page_size), [Some(50), Some(1), Some(1_000), Some(1_000), None]);
    }
}
