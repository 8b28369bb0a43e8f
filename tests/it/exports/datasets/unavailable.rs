//! A source that does not respond: payloads cannot be changed, and everything else can.

use std::fs;

use outflow::grpc::proto as pb;
use outflow::model::{OrganizationId, PayloadTable};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{FILES, all, get};
use crate::support::{Clients as _, ErrorExt as _, TestServer, create_export, on_both_with_datasets};

fn assert_unavailable(refusal: &Status) {
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unavailable, "DATASET_UNAVAILABLE"));
    assert!(refusal.get_error_details().retry_info().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_new_payloads_depend_on_the_source() {
    on_both_with_datasets(FILES, async |server: TestServer, location| {
        let mut admin = server.admin().await;
        let (connection, other) = (admin.connection("Partner").await.name, admin.connection("Other").await.name);
        let created = admin.export(&connection, "Weekly").await;
        let away = location.with_extension("away");
        fs::rename(location, &away).expect("renamed");
        // A failed listing ends the one that is cached.
        let acme = OrganizationId::parse("acme").expect("an id");
        let table = PayloadTable { table: "customers".into(), fields: Vec::new(), filters: Vec::new() };
        server.app.datasets().open(&acme, &[table]).await.expect_err("the directory is gone");

        let before = server.database().await.content().await;
        assert_unavailable(&admin.exports.list_datasets(all()).await.expect_err("unavailable"));
        assert_unavailable(&get(&mut admin, "customers").await.expect_err("unavailable"));
        let request = create_export(&connection, "New");
        assert_unavailable(&admin.exports.create_export(request.clone()).await.expect_err("unavailable"));
        let dry = pb::CreateExportRequest { validate_only: true, ..request.clone() };
        assert_unavailable(&admin.exports.create_export(dry).await.expect_err("unavailable"));
        let update = |export: pb::Export| pb::UpdateExportRequest { export: Some(export), ..Default::default() };
        let mut changed = created.payload.clone().expect("a payload");
        changed.tables[0].fields[0].output_name = "mail".into();
        let named = pb::Export { name: created.name.clone(), ..Default::default() };
        let change = update(pb::Export { payload: Some(changed), ..named.clone() });
        assert_unavailable(&admin.exports.update_export(change).await.expect_err("unavailable"));
        assert_eq!(server.database().await.content().await, before);

        // The payload is in the request, and does not change.
        let rename = pb::Export { display_name: "Renamed".into(), payload: created.payload.clone(), ..named };
        let with_name = admin.exports.update_export(update(rename)).await.expect("renamed").into_inner().export;
        assert_eq!(with_name.expect("an export").display_name, "Renamed");
        let (name, batch) = (created.name.clone(), vec![created.name.clone()]);
        let off = pb::BatchUpdateExportSchedulesRequest {
            parent: crate::support::parent(),
            names: batch,
            change: Some(pb::batch_update_export_schedules_request::Change::Enabled(false)),
            ..Default::default()
        };
        // The export has no schedule, which is the only reason of a refusal.
        if let Err(refusal) = admin.exports.batch_update_export_schedules(off).await {
            assert_ne!(refusal.code(), Code::Unavailable);
        }
        let duplicate = pb::DuplicateExportRequest { name: name.clone(), ..Default::default() };
        admin.exports.duplicate_export(duplicate).await.expect("duplicated");
        let detach = pb::DetachExportRequest { name: name.clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let attach = pb::AttachExportRequest { name: name.clone(), connection: other, ..Default::default() };
        admin.exports.attach_export(attach).await.expect("attached");
        admin.exports.delete_export(pb::DeleteExportRequest { name, ..Default::default() }).await.expect("deleted");

        fs::rename(&away, location).expect("renamed back");
        admin.exports.create_export(request).await.expect("created");
    })
    .await;
}
