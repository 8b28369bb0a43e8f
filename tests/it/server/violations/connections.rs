//! Violations of connections and credentials.

use outflow::grpc::proto as pb;
use tonic::Code;

use super::assert_violations;
use crate::support::{
    Backend, Clients as _, ErrorExt as _, TestServer, create_connection, object, on_both, password, text,
};

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
async fn an_invalid_request_changes_nothing_and_uses_up_no_allowance() {
    let settings = || vec![("organization_max_writes_per_second", "1".to_owned())];
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let server = TestServer::start_with(backend, settings()).await;
        let mut admin = server.admin().await;
        let request_id = uuid::Uuid::new_v4().to_string();
        let mut create = pb::CreateConnectionRequest { request_id, ..create_connection("Partner") };
        let display_name = |create: &mut pb::CreateConnectionRequest, value: &str| {
            value.clone_into(&mut create.connection.as_mut().expect("a connection").display_name);
        };
        display_name(&mut create, "");
        for _ in 0..5 {
            let refusal = admin.connections.create_connection(create.clone()).await.expect_err("invalid");
            assert_violations(&refusal, &["connection.display_name"]);
        }
        // Tests of drafts are limited, but not for requests that are refused.
        for _ in 0..30 {
            let test = pb::TestConnectionRequest {
                parent: "organizations".into(),
                target: create.connection.clone().map(pb::test_connection_request::Target::Connection),
                credential: create.credential.clone(),
            };
            let refusal = admin.connections.test_connection(test).await.expect_err("invalid");
            assert_violations(&refusal, &["parent"]);
        }
        let database = server.database().await;
        for table in ["connections", "request_ids", "audit_events"] {
            assert_eq!(database.fetch_count(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
        }
        // The id of the request can be used for the corrected one.
        display_name(&mut create, "Partner");
        admin.connections.create_connection(create).await.expect("created");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn violations_contradict_neither_each_other_nor_what_is_valid_alone() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let create = |connection_type: &str, properties, credential| pb::CreateConnectionRequest {
            connection: Some(pb::Connection {
                display_name: "Partner".into(),
                connection_type: connection_type.into(),
                properties: Some(properties),
                ..Default::default()
            }),
            credential,
            ..create_connection("")
        };
        // A credential that must be absent need not be complete.
        let empty = Some(pb::CredentialInput::default());
        let directory = object([("directory", text("in"))]);
        let request = create("connectionTypes/local_directory", directory, empty);
        let refusal = admin.connections.create_connection(request).await.expect_err("invalid");
        assert_violations(&refusal, &["credential"]);
        // A blank property is one that is not given, also beside an unknown one.
        let azure = object([
            ("account_name", text("acme")),
            ("container", text("exports")),
            ("tenant_id", text("")),
            ("colour", text("red")),
        ]);
        let values = [("client_secret".to_owned(), "Ab1~".repeat(10))].into();
        let inline = pb::credential_input::Source::Inline(pb::credential_input::Inline { values });
        let secret =
            pb::CredentialInput { auth_method: "client_secret".into(), source: Some(inline), ..Default::default() };
        let request = create("connectionTypes/azure_blob", azure, Some(secret));
        let refusal = admin.connections.create_connection(request).await.expect_err("invalid");
        let expected = ["colour", "tenant_id", "client_id"].map(|key| format!("connection.properties.{key}"));
        assert_violations(&refusal, &expected.each_ref().map(String::as_str));
        // An unknown type does not hide the violations of the form.
        let request = pb::TestConnectionRequest {
            parent: "organizations".into(),
            target: Some(pb::test_connection_request::Target::Connection(pb::Connection {
                connection_type: "connectionTypes/fax".into(),
                ..Default::default()
            })),
            credential: None,
        };
        let refusal = admin.connections.test_connection(request).await.expect_err("invalid");
        assert_violations(&refusal, &["parent", "connection.connection_type"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_type_does_not_hide_other_violations() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let stored = admin.connection("Partner").await;
        let update = |connection: pb::Connection, paths: &[&str]| pb::UpdateConnectionRequest {
            connection: Some(pb::Connection { name: stored.name.clone(), ..connection }),
            update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() }),
            ..Default::default()
        };
        let whole = pb::Connection {
            connection_type: "connectionTypes/webhook".into(),
            properties: Some(object([("colour", text("red"))])),
            ..stored.clone()
        };
        let refusal = admin.connections.update_connection(update(whole, &[])).await.expect_err("invalid");
        let properties = ["colour", "host", "host_key", "username"].map(|key| format!("connection.properties.{key}"));
        let mut expected = properties.each_ref().map(String::as_str).to_vec();
        expected.push("connection.connection_type");
        assert_violations(&refusal, &expected);
        let long = pb::Connection { display_name: "x".repeat(121), ..Default::default() };
        let request = update(long, &["connection_type", "display_name", "colour"]);
        let refusal = admin.connections.update_connection(request).await.expect_err("invalid");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        assert_eq!(refusal.fields(), ["update_mask", "update_mask", "connection.display_name"]);
        // Alone, an immutable field has a reason of its own.
        let request = update(pb::Connection::default(), &["connection_type"]);
        let refusal = admin.connections.update_connection(request).await.expect_err("immutable");
        assert_eq!(refusal.reason(), "IMMUTABLE_FIELD");
    })
    .await;
}
