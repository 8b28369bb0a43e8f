//! Violations of schedules.

use outflow::grpc::proto as pb;

use super::assert_violations;
use crate::support::{Clients as _, cron, on_both, parent};

#[tokio::test(flavor = "multi_thread")]
async fn all_violations_of_a_schedule_are_reported_at_once() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let stored = admin.export(&connection, "Weekly").await;
        // Its timing and a count are missing or malformed, and other fields have values that are not permitted.
        let untimed = pb::Schedule {
            jitter: Some(prost_types::Duration { seconds: 999_999, nanos: 0 }),
            pause_after_failures: -1,
            ..Default::default()
        };
        let fields = ["schedule.cron", "schedule.jitter", "schedule.pause_after_failures"];
        let preview = pb::PreviewScheduleRequest { parent: parent(), count: -1, schedule: Some(untimed.clone()) };
        let refusal = admin.exports.preview_schedule(preview).await.expect_err("invalid");
        assert_violations(&refusal, &[&["count"], &fields[..]].concat());
        let never =
            pb::PreviewScheduleRequest { parent: parent(), count: -1, schedule: Some(cron("0 0 31 2 *", "UTC")) };
        let refusal = admin.exports.preview_schedule(never).await.expect_err("invalid");
        assert_violations(&refusal, &["count", "schedule"]);

        let batch = |schedule| pb::BatchUpdateExportSchedulesRequest {
            parent: parent(),
            names: vec![stored.name.clone()],
            change: Some(pb::batch_update_export_schedules_request::Change::Schedule(schedule)),
            request_id: "seven".into(),
            ..Default::default()
        };
        let refusal = admin.exports.batch_update_export_schedules(batch(untimed)).await.expect_err("invalid");
        assert_violations(&refusal, &[&["request_id"], &fields[..]].concat());
        let zone = batch(cron("0 6 * * *", "Mars/Olympus"));
        let refusal = admin.exports.batch_update_export_schedules(zone).await.expect_err("invalid");
        assert_violations(&refusal, &["request_id", "schedule.cron.time_zone"]);
        assert_eq!(admin.read_export(&stored.name).await, stored);
    })
    .await;
}
