//! Batches of the largest size: each succeeds within the deadline of a call.

use outflow::grpc::proto as pb;
use outflow::model::limits;
use pb::batch_update_export_schedules_request::Change;

use crate::support::{Clients as _, create_export, cron, on_both, parent};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_a_thousand_exports_is_scheduled_moved_detached_and_deleted() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let (first, second) = (admin.connection("First").await.name, admin.connection("Second").await.name);
        let mut request = create_export(&first, "One");
        request.export.as_mut().expect("an export").schedule = Some(cron("0 6 * * *", "Europe/Berlin"));
        let one = admin.exports.create_export(request).await.expect("created").into_inner().export.expect("an export");
        server.database().await.attach_copies(&one, limits::MAX_BATCH_NAMES as u64 - 1).await;
        let mut list = pb::ListExportsRequest { parent: parent(), page_size: 1_000, ..Default::default() };
        let mut names: Vec<String> = Vec::new();
        loop {
            let page = admin.exports.list_exports(list.clone()).await.expect("listed").into_inner();
            names.extend(page.exports.into_iter().map(|export| export.name));
            list.page_token = page.next_page_token;
            if list.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(names.len(), limits::MAX_BATCH_NAMES);

        let replace = Change::Schedule(cron("*/30 * * * *", "America/New_York"));
        for change in [replace, Change::Enabled(false), Change::Enabled(true)] {
            let (parent, names, change) = (parent(), names.clone(), Some(change));
            let batch = pb::BatchUpdateExportSchedulesRequest { parent, names, change, ..Default::default() };
            let done = admin.exports.batch_update_export_schedules(batch).await.expect("scheduled").into_inner();
            assert_eq!(done.results.len(), 1_000);
        }
        let (connection, moving) = (second.clone(), names.clone());
        let batch = pb::BatchAttachExportsRequest { parent: parent(), names: moving, connection, ..Default::default() };
        let done = admin.exports.batch_attach_exports(batch).await.expect("moved").into_inner();
        assert!(done.results.iter().zip(&names).all(|(result, name)| result.name == *name));
        assert_eq!(admin.read_connection(&second).await.attached_export_count, 1_000);

        let batch = pb::BatchDetachExportsRequest { parent: parent(), names: names.clone(), ..Default::default() };
        let done = admin.exports.batch_detach_exports(batch).await.expect("detached").into_inner();
        assert_eq!(done.detached_count, 1_000);
        let batch = pb::BatchDeleteExportsRequest { parent: parent(), names, ..Default::default() };
        admin.exports.batch_delete_exports(batch).await.expect("deleted");
        assert_eq!(admin.exports.list_exports(list).await.expect("listed").into_inner().exports, []);
        server.check_rows().await;
    })
    .await;
}
