//! CreateExport and GetExport: validation against the connection type, access to the connection, and views.

use outflow::grpc::proto as pb;
use prost_types::Value;
use prost_types::value::Kind;
use tonic::Code;

use crate::support::{Clients as _, ErrorExt as _, create_export, cron, object, on_both, text};

#[tokio::test(flavor = "multi_thread")]
async fn create_returns_the_export_that_every_viewer_reads() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let (mut viewer, mut bob) = (server.viewer().await, server.contributor("bob").await);
        let connection = admin.connection("Partner").await;
        let share = pb::ShareConnectionRequest {
            name: connection.name.clone(),
            members: vec!["user:ann".into()],
            ..Default::default()
        };
        admin.connections.share_connection(share).await.expect("shared");
        let mut request = create_export(&connection.name, "Weekly segments");
        request.export_id = "weekly".into();
        let export = request.export.as_mut().expect("an export");
        export.schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        export.labels.insert("team".into(), "crm".into());
        export.description = "Weekly data for the partner".into();
        let created = ann.exports.create_export(request).await.expect("created").into_inner();
        let created = created.export.expect("an export");
        assert_eq!(created.name, "organizations/acme/exports/weekly");
        assert_eq!(
            (created.connection.as_str(), created.connection_display_name.as_str()),
            (&*connection.name, "Partner")
        );
        assert_eq!(created.connection_type, "connectionTypes/sftp");
        assert_eq!(
            (created.state(), created.caller_access()),
            (pb::export::State::Active, pb::export::CallerAccess::Manage)
        );
        assert_eq!((created.creator.as_str(), created.updater.as_str()), ("ann", "ann"));
        assert!(created.next_run_time.is_some() && created.detachment.is_none());
        assert_eq!(created.schedule.as_ref().map(|schedule| schedule.enabled), Some(true));
        let settings = &created.destination_settings.as_ref().expect("settings").fields;
        assert_eq!(settings["folder"].kind, Some(text("weekly")));
        assert!(settings.len() > 2, "defaults are added: {settings:?}");
        assert_eq!(ann.read_export(&created.name).await, created);

        // All viewers read the same export, except for `caller_access`.
        let view = pb::export::CallerAccess::View.into();
        let seen = pb::Export { caller_access: view, ..created.clone() };
        assert_eq!(viewer.read_export(&created.name).await, seen);
        assert_eq!(bob.read_export(&created.name).await, seen);
        assert_eq!(admin.read_export(&created.name).await, created);
        assert_eq!(admin.read_connection(&connection.name).await.attached_export_count, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contributors_cannot_tell_an_absent_connection_from_an_unusable_one() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.connection("Secret partner").await.name;
        let absent = "organizations/acme/connections/absent";
        for name in [connection.as_str(), absent] {
            let refusal = ann.exports.create_export(create_export(name, "Mine")).await.expect_err("not usable");
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::PermissionDenied, "NOT_PERMITTED"));
            assert_eq!(refusal.message(), format!("permission denied on {name} (or it might not exist)"));
        }
        let refusal = admin.exports.create_export(create_export(absent, "Mine")).await.expect_err("absent");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::NotFound, "RESOURCE_NOT_FOUND"));
        assert_eq!(admin.read_connection(&connection).await.attached_export_count, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_violations_are_reported_at_once() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let mut request = create_export(&connection, " ");
        request.export_id = "9".into();
        let export = request.export.as_mut().expect("an export");
        let payload = export.payload.as_mut().expect("a payload");
        payload.tables[0].fields.push(pb::PayloadField { output_name: "email".into(), ..Default::default() });
        let values = vec![Kind::NumberValue(18.0).into()];
        payload.tables[0].filters.push(pb::PayloadFilter { field: "age".into(), values, ..Default::default() });
        export.schedule = Some(pb::Schedule { pause_after_failures: -1, ..Default::default() });
        export.description = "x".repeat(2_001);
        let refusal = admin.exports.create_export(request).await.expect_err("eight fields are invalid");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        let mut fields = refusal.fields();
        fields.sort();
        let expected = [
            "export.description",
            "export.display_name",
            "export.payload.tables[0].fields[1].field",
            "export.payload.tables[0].fields[1].output_name",
            "export.payload.tables[0].filters[0].comparison",
            "export.schedule.cron",
            "export.schedule.pause_after_failures",
            "export_id",
        ];
        assert_eq!(fields, expected);

        let mut request = create_export(&connection, "Typed");
        let settings = object([("folder", text("../up")), ("file_format", text("xls")), ("colour", text("red"))]);
        request.export.as_mut().expect("an export").destination_settings = Some(settings);
        let refusal = admin.exports.create_export(request).await.expect_err("invalid for the type");
        for key in ["folder", "file_format", "colour"] {
            let field = format!("export.destination_settings.{key}");
            assert!(refusal.fields().contains(&field), "{field} in {:?}", refusal.fields());
        }
        assert_eq!(admin.read_connection(&connection).await.attached_export_count, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_checked_against_the_type_and_stored_as_written() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let with = |schedule: pb::Schedule| {
            let mut request = create_export(&connection, "Scheduled");
            request.export.as_mut().expect("an export").schedule = Some(schedule);
            request
        };
        for (expression, zone, reason, field) in [
            ("* * * * *", "UTC", "SCHEDULE_TOO_FREQUENT", "export.schedule"),
            ("0 0 30 2 *", "UTC", "SCHEDULE_NEVER_FIRES", "export.schedule"),
            ("0 6 * *", "UTC", "INVALID_FIELD", "export.schedule.cron.expression"),
            ("0 6 * * MON", "Europe/Bonn", "INVALID_FIELD", "export.schedule.cron.time_zone"),
        ] {
            let refusal = admin.exports.create_export(with(cron(expression, zone))).await.expect_err(expression);
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, reason));
            assert_eq!(refusal.fields(), [field], "{expression}");
        }
        let frequent = admin.exports.create_export(with(cron("* * * * *", "UTC"))).await.expect_err("too frequent");
        assert!(frequent.info("min_interval_seconds").parse::<u64>().expect("a number") > 60);
        let written = "0  6 * jan-DEC  mon,FRI#2";
        let created = admin.exports.create_export(with(cron(written, "America/New_York"))).await.expect("created");
        let schedule = created.into_inner().export.expect("an export").schedule.expect("a schedule");
        let Some(pb::schedule::Timing::Cron(cron)) = schedule.timing else { panic!("not a cron schedule") };
        assert_eq!((cron.expression.as_str(), cron.time_zone.as_str()), (written, "America/New_York"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_over_64_kib_is_refused() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let sized = |values: usize| {
            let mut request = create_export(&connection, "Large");
            let filter = pb::PayloadFilter {
                field: "segment".into(),
                comparison: pb::payload_filter::Comparison::In.into(),
                values: (0..values).map(|_| Kind::StringValue("x".repeat(64)).into()).collect(),
            };
            request.export.as_mut().expect("an export").payload.as_mut().expect("a payload").tables[0]
                .filters
                .push(filter);
            request
        };
        let created = admin.exports.create_export(sized(950)).await.expect("under 64 KiB").into_inner();
        let created = created.export.expect("an export");
        assert_eq!(admin.read_export(&created.name).await.payload, created.payload);
        let refusal = admin.exports.create_export(sized(1_000)).await.expect_err("over 64 KiB");
        assert_eq!(refusal.fields(), ["export"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_may_not_be_the_one_that_was_meant_is_refused() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let create = |kind: Kind| {
            let mut request = create_export(&connection, "Segment");
            let payload = request.export.as_mut().and_then(|export| export.payload.as_mut()).expect("a payload");
            payload.tables[0].filters = vec![pb::PayloadFilter {
                field: "customer_id".to_owned(),
                comparison: pb::payload_filter::Comparison::Equals.into(),
                values: vec![Value { kind: Some(kind) }],
            }];
            request
        };
        let refusal = admin.exports.create_export(create(Kind::NumberValue(9_007_199_254_740_993.0))).await;
        let refusal = refusal.expect_err("a double cannot hold it");
        assert_eq!(refusal.fields(), ["export.payload.tables[0].filters[0].values[0]"]);
        assert!(refusal.message().contains("send it as a string"), "{}", refusal.message());
        for kind in [Kind::NumberValue(9_007_199_254_740_991.0), text("9007199254740993")] {
            let created = admin.exports.create_export(create(kind)).await.expect("created").into_inner();
            let created = created.export.expect("an export");
            assert_eq!(created, admin.read_export(&created.name).await);
        }
    })
    .await;
}
