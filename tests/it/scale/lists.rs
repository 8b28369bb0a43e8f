//! Every list with each of its filters and orders.

use prost_reflect::{DynamicMessage, Value};
use serde_json::{Map, Value as Json, json};

use crate::support::{Client, ORGANIZATION, method, parent};

use super::fill::Rows;

/// The orders of connections and exports.
const ORDERS: [&str; 6] =
    ["create_time", "create_time desc", "display_name", "display_name desc", "update_time", "update_time desc"];

/// Who calls a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// An administrator, who sees all rows.
    Admin,
    /// A contributor with whom two connections are shared, besides one that is shared with all.
    Few,
    /// A contributor with whom all connections are shared.
    All,
    /// A contributor with whom none is shared.
    None,
}

/// A list with filters and an order.
#[derive(Clone, Debug)]
pub struct List {
    /// The method, without its package.
    pub method: &'static str,
    /// Who calls the method.
    pub caller: Caller,
    /// The request as JSON, without page fields.
    pub request: Map<String, Json>,
    /// How many entries match, if they are few.
    pub matches: Option<usize>,
}

/// The names on a page, and the token of the next one.
pub struct Page {
    /// Names of the entries.
    pub names: Vec<String>,
    /// The token of the next page.
    pub next: String,
}

impl List {
    /// A list of an administrator.
    pub fn new(method: &'static str, request: Json) -> Self {
        let Json::Object(mut request) = request else { panic!("{request} is not an object") };
        request.entry("parent").or_insert_with(|| parent().into());
        Self { method, caller: Caller::Admin, request, matches: None }
    }

    fn by(self, caller: Caller) -> Self {
        Self { caller, ..self }
    }

    fn matching(self, matches: usize) -> Self {
        Self { matches: Some(matches), ..self }
    }

    fn ordered(&self, order: &str) -> Self {
        let mut list = self.clone();
        list.request.insert("orderBy".to_owned(), order.into());
        list
    }

    /// Reads a page after a token.
    pub async fn page(&self, client: &Client, token: &str) -> Page {
        let method = method(&format!("outflow.v1.{}", self.method)).expect("a method");
        let mut request = self.request.clone();
        request.insert("pageToken".to_owned(), token.into());
        let request = DynamicMessage::deserialize(method.input(), Json::from(request)).expect("a request");
        let response = client.dynamic.clone().call(&method, request).await;
        let response = response.unwrap_or_else(|status| panic!("{self:?}: {status}")).remove(0);
        let mut page = Page { names: Vec::new(), next: String::new() };
        for (_, value) in response.fields() {
            match value {
                Value::String(next) => page.next.clone_from(next),
                Value::List(entries) => page.names.extend(entries.iter().map(name)),
                other => panic!("{other:?} in a list"),
            }
        }
        page
    }

    /// Reads all pages, or as many as this of the feed, which has no last one.
    pub async fn pages(&self, client: &Client, feed_pages: usize) -> Vec<Page> {
        let is_feed = self.request.get("orderBy").is_some_and(|order| order == "feed");
        let mut pages: Vec<Page> = Vec::new();
        while !is_feed || pages.len() < feed_pages {
            let token = pages.last().map_or("", |page| page.next.as_str());
            let page = self.page(client, token).await;
            let is_last = page.next.is_empty();
            pages.push(page);
            if is_last {
                break;
            }
        }
        pages
    }
}

fn name(entry: &Value) -> String {
    let entry = entry.as_message().expect("an entry");
    let name = entry.get_field_by_name("name").expect("a name");
    name.as_str().expect("a name").to_owned()
}

/// All lists of a database that `fill` has filled.
pub fn all(rows: &Rows) -> Vec<List> {
    let mut lists = Vec::new();
    for order in ORDERS {
        lists.extend(exports(rows).iter().map(|list| list.ordered(order)));
        lists.extend(connections().iter().map(|list| list.ordered(order)));
    }
    for order in &ORDERS[..4] {
        lists.extend(usable().iter().map(|list| list.ordered(order)));
    }
    lists.extend(runs(rows));
    for order in ["time", "time desc", "feed"] {
        lists.extend(events().iter().map(|list| list.ordered(order)));
    }
    lists
}

fn connection(number: u64) -> String {
    format!("organizations/{ORGANIZATION}/connections/connection-{number}")
}

fn export(number: u64) -> String {
    format!("organizations/{ORGANIZATION}/exports/export-{number}")
}

fn exports(rows: &Rows) -> Vec<List> {
    let list = |request| List::new("ExportService/ListExports", request);
    vec![
        list(json!({})),
        list(json!({})).by(Caller::Few),
        list(json!({})).by(Caller::All),
        list(json!({"connection": connection(1)})),
        list(json!({"connection": connection(1), "search": "not there"})).matching(0),
        list(json!({"connection": connection(rows.connections)})).matching(1),
        list(json!({"connectionType": "connectionTypes/kafka"})).matching(1),
        list(json!({"state": "STATE_ACTIVE"})),
        list(json!({"state": "STATE_BLOCKED"})).matching(1),
        list(json!({"state": "STATE_INACTIVE"})).matching(2),
        list(json!({"creator": "rare"})).matching(1),
        list(json!({"creator": "late"})),
        list(json!({"creator": "late", "state": "STATE_BLOCKED"})).matching(1),
        list(json!({"callerAccess": "CALLER_ACCESS_MANAGE"})).by(Caller::Few),
        list(json!({"callerAccess": "CALLER_ACCESS_MANAGE"})).by(Caller::None).matching(1),
        list(json!({"callerAccess": "CALLER_ACCESS_VIEW"})).by(Caller::All),
        list(json!({"detachedFrom": connection(1)})).matching(2),
        list(json!({"batchId": "00000000-0000-0000-0000-000000000000"})).matching(0),
        list(json!({"search": "ab"})),
        list(json!({"search": "not there"})).matching(0),
    ]
}

fn connections() -> Vec<List> {
    let list = |request| List::new("ConnectionService/ListConnections", request);
    vec![
        list(json!({})),
        list(json!({"connectionType": "connectionTypes/kafka"})).matching(1),
        list(json!({"state": "STATE_ACTIVE"})),
        list(json!({"state": "STATE_SUSPENDED"})).matching(1),
        list(json!({"state": "STATE_CREDENTIAL_REQUIRED"})).matching(0),
        list(json!({"search": "ab"})),
        list(json!({"search": "not there"})).matching(0),
    ]
}

fn usable() -> Vec<List> {
    let list = |request| List::new("ConnectionService/SearchUsableConnections", request);
    vec![
        list(json!({})),
        list(json!({})).by(Caller::Few).matching(3),
        list(json!({})).by(Caller::All),
        list(json!({})).by(Caller::None).matching(1),
        list(json!({"search": "not there"})).by(Caller::Few).matching(0),
        list(json!({"search": "not there"})).by(Caller::All).matching(0),
        list(json!({"connectionType": "connectionTypes/kafka"})).by(Caller::All).matching(1),
    ]
}

fn runs(rows: &Rows) -> Vec<List> {
    let list = |request: Json| List::new("ExportService/ListExportRuns", request);
    let of_all = |mut request: Json| {
        request["parent"] = export(0).replace("export-0", "-").into();
        list(request)
    };
    vec![
        list(json!({"parent": export(rows.exports)})).matching(3),
        list(json!({"parent": export(5)})),
        of_all(json!({})),
        of_all(json!({"state": "STATE_CANCELLED"})).matching(3),
        of_all(json!({"state": "STATE_RUNNING"})).matching(0),
        of_all(json!({"state": "STATE_FAILED"})),
        of_all(json!({"state": "STATE_FAILED", "trigger": "TRIGGER_CATCH_UP"})).matching(0),
        of_all(json!({"trigger": "TRIGGER_CATCH_UP"})).matching(3),
        of_all(json!({"connection": connection(3)})).matching(3),
        of_all(json!({"connection": connection(1)})),
        of_all(json!({"connection": connection(1), "state": "STATE_CANCELLED"})).matching(0),
        of_all(json!({"endTime": "2001-01-01T00:00:00Z"})).matching(0),
        of_all(json!({"startTime": "2101-01-01T00:00:00Z"})).matching(0),
        of_all(json!({"state": "STATE_SUCCEEDED", "endTime": "2001-01-01T00:00:00Z"})).matching(0),
    ]
}

fn events() -> Vec<List> {
    let list = |request| List::new("AuditService/ListAuditEvents", request);
    vec![
        list(json!({})),
        list(json!({"resource": export(7)})),
        list(json!({"resource": "none"})).matching(0),
        list(json!({"principal": "rare"})).matching(3),
        list(json!({"principal": "late"})),
        list(json!({"principal": "none"})).matching(0),
        list(json!({"principal": "late", "method": "none"})).matching(0),
        list(json!({"method": "outflow.v1.ExportService/DeleteExport"})).matching(3),
        list(json!({"method": "outflow.v1.ExportService/UpdateExport"})),
        list(json!({"endTime": "2001-01-01T00:00:00Z"})).matching(0),
        list(json!({"startTime": "2101-01-01T00:00:00Z"})).matching(0),
        list(json!({"principal": "late", "startTime": "2101-01-01T00:00:00Z"})).matching(0),
        list(json!({"principal": "late", "endTime": "2001-01-01T00:00:00Z"})).matching(0),
    ]
}
