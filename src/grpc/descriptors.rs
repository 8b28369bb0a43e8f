//! What the build derives from the descriptors of the protos. `build.rs` and its tests include this file.

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
    let inputs = method_inputs(files);
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

/// The full names of the messages that methods receive.
pub fn method_inputs(files: &FileDescriptorSet) -> BTreeSet<&str> {
    let services = files.file.iter().flat_map(|file| &file.service);
    services.flat_map(|service| &service.method).map(MethodDescriptorProto::input_type).collect()
}

/// Every message by its full name, and its fields that are messages, each with its number and the index of its type.
pub fn message_fields(files: &FileDescriptorSet) -> Vec<(String, Vec<(i32, usize)>)> {
    let messages = messages(files);
    let index = |name: &str| messages.keys().position(|known| known == name);
    let fields = |message: &DescriptorProto| {
        let fields = message.field.iter().filter_map(|field| Some((field.number(), index(field.type_name())?)));
        fields.collect()
    };
    messages.iter().map(|(name, message)| (name.clone(), fields(message))).collect()
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
