//! AttachExport and BatchAttachExports: a detached export comes back as it was, an attached one moves.

use outflow::grpc::proto as pb;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Client, Clients as _, ErrorExt as _, create_connection, cron, object, on_both, parent, text};

fn attach(export: &str, connection: &str) -> pb::AttachExportRequest {
    pb::AttachExportRequest { name: export.to_owned(), connection: connection.to_owned(), ..Default::default() }
}

async fn attached(client: &mut Client, request: pb::AttachExportRequest) -> pb::Export {
    client.exports.attach_export(request).await.expect("attached").into_inner().export.expect("answered")
}

/// A directory on the server, of a type that takes other settings and shorter intervals than SFTP.
async fn folder(admin: &mut Client) -> String {
    let mut request = create_connection("Folder");
    request.credential = None;
    let connection = request.connection.as_mut().expect("a connection");
    connection.connection_type = "connectionTypes/local_directory".into();
    connection.properties = Some(object([("directory", text("out"))]));
    connection.sharing = Some(pb::Sharing { all_contributors: true, members: Vec::new() });
    let created = admin.connections.create_connection(request).await.expect("created").into_inner();
    created.connection.expect("answered").name
}

/// A webhook, whose exports have settings of their own.
async fn webhook(admin: &mut Client) -> String {
    let types = pb::GetConnectionTypeRequest { name: "connectionTypes/webhook".into() };
    let found = admin.connections.get_connection_type(types).await.expect("known").into_inner();
    let method = found.connection_type.expect("answered").auth_methods.remove(0);
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
    created.connection.expect("answered").name
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_at_its_limit_comes_back_though_switching_it_off_took_a_byte() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let mut request = crate::support::create_export(&connection, "Large");
        let export = request.export.as_mut().expect("an export");
        export.schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        // As large as can be: first by the number of fields, then by the words about it.
        let mut sized = async |fields: usize, words: usize, validate_only| {
            let mut request = pb::CreateExportRequest { validate_only, ..request.clone() };
            let export = request.export.as_mut().expect("an export");
            export.description = "w".repeat(words);
            let table = &mut export.payload.as_mut().expect("a payload").tables[0];
            table.fields = (0..fields)
                .map(|number| pb::PayloadField { field: format!("f{number:0119}"), ..Default::default() })
                .collect();
            admin.exports.create_export(request).await.map(|created| created.into_inner().export.expect("answered"))
        };
        let (mut fields, mut words) = (0, 0);
        for step in [256, 128, 64, 32, 16, 8, 4, 2, 1] {
            fields += if sized(fields + step, 0, true).await.is_ok() { step } else { 0 };
        }
        for step in [256, 128, 64, 32, 16, 8, 4, 2, 1] {
            words += if sized(fields, words + step, true).await.is_ok() { step } else { 0 };
        }
        let made = sized(fields, words, false).await.expect("as large as can be");
        let mut admin = server.admin().await;
        let off = pb::BatchUpdateExportSchedulesRequest {
            parent: crate::support::parent(),
            names: vec![made.name.clone()],
            change: Some(pb::batch_update_export_schedules_request::Change::Enabled(false)),
            ..Default::default()
        };
        admin.exports.batch_update_export_schedules(off).await.expect("switched off");
        let detach = pb::DetachExportRequest { name: made.name.clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let back = attached(&mut admin, attach(&made.name, &connection)).await;
        assert_eq!((&back.payload, &back.description), (&made.payload, &made.description));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_export_comes_back_as_it_was() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let (first, second) =
            (admin.shared_connection("First").await.name, admin.shared_connection("Second").await.name);
        let mut request = crate::support::create_export(&first, "Weekly");
        request.export.as_mut().expect("an export").schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        let made = ann.exports.create_export(request).await.expect("created").into_inner().export.expect("answered");
        let detach = pb::DetachExportRequest { name: made.name.clone(), ..Default::default() };
        let detached = admin.exports.detach_export(detach).await.expect("detached").into_inner().export;
        assert_eq!(detached.expect("answered").next_run_time, None);

        let back = attached(&mut ann, attach(&made.name, &second)).await;
        assert_eq!((back.state(), back.detachment.clone()), (pb::export::State::Active, None));
        assert_eq!((back.connection.as_str(), back.connection_display_name.as_str()), (&*second, "Second"));
        assert_eq!((&back.payload, &back.schedule), (&made.payload, &made.schedule));
        assert_eq!((&back.destination_settings, &back.uid), (&made.destination_settings, &made.uid));
        assert_eq!(back.next_run_time, made.next_run_time, "missed times are not made up for");
        assert_eq!(ann.read_export(&made.name).await, back);

        // Where it is already, nothing changes.
        assert_eq!(attached(&mut ann, attach(&made.name, &second)).await, back);
        // And it moves.
        let moved = attached(&mut ann, attach(&made.name, &first)).await;
        assert_eq!(moved.connection, first);
        assert_ne!(moved.etag, back.etag);
        for (connection, count) in [(&first, 1), (&second, 0)] {
            assert_eq!(admin.read_connection(connection).await.attached_export_count, count);
        }
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_needs_the_export_and_the_target() {
    on_both(async |server| {
        let (mut admin, mut ann, mut bob) =
            (server.admin().await, server.contributor("ann").await, server.contributor("bob").await);
        let (shared, closed) = (admin.shared_connection("Shared").await.name, admin.connection("Closed").await.name);
        let own = ann.export(&shared, "Ann's").await;
        let roots = admin.export(&closed, "Root's").await;
        let absent = "organizations/acme/connections/absent";
        for (export, connection, code) in [
            (&own.name, closed.as_str(), Code::PermissionDenied),
            (&own.name, absent, Code::PermissionDenied),
            // Who does not manage the export learns nothing of the target.
            (&roots.name, shared.as_str(), Code::PermissionDenied),
            (&roots.name, absent, Code::PermissionDenied),
        ] {
            let refusal = ann.exports.attach_export(attach(export, connection)).await.expect_err("not permitted");
            assert_eq!((refusal.code(), refusal.reason().as_str()), (code, "NOT_PERMITTED"), "{export} {connection}");
        }
        let refusal = admin.exports.attach_export(attach(&own.name, absent)).await.expect_err("absent");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::NotFound, "RESOURCE_NOT_FOUND"));
        let detach = pb::DetachExportRequest { name: own.name.clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let refusal = bob.exports.attach_export(attach(&own.name, &shared)).await.expect_err("not his");
        assert_eq!(refusal.reason(), "NOT_PERMITTED");
        let stale = pb::AttachExportRequest { etag: own.etag, ..attach(&own.name, &shared) };
        let refusal = ann.exports.attach_export(stale).await.expect_err("stale");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Aborted, "ETAG_MISMATCH"));
        assert_eq!(ann.read_export(&own.name).await.state(), pb::export::State::Inactive);
        assert_eq!(admin.read_export(&roots.name).await, roots);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_must_fit_the_new_type_or_be_given_anew() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let sftp = admin.shared_connection("Partner").await.name;
        let (folder, webhook) = (folder(&mut admin).await, webhook(&mut admin).await);
        let made = ann.export(&sftp, "Weekly").await;

        // Those of a directory are the same words.
        let moved = attached(&mut ann, attach(&made.name, &folder)).await;
        assert_eq!(moved.connection_type, "connectionTypes/local_directory");
        let refusal = ann.exports.attach_export(attach(&made.name, &webhook)).await.expect_err("they do not fit");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::FailedPrecondition, "CONNECTION_TYPE_MISMATCH"));
        assert_eq!(refusal.info("export_type"), "connectionTypes/local_directory");
        assert_eq!(refusal.info("connection_type"), "connectionTypes/webhook");
        assert!(refusal.fields().contains(&"destination_settings.folder".to_owned()), "{:?}", refusal.fields());
        assert_eq!(ann.read_export(&made.name).await, moved);

        let given = pb::AttachExportRequest { destination_settings: Some(object([])), ..attach(&made.name, &webhook) };
        let fitted = attached(&mut ann, given).await;
        assert_eq!(fitted.connection_type, "connectionTypes/webhook");
        assert!(!fitted.destination_settings.expect("settings").fields.contains_key("folder"));

        // A schedule that fires too often for the new type does not go there.
        let minutely = pb::UpdateExportRequest {
            export: Some(pb::Export {
                name: made.name.clone(),
                schedule: Some(cron("*/5 * * * *", "UTC")),
                ..Default::default()
            }),
            ..Default::default()
        };
        ann.exports.update_export(minutely).await.expect("a webhook takes it");
        let back = pb::AttachExportRequest {
            destination_settings: Some(object([("file_format", text("csv"))])),
            ..attach(&made.name, &sftp)
        };
        let refusal = ann.exports.attach_export(back).await.expect_err("too often");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "SCHEDULE_TOO_FREQUENT"));
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_to_one_connection_whole_or_not_at_all() {
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
        let refusal = ann.exports.batch_attach_exports(batch(&webhook)).await.expect_err("they do not fit");
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
