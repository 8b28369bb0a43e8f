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
async fn what_cannot_be_changed_here_names_the_way() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let other = admin.connection("Other").await.name;
        let made = admin.export(&connection, "Same").await;
        for (path, reason, word) in [
            ("connection", "IMMUTABLE_FIELD", "AttachExport"),
            ("state", "IMMUTABLE_FIELD", "DetachExport"),
            ("name", "IMMUTABLE_FIELD", "never"),
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
