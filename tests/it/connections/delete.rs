//! DeleteConnection: a connection in use cannot be deleted.

use outflow::grpc::proto as pb;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Clients as _, ErrorExt as _, on_both};

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_connection_in_use_is_refused_with_its_blocking_exports() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.shared_connection("Partner SFTP").await;
        for number in 1..=3 {
            ann.export(&connection.name, &format!("Export {number}")).await;
        }
        let request = pb::DeleteConnectionRequest { name: connection.name.clone(), ..Default::default() };
        let refusal = admin.connections.delete_connection(request).await.expect_err("it is in use");
        assert_eq!(refusal.code(), Code::FailedPrecondition);
        assert_eq!(refusal.reason(), "CONNECTION_IN_USE");
        assert_eq!(refusal.info("blocking_export_count"), "3");
        let details = refusal.get_error_details();
        let blocking = details.precondition_failure().expect("the blocking exports").violations.clone();
        let names: Vec<_> = blocking.iter().map(|violation| violation.description.as_str()).collect();
        assert_eq!(names, ["Export 1", "Export 2", "Export 3"]);
        assert_eq!(admin.read_connection(&connection.name).await.attached_export_count, 3);

        let detach = pb::BatchDetachExportsRequest {
            parent: "organizations/acme".into(),
            attached_set: Some(pb::batch_detach_exports_request::AttachedSet {
                connection: connection.name.clone(),
                blocking_set_etag: refusal.info("blocking_set_etag"),
            }),
            ..Default::default()
        };
        let detached = admin.exports.batch_detach_exports(detach).await.expect("detached").into_inner();
        assert_eq!(detached.detached_count, 3);
        let request = pb::DeleteConnectionRequest { name: connection.name.clone(), ..Default::default() };
        admin.connections.delete_connection(request).await.expect("nothing blocks it");
        let request = pb::GetConnectionRequest { name: connection.name };
        let absent = admin.connections.get_connection(request).await.expect_err("deleted");
        assert_eq!((absent.code(), absent.reason().as_str()), (Code::NotFound, "RESOURCE_NOT_FOUND"));
    })
    .await;
}
