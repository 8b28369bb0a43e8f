//! ListConnections: filters, orders, pages.

use outflow::grpc::proto as pb;
use tonic::Code;

use crate::support::{Client, Clients as _, ErrorExt as _, on_both, parent};

async fn all(admin: &mut Client, request: pb::ListConnectionsRequest) -> Vec<String> {
    let mut names = Vec::new();
    let mut request = pb::ListConnectionsRequest { parent: parent(), ..request };
    loop {
        let page = admin.connections.list_connections(request.clone()).await.expect("listed").into_inner();
        let most = usize::try_from(request.page_size).expect("a size");
        assert!(most == 0 || page.connections.len() <= most);
        names.extend(page.connections.into_iter().map(|found| found.display_name));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return names;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_has_every_entry_once() {
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
            assert_eq!(all(&mut admin, by("", page_size)).await, names);
            assert_eq!(all(&mut admin, by("display_name", page_size)).await, sorted);
            let mut turned = all(&mut admin, by("display_name desc", page_size)).await;
            turned.reverse();
            assert_eq!(turned, sorted);
            assert_eq!(all(&mut admin, by("update_time", page_size)).await, names);
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
            assert_eq!(all(&mut admin, request).await, expected, "{search}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_of_another_list_is_refused() {
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
            let refusal = admin.connections.list_connections(other).await.expect_err("another list");
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
            admin.connections.search_usable_connections(usable).await.expect_err("contributors learn no times");
        assert_eq!(refusal.fields(), ["order_by"]);
        for (page_size, order_by) in [(-1, ""), (0, "colour"), (0, "display_name up"), (0, "display_name desc x")] {
            let request = pb::ListConnectionsRequest {
                parent: parent(),
                page_size,
                order_by: order_by.into(),
                ..Default::default()
            };
            let refusal = admin.connections.list_connections(request).await.expect_err("no such page");
            assert_eq!(refusal.reason(), "INVALID_FIELD", "{page_size} {order_by}");
        }
    })
    .await;
}
