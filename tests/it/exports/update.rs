//! UpdateExport: masks, etags, size limits, and fields that only other RPCs change.

use outflow::grpc::proto as pb;
use prost_types::FieldMask;
use tonic::Code;

use crate::support::{Client, Clients as _, ErrorExt as _, cron, export_on, object, on_both, text};

fn request(export: pb::Export, paths: &[&str]) -> pb::UpdateExportRequest {
    let paths = paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    let update_mask = Some(FieldMask { paths }).filter(|mask| !mask.paths.is_empty());
    pb::UpdateExportRequest { export: Some(export), update_mask, ..Default::default() }
}

async fn update(client: &mut Client, request: pb::UpdateExportRequest) -> pb::Export {
    client.exports.update_export(request).await.expect("updated").into_inner().export.expect("an export")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_fields_in_the_mask_change() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.shared_connection("Partner").await.name;
        let created = ann.export(&connection, "Before").await;
        let mut change = created.clone();
        change.display_name = "After".into();
        change.description = "not in the mask".into();
        let updated = update(&mut ann, request(change, &["display_name"])).await;
        assert_eq!((updated.display_name.as_str(), updated.description.as_str()), ("After", ""));
        assert_ne!(updated.etag, created.etag);
        assert_eq!(ann.read_export(&created.name).await, updated);

        // The response has the newest run.
        let run = pb::RunExportRequest { name: created.name.clone(), ..Default::default() };
        let run = admin.exports.run_export(run).await.expect("queued").into_inner().run.expect("a run");
        let updated = update(&mut ann, request(updated, &["display_name"])).await;
        assert_eq!(updated.last_run.as_ref().map(|last| &last.name), Some(&run.name));

        // Without a mask, the whole export can be written back: output-only fields are ignored.
        let mut whole = updated.clone();
        whole.schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        whole.state = pb::export::State::Blocked.into();
        whole.creator = "another".into();
        let updated = update(&mut admin, request(whole, &[])).await;
        assert_eq!((updated.creator.as_str(), updated.updater.as_str()), ("ann", "root"));
        assert!(updated.next_run_time.is_some());
        assert_eq!(updated.state(), pb::export::State::Active);

        // `*` replaces all fields; absent ones are cleared.
        let full = pb::Export { name: created.name.clone(), ..export_on(&connection, "Anew") };
        let replaced = update(&mut ann, request(full, &["*"])).await;
        assert_eq!((replaced.display_name.as_str(), replaced.schedule), ("Anew", None));
        assert_eq!((replaced.next_run_time, replaced.payload), (None, created.payload));

        // Equal values keep the etag.
        let same = pb::Export { name: created.name.clone(), display_name: "Anew".into(), ..Default::default() };
        assert_eq!(update(&mut ann, request(same, &[])).await.etag, replaced.etag);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renaming_an_export_keeps_its_next_run_time() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let (hour, minute) = (chrono::TimeDelta::hours(1), chrono::TimeDelta::minutes(1));
        let time = |time: Option<prost_types::Timestamp>| {
            let time = time.expect("a time");
            let nanos = u32::try_from(time.nanos).expect("nanoseconds");
            chrono::DateTime::from_timestamp(time.seconds, nanos).expect("a time")
        };
        let mut create = crate::support::create_export(&connection, "Hourly");
        let every = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
        create.export.as_mut().expect("an export").schedule = Some(pb::Schedule {
            timing: Some(pb::schedule::Timing::Interval(pb::schedule::Interval { every, anchor: None })),
            enabled: true,
            jitter: Some(prost_types::Duration { seconds: 59 * 60, nanos: 0 }),
            ..Default::default()
        });
        // Create exports until the jitter of one is more than five minutes.
        let export = loop {
            let export = admin.exports.create_export(create.clone()).await.expect("created").into_inner().export;
            let export = export.expect("an export");
            if time(export.next_run_time) - time(export.create_time) > hour + minute * 5 {
                break export;
            }
        };
        let (created, due) = (time(export.create_time), time(export.next_run_time));
        server.clock.advance(due - created - minute * 2);
        let renamed =
            pb::Export { name: export.name.clone(), display_name: "By the hour".into(), ..Default::default() };
        assert_eq!(update(&mut admin, request(renamed, &[])).await.next_run_time, export.next_run_time);
        assert_eq!(admin.read_export(&export.name).await.next_run_time, export.next_run_time);
        // Once the run was due, the next one follows an hour later, plus jitter.
        server.clock.advance(minute * 2);
        let next = time(admin.read_export(&export.name).await.next_run_time);
        assert!(next >= created + hour * 2 && next < created + hour * 3, "{created} {due} {next}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_limit_applies_to_the_export_as_a_whole() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let fields = |count: u32| {
            let field = |number| pb::PayloadField { field: format!("f{number:0119}"), ..Default::default() };
            (0..count).map(field).collect::<Vec<_>>()
        };
        let mut create = crate::support::create_export(&connection, "Large");
        let table = |create: &mut pb::CreateExportRequest, count| {
            let payload = create.export.as_mut().and_then(|export| export.payload.as_mut()).expect("a payload");
            payload.tables[0].fields = fields(count);
        };
        table(&mut create, 400);
        let refusal = admin.exports.create_export(create.clone()).await.expect_err("too large");
        assert_eq!((refusal.code(), refusal.fields()), (Code::InvalidArgument, vec!["export".to_owned()]));
        // On the wire every number takes eleven bytes.
        let mut numbers = crate::support::create_export(&connection, "Numbers");
        let payload = numbers.export.as_mut().and_then(|export| export.payload.as_mut()).expect("a payload");
        let number = || prost_types::Value { kind: Some(prost_types::value::Kind::NumberValue(7.0)) };
        payload.tables[0].filters = (0..8)
            .map(|_| pb::PayloadFilter {
                field: "segment".into(),
                comparison: pb::payload_filter::Comparison::In.into(),
                values: (0..1_000).map(|_| number()).collect(),
            })
            .collect();
        let refusal = admin.exports.create_export(numbers).await.expect_err("too large");
        assert_eq!(refusal.fields(), ["export"]);
        table(&mut create, 300);
        let created =
            admin.exports.create_export(create).await.expect("created").into_inner().export.expect("an export");
        // Each part is within its own limit, but the whole export is too large.
        let labels = (0..64).map(|number| (format!("k{number:062}"), "v".repeat(255))).collect();
        let labelled = pb::Export { name: created.name.clone(), labels, ..Default::default() };
        let refusal = admin.exports.update_export(request(labelled, &[])).await.expect_err("too large");
        assert_eq!((refusal.code(), refusal.fields()), (Code::InvalidArgument, vec!["export".to_owned()]));
        assert_eq!(admin.read_export(&created.name).await, created);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn immutable_and_unknown_paths_are_refused_with_advice() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let other = admin.connection("Other").await.name;
        let created = admin.export(&connection, "Same").await;
        for (path, reason, advice) in [
            ("connection", "IMMUTABLE_FIELD", "AttachExport"),
            ("state", "IMMUTABLE_FIELD", "DetachExport"),
            ("name", "IMMUTABLE_FIELD", "never change"),
            ("creator", "INVALID_FIELD", "display_name"),
            ("payload.tables", "INVALID_FIELD", "whole"),
            ("nonsense", "INVALID_FIELD", "display_name"),
        ] {
            let refusal = admin.exports.update_export(request(created.clone(), &[path])).await.expect_err(path);
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, reason), "{path}");
            assert!(refusal.message().contains(advice), "{path}: {}", refusal.message());
        }
        let moved = pb::Export { connection: other, ..created.clone() };
        let refusal = admin.exports.update_export(request(moved, &[])).await.expect_err("the connection is immutable");
        assert_eq!(
            (refusal.reason().as_str(), refusal.fields()),
            ("IMMUTABLE_FIELD", vec!["export.connection".into()])
        );
        assert_eq!(admin.read_export(&created.name).await, created);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_etag_and_a_dry_run_change_nothing() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let created = admin.export(&connection, "One").await;
        let rename = |etag: &str, display_name: &str| pb::Export {
            name: created.name.clone(),
            display_name: display_name.into(),
            etag: etag.into(),
            ..Default::default()
        };
        let mut dry_run = request(rename(&created.etag, "Two"), &[]);
        dry_run.validate_only = true;
        let validated = update(&mut admin, dry_run).await;
        assert_eq!((validated.display_name.as_str(), validated.etag.as_str(), validated.uid.as_str()), ("Two", "", ""));
        assert_eq!(admin.read_export(&created.name).await, created);
        let second = update(&mut admin, request(rename(&created.etag, "Two"), &[])).await;
        let refusal = admin.exports.update_export(request(rename(&created.etag, "Three"), &[])).await;
        let refusal = refusal.expect_err("stale");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Aborted, "ETAG_MISMATCH"));
        assert_eq!(admin.read_export(&created.name).await, second);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_export_is_checked_against_its_last_connection_type() {
    on_both(async |server| {
        let (mut admin, mut ann, mut bob) =
            (server.admin().await, server.contributor("ann").await, server.contributor("bob").await);
        let connection = admin.shared_connection("Partner").await.name;
        let created = ann.export(&connection, "Detached").await;
        let detach = pb::DetachExportRequest { name: created.name.clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let delete = pb::DeleteConnectionRequest { name: connection, ..Default::default() };
        admin.connections.delete_connection(delete).await.expect("nothing blocks it");

        let settings = |folder: &str| pb::Export {
            name: created.name.clone(),
            destination_settings: Some(object([("folder", text(folder)), ("file_format", text("csv"))])),
            ..Default::default()
        };
        let updated = update(&mut ann, request(settings("monthly"), &[])).await;
        assert_eq!(
            updated.destination_settings.as_ref().expect("settings").fields["folder"].kind,
            Some(text("monthly"))
        );
        assert_eq!((updated.state(), updated.connection.as_str()), (pb::export::State::Inactive, ""));
        let refusal =
            ann.exports.update_export(request(settings("../up"), &[])).await.expect_err("outside of the directory");
        assert_eq!(refusal.fields(), ["export.destination_settings.folder"]);
        let refusal = bob.exports.update_export(request(settings("bobs"), &[])).await.expect_err("not permitted");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::PermissionDenied, "NOT_PERMITTED"));
        assert_eq!(ann.read_export(&created.name).await, updated);
    })
    .await;
}
