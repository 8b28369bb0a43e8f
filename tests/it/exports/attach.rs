//! AttachExport and BatchAttachExports: detached exports are attached again, attached ones are moved.

use outflow::grpc::proto as pb;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Client, Clients as _, ErrorExt as _, create_connection, cron, object, on_both, parent, text};

fn attach(export: &str, connection: &str) -> pb::AttachExportRequest {
    pb::AttachExportRequest { name: export.to_owned(), connection: connection.to_owned(), ..Default::default() }
}

/// Attaches an export, which must succeed.
async fn attached(client: &mut Client, request: pb::AttachExportRequest) -> pb::Export {
    client.exports.attach_export(request).await.expect("attached").into_inner().export.expect("an export")
}

/// Creates a connection to a local directory, a type with other settings and shorter schedule intervals than SFTP.
async fn local_directory(admin: &mut Client) -> String {
    let mut request = create_connection("Directory");
    request.credential = None;
    let connection = request.connection.as_mut().expect("a connection");
    connection.connection_type = "connectionTypes/local_directory".into();
    connection.properties = Some(object([("directory", text("out"))]));
    connection.sharing = Some(pb::Sharing { all_contributors: true, members: Vec::new() });
    let created = admin.connections.create_connection(request).await.expect("created").into_inner();
    created.connection.expect("a connection").name
}

/// Creates a connection to a webhook, a type whose export settings differ from those of SFTP.
async fn webhook(admin: &mut Client) -> String {
    let types = pb::GetConnectionTypeRequest { name: "connectionTypes/webhook".into() };
    let found = admin.connections.get_connection_type(types).await.expect("found").into_inner();
    let method = found.connection_type.expect("a type").auth_methods.remove(0);
    let values = method.credential_fields.iter().filter(|field| field.required);
    let values = values.map(|field| (field.key.clone(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())).collect();
    let mut request = create_connection("Webhook");
    let inline = pb::credential_input::Inline { values };
    request.credential = Some(pb::CredentialInput {
        auth_method: method.id,
        source: Some(pb::credential_input::Source::Inline(inline)),
        expire_time: None,
    });
    let connection = request.connection.as_mut().expect("a connection");
    connection.connection_type = "connectionTypes/webhook".into();
    connection.properties = Some(object([("url", text("https://hooks.example/in"))]));
    connection.sharing = Some(pb::Sharing { all_contributors: true, members: Vec::new() });
    let created = admin.connections.create_connection(request).await.expect("created").into_inner();
    created.connection.expect("a connection").name
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_at_the_size_limit_can_be_attached_again_after_its_schedule_was_disabled() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let mut request = crate::support::create_export(&connection, "Large");
        let export = request.export.as_mut().expect("an export");
        export.schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        // Search for the largest valid export: first by the number of fields, then by the length of the description.
        let mut create_sized = async |fields: usize, description_chars: usize, validate_only| {
            let mut request = pb::CreateExportRequest { validate_only, ..request.clone() };
            let export = request.export.as_mut().expect("an export");
            export.description = "w".repeat(description_chars);
            let table = &mut export.payload.as_mut().expect("a payload").tables[0];
            table.fields = (0..fields)
                .map(|number| pb::PayloadField { field: format!("f{number:0119}"), ..Default::default() })
                .collect();
            admin.exports.create_export(request).await.map(|created| created.into_inner().export.expect("an export"))
        };
        let (mut fields, mut description_chars) = (0, 0);
        for step in [256, 128, 64, 32, 16, 8, 4, 2, 1] {
            fields += if create_sized(fields + step, 0, true).await.is_ok() { step } else { 0 };
        }
        for step in [256, 128, 64, 32, 16, 8, 4, 2, 1] {
            description_chars +=
                if create_sized(fields, description_chars + step, true).await.is_ok() { step } else { 0 };
        }
        let created = create_sized(fields, description_chars, false).await.expect("the largest export is valid");
        let mut admin = server.admin().await;
        let disable = pb::BatchUpdateExportSchedulesRequest {
            parent: crate::support::parent(),
            names: vec![created.name.clone()],
            change: Some(pb::batch_update_export_schedules_request::Change::Enabled(false)),
            ..Default::default()
        };
        admin.exports.batch_update_export_schedules(disable).await.expect("disabled");
        let detach = pb::DetachExportRequest { name: created.name.clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let restored = attached(&mut admin, attach(&created.name, &connection)).await;
        assert_eq!((&restored.payload, &restored.description), (&created.payload, &created.description));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attaching_a_detached_export_restores_it() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let (first, second) =
            (admin.shared_connection("First").await.name, admin.shared_connection("Second").await.name);
        let mut request = crate::support::create_export(&first, "Weekly");
        request.export.as_mut().expect("an export").schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        let created =
            ann.exports.create_export(request).await.expect("created").into_inner().export.expect("an export");
        let detach = pb::DetachExportRequest { name: created.name.clone(), ..Default::default() };
        let detached = admin.exports.detach_export(detach).await.expect("detached").into_inner().export;
        assert_eq!(detached.expect("an export").next_run_time, None);

        let restored = attached(&mut ann, attach(&created.name, &second)).await;
        assert_eq!((restored.state(), restored.detachment.clone()), (pb::export::State::Active, None));
        assert_eq!((restored.connection.as_str(), restored.connection_display_name.as_str()), (&*second, "Second"));
        assert_eq!((&restored.payload, &restored.schedule), (&created.payload, &created.schedule));
        assert_eq!((&restored.destination_settings, &restored.uid), (&created.destination_settings, &created.uid));
        assert_eq!(restored.next_run_time, created.next_run_time, "missed runs are not caught up");
        assert_eq!(ann.read_export(&created.name).await, restored);

        // Attaching it to its current connection changes nothing.
        assert_eq!(attached(&mut ann, attach(&created.name, &second)).await, restored);
        let moved = attached(&mut ann, attach(&created.name, &first)).await;
        assert_eq!(moved.connection, first);
        assert_ne!(moved.etag, restored.etag);
        for (connection, count) in [(&first, 1), (&second, 0)] {
            assert_eq!(admin.read_connection(connection).await.attached_export_count, count);
        }
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attaching_requires_access_to_the_export_and_to_the_connection() {
    on_both(async |server| {
        let (mut admin, mut ann, mut bob) =
            (server.admin().await, server.contributor("ann").await, server.contributor("bob").await);
        let (shared, closed) = (admin.shared_connection("Shared").await.name, admin.connection("Closed").await.name);
        let own = ann.export(&shared, "Ann's").await;
        let foreign = admin.export(&closed, "Root's").await;
        let absent = "organizations/acme/connections/absent";
        for (export, connection, code) in [
            (&own.name, closed.as_str(), Code::PermissionDenied),
            (&own.name, absent, Code::PermissionDenied),
            // Callers who may not manage the export learn nothing about the connection.
            (&foreign.name, shared.as_str(), Code::PermissionDenied),
            (&foreign.name, absent, Code::PermissionDenied),
        ] {
            let refusal = ann.exports.attach_export(attach(export, connection)).await.expect_err("not permitted");
            assert_eq!((refusal.code(), refusal.reason().as_str()), (code, "NOT_PERMITTED"), "{export} {connection}");
        }
        let refusal = admin.exports.attach_export(attach(&own.name, absent)).await.expect_err("absent");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::NotFound, "RESOURCE_NOT_FOUND"));
        let detach = pb::DetachExportRequest { name: own.name.clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let refusal = bob.exports.attach_export(attach(&own.name, &shared)).await.expect_err("not permitted");
        assert_eq!(refusal.reason(), "NOT_PERMITTED");
        let stale = pb::AttachExportRequest { etag: own.etag, ..attach(&own.name, &shared) };
        let refusal = ann.exports.attach_export(stale).await.expect_err("stale");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Aborted, "ETAG_MISMATCH"));
        assert_eq!(ann.read_export(&own.name).await.state(), pb::export::State::Inactive);
        assert_eq!(admin.read_export(&foreign.name).await, foreign);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attaching_to_another_type_requires_valid_settings_and_schedule() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let sftp = admin.shared_connection("Partner").await.name;
        let (directory, webhook) = (local_directory(&mut admin).await, webhook(&mut admin).await);
        let created = ann.export(&sftp, "Weekly").await;

        // The settings of SFTP are valid for a local directory.
        let moved = attached(&mut ann, attach(&created.name, &directory)).await;
        assert_eq!(moved.connection_type, "connectionTypes/local_directory");
        let refusal =
            ann.exports.attach_export(attach(&created.name, &webhook)).await.expect_err("invalid for a webhook");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::FailedPrecondition, "CONNECTION_TYPE_MISMATCH"));
        assert_eq!(refusal.info("export_type"), "connectionTypes/local_directory");
        assert_eq!(refusal.info("connection_type"), "connectionTypes/webhook");
        assert!(refusal.fields().contains(&"destination_settings.folder".to_owned()), "{:?}", refusal.fields());
        assert_eq!(ann.read_export(&created.name).await, moved);

        let request =
            pb::AttachExportRequest { destination_settings: Some(object([])), ..attach(&created.name, &webhook) };
        let moved = attached(&mut ann, request).await;
        assert_eq!(moved.connection_type, "connectionTypes/webhook");
        assert!(!moved.destination_settings.expect("settings").fields.contains_key("folder"));

        // A schedule that is too frequent for the new type is refused.
        let frequent = pb::UpdateExportRequest {
            export: Some(pb::Export {
                name: created.name.clone(),
                schedule: Some(cron("*/5 * * * *", "UTC")),
                ..Default::default()
            }),
            ..Default::default()
        };
        ann.exports.update_export(frequent).await.expect("valid for a webhook");
        let request = pb::AttachExportRequest {
            destination_settings: Some(object([("file_format", text("csv"))])),
            ..attach(&created.name, &sftp)
        };
        let refusal = ann.exports.attach_export(request.clone()).await.expect_err("too frequent for SFTP");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "SCHEDULE_TOO_FREQUENT"));

        // It may move once it has ended.
        let end = server.clock.now() + chrono::TimeDelta::minutes(10);
        let end_time = Some(prost_types::Timestamp { seconds: end.timestamp(), nanos: 0 });
        let ending = pb::UpdateExportRequest {
            export: Some(pb::Export {
                name: created.name.clone(),
                schedule: Some(pb::Schedule { end_time, ..cron("*/5 * * * *", "UTC") }),
                ..Default::default()
            }),
            ..Default::default()
        };
        ann.exports.update_export(ending).await.expect("valid for a webhook");
        server.clock.advance(chrono::TimeDelta::minutes(20));
        assert_eq!(attached(&mut ann, request).await.next_run_time, None);
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_attached_to_one_connection_as_a_whole_or_not_at_all() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let (first, second) =
            (admin.shared_connection("First").await.name, admin.shared_connection("Second").await.name);
        let webhook = webhook(&mut admin).await;
        let mut names = Vec::new();
        for number in 0..3 {
            names.push(ann.export(&first, &format!("Export {number}")).await.name);
        }
        let detach = pb::DetachExportRequest { name: names[1].clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let batch = |connection: &str| pb::BatchAttachExportsRequest {
            parent: parent(),
            names: names.iter().rev().cloned().collect(),
            connection: connection.to_owned(),
            ..Default::default()
        };
        let refusal = ann.exports.batch_attach_exports(batch(&webhook)).await.expect_err("invalid for a webhook");
        assert_eq!(refusal.reason(), "CONNECTION_TYPE_MISMATCH");
        assert_eq!(
            refusal.get_error_details().resource_info().map(|info| info.resource_name.clone()),
            Some(names[2].clone())
        );
        assert_eq!(admin.read_connection(&first).await.attached_export_count, 2);

        let done = ann.exports.batch_attach_exports(batch(&second)).await.expect("attached").into_inner();
        let results: Vec<_> = done.results.iter().map(|result| result.name.clone()).collect();
        assert_eq!(results, names.iter().rev().cloned().collect::<Vec<_>>());
        for result in done.results {
            assert_eq!(result.state(), pb::export::State::Active);
            let now = ann.read_export(&result.name).await;
            assert_eq!((now.etag, now.connection), (result.etag, second.clone()));
        }
        assert_eq!(admin.read_connection(&second).await.attached_export_count, 3);
        server.check_rows().await;
    })
    .await;
}
