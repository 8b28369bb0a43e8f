//! Quotas of organizations.

use futures_util::future::join_all;
use outflow::grpc::proto as pb;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Backend, Clients as _, ErrorExt as _, TestServer, create_connection, create_export};

async fn start(backend: Backend, quotas: &[(&'static str, &str)]) -> TestServer {
    let settings = quotas.iter().map(|(key, value)| (*key, (*value).to_owned()));
    TestServer::start_with(backend, settings.collect()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_never_has_more_than_its_quota() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let quotas = [("organization_max_connections", "5"), ("organization_max_exports", "3")];
        let server = start(backend, &quotas).await;
        let mut admin = server.admin().await;
        let create = |number: usize| {
            let mut admin = admin.clone();
            async move { admin.connections.create_connection(create_connection(&format!("Partner {number}"))).await }
        };
        let created = join_all((0..20).map(create)).await;
        let (created, refused): (Vec<_>, Vec<_>) = created.into_iter().partition(Result::is_ok);
        assert_eq!((created.len(), refused.len()), (5, 15), "{backend:?}");
        for refusal in refused.into_iter().filter_map(Result::err) {
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
            assert!(refusal.message().contains("5 connections"), "{}", refusal.message());
        }
        let connections = created.into_iter().flatten().filter_map(|created| created.into_inner().connection);
        let names: Vec<String> = connections.map(|connection| connection.name).collect();

        let create = |number: usize| {
            let (mut admin, connection) = (admin.clone(), names[number % names.len()].clone());
            async move { admin.exports.create_export(create_export(&connection, &format!("Export {number}"))).await }
        };
        let exports = join_all((0..10).map(create)).await;
        assert_eq!(exports.iter().filter(|created| created.is_ok()).count(), 3, "{backend:?}");

        // What is deleted frees its place.
        let delete = pb::DeleteConnectionRequest { name: names[4].clone(), ..Default::default() };
        let blocked = admin.connections.delete_connection(delete).await;
        let replaced = admin.connections.create_connection(create_connection("Another")).await;
        assert_eq!(blocked.is_ok(), replaced.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_writes_as_often_as_its_quota_says() {
    let server = start(Backend::Sqlite, &[("organization_max_writes_per_second", "1")]).await;
    let mut admin = server.admin().await;
    let create = || {
        let mut admin = admin.clone();
        async move { admin.connections.create_connection(create_connection("Partner")).await }
    };
    let created = join_all((0..3).map(|_| create())).await;
    let refusals: Vec<_> = created.into_iter().filter_map(Result::err).collect();
    assert!(!refusals.is_empty());
    for refusal in refusals {
        assert_eq!(refusal.reason(), "QUOTA_EXCEEDED");
        assert!(refusal.get_error_details().retry_info().is_some());
    }
    let list = pb::ListConnectionsRequest { parent: crate::support::parent(), ..Default::default() };
    admin.connections.list_connections(list).await.expect("reads are not limited");
}
