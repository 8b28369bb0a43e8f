//! ListExports: filters, order, and pages.

use outflow::grpc::proto as pb;
use tonic::Code;

use crate::support::{Client, Clients as _, ErrorExt as _, on_both, parent};

async fn listed(client: &mut Client, request: pb::ListExportsRequest) -> Vec<String> {
    let request = pb::ListExportsRequest { parent: parent(), ..request };
    let found = client.exports.list_exports(request).await.expect("listed").into_inner().exports;
    found.into_iter().map(|export| export.display_name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_selects_the_matching_exports() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let shared = admin.shared_connection("Shared").await.name;
        let closed = admin.connection("Closed").await.name;
        ann.export(&shared, "Ann 100%").await;
        admin.export(&shared, "Root_on shared").await;
        admin.export(&closed, "Root on CLOSED").await;
        let batch = {
            let detached = ann.export(&shared, "Ann detached").await.name;
            let request =
                pb::BatchDetachExportsRequest { parent: parent(), names: vec![detached], ..Default::default() };
            admin.exports.batch_detach_exports(request).await.expect("detached").into_inner().batch_id
        };
        let suspend = pb::SuspendConnectionRequest { name: closed.clone(), ..Default::default() };
        admin.connections.suspend_connection(suspend).await.expect("suspended");

        let all = ["Ann 100%", "Root_on shared", "Root on CLOSED", "Ann detached"];
        let empty = pb::ListExportsRequest::default;
        let state = |state: pb::export::State| pb::ListExportsRequest { state: state.into(), ..empty() };
        let access =
            |access: pb::export::CallerAccess| pb::ListExportsRequest { caller_access: access.into(), ..empty() };
        let search = |search: &str| pb::ListExportsRequest { search: search.into(), ..empty() };
        let sftp = pb::ListExportsRequest { connection_type: "connectionTypes/sftp".into(), ..empty() };
        let kafka = pb::ListExportsRequest { connection_type: "connectionTypes/kafka".into(), ..empty() };
        for (request, expected) in [
            (empty(), &all[..]),
            (pb::ListExportsRequest { connection: shared.clone(), ..empty() }, &all[..2]),
            (pb::ListExportsRequest { connection: closed, ..empty() }, &all[2..3]),
            (sftp, &all[..]),
            (kafka, &[]),
            (state(pb::export::State::Active), &all[..2]),
            (state(pb::export::State::Blocked), &all[2..3]),
            (state(pb::export::State::Inactive), &all[3..]),
            (pb::ListExportsRequest { creator: "root".into(), ..empty() }, &all[1..3]),
            (pb::ListExportsRequest { detached_from: shared, ..empty() }, &all[3..]),
            (pb::ListExportsRequest { batch_id: batch, ..empty() }, &all[3..]),
            (search("closed"), &all[2..3]),
            // The wildcards of LIKE have no special meaning.
            (search("0%"), &all[..1]),
            (search("t_o"), &all[1..2]),
            (search("%"), &all[..1]),
            (search("\\"), &[]),
        ] {
            assert_eq!(listed(&mut admin, request.clone()).await, expected, "{request:?}");
        }
        // `caller_access` depends on the caller, who manages only those detached exports that the caller created.
        let manage = access(pb::export::CallerAccess::Manage);
        let view = access(pb::export::CallerAccess::View);
        assert_eq!(listed(&mut admin, manage.clone()).await, all);
        assert_eq!(listed(&mut ann, manage.clone()).await, ["Ann 100%", "Root_on shared", "Ann detached"]);
        assert_eq!(listed(&mut ann, view.clone()).await, ["Root on CLOSED"]);
        let mut viewer = server.viewer().await;
        assert_eq!(listed(&mut viewer, manage).await, [""; 0]);
        assert_eq!(listed(&mut viewer, view).await, all);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_lists_every_export_once_and_invalid_fields_are_refused() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let names = ["b", "Ä", "a", "B", "z", "a", "0"];
        for name in names {
            admin.export(&connection, name).await;
        }
        // In byte order; equal names in order of creation.
        let by_name = ["0", "B", "a", "a", "b", "z", "Ä"];
        for (order_by, expected) in
            [("", names), ("create_time", names), ("display_name", by_name), ("update_time", names)]
        {
            for descending in [false, true] {
                let order_by = format!("{order_by}{}", if descending { " desc" } else { "" });
                let order_by = if order_by == " desc" { "create_time desc".to_owned() } else { order_by };
                let mut expected = expected.to_vec();
                if descending {
                    expected.reverse();
                }
                let mut request = pb::ListExportsRequest {
                    parent: parent(),
                    page_size: 3,
                    order_by: order_by.clone(),
                    ..Default::default()
                };
                let mut seen = Vec::new();
                loop {
                    let page = admin.exports.list_exports(request.clone()).await.expect("listed").into_inner();
                    assert!(page.exports.len() <= 3);
                    seen.extend(page.exports.into_iter().map(|export| export.display_name));
                    request.page_token = page.next_page_token;
                    if request.page_token.is_empty() {
                        break;
                    }
                }
                assert_eq!(seen, expected, "{order_by}");
            }
        }
        for (request, field) in [
            (pb::ListExportsRequest { page_size: -1, ..Default::default() }, "page_size"),
            (pb::ListExportsRequest { order_by: "payload".into(), ..Default::default() }, "order_by"),
            (pb::ListExportsRequest { state: 77, ..Default::default() }, "state"),
            (pb::ListExportsRequest { batch_id: "7".into(), ..Default::default() }, "batch_id"),
            (pb::ListExportsRequest { creator: "an\0n".into(), ..Default::default() }, "creator"),
            (pb::ListExportsRequest { search: "\u{7}".into(), ..Default::default() }, "search"),
            (
                pb::ListExportsRequest { connection_type: "connectionTypes/sf\0tp".into(), ..Default::default() },
                "connection_type",
            ),
            (pb::ListExportsRequest { page_token: "AAAA".into(), ..Default::default() }, "page_token"),
        ] {
            let request = pb::ListExportsRequest { parent: parent(), ..request };
            let refusal = admin.exports.list_exports(request).await.expect_err(field);
            assert_eq!((refusal.code(), refusal.fields()), (Code::InvalidArgument, vec![field.to_owned()]));
        }
    })
    .await;
}
