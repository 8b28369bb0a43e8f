//! What all lists have in common: page size, order, page token.

use super::form::Form;
use crate::grpc::proto as pb;
use crate::model::page::{self, ListArguments, Order, OrderKey, Page, PageRequest};
use crate::model::token::{self, TokenKind};
use crate::model::{Call, ConnectionFilter, Error, Invalid, Result, limits};

/// A list that was asked for, and the arguments that its page tokens belong to.
pub struct Listing<F> {
    /// What it is narrowed to.
    pub filter: F,
    /// Which page.
    pub page: PageRequest,
    arguments: ListArguments,
}

impl<F> Listing<F> {
    /// The token of the page behind this one; empty on the last.
    pub fn next_page_token<T>(&self, page: &Page<T>) -> String {
        page.next.as_ref().map(|position| self.arguments.page_token(position)).unwrap_or_default()
    }
}

/// The fields that every list has.
pub struct Paging<'a> {
    /// As asked for.
    pub page_size: i32,
    /// As given.
    pub page_token: &'a str,
    /// As asked for.
    pub order_by: &'a str,
}

/// Checks what all lists have in common, and makes the list unless anything was wrong. `arguments` are those that a
/// page token belongs to, besides organization and order.
pub fn listing<F>(
    call: &Call,
    mut form: Form<'_>,
    paging: &Paging<'_>,
    keys: &[(&str, OrderKey)],
    filter: F,
    arguments: &[&str],
) -> Result<Listing<F>> {
    let size = page::page_size(paging.page_size);
    if size.is_none() {
        form.add("page_size", "must not be negative");
    }
    let order = order(paging.order_by, keys);
    if order.is_none() {
        let known: Vec<_> = keys.iter().map(|(key, _)| format!("`{key}`")).collect();
        form.add("order_by", format!("must be {}, with ` desc` behind it or not", known.join(" or ")));
    }
    let (size, order) = form.finish(size.zip(order))?;
    let common = [call.method, call.caller.organization.as_str(), paging.order_by];
    let arguments = ListArguments::digest(common.iter().chain(arguments).copied());
    let after = arguments.position(paging.page_token, order)?;
    Ok(Listing { filter, page: PageRequest { size, order, after }, arguments })
}

/// The keys of lists of connections and exports.
pub const RESOURCE_KEYS: [(&str, OrderKey); 3] = [
    ("create_time", OrderKey::CreateTime),
    ("display_name", OrderKey::DisplayName),
    ("update_time", OrderKey::UpdateTime),
];

/// The keys of the list of usable connections: when a connection changed is nothing that contributors learn, not even from
/// a page token.
const USABLE_KEYS: [(&str, OrderKey); 2] =
    [("create_time", OrderKey::CreateTime), ("display_name", OrderKey::DisplayName)];

fn order(text: &str, keys: &[(&str, OrderKey)]) -> Option<Order> {
    let mut words = text.split_ascii_whitespace();
    let key = match words.next() {
        None => keys.first()?.1,
        Some(word) => keys.iter().find(|(key, _)| *key == word)?.1,
    };
    match (words.next(), words.next()) {
        (None, _) | (Some("asc"), None) => Some(Order { key, descending: false }),
        (Some("desc"), None) => Some(Order { key, descending: true }),
        _ => None,
    }
}

/// A search text; blank: none.
pub fn search(form: &mut Form<'_>, text: &str) -> Option<String> {
    form.filter("search", text, limits::SEARCH_CHARS)
}

/// The page of the catalog that a request asks for: behind which id, and how many.
pub fn list_types(request: &pb::ListConnectionTypesRequest) -> Result<(Option<String>, usize)> {
    let size = page::page_size(request.page_size);
    let size = size.ok_or_else(|| Error::invalid("page_size", "must not be negative"))?;
    if request.page_token.is_empty() {
        return Ok((None, size as usize));
    }
    let after = token::decode(TokenKind::Catalog, &request.page_token).and_then(|id| String::from_utf8(id).ok());
    let after = after.ok_or_else(|| {
        let description = "does not belong to this list: begin again without it";
        Error::invalid_as(Invalid::PageToken, "page_token", description)
    })?;
    Ok((Some(after), size as usize))
}

/// The token of the page of the catalog behind this id.
pub fn types_page_token(last: &str) -> String {
    token::encode(TokenKind::Catalog, last.as_bytes())
}

/// SearchUsableConnections.
pub fn search_usable(call: &Call, request: &pb::SearchUsableConnectionsRequest) -> Result<Listing<ConnectionFilter>> {
    let mut form = Form::new(call, [request.parent.as_str()])?;
    form.parent(&request.parent);
    let filter = ConnectionFilter {
        connection_type: form.optional_type("connection_type", &request.connection_type),
        state: None,
        search: search(&mut form, &request.search),
    };
    let paging = Paging { page_size: request.page_size, page_token: &request.page_token, order_by: &request.order_by };
    listing(call, form, &paging, &USABLE_KEYS, filter, &[&request.connection_type, &request.search])
}
