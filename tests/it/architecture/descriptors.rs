//! What `build.rs` derives from the descriptors: it finds messages with credentials and requests of mutations.

use derived::{SECRET_MESSAGE, message_fields, messages_that_reach, method_inputs, mutation_requests};
use outflow::grpc::proto::DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

#[path = "../../../src/grpc/descriptors.rs"]
mod derived;

fn files() -> FileDescriptorSet {
    FileDescriptorSet::decode(DESCRIPTOR_SET).expect("descriptors")
}

fn message(name: &str, field_type: &str) -> DescriptorProto {
    let field = FieldDescriptorProto { type_name: Some(field_type.to_owned()), ..FieldDescriptorProto::default() };
    DescriptorProto { name: Some(name.to_owned()), field: vec![field], ..DescriptorProto::default() }
}

#[test]
fn every_message_that_reaches_a_credential_is_found() {
    let mut files = files();
    let before = messages_that_reach(&files, SECRET_MESSAGE);
    let known = ["CreateConnectionRequest", "UpdateConnectionRequest", "RotateConnectionCredentialRequest"];
    for name in known.map(|name| format!(".outflow.v1.{name}")) {
        assert!(before.contains(&name), "{name}");
    }
    assert!(!before.contains(".outflow.v1.Connection"));
    // Directly, in a nested message, as the value of a map, and through another message.
    let file = files.file.iter_mut().find(|file| file.package() == "outflow.v1").expect("descriptors");
    file.message_type.push(message("Direct", SECRET_MESSAGE));
    let mut outer = message("Outer", ".outflow.v1.Connection");
    outer.nested_type.push(message("Nested", ".outflow.v1.Direct"));
    file.message_type.push(outer);
    let mut map = message("Map", ".outflow.v1.Map.ValuesEntry");
    map.nested_type.push(message("ValuesEntry", SECRET_MESSAGE));
    file.message_type.push(map);
    file.message_type.push(message("Through", ".outflow.v1.Outer.Nested"));
    file.message_type.push(message("Values", ".outflow.v1.CredentialInput.Inline"));
    let after = messages_that_reach(&files, SECRET_MESSAGE);
    let added: Vec<_> = after.difference(&before).map(|name| name.trim_start_matches(".outflow.v1.")).collect();
    assert_eq!(added, ["Direct", "Map", "Map.ValuesEntry", "Outer.Nested", "Through", "Values"]);
}

#[test]
fn a_request_with_only_one_of_request_id_and_validate_only_is_an_error() {
    let mut files = files();
    assert!(mutation_requests(&files).expect("descriptors").contains(&"CreateConnectionRequest".to_owned()));
    let requests = files.file.iter_mut().flat_map(|file| &mut file.message_type);
    for request in requests.filter(|message| message.name() == "CreateConnectionRequest") {
        request.field.retain(|field| field.name() != "validate_only");
    }
    assert!(mutation_requests(&files).is_err());
}

#[test]
fn the_table_of_messages_leads_from_a_request_to_the_values_of_a_filter() {
    let files = files();
    let messages = message_fields(&files);
    let fields = |name: &str| &messages.iter().find(|(known, _)| known == name).expect("a message").1;
    let mut name = ".outflow.v1.CreateExportRequest".to_owned();
    assert!(method_inputs(&files).contains(name.as_str()) && !method_inputs(&files).contains(".outflow.v1.Export"));
    // The export, its payload, tables, filters, values, a struct, its entries, and the values of these.
    for number in [3, 8, 1, 3, 3, 5, 1, 2] {
        let (_, index) = fields(&name).iter().find(|(known, _)| *known == number).expect("a message");
        name.clone_from(&messages[*index].0);
    }
    assert_eq!(name, ".google.protobuf.Value");
}
