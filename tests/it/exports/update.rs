//! UpdateExport: masks, etags, and what only other RPCs change.

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
    client.exports.update_export(request).await.expect("updated").into_inner().export.expect("answered")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_mask_names_changes() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.shared_connection("Partner").await.name;
        let made = ann.export(&connection, "Before").await;
        let mut change = made.clone();
        change.display_name = "After".into();
        change.description = "not named".into();
        let updated = update(&mut ann, request(change, &["display_name"])).await;
        assert_eq!((updated.display_name.as_str(), updated.description.as_str()), ("After", ""));
        assert_ne!(updated.etag, made.etag);
        assert_eq!(ann.read_export(&made.name).await, updated);

        // Read, changed, written back whole: what is output only is ignored.
        let mut whole = updated.clone();
        whole.schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        whole.state = pb::export::State::Blocked.into();
        whole.creator = "somebody".into();
        let updated = update(&mut admin, request(whole, &[])).await;
        assert_eq!((updated.creator.as_str(), updated.updater.as_str()), ("ann", "root"));
        assert!(updated.next_run_time.is_some());
        assert_eq!(updated.state(), pb::export::State::Active);

        // `*` replaces everything: what is absent is emptied.
        let full = pb::Export { name: made.name.clone(), ..export_on(&connection, "Anew") };
        let replaced = update(&mut ann, request(full, &["*"])).await;
        assert_eq!((replaced.display_name.as_str(), replaced.schedule), ("Anew", None));
        assert_eq!((replaced.next_run_time, replaced.payload), (None, made.payload));

        // A change that changes nothing leaves the etag good.
        let same = pb::Export { name: made.name.clone(), display_name: "Anew".into(), ..Default::default() };
        assert_eq!(update(&mut ann, request(same, &[])).await.etag, replaced.etag);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_about_to_start_is_not_lost_by_another_name() {
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
        // One whose jitter leaves a while between its nominal time and its start.
        let made = loop {
            let made = admin.exports.create_export(create.clone()).await.expect("created").into_inner().export;
            let made = made.expect("answered");
            if time(made.next_run_time) - time(made.create_time) > hour + minute * 5 {
                break made;
            }
        };
        let (created, due) = (time(made.create_time), time(made.next_run_time));
        server.clock.advance(due - created - minute * 2);
        let renamed = pb::Export { name: made.name.clone(), display_name: "By the hour".into(), ..Default::default() };
        assert_eq!(update(&mut admin, request(renamed, &[])).await.next_run_time, made.next_run_time);
        assert_eq!(admin.read_export(&made.name).await.next_run_time, made.next_run_time);
        // And once it was due, the next one follows at its own time.
        server.clock.advance(minute * 2);
        let next = time(admin.read_export(&made.name).await.next_run_time);
        assert!(next >= created + hour * 2 && next < created + hour * 3, "{created} {due} {next}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_stays_within_its_limit_as_a_whole() {
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
        // On the wire a number has eleven bytes, however short it is.
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
        let made = admin.exports.create_export(create).await.expect("created").into_inner().export.expect("answered");
        // Each part is within its own limits, and the sum is not.
        let labels = (0..64).map(|number| (format!("k{number:062}"), "v".repeat(255))).collect();
        let labelled = pb::Export { name: made.name.clone(), labels, ..Default::default() };
        let refusal = admin.exports.update_export(request(labelled, &[])).await.expect_err("too large");
        assert_eq!((refusal.code(), refusal.fields()), (Code::InvalidArgument, vec!["export".to_owned()]));
        assert_eq!(admin.read_export(&made.name).await, made);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_here_names_the_way() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let other = admin.connection("Other").await.name;
        let made = admin.export(&connection, "Same").await;
        for (path, reason, word) in [
            ("connection", "IMMUTABLE_FIELD", "AttachExport"),
            ("state", "IMMUTABLE_FIELD", "DetachExport"),
            ("name", "IMMUTABLE_FIELD", "immutable"),
            ("creator", "INVALID_FIELD", "display_name"),
            ("payload.tables", "INVALID_FIELD", "whole"),
            ("nonsense", "INVALID_FIELD", "display_name"),
        ] {
            let refusal = admin.exports.update_export(request(made.clone(), &[path])).await.expect_err(path);
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, reason), "{path}");
            assert!(refusal.message().contains(word), "{path}: {}", refusal.message());
        }
        let moved = pb::Export { connection: other, ..made.clone() };
        let refusal = admin.exports.update_export(request(moved, &[])).await.expect_err("moved");
        assert_eq!(
            (refusal.reason().as_str(), refusal.fields()),
            ("IMMUTABLE_FIELD", vec!["export.connection".into()])
        );
        assert_eq!(admin.read_export(&made.name).await, made);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_etag_and_a_rehearsal_change_nothing() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let made = admin.export(&connection, "One").await;
        let rename = |etag: &str, display_name: &str| pb::Export {
            name: made.name.clone(),
            display_name: display_name.into(),
            etag: etag.into(),
            ..Default::default()
        };
        let mut rehearsal = request(rename(&made.etag, "Two"), &[]);
        rehearsal.validate_only = true;
        let rehearsed = update(&mut admin, rehearsal).await;
        assert_eq!((rehearsed.display_name.as_str(), rehearsed.etag.as_str(), rehearsed.uid.as_str()), ("Two", "", ""));
        assert_eq!(admin.read_export(&made.name).await, made);
        let second = update(&mut admin, request(rename(&made.etag, "Two"), &[])).await;
        let refusal = admin.exports.update_export(request(rename(&made.etag, "Three"), &[])).await;
        let refusal = refusal.expect_err("stale");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Aborted, "ETAG_MISMATCH"));
        assert_eq!(admin.read_export(&made.name).await, second);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_export_is_checked_against_the_type_that_it_keeps() {
    on_both(async |server| {
        let (mut admin, mut ann, mut bob) =
            (server.admin().await, server.contributor("ann").await, server.contributor("bob").await);
        let connection = admin.shared_connection("Partner").await.name;
        let made = ann.export(&connection, "Detached").await;
        let detach = pb::DetachExportRequest { name: made.name.clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let remove = pb::DeleteConnectionRequest { name: connection, ..Default::default() };
        admin.connections.delete_connection(remove).await.expect("nothing blocks it");

        let settings = |folder: &str| pb::Export {
            name: made.name.clone(),
            destination_settings: Some(object([("folder", text(folder)), ("file_format", text("csv"))])),
            ..Default::default()
        };
        let updated = update(&mut ann, request(settings("monthly"), &[])).await;
        assert_eq!(
            updated.destination_settings.as_ref().expect("settings").fields["folder"].kind,
            Some(text("monthly"))
        );
        assert_eq!((updated.state(), updated.connection.as_str()), (pb::export::State::Inactive, ""));
        let refusal = ann.exports.update_export(request(settings("../up"), &[])).await.expect_err("not below");
        assert_eq!(refusal.fields(), ["export.destination_settings.folder"]);
        let refusal = bob.exports.update_export(request(settings("bobs"), &[])).await.expect_err("not his");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::PermissionDenied, "NOT_PERMITTED"));
        assert_eq!(ann.read_export(&made.name).await, updated);
    })
    .await;
}
