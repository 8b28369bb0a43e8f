//! ListConnections: filters, order, and pages.

use outflow::grpc::proto as pb;
use tonic::Code;

use crate::support::{Client, Clients as _, ErrorExt as _, on_both, parent};

/// Lists all pages, and returns the display names.
async fn list_all(admin: &mut Client, request: pb::ListConnectionsRequest) -> Vec<String> {
    let mut names = Vec::new();
    let mut request = pb::ListConnectionsRequest { parent: parent(), ..request };
    loop {
        let page = admin.connections.list_connections(request.clone()).await.expect("listed").into_inner();
        let max = usize::try_from(request.page_size).expect("a size");
        assert!(max == 0 || page.connections.len() <= max);
        names.extend(page.connections.into_iter().map(|found| found.display_name));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return names;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_lists_every_connection_once() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let names = ["b", "B", "ä", "a", "a", "100%", "1_0", "z\\"];
        for name in names {
            admin.connection(name).await;
        }
        let by = |order_by: &str, page_size| pb::ListConnectionsRequest {
            order_by: order_by.into(),
            page_size,
            ..Default::default()
        };
        let mut sorted = names;
        sorted.sort_unstable();
        for page_size in [0, 1, 3, 8, 1_000] {
            assert_eq!(list_all(&mut admin, by("", page_size)).await, names);
            assert_eq!(list_all(&mut admin, by("display_name", page_size)).await, sorted);
            let mut reversed = list_all(&mut admin, by("display_name desc", page_size)).await;
            reversed.reverse();
            assert_eq!(reversed, sorted);
            assert_eq!(list_all(&mut admin, by("update_time", page_size)).await, names);
        }
        for (search, expected) in [
            ("A", &["a", "a"][..]),
            ("Ä", &["ä"]),
            ("%", &["100%"]),
            ("_", &["1_0"]),
            ("\\", &["z\\"]),
            ("b", &["b", "B"]),
        ] {
            let request = pb::ListConnectionsRequest { search: search.into(), ..Default::default() };
            assert_eq!(list_all(&mut admin, request).await, expected, "{search}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_tokens_of_other_queries_and_invalid_orders_are_refused() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        for name in ["a", "b", "c"] {
            admin.connection(name).await;
        }
        let first = pb::ListConnectionsRequest { parent: parent(), page_size: 1, ..Default::default() };
        let page = admin.connections.list_connections(first.clone()).await.expect("listed").into_inner();
        let token = page.next_page_token;
        let searching = pb::ListConnectionsRequest { search: "a".into(), ..first.clone() };
        let ordered = pb::ListConnectionsRequest { order_by: "display_name".into(), ..first.clone() };
        for mut other in [searching, ordered] {
            other.page_token.clone_from(&token);
            let refusal = admin.connections.list_connections(other).await.expect_err("a token of another query");
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
        }
        let larger = pb::ListConnectionsRequest { page_size: 9, page_token: token, ..first };
        let rest = admin.connections.list_connections(larger).await.expect("the size may change").into_inner();
        assert_eq!(rest.connections.len(), 2);
        let usable = pb::SearchUsableConnectionsRequest {
            parent: parent(),
            order_by: "update_time".into(),
            ..Default::default()
        };
        let refusal =
            admin.connections.search_usable_connections(usable).await.expect_err("contributors do not see times");
        assert_eq!(refusal.fields(), ["order_by"]);
        for (page_size, order_by) in [(-1, ""), (0, "colour"), (0, "display_name up"), (0, "display_name desc x")] {
            let request = pb::ListConnectionsRequest {
                parent: parent(),
                page_size,
                order_by: order_by.into(),
                ..Default::default()
            };
            let refusal = admin.connections.list_connections(request).await.expect_err("invalid size or order");
            assert_eq!(refusal.reason(), "INVALID_FIELD", "{page_size} {order_by}");
        }
    })
    .await;
}
