//! ListConnectionTypes and GetConnectionType: the catalog.

use outflow::grpc::proto as pb;
use outflow::model::Role;
use tonic::Code;

use crate::support::{Backend, Clients as _, ErrorExt as _, TestServer, on_both};

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_is_paged_and_every_type_has_a_binding_field() {
    on_both(async |server| {
        let mut viewer = server.viewer().await;
        let mut types = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListConnectionTypesRequest { page_size: 2, page_token, ..Default::default() };
            let page = viewer.connections.list_connection_types(request).await.expect("listed").into_inner();
            types.extend(page.connection_types);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let names: Vec<_> = types.iter().map(|found| found.name.trim_start_matches("connectionTypes/")).collect();
        let expected = [
            "azure_blob",
            "dynamics_365_marketing",
            "gcs",
            "kafka",
            "local_directory",
            "postgresql",
            "s3",
            "sftp",
            "webhook",
        ];
        assert_eq!(names, expected);
        for found in &types {
            let get = pb::GetConnectionTypeRequest { name: found.name.clone() };
            let response = viewer.connections.get_connection_type(get).await.expect("found").into_inner();
            assert_eq!(response.connection_type.as_ref(), Some(found));
            assert!(found.property_fields.iter().any(|field| field.binding), "{} has no binding field", found.name);
        }
        let get = pb::GetConnectionTypeRequest { name: "connectionTypes/fax".into() };
        let absent = viewer.connections.get_connection_type(get).await.expect_err("no such type");
        assert_eq!((absent.code(), absent.reason().as_str()), (Code::NotFound, "RESOURCE_NOT_FOUND"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_is_filtered() {
    use pb::connection_type::LaunchStage;
    let server = TestServer::start(Backend::Sqlite).await;
    let mut viewer = server.viewer().await;
    let base = pb::ListConnectionTypesRequest { page_size: 100, ..Default::default() };
    for (filter, expected) in [
        (pb::ListConnectionTypesRequest { category: "Object storage".into(), ..base.clone() }, "azure_blob gcs s3"),
        (
            pb::ListConnectionTypesRequest { launch_stage: LaunchStage::Preview.into(), ..base.clone() },
            "dynamics_365_marketing kafka",
        ),
        (pb::ListConnectionTypesRequest { search: "SSH server".into(), ..base.clone() }, "sftp"),
        (pb::ListConnectionTypesRequest { search: "azure".into(), category: "Database".into(), ..base.clone() }, ""),
    ] {
        let page = viewer.connections.list_connection_types(filter).await.expect("listed").into_inner();
        let ids: Vec<_> =
            page.connection_types.iter().map(|found| found.name.trim_start_matches("connectionTypes/")).collect();
        assert_eq!(ids.join(" "), expected);
    }
    let first = pb::ListConnectionTypesRequest { page_size: 1, category: "Object storage".into(), ..base.clone() };
    let page = viewer.connections.list_connection_types(first.clone()).await.expect("listed").into_inner();
    let next = pb::ListConnectionTypesRequest { page_token: page.next_page_token.clone(), ..first };
    let second = viewer.connections.list_connection_types(next).await.expect("listed").into_inner();
    assert_eq!(second.connection_types[0].name, "connectionTypes/gcs");
    let other = pb::ListConnectionTypesRequest { page_token: page.next_page_token, ..base };
    let refusal = viewer.connections.list_connection_types(other).await.expect_err("the token of another list");
    assert_eq!(refusal.reason(), "PAGE_TOKEN_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_see_how_many_connections_a_type_has() {
    on_both(async |server| {
        let (mut admin, mut viewer) = (server.admin().await, server.viewer().await);
        let mut other = server.caller("zeta", "zoe", &[Role::Admin], &[]).await;
        admin.connection("One").await;
        admin.connection("Two").await;
        let get = || pb::GetConnectionTypeRequest { name: "connectionTypes/sftp".into() };
        for (client, expected) in [(&mut admin, Some(2)), (&mut other, Some(0)), (&mut viewer, None)] {
            let found = client.connections.get_connection_type(get()).await.expect("found").into_inner();
            assert_eq!(found.connection_type.expect("a type").connection_count, expected);
            let list = pb::ListConnectionTypesRequest { search: "sftp".into(), ..Default::default() };
            let listed = client.connections.list_connection_types(list).await.expect("listed").into_inner();
            let counts: Vec<_> = listed.connection_types.iter().map(|found| found.connection_count).collect();
            assert_eq!(counts, [expected]);
        }
        let types = pb::ListConnectionTypesRequest { page_size: 100, ..Default::default() };
        let listed = admin.connections.list_connection_types(types).await.expect("listed").into_inner();
        assert_eq!(listed.connection_types.iter().filter_map(|found| found.connection_count).sum::<i64>(), 2);
    })
    .await;
}
