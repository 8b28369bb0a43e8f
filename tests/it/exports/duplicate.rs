//! DuplicateExport: copies an export, with its schedule disabled.

use outflow::grpc::proto as pb;
use tonic::Code;

use crate::support::{Clients as _, ErrorExt as _, create_export, cron, on_both};

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_has_the_same_configuration_with_its_schedule_disabled() {
    on_both(async |server| {
        let (mut admin, mut ann, mut bob) =
            (server.admin().await, server.contributor("ann").await, server.contributor("bob").await);
        let connection = admin.shared_connection("Partner").await.name;
        let mut request = create_export(&connection, &"é".repeat(120));
        request.export.as_mut().expect("an export").schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        let source = ann.exports.create_export(request).await.expect("created").into_inner().export.expect("an export");

        let duplicate =
            pb::DuplicateExportRequest { name: source.name.clone(), export_id: "copy".into(), ..Default::default() };
        let copy = bob.exports.duplicate_export(duplicate.clone()).await.expect("copied").into_inner();
        let copy = copy.export.expect("an export");
        assert_eq!(copy.name, "organizations/acme/exports/copy");
        assert_eq!(copy.display_name, format!("Copy of {}", "é".repeat(112)), "truncated to 120 characters");
        assert_eq!((copy.payload, copy.destination_settings), (source.payload, source.destination_settings));
        assert_eq!((copy.connection, copy.state), (source.connection, source.state));
        let schedule = copy.schedule.expect("a schedule");
        assert_eq!((schedule.timing, schedule.enabled), (source.schedule.expect("a schedule").timing, false));
        assert_eq!((copy.next_run_time, copy.creator.as_str()), (None, "bob"));
        assert_ne!(copy.uid, source.uid);
        assert_eq!(admin.read_connection(&connection).await.attached_export_count, 2);

        let taken = bob.exports.duplicate_export(duplicate).await.expect_err("the id is taken");
        assert_eq!((taken.code(), taken.reason().as_str()), (Code::AlreadyExists, "RESOURCE_EXISTS"));
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_of_a_detached_export_is_detached_and_belongs_to_the_caller() {
    on_both(async |server| {
        let (mut admin, mut ann, mut bob) =
            (server.admin().await, server.contributor("ann").await, server.contributor("bob").await);
        let connection = admin.shared_connection("Partner").await.name;
        let export = ann.export(&connection, "Weekly").await.name;
        let detach = pb::BatchDetachExportsRequest {
            parent: "organizations/acme".into(),
            names: vec![export.clone()],
            ..Default::default()
        };
        let batch_id = admin.exports.batch_detach_exports(detach).await.expect("detached").into_inner().batch_id;
        let duplicate = pb::DuplicateExportRequest { name: export, display_name: "Mine".into(), ..Default::default() };
        let refusal = bob.exports.duplicate_export(duplicate.clone()).await.expect_err("not permitted");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::PermissionDenied, "NOT_PERMITTED"));
        let copy = admin.exports.duplicate_export(duplicate).await.expect("copied").into_inner();
        let copy = copy.export.expect("an export");
        assert_eq!((copy.state(), copy.creator.as_str()), (pb::export::State::Inactive, "root"));
        assert_eq!(copy.display_name, "Mine");
        let detachment = copy.detachment.expect("a detachment");
        assert_eq!(detachment.connection, connection);
        assert_ne!(detachment.batch_id, batch_id, "the copy does not belong to the batch");
        assert_eq!(admin.read_connection(&connection).await.attached_export_count, 0);
        // Its creator is root: ann, who created the source, may only read it.
        let delete = pb::DeleteExportRequest { name: copy.name, ..Default::default() };
        let refusal = ann.exports.delete_export(delete).await.expect_err("not permitted");
        assert_eq!(refusal.reason(), "NOT_PERMITTED");
        server.check_rows().await;
    })
    .await;
}
