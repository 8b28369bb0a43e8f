//! Settings of exports that name fields of the payload are checked with it at every save of either.

use outflow::grpc::proto as pb;
use prost_types::Struct;
use prost_types::value::Kind;
use tonic::{Code, Status};

use crate::support::{Client, Clients as _, ErrorExt as _, object, on_both, text};

/// Creates a shared Kafka connection.
async fn kafka(admin: &mut Client) -> String {
    let servers = prost_types::ListValue {
        values: vec![prost_types::Value { kind: Some(Kind::StringValue("broker.example:9092".into())) }],
    };
    let connection = pb::Connection {
        display_name: "Events".into(),
        connection_type: "connectionTypes/kafka".into(),
        properties: Some(object([("bootstrap_servers", Kind::ListValue(servers))])),
        sharing: Some(pb::Sharing { all_contributors: true, members: Vec::new() }),
        ..Default::default()
    };
    let values = [("username", "outflow"), ("password", "correct horse")];
    let inline =
        pb::credential_input::Inline { values: values.map(|(key, value)| (key.to_owned(), value.to_owned())).into() };
    let credential = pb::CredentialInput {
        auth_method: "sasl_plain".into(),
        source: Some(pb::credential_input::Source::Inline(inline)),
        ..Default::default()
    };
    let request = pb::CreateConnectionRequest {
        parent: "organizations/acme".into(),
        connection: Some(connection),
        credential: Some(credential),
        ..Default::default()
    };
    let created = admin.connections.create_connection(request).await.expect("created").into_inner();
    created.connection.expect("a connection").name
}

fn settings(key_field: &str) -> Struct {
    object([("topic", text("customers")), ("key_field", text(key_field))])
}

/// A payload of one table with these fields, each with an output name.
fn payload(fields: &[(&str, &str)]) -> pb::Payload {
    let field = |(field, output): &(&str, &str)| pb::PayloadField {
        field: (*field).into(),
        output_name: (*output).into(),
        ..Default::default()
    };
    let fields = fields.iter().map(field).collect();
    let table = pb::PayloadTable { table: "customers".into(), fields, filters: Vec::new() };
    pb::Payload { tables: vec![table] }
}

fn assert_names_the_setting(refusal: &Status, field: &str, exported: &str) {
    assert_eq!((refusal.code(), refusal.fields()), (Code::InvalidArgument, vec![field.to_owned()]));
    assert!(refusal.message().contains(exported), "{}", refusal.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_names_a_field_that_the_payload_exports() {
    on_both(async |server| {
        let (mut admin, mut ann) = (server.admin().await, server.contributor("ann").await);
        let connection = kafka(&mut admin).await;
        let path = "export.destination_settings.key_field";
        let draft = pb::Export {
            display_name: "Events".into(),
            connection: connection.clone(),
            payload: Some(payload(&[("email", "mail"), ("segment", "")])),
            destination_settings: Some(settings("email")),
            ..Default::default()
        };
        let create = |export| pb::CreateExportRequest {
            parent: "organizations/acme".into(),
            export: Some(export),
            ..Default::default()
        };
        let refusal = ann.exports.create_export(create(draft.clone())).await.expect_err("not the output name");
        assert_names_the_setting(&refusal, path, "the table customers exports mail, segment");
        let export = pb::Export { destination_settings: Some(settings("mail")), ..draft };
        let created = ann.exports.create_export(create(export)).await.expect("created").into_inner();
        let name = created.export.expect("an export").name;

        // An update of either is checked with the other.
        let update = |export: pb::Export| pb::UpdateExportRequest {
            export: Some(pb::Export { name: name.clone(), ..export }),
            ..Default::default()
        };
        let without = pb::Export { payload: Some(payload(&[("segment", "")])), ..Default::default() };
        let refusal = ann.exports.update_export(update(without.clone())).await.expect_err("the key is gone");
        assert_names_the_setting(&refusal, path, "exports segment");
        let other = pb::Export { destination_settings: Some(settings("id")), ..Default::default() };
        let refusal = ann.exports.update_export(update(other)).await.expect_err("no such field");
        assert_names_the_setting(&refusal, path, "exports mail, segment");
        let both = pb::Export { destination_settings: Some(settings("segment")), ..without };
        ann.exports.update_export(update(both)).await.expect("they fit");

        // So are settings that are given when it moves, and those of a detached export.
        let attach = pb::AttachExportRequest {
            name: name.clone(),
            connection: connection.clone(),
            destination_settings: Some(settings("mail")),
            ..Default::default()
        };
        let refusal = ann.exports.attach_export(attach).await.expect_err("not exported");
        assert_names_the_setting(&refusal, "destination_settings.key_field", "exports segment");
        let detach = pb::DetachExportRequest { name: name.clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let detached = pb::Export { payload: Some(payload(&[("email", "")])), ..Default::default() };
        let refusal = ann.exports.update_export(update(detached)).await.expect_err("the key is gone");
        assert_names_the_setting(&refusal, path, "exports email");
        server.check_rows().await;
    })
    .await;
}
