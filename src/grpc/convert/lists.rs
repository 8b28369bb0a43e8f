//! What all lists have in common: page size, order, page token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::validator::RequestValidator;
use crate::app::App;
use crate::model::page::{ListArguments, Order, OrderKey, Page, PageRequest, Position};
use crate::model::{Error, Result};

/// A list request, and the arguments that its page tokens belong to.
pub struct List<F> {
    /// The filter.
    pub filter: F,
    /// The page.
    pub page: PageRequest,
    arguments: ListArguments,
}

/// The fields that every list request has.
pub struct Paging<'a> {
    /// `page_size`
    pub page_size: i32,
    /// `page_token`
    pub page_token: &'a str,
    /// `order_by`
    pub order_by: &'a str,
}

impl<F> List<F> {
    /// Parses what all lists have in common. `arguments` are those that a page token belongs to, besides organization and
    /// order.
    pub fn parse(
        validator: &mut RequestValidator<'_>,
        paging: &Paging<'_>,
        keys: &[(&str, OrderKey)],
        filter: F,
        arguments: &[&str],
    ) -> Option<Self> {
        let size = validator.page_size(paging.page_size);
        let order = order(paging.order_by, keys);
        if order.is_none() {
            let is_feed = keys.iter().any(|(_, key)| *key == OrderKey::Feed);
            let except = if is_feed { ", except `feed`" } else { "" };
            let known: Vec<_> = keys.iter().map(|(key, _)| format!("`{key}`")).collect();
            validator
                .add("order_by", format!("must be {}, optionally followed by ` desc`{except}", known.join(" or ")));
        }
        let (size, order) = (size?, order?);
        let context = validator.context;
        let common = [context.operation, context.organization.as_str(), paging.order_by];
        let arguments = ListArguments::digest(common.iter().chain(arguments).copied());
        let after = if paging.page_token.is_empty() {
            None
        } else {
            let token = URL_SAFE_NO_PAD.decode(paging.page_token).ok();
            let position = token.and_then(|token| validator.app.page_tokens().open(&token, arguments.as_bytes()));
            let position = position.and_then(|position| Position::decode(&position, order));
            if position.is_none() && validator.violations.is_empty() {
                validator.fail(Position::invalid());
            }
            Some(position?)
        };
        Some(Self { filter, page: PageRequest { size, order, after }, arguments })
    }

    /// The token of the page after this one; empty on the last page.
    pub fn next_page_token<T>(&self, app: &App, page: &Page<T>) -> Result<String> {
        let Some(position) = &page.next else { return Ok(String::new()) };
        let sealed = app.page_tokens().seal(&position.encode(), self.arguments.as_bytes());
        Ok(URL_SAFE_NO_PAD.encode(sealed.map_err(Error::internal)?))
    }
}

/// The keys that connections and exports are ordered by.
pub const RESOURCE_KEYS: [(&str, OrderKey); 3] = [
    ("create_time", OrderKey::CreateTime),
    ("display_name", OrderKey::DisplayName),
    ("update_time", OrderKey::UpdateTime),
];

/// The one sort key of datasets: the table.
pub const DATASET_KEYS: [(&str, OrderKey); 1] = [("table", OrderKey::DisplayName)];

/// Sort keys of usable connections. `update_time` is not one of them: its page tokens would reveal to contributors when
/// a connection changed.
pub const USABLE_KEYS: [(&str, OrderKey); 2] =
    [("create_time", OrderKey::CreateTime), ("display_name", OrderKey::DisplayName)];

fn order(text: &str, keys: &[(&str, OrderKey)]) -> Option<Order> {
    let mut words = text.split_ascii_whitespace();
    let key = match words.next() {
        None => keys.first()?.1,
        Some(word) => keys.iter().find(|(key, _)| *key == word)?.1,
    };
    match (words.next(), words.next()) {
        (None, _) | (Some("asc"), None) => Some(Order { key, descending: false }),
        (Some("desc"), None) if key != OrderKey::Feed => Some(Order { key, descending: true }),
        _ => None,
    }
}
