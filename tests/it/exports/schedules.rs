//! BatchUpdateExportSchedules and PreviewSchedule: batches of schedules, and daylight saving time.

use outflow::grpc::proto as pb;
use pb::batch_update_export_schedules_request::Change;
use pb::preview_schedule_response::occurrence::Shift;
use tonic::Code;

use crate::support::{Clients as _, ErrorExt as _, cron, on_both, parent};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_enables_disables_or_replaces_all_schedules_or_none() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.shared_connection("Partner").await.name;
        let (first, second) = (ann.export(&connection, "First").await, ann.export(&connection, "Second").await);
        let batch = |change: Option<Change>| pb::BatchUpdateExportSchedulesRequest {
            parent: parent(),
            names: vec![first.name.clone(), second.name.clone()],
            change,
            ..Default::default()
        };
        let unscheduled = ann.exports.batch_update_export_schedules(batch(Some(Change::Enabled(true)))).await;
        let refusal = unscheduled.expect_err("there is no schedule to enable");
        assert_eq!(
            (refusal.reason().as_str(), refusal.fields()),
            ("INVALID_FIELD", vec!["names[0]".into(), "names[1]".into()])
        );
        let nothing = ann.exports.batch_update_export_schedules(batch(None)).await.expect_err("no change");
        assert_eq!(nothing.fields(), ["enabled"]);
        let too_frequent = Change::Schedule(cron("* * * * *", "UTC"));
        let refusal =
            ann.exports.batch_update_export_schedules(batch(Some(too_frequent))).await.expect_err("too frequent");
        assert_eq!((refusal.reason().as_str(), refusal.fields()), ("SCHEDULE_TOO_FREQUENT", vec!["schedule".into()]));
        assert_eq!(ann.read_export(&second.name).await, second);

        let weekly = Change::Schedule(cron("0 6 * * MON", "Europe/Berlin"));
        let done = ann.exports.batch_update_export_schedules(batch(Some(weekly))).await.expect("replaced").into_inner();
        assert_eq!(done.results.len(), 2);
        let scheduled = ann.read_export(&first.name).await;
        assert_eq!(scheduled.etag, done.results[0].etag);
        assert!(scheduled.next_run_time.is_some());

        let disable = batch(Some(Change::Enabled(false)));
        ann.exports.batch_update_export_schedules(disable.clone()).await.expect("disabled");
        let disabled = ann.read_export(&first.name).await;
        assert_eq!(disabled.next_run_time, None);
        let kept = disabled.schedule.clone().expect("the schedule is kept");
        assert_eq!(Some(kept.timing), scheduled.schedule.clone().map(|schedule| schedule.timing));
        assert!(!kept.enabled);
        let again = ann.exports.batch_update_export_schedules(disable).await.expect("no error").into_inner();
        assert_eq!(again.results[0].etag, disabled.etag, "an equal value keeps the etag");
        ann.exports.batch_update_export_schedules(batch(Some(Change::Enabled(true)))).await.expect("enabled");
        assert_eq!(ann.read_export(&first.name).await.next_run_time, scheduled.next_run_time);
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_reports_shifts_by_daylight_saving_time() {
    on_both(async |server| {
        let new_year: chrono::DateTime<chrono::Utc> = "2037-01-01T00:00:00Z".parse().expect("a time");
        server.clock.advance(new_year - server.clock.now());
        let mut viewer = server.viewer().await;
        let at = |text: &str| {
            let time = chrono::DateTime::parse_from_rfc3339(text).expect("a time");
            Some(prost_types::Timestamp { seconds: time.timestamp(), nanos: 0 })
        };
        let preview = |schedule: pb::Schedule, count: i32| pb::PreviewScheduleRequest {
            parent: parent(),
            schedule: Some(schedule),
            count,
        };
        // Berlin skips 02:00 to 03:00 on 2037-03-29 and repeats it on 2037-10-25.
        let spring = pb::Schedule { start_time: at("2037-03-28T00:00:00Z"), ..cron("30 2 * * *", "Europe/Berlin") };
        let found = viewer.exports.preview_schedule(preview(spring, 3)).await.expect("previewed").into_inner();
        let found: Vec<_> = found.occurrences.iter().map(|one| (one.local_time.as_str(), one.shift())).collect();
        let expected = [
            ("2037-03-28T02:30:00+01:00", Shift::Unspecified),
            ("2037-03-29T03:00:00+02:00", Shift::Moved),
            ("2037-03-30T02:30:00+02:00", Shift::Unspecified),
        ];
        assert_eq!(found, expected);
        let mut autumn = pb::Schedule { start_time: at("2037-10-25T00:00:00Z"), ..cron("30 2 * * *", "Europe/Berlin") };
        let Some(pb::schedule::Timing::Cron(timing)) = &mut autumn.timing else { panic!("not a cron schedule") };
        timing.repeated_time = pb::schedule::cron::RepeatedTime::RunBoth.into();
        let found = viewer.exports.preview_schedule(preview(autumn, 2)).await.expect("previewed").into_inner();
        let found: Vec<_> = found.occurrences.iter().map(|one| (one.local_time.as_str(), one.shift())).collect();
        let expected =
            [("2037-10-25T02:30:00+02:00", Shift::RepeatedFirst), ("2037-10-25T02:30:00+01:00", Shift::RepeatedSecond)];
        assert_eq!(found, expected);

        let short = pb::Schedule {
            end_time: at("2037-03-30T00:00:00Z"),
            start_time: at("2037-03-28T00:00:00Z"),
            ..cron("30 2 * * *", "UTC")
        };
        let found = viewer.exports.preview_schedule(preview(short, 100)).await.expect("previewed").into_inner();
        assert_eq!(found.occurrences.len(), 2, "fewer than requested because the schedule ends");
        let default = viewer.exports.preview_schedule(preview(cron("0 6 * * *", "UTC"), 0)).await.expect("previewed");
        assert_eq!(default.into_inner().occurrences.len(), 10);
        for (count, field) in [(101, "count"), (-1, "count")] {
            let refusal = viewer.exports.preview_schedule(preview(cron("0 6 * * *", "UTC"), count)).await;
            let refusal = refusal.expect_err(field);
            assert_eq!((refusal.code(), refusal.fields()), (Code::InvalidArgument, vec![field.to_owned()]));
        }
        // Vancouver stays on summer time from 2026 on, which older releases do not know.
        let vancouver =
            pb::Schedule { start_time: at("2037-01-01T12:00:00Z"), ..cron("0 6 * * *", "America/Vancouver") };
        let found = viewer.exports.preview_schedule(preview(vancouver, 1)).await.expect("previewed").into_inner();
        assert_eq!(found.occurrences[0].local_time, "2037-01-01T06:00:00-07:00");
        assert!(*found.time_zone_release >= *"2026f", "{}", found.time_zone_release);
        let never =
            viewer.exports.preview_schedule(preview(cron("0 0 31 4 *", "UTC"), 1)).await.expect_err("it never fires");
        assert_eq!(never.reason(), "SCHEDULE_NEVER_FIRES");
    })
    .await;
}
