//! Violations of exports.

use outflow::grpc::proto as pb;
use prost_types::value::Kind;
use tonic::Code;

use super::assert_violations;
use crate::support::{Client, Clients as _, ErrorExt as _, create_export, object, on_both, parent, text};

#[tokio::test(flavor = "multi_thread")]
async fn all_violations_of_an_export_are_reported_at_once() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = admin.shared_connection("Partner").await.name;
        let mut create = create_export(&connection, "Weekly");
        let export = create.export.as_mut().expect("an export");
        export.display_name.clear();
        export.owner = "ann".into();
        export.destination_settings = Some(object([
            ("file_format", text("papyrus")),
            ("file_name_template", text("{moon}")),
            ("colour", text("red")),
        ]));
        let timing = pb::schedule::Timing::Interval(pb::schedule::Interval {
            every: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
            ..Default::default()
        });
        export.schedule = Some(pb::Schedule { timing: Some(timing), enabled: true, ..Default::default() });
        let draft = export.clone();
        let expected = [
            "export.display_name",
            "export.owner",
            "export.destination_settings.file_format",
            "export.destination_settings.file_name_template",
            "export.destination_settings.colour",
            "export.schedule",
        ];
        let refusal = ann.exports.create_export(create).await.expect_err("invalid");
        assert_violations(&refusal, &expected);
        let preview = pb::PreviewExportRequest {
            parent: "organizations/acme".into(),
            rows: -1,
            target: Some(pb::preview_export_request::Target::Export(draft.clone())),
        };
        let refusal = ann.exports.preview_export(preview).await.expect_err("invalid");
        assert_violations(&refusal, &[&["rows"], &expected[..]].concat());

        let stored = ann.export(&connection, "Stored").await;
        let paths = ["display_name", "owner", "destination_settings", "schedule"].map(str::to_owned).to_vec();
        let update = pb::UpdateExportRequest {
            export: Some(pb::Export { name: stored.name.clone(), ..draft.clone() }),
            update_mask: Some(prost_types::FieldMask { paths }),
            ..Default::default()
        };
        let refusal = ann.exports.update_export(update.clone()).await.expect_err("invalid");
        assert_violations(&refusal, &expected);
        let attach = pb::AttachExportRequest {
            name: stored.name.clone(),
            connection: connection.clone(),
            destination_settings: draft.destination_settings,
            request_id: "seven".into(),
            ..Default::default()
        };
        let refusal = ann.exports.attach_export(attach).await.expect_err("invalid");
        let settings = ["request_id", "destination_settings.file_format", "destination_settings.file_name_template"];
        assert_violations(&refusal, &[&settings[..], &["destination_settings.colour"]].concat());

        // A caller who may not change the export learns of the form alone.
        let mut vic = server.contributor("vic").await;
        let unshare = pb::UnshareConnectionRequest { name: connection, all_contributors: true, ..Default::default() };
        admin.connections.unshare_connection(unshare).await.expect("unshared");
        let refusal = vic.exports.update_export(update).await.expect_err("invalid");
        assert_violations(&refusal, &["export.display_name", "export.owner"]);
        assert_eq!(admin.read_export(&stored.name).await.etag, stored.etag);
        server.check_rows().await;
    })
    .await;
}

/// Creates a shared connection to a directory of the server.
async fn local_directory(admin: &mut Client) -> String {
    let connection = pb::Connection {
        display_name: "Directory".into(),
        connection_type: "connectionTypes/local_directory".into(),
        properties: Some(object([("directory", text("in"))])),
        sharing: Some(pb::Sharing { all_contributors: true, members: Vec::new() }),
        ..Default::default()
    };
    let request = pb::CreateConnectionRequest { parent: parent(), connection: Some(connection), ..Default::default() };
    let created = admin.connections.create_connection(request).await.expect("created").into_inner();
    created.connection.expect("a connection").name
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_valid_alone_are_valid_beside_others() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let blank = [("file_format", text("")), ("file_name_template", text(" ")), ("folder", text(" weekly "))];
        let mut create = create_export(&connection, "Weekly");
        let export = create.export.as_mut().expect("an export");
        export.destination_settings = Some(object(blank.clone()));
        admin.exports.create_export(create.clone()).await.expect("created");
        let [one, two, three] = blank;
        let export = create.export.as_mut().expect("an export");
        export.destination_settings = Some(object([one, two, three, ("colour", text("red"))]));
        let refusal = admin.exports.create_export(create).await.expect_err("invalid");
        assert_violations(&refusal, &["export.destination_settings.colour"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_to_another_type_reports_everything_that_it_finds_in_the_settings_that_are_given() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let directory = local_directory(&mut admin).await;
        let sftp = admin.connection("Partner").await.name;
        let name = admin.export(&sftp, "Weekly").await.name;
        let attach = |settings, request_id: &str| pb::AttachExportRequest {
            name: name.clone(),
            connection: directory.clone(),
            destination_settings: Some(settings),
            request_id: request_id.into(),
            ..Default::default()
        };
        let invalid = || object([("colour", text("red")), ("file_name_template", text("{moon}"))]);
        let settings = ["destination_settings.colour", "destination_settings.file_name_template"];
        let refusal = admin.exports.attach_export(attach(invalid(), "")).await.expect_err("invalid");
        assert_violations(&refusal, &settings);
        let refusal = admin.exports.attach_export(attach(invalid(), "seven")).await.expect_err("invalid");
        assert_violations(&refusal, &[&settings[..], &["request_id"]].concat());
        assert_eq!(admin.read_export(&name).await.connection, sftp);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn violations_that_are_too_many_to_list_are_counted_once() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let mut create = create_export(&connection, "Weekly");
        let export = create.export.as_mut().expect("an export");
        let filter = pb::PayloadFilter {
            field: "email".into(),
            values: vec![prost_types::Value { kind: Some(Kind::StringValue("a".into())) }],
            ..Default::default()
        };
        export.payload.as_mut().expect("a payload").tables[0].filters = vec![filter; 150];
        export.destination_settings = Some(object([("colour", text("red"))]));
        let refusal = admin.exports.create_export(create).await.expect_err("invalid");
        assert_eq!(refusal.code(), Code::InvalidArgument);
        assert_eq!(refusal.info("violation_count"), "151");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_connection_does_not_hide_other_violations() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let stored = admin.export(&connection, "Weekly").await;
        let whole = pb::Export {
            connection: admin.connection("Other").await.name,
            destination_settings: Some(object([("colour", text("red"))])),
            ..stored.clone()
        };
        let update = |export| pb::UpdateExportRequest { export: Some(export), ..Default::default() };
        let refusal = admin.exports.update_export(update(whole.clone())).await.expect_err("invalid");
        assert_violations(&refusal, &["export.connection", "export.destination_settings.colour"]);
        let moved = pb::Export { destination_settings: stored.destination_settings.clone(), ..whole };
        let refusal = admin.exports.update_export(update(moved)).await.expect_err("immutable");
        assert_eq!(
            (refusal.reason().as_str(), refusal.fields()),
            ("IMMUTABLE_FIELD", vec!["export.connection".into()])
        );
        assert_eq!(admin.read_export(&stored.name).await, stored);
    })
    .await;
}
