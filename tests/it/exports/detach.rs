//! DetachExport and BatchDetachExports: one export, a list of names, or the blocking set of a connection.

use outflow::grpc::proto as pb;
use outflow::model::limits;
use tonic::Code;

use crate::support::{Client, Clients as _, ErrorExt as _, Names, cron, on_both, parent};

/// A request that detaches the blocking set of a connection.
fn detach_set(connection: &str, etag: &str) -> pb::BatchDetachExportsRequest {
    let set = pb::batch_detach_exports_request::AttachedSet {
        connection: connection.to_owned(),
        blocking_set_etag: etag.to_owned(),
    };
    pb::BatchDetachExportsRequest { parent: parent(), attached_set: Some(set), ..Default::default() }
}

/// The etag of the blocking set, from the refused deletion of a connection.
async fn blocking_set_etag(admin: &mut Client, connection: &str) -> String {
    let request = pb::DeleteConnectionRequest { name: connection.to_owned(), ..Default::default() };
    admin.connections.delete_connection(request).await.expect_err("in use").info("blocking_set_etag")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_export_keeps_its_configuration_and_records_who_detached_it_and_why() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.shared_connection("Partner").await.name;
        let mut request = crate::support::create_export(&connection, "Weekly");
        request.export.as_mut().expect("an export").schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        let created =
            ann.exports.create_export(request).await.expect("created").into_inner().export.expect("an export");
        let detach = pb::DetachExportRequest {
            name: created.name.clone(),
            reason: "the partner left".into(),
            ..Default::default()
        };
        let detached = admin.exports.detach_export(detach.clone()).await.expect("detached").into_inner();
        let detached = detached.export.expect("an export");
        assert_eq!((detached.state(), detached.connection.as_str()), (pb::export::State::Inactive, ""));
        assert_eq!((&detached.payload, &detached.schedule), (&created.payload, &created.schedule));
        assert_eq!(detached.destination_settings, created.destination_settings);
        assert_eq!((detached.next_run_time, detached.connection_type.as_str()), (None, "connectionTypes/sftp"));
        let detachment = detached.detachment.clone().expect("a detachment");
        assert_eq!(
            (detachment.connection.as_str(), detachment.connection_display_name.as_str()),
            (&*connection, "Partner")
        );
        assert_eq!((detachment.principal.as_str(), detachment.reason.as_str()), ("root", "the partner left"));
        assert_eq!((detachment.batch_id.as_str(), detachment.time), ("", detached.update_time));
        let seen = ann.read_export(&created.name).await;
        assert_eq!(seen.caller_access(), pb::export::CallerAccess::Manage, "a detached export is managed by its owner");

        // Detaching it again succeeds and changes nothing; the first reason stays.
        let again = pb::DetachExportRequest { reason: "another".into(), ..detach };
        let again = admin.exports.detach_export(again).await.expect("no error").into_inner();
        assert_eq!(again.export.expect("an export"), detached);
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_detach_exports_of_several_connections() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let mut names = Vec::new();
        for number in 0..3 {
            names.push(Names::make(&mut admin, "acme", number).await.export);
        }
        let detach = pb::DetachExportRequest { name: names[1].clone(), reason: "before".into(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let batch = pb::BatchDetachExportsRequest {
            parent: parent(),
            names: names.clone(),
            reason: "all".into(),
            ..Default::default()
        };
        let done = admin.exports.batch_detach_exports(batch).await.expect("detached").into_inner();
        assert_eq!((done.detached_count, done.results.len()), (2, 3));
        for (result, name) in done.results.iter().zip(&names) {
            assert_eq!((&result.name, result.state()), (name, pb::export::State::Inactive));
        }
        let mut reasons = Vec::new();
        for name in &names {
            let detachment = admin.read_export(name).await.detachment.expect("detached");
            reasons.push((detachment.reason, detachment.batch_id == done.batch_id));
        }
        assert_eq!(reasons, [("all".into(), true), ("before".into(), false), ("all".into(), true)]);
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocking_set_is_detached_unless_an_export_was_attached_since() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let other = admin.connection("Other").await.name;
        admin.export(&other, "Elsewhere").await;
        let first = admin.export(&connection, "First").await.name;
        admin.export(&connection, "Second").await;
        let etag = blocking_set_etag(&mut admin, &connection).await;
        for (request, code, reason) in [
            (detach_set(&connection, ""), Code::InvalidArgument, "INVALID_FIELD"),
            (detach_set(&connection, "nonsense"), Code::Aborted, "BLOCKING_SET_CHANGED"),
            (detach_set(&other, &etag), Code::Aborted, "BLOCKING_SET_CHANGED"),
            (detach_set("organizations/acme/connections/absent", &etag), Code::NotFound, "RESOURCE_NOT_FOUND"),
            (
                pb::BatchDetachExportsRequest { names: vec![first.clone()], ..detach_set(&connection, &etag) },
                Code::InvalidArgument,
                "INVALID_FIELD",
            ),
        ] {
            let refusal = admin.exports.batch_detach_exports(request).await.expect_err(reason);
            assert_eq!((refusal.code(), refusal.reason().as_str()), (code, reason));
        }
        // An attachment makes the etag stale; a release does not.
        admin.export(&connection, "Third").await;
        let refusal = admin
            .exports
            .batch_detach_exports(detach_set(&connection, &etag))
            .await
            .expect_err("one more export is attached");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Aborted, "BLOCKING_SET_CHANGED"));
        assert_eq!(admin.read_connection(&connection).await.attached_export_count, 3);
        let etag = blocking_set_etag(&mut admin, &connection).await;
        let delete = pb::DeleteExportRequest { name: first, ..Default::default() };
        admin.exports.delete_export(delete).await.expect("deleted");
        let done =
            admin.exports.batch_detach_exports(detach_set(&connection, &etag)).await.expect("detached").into_inner();
        assert_eq!((done.detached_count, done.results.len()), (2, 0));
        let list = pb::ListExportsRequest { parent: parent(), batch_id: done.batch_id, ..Default::default() };
        let listed = admin.exports.list_exports(list).await.expect("listed").into_inner().exports;
        let names: Vec<_> = listed.iter().map(|export| export.display_name.as_str()).collect();
        assert_eq!(names, ["Second", "Third"]);
        // An empty set can be detached too.
        let again = admin.exports.batch_detach_exports(detach_set(&connection, &etag)).await.expect("an empty set");
        assert_eq!(again.into_inner().detached_count, 0);
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocking_set_of_ten_thousand_is_detached_and_a_larger_one_is_refused() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await;
        let one = admin.export(&connection.name, "One").await;
        server.database().await.attach_copies(&one, limits::MAX_BLOCKING_SET).await;
        let etag = blocking_set_etag(&mut admin, &connection.name).await;
        let refusal =
            admin.exports.batch_detach_exports(detach_set(&connection.name, &etag)).await.expect_err("too many");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::FailedPrecondition, "BLOCKING_SET_TOO_LARGE"));
        assert_eq!((refusal.info("blocking_export_count"), refusal.info("limit")), ("10001".into(), "10000".into()));
        let detach = pb::DetachExportRequest { name: one.name, ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let done = admin.exports.batch_detach_exports(detach_set(&connection.name, &etag)).await.expect("detached");
        assert_eq!(done.into_inner().detached_count, 10_000);
        let delete = pb::DeleteConnectionRequest { name: connection.name, ..Default::default() };
        admin.connections.delete_connection(delete).await.expect("nothing blocks it");
    })
    .await;
}
