//! Page tokens and cursors that this service did not make are refused.

use std::cell::Cell;

use chrono::DateTime;
use tonic::Request;
use uuid::Uuid;

use super::{app, context};
use crate::catalog::TypeFilter;
use crate::fuzzing;
use crate::grpc::convert::connection_types::TypeList;
use crate::grpc::convert::lists::List;
use crate::grpc::convert::{accept, connection_types, connections};
use crate::grpc::proto as pb;
use crate::model::page::{Page, Position, PositionKey};
use crate::model::{ConnectionFilter, ConnectionUid, Cursor};

#[tokio::test]
async fn a_mutated_page_token_is_refused() {
    let (app, context) = (app(), context());
    let list = |order_by: &str, page_token: &str| {
        let parent = "organizations/acme".to_owned();
        let (order_by, page_token) = (order_by.to_owned(), page_token.to_owned());
        let mut request =
            Request::new(pb::ListConnectionsRequest { parent, order_by, page_token, ..Default::default() });
        request.extensions_mut().insert(context.clone());
        accept(&app, request, connections::list_connections).map(|(_, list)| list)
    };
    let orders = ["create_time", "display_name desc", "update_time"];
    let keys = [
        PositionKey::Uid,
        PositionKey::Text("Züri".to_owned()),
        PositionKey::Time(DateTime::from_timestamp_micros(1_764_000_000_000_001).unwrap()),
    ];
    let tokens = orders.iter().zip(keys).map(|(order_by, key)| {
        let first: List<ConnectionFilter> = list(order_by, "").ok().unwrap();
        let next = Some(Position { key, uid: Uuid::now_v7() });
        first.next_page_token(&app, &Page::<()> { items: Vec::new(), next }).unwrap()
    });
    let tokens: Vec<String> = tokens.collect();
    let accepted = Cell::new(0);
    fuzzing::check("page tokens", 1_500, &fuzzing::text(&tokens), |text| {
        for (order_by, own) in orders.iter().zip(&tokens) {
            let is_accepted = list(order_by, &text).is_ok();
            assert_eq!(is_accepted, text == *own || text.is_empty(), "{order_by}");
            accepted.set(accepted.get() + u32::from(is_accepted));
        }
    });
    assert!(accepted.get() > 0, "a token without mutations is accepted");
}

#[tokio::test]
async fn any_page_token_of_the_catalog_is_a_position_or_refused() {
    let (app, context) = (app(), context());
    let first = TypeList { filter: TypeFilter::default(), after: None, size: 1 };
    let tokens = ["sftp", "", "Ω"].map(|last| first.next_page_token(last));
    fuzzing::check("page tokens of the catalog", 1_500, &fuzzing::text(&tokens), |page_token| {
        let is_own = tokens.contains(&page_token) || page_token.is_empty();
        let mut request = Request::new(pb::ListConnectionTypesRequest { page_token, ..Default::default() });
        request.extensions_mut().insert(context.clone());
        assert_eq!(accept(&app, request, connection_types::list_connection_types).is_ok(), is_own);
    });
}

#[test]
fn any_cursor_is_a_position_or_refused() {
    let cursor = |revision: i64, micros: i64| {
        let released_until = DateTime::from_timestamp_micros(micros).unwrap();
        let connection = ConnectionUid(Uuid::from_u128(7));
        Cursor { connection, start_revision: revision, last_revision: revision, released_until }.encode()
    };
    let cursors = [cursor(0, 0), cursor(i64::MAX, 1_764_000_000_000_001), cursor(-1, -1)];
    fuzzing::check("cursors", 2_000, &fuzzing::text(&cursors), |text| match Cursor::decode(&text) {
        Ok(Some(found)) => assert_eq!(found.encode(), text),
        Ok(None) => assert_eq!(text, ""),
        Err(_) => assert!(!cursors.contains(&text)),
    });
}
