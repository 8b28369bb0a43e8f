//! Values of connections as people have them: stored in their normal form, or refused with a reason that a form can show.

use std::collections::BTreeMap;

use outflow::grpc::proto as pb;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use rcgen::{CertificateParams, KeyPair};
use tonic::Code;

use crate::support::{
    Client, Clients as _, ErrorExt as _, TestServer, create_connection, object, on_both, parent, password, sftp, text,
};

/// The host key of GitHub, as ssh-keyscan prints it, and its fingerprint.
const SCANNED: &str = "github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n";
const FINGERPRINT: &str = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";

fn set(connection: &mut pb::Connection, key: &str, kind: Kind) {
    let properties = connection.properties.get_or_insert_default();
    properties.fields.insert(key.to_owned(), Value { kind: Some(kind) });
}

fn get<'a>(properties: &'a Struct, key: &str) -> Option<&'a str> {
    match properties.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        other => panic!("{other:?} is not a text"),
    }
}

fn credential(auth_method: &str, values: &[(&str, &str)]) -> pb::CredentialInput {
    let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>();
    pb::CredentialInput {
        auth_method: auth_method.to_owned(),
        source: Some(pb::credential_input::Source::Inline(pb::credential_input::Inline { values })),
        expire_time: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_stored_in_their_normal_form() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let mut connection = sftp("Partner");
        set(&mut connection, "host", text(" sftp.partner.example.\n"));
        set(&mut connection, "host_key", text(SCANNED));
        set(&mut connection, "directory", Kind::NullValue(0));
        let create = pb::CreateConnectionRequest {
            connection: Some(connection.clone()),
            credential: Some(password("p\u{e4}ss wort\r\n")),
            ..create_connection("Partner")
        };
        let created = admin.connections.create_connection(create).await.expect("created").into_inner();
        let created = created.connection.expect("a connection");
        let properties = created.properties.as_ref().expect("properties");
        assert_eq!(get(properties, "host"), Some("sftp.partner.example"));
        assert_eq!(get(properties, "host_key"), Some(FINGERPRINT));
        assert_eq!(get(properties, "directory"), Some("."), "null means the default");
        assert_eq!(server.stored_password(&created).await, "p\u{e4}ss wort");

        // The same values in other words change nothing, so that no credential is needed.
        let update = pb::UpdateConnectionRequest {
            connection: Some(pb::Connection { name: created.name.clone(), ..connection }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["properties".to_owned()] }),
            ..Default::default()
        };
        let updated = admin.connections.update_connection(update).await.expect("updated").into_inner();
        assert_eq!(updated.connection.expect("a connection").etag, created.etag);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_authorities_is_stored_beside_a_password() {
    let params = CertificateParams::new(vec!["db.example.com".to_owned()]).expect("parameters");
    let authority = params.self_signed(&KeyPair::generate().expect("a key")).expect("signed").pem();
    // A bundle of Amazon RDS has about 160 KB.
    let bundle = authority.repeat(165_000 / authority.len());
    on_both(async |server| {
        let mut admin = server.admin().await;
        let properties = object([("host", text("db.example.com")), ("dbname", text("crm")), ("user", text("outflow"))]);
        let connection = pb::Connection {
            display_name: "Warehouse".to_owned(),
            connection_type: "connectionTypes/postgresql".to_owned(),
            properties: Some(properties),
            ..Default::default()
        };
        let values = [("password", "secret"), ("sslrootcert", bundle.as_str())];
        let create = pb::CreateConnectionRequest {
            parent: parent(),
            connection: Some(connection),
            credential: Some(credential("password", &values)),
            ..Default::default()
        };
        let created = admin.connections.create_connection(create).await.expect("created").into_inner();
        let created = created.connection.expect("a connection");
        assert_eq!(created.credential_status.as_ref().expect("stored").set_fields, ["password", "sslrootcert"]);
        assert_eq!(server.stored_password(&created).await, "secret");
        assert_refused(&mut admin, &created.name, &[("password", "secret"), ("sslrootcert", &bundle[..100_000])]).await;
    })
    .await;
}

/// Expects that a credential is refused because its certificates are cut off.
async fn assert_refused(admin: &mut Client, name: &str, values: &[(&str, &str)]) {
    let rotate = pb::RotateConnectionCredentialRequest {
        name: name.to_owned(),
        credential: Some(credential("password", values)),
        ..Default::default()
    };
    let refusal = admin.connections.rotate_connection_credential(rotate).await.expect_err("cut off");
    assert_eq!(refusal.fields(), ["credential.inline.values.sslrootcert"]);
    assert!(refusal.message().contains("is cut off"), "{}", refusal.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_uses_the_tenants_that_the_operator_permits() {
    on_both(async |server: TestServer| {
        let tenants = "acme=contoso.com,globex=globex.com".to_owned();
        let server = TestServer::start_with(server.backend, vec![("entra_tenants", tenants)]).await;
        let mut admin = server.admin().await;
        let connection = |tenant: &str| pb::Connection {
            display_name: "Lake".to_owned(),
            connection_type: "connectionTypes/azure_blob".to_owned(),
            properties: Some(object([
                ("account_name", text("acmeexports")),
                ("container", text("$web")),
                ("tenant_id", text(tenant)),
                ("client_id", text("6731DE76-14A6-49AE-97BC-6EBA6914391E")),
            ])),
            ..Default::default()
        };
        let create = |tenant: &str| pb::CreateConnectionRequest {
            parent: parent(),
            connection: Some(connection(tenant)),
            credential: Some(credential("client_secret", &[("client_secret", "abc8Q~dEfGhI")])),
            ..Default::default()
        };
        let refusal = admin.connections.create_connection(create("globex.com")).await.expect_err("another tenant");
        assert_eq!(
            (refusal.code(), refusal.fields()),
            (Code::InvalidArgument, vec!["connection.properties.tenant_id".to_owned()])
        );
        let created = admin.connections.create_connection(create("Contoso.com")).await.expect("created").into_inner();
        let created = created.connection.expect("a connection");
        let update = pb::UpdateConnectionRequest {
            connection: Some(pb::Connection { name: created.name.clone(), ..connection("globex.com") }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["properties".to_owned()] }),
            ..Default::default()
        };
        let refusal = admin.connections.update_connection(update).await.expect_err("another tenant");
        assert_eq!(refusal.fields(), ["connection.properties.tenant_id"]);
        let draft = pb::TestConnectionRequest {
            parent: parent(),
            target: Some(pb::test_connection_request::Target::Connection(connection("globex.com"))),
            credential: create("").credential,
        };
        let refusal = admin.connections.test_connection(draft).await.expect_err("another tenant");
        assert_eq!(refusal.fields(), ["connection.properties.tenant_id"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_auth_method_needs_its_properties() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let account_key = format!("{}==", "A".repeat(86));
        let create = pb::CreateConnectionRequest {
            parent: parent(),
            connection: Some(pb::Connection {
                display_name: "Lake".to_owned(),
                connection_type: "connectionTypes/azure_blob".to_owned(),
                properties: Some(object([("account_name", text("acmeexports")), ("container", text("segments"))])),
                ..Default::default()
            }),
            credential: Some(credential("account_key", &[("account_key", &account_key)])),
            ..Default::default()
        };
        let with_secret = Some(credential("client_secret", &[("client_secret", "abc8Q~dEfGhI")]));
        let missing = pb::CreateConnectionRequest { credential: with_secret.clone(), ..create.clone() };
        let refusal = admin.connections.create_connection(missing).await.expect_err("no tenant");
        assert_eq!(refusal.fields(), ["connection.properties.tenant_id", "connection.properties.client_id"]);
        let created = admin.connections.create_connection(create).await.expect("created").into_inner();
        let rotate = pb::RotateConnectionCredentialRequest {
            name: created.connection.expect("a connection").name,
            credential: with_secret,
            ..Default::default()
        };
        let refusal = admin.connections.rotate_connection_credential(rotate).await.expect_err("no tenant");
        assert_eq!(refusal.fields(), ["credential.auth_method", "credential.auth_method"]);
        assert!(refusal.message().contains("UpdateConnection"), "{}", refusal.message());
    })
    .await;
}
