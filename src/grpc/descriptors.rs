//! What the build derives from the descriptors of the protos. `build.rs` includes this file.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::{DescriptorProto, FileDescriptorSet, MethodDescriptorProto};

/// The message that holds a credential. It, and every message that contains it at any depth, must not implement Debug.
pub const SECRET_MESSAGE: &str = ".outflow.v1.CredentialInput";

/// The message of this full name, all messages below it, and all messages that contain one of them at any depth.
pub fn messages_that_reach(files: &FileDescriptorSet, secret: &str) -> BTreeSet<String> {
    let messages = messages(files);
    let below = format!("{secret}.");
    let mut reaching: BTreeSet<String> =
        messages.keys().filter(|name| *name == secret || name.starts_with(&below)).cloned().collect();
    loop {
        let contains =
            |message: &DescriptorProto| message.field.iter().any(|field| reaching.contains(field.type_name()));
        let found: Vec<_> =
            messages.iter().filter(|(name, message)| contains(message) && !reaching.contains(*name)).collect();
        if found.is_empty() {
            return reaching;
        }
        let found: Vec<String> = found.into_iter().map(|(name, _)| name.clone()).collect();
        reaching.extend(found);
    }
}

/// The names of the requests that carry `request_id` and `validate_only`. One that carries only one of them is an error.
pub fn mutation_requests(files: &FileDescriptorSet) -> Result<Vec<String>, String> {
    let mut requests = Vec::new();
    let services = files.file.iter().flat_map(|file| &file.service);
    let inputs: BTreeSet<&str> =
        services.flat_map(|service| &service.method).map(MethodDescriptorProto::input_type).collect();
    for (name, message) in messages(files).iter().filter(|(name, _)| inputs.contains(name.as_str())) {
        let has = |field: &str| message.field.iter().any(|found| found.name() == field);
        match (has("request_id"), has("validate_only")) {
            (true, true) => requests.push(message.name().to_owned()),
            (false, false) => {}
            (true, false) | (false, true) => {
                return Err(format!("{name} needs request_id and validate_only, or neither"));
            }
        }
    }
    Ok(requests)
}

/// Every message by its full name, `.package.Message.Nested`.
fn messages(files: &FileDescriptorSet) -> BTreeMap<String, &DescriptorProto> {
    let mut found = BTreeMap::new();
    for file in &files.file {
        let mut pending: Vec<_> =
            file.message_type.iter().map(|message| (format!(".{}", file.package()), message)).collect();
        while let Some((scope, message)) = pending.pop() {
            let name = format!("{scope}.{}", message.name());
            pending.extend(message.nested_type.iter().map(|nested| (name.clone(), nested)));
            found.insert(name, message);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FieldDescriptorProto;

    use super::*;
    use crate::grpc::proto::DESCRIPTOR_SET;

    fn files() -> FileDescriptorSet {
        FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap()
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
        let file = files.file.iter_mut().find(|file| file.package() == "outflow.v1").unwrap();
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
        assert!(mutation_requests(&files).unwrap().contains(&"CreateConnectionRequest".to_owned()));
        let requests = files.file.iter_mut().flat_map(|file| &mut file.message_type);
        for request in requests.filter(|message| message.name() == "CreateConnectionRequest") {
            request.field.retain(|field| field.name() != "validate_only");
        }
        assert!(mutation_requests(&files).is_err());
    }
}
