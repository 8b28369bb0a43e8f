//! DeleteExport and BatchDeleteExports: deletion, dry runs, and batches.

use outflow::grpc::proto as pb;
use tonic::Code;

use crate::support::{Clients as _, ErrorExt as _, on_both, parent};

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_export_is_not_found_and_blocks_nothing() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.shared_connection("Partner").await.name;
        let export = ann.export(&connection, "Weekly").await;
        let delete =
            |etag: &str| pb::DeleteExportRequest { name: export.name.clone(), etag: etag.into(), ..Default::default() };
        let other = ann.export(&connection, "Other").await;
        let refusal = ann.exports.delete_export(delete(&other.etag)).await.expect_err("the etag of another export");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Aborted, "ETAG_MISMATCH"));
        let dry_run = pb::DeleteExportRequest { validate_only: true, ..delete("") };
        ann.exports.delete_export(dry_run).await.expect("valid");
        assert_eq!(ann.read_export(&export.name).await, export);

        ann.exports.delete_export(delete(&export.etag)).await.expect("deleted");
        let get = pb::GetExportRequest { name: export.name.clone() };
        let absent = ann.exports.get_export(get).await.expect_err("deleted");
        assert_eq!((absent.code(), absent.reason().as_str()), (Code::NotFound, "RESOURCE_NOT_FOUND"));
        let again = ann.exports.delete_export(delete("")).await.expect_err("deleted");
        assert_eq!(again.code(), Code::NotFound);
        assert_eq!(admin.read_connection(&connection).await.attached_export_count, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_deleted_as_a_whole_with_results_in_the_order_of_the_request() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let shared = admin.shared_connection("Shared").await.name;
        let closed = admin.connection("Closed").await.name;
        let first = ann.export(&shared, "First").await;
        let second = ann.export(&shared, "Second").await;
        let foreign = admin.export(&closed, "Not ann's").await;
        let batch = |names: &[&str]| pb::BatchDeleteExportsRequest {
            parent: parent(),
            names: names.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let absent = "organizations/acme/exports/absent";
        for (names, code, reason) in [
            (vec![&*first.name, &*foreign.name], Code::PermissionDenied, "NOT_PERMITTED"),
            (vec![&*first.name, absent], Code::NotFound, "RESOURCE_NOT_FOUND"),
            (vec![&*first.name, &*first.name], Code::InvalidArgument, "INVALID_FIELD"),
            (vec![], Code::InvalidArgument, "INVALID_FIELD"),
        ] {
            let refusal = ann.exports.batch_delete_exports(batch(&names)).await.expect_err(reason);
            assert_eq!((refusal.code(), refusal.reason().as_str()), (code, reason), "{names:?}");
        }
        let many: Vec<_> = (0..1_001).map(|number| format!("organizations/acme/exports/x{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let refusal = ann.exports.batch_delete_exports(batch(&many)).await.expect_err("one too many");
        assert_eq!(refusal.fields(), ["names"]);
        assert_eq!(admin.read_connection(&shared).await.attached_export_count, 2);

        let deleted = ann.exports.batch_delete_exports(batch(&[&second.name, &first.name])).await.expect("deleted");
        let deleted = deleted.into_inner();
        let names: Vec<_> = deleted.results.iter().map(|result| result.name.as_str()).collect();
        assert_eq!(names, [&*second.name, &*first.name]);
        assert!(deleted.results.iter().all(|result| result.etag.is_empty() && result.state == 0));
        assert!(!deleted.batch_id.is_empty());
        assert_eq!(admin.read_connection(&shared).await.attached_export_count, 0);
        server.check_rows().await;
    })
    .await;
}
