//! All violations of a request are reported at once: those of its form and those that its type decides.

use std::collections::BTreeSet;

use outflow::grpc::proto as pb;
use tonic::{Code, Status};

use crate::support::{Clients as _, ErrorExt as _, create_connection, create_export, object, on_both, password, text};

fn assert_violations(refusal: &Status, expected: &[&str]) {
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    let fields = refusal.fields();
    let found: BTreeSet<_> = fields.iter().map(String::as_str).collect();
    assert_eq!(found, expected.iter().copied().collect(), "{}", refusal.message());
    assert_eq!(fields.len(), expected.len(), "each once: {fields:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_violations_of_a_connection_are_reported_at_once() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let invalid = |request: pb::CreateConnectionRequest| {
            let connection = pb::Connection {
                display_name: String::new(),
                properties: Some(object([("host", text("partner.example")), ("colour", text("red"))])),
                ..request.connection.expect("a connection")
            };
            let credential = pb::CredentialInput { auth_method: "magic".into(), ..password("secret") };
            (connection, Some(credential))
        };
        let (connection, credential) = invalid(create_connection("Partner"));
        let properties = ["colour", "host_key", "username"].map(|key| format!("connection.properties.{key}"));
        let mut of_type: Vec<&str> = properties.iter().map(String::as_str).collect();
        of_type.push("credential.auth_method");
        let of_form =
            |more: &[&'static str]| -> Vec<&str> { of_type.iter().copied().chain(more.iter().copied()).collect() };

        let create = pb::CreateConnectionRequest {
            request_id: "seven".into(),
            connection: Some(connection.clone()),
            credential: credential.clone(),
            ..create_connection("Partner")
        };
        let refusal = admin.connections.create_connection(create).await.expect_err("invalid");
        assert_violations(&refusal, &of_form(&["request_id", "connection.display_name"]));
        let test = pb::TestConnectionRequest {
            parent: "organizations".into(),
            target: Some(pb::test_connection_request::Target::Connection(connection.clone())),
            credential: credential.clone(),
        };
        let refusal = admin.connections.test_connection(test).await.expect_err("invalid");
        // A draft is tested without a host key, to see it.
        let without_host_key: Vec<_> =
            of_form(&["parent"]).into_iter().filter(|field| !field.ends_with("host_key")).collect();
        assert_violations(&refusal, &without_host_key);

        let stored = admin.connection("Stored").await;
        let update = pb::UpdateConnectionRequest {
            connection: Some(pb::Connection { name: stored.name.clone(), ..connection }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["display_name".into(), "properties".into()] }),
            credential: credential.clone(),
            ..Default::default()
        };
        let refusal = admin.connections.update_connection(update).await.expect_err("invalid");
        assert_violations(&refusal, &of_form(&["connection.display_name"]));
        let rotate = pb::RotateConnectionCredentialRequest {
            name: stored.name.clone(),
            credential,
            request_id: "seven".into(),
            ..Default::default()
        };
        let refusal = admin.connections.rotate_connection_credential(rotate).await.expect_err("invalid");
        assert_violations(&refusal, &["request_id", "credential.auth_method"]);

        // A credential without values is one violation, not one for each value.
        let mut empty = create_connection("Partner");
        empty.connection.as_mut().expect("a connection").display_name.clear();
        empty.credential = Some(pb::CredentialInput { auth_method: "password".into(), ..Default::default() });
        let refusal = admin.connections.create_connection(empty).await.expect_err("invalid");
        assert_violations(&refusal, &["connection.display_name", "credential.inline"]);
        assert_eq!(admin.read_connection(&stored.name).await, stored);
        let list = pb::ListConnectionsRequest { parent: "organizations/acme".into(), ..Default::default() };
        let listed = admin.connections.list_connections(list).await.expect("listed").into_inner().connections;
        assert_eq!(listed, [stored], "nothing was created");
        server.check_rows().await;
    })
    .await;
}

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
