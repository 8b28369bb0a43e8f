//! Compiles the protos: messages and services, the descriptor set for reflection, and what is derived from the
//! descriptors instead of being listed by hand.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use protox::prost_reflect::DescriptorPool;

#[path = "src/grpc/descriptors.rs"]
mod descriptors;

const PROTOS: [&str; 10] = [
    "outflow/v1/audit_service.proto",
    "outflow/v1/connection.proto",
    "outflow/v1/connection_service.proto",
    "outflow/v1/dataset.proto",
    "outflow/v1/error_reason.proto",
    "outflow/v1/export.proto",
    "outflow/v1/export_service.proto",
    "outflow/v1/identity_service.proto",
    "outflow/v1/options.proto",
    "outflow/v1/run.proto",
];

type BuildResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> BuildResult<()> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=src/grpc/descriptors.rs");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(PROTOS)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // The encoded form keeps custom options, which the decoded one drops.
    std::fs::write(out.join("outflow_descriptor.bin"), compiler.encode_file_descriptor_set())?;
    let files = compiler.file_descriptor_set();
    let secret = descriptors::messages_that_reach(&files, descriptors::SECRET_MESSAGE);
    std::fs::write(out.join("methods.rs"), methods(&compiler.descriptor_pool())?)?;
    std::fs::write(out.join("mutation_requests.rs"), mutation_requests(&descriptors::mutation_requests(&files)?))?;
    let messages = descriptors::message_fields(&files);
    std::fs::write(out.join("message_fields.rs"), message_fields(&messages))?;
    std::fs::write(out.join("message_types.rs"), message_types(&messages, &descriptors::method_inputs(&files)))?;
    tonic_prost_build::configure()
        .btree_map(".") // one order of keys: equal requests have equal bytes
        .skip_debug(secret)
        .codec_path("crate::grpc::Codec")
        .compile_fds(files)?;
    Ok(())
}

/// The table of methods with their roles, sorted by name. A method that neither requires a role nor permits any fails the
/// build.
fn methods(pool: &DescriptorPool) -> BuildResult<String> {
    let option = pool.get_extension_by_name("outflow.v1.required_role").ok_or("no option outflow.v1.required_role")?;
    let any = pool.get_extension_by_name("outflow.v1.any_role").ok_or("no option outflow.v1.any_role")?;
    let roles = pool.get_enum_by_name("outflow.v1.Role").ok_or("no enum outflow.v1.Role")?;
    let mut methods = Vec::new();
    for service in pool.services().filter(|service| service.package_name() == "outflow.v1") {
        for method in service.methods() {
            let name = format!("{}/{}", service.full_name(), method.name());
            let options = method.options();
            let role = options.get_extension(&option).as_enum_number().and_then(|number| roles.get_value(number));
            let role = role.filter(|role| role.number() != 0).map(|role| role.name().to_owned());
            let any_role = options.get_extension(&any).as_bool().unwrap_or_default();
            if role.is_some() == any_role {
                return Err(format!("{name} needs required_role or any_role").into());
            }
            let returns_many = method.output().fields().any(|field| field.is_list() || field.is_map());
            methods.push((name, role, method.is_server_streaming(), returns_many));
        }
    }
    methods.sort();
    let mut code = String::from("&[\n");
    for (name, role, streams, returns_many) in methods {
        writeln!(code, "    method({name:?}, {role:?}, {streams}, {returns_many}),")?;
    }
    code.push_str("]\n");
    Ok(code)
}

/// Implements `MutationRequest` for the requests that carry `request_id` and `validate_only`.
fn mutation_requests(messages: &[String]) -> String {
    let implementation = |message: &String| {
        format!(
            "impl MutationRequest for proto::{message} {{
    fn take_request_id(&mut self) -> String {{
        std::mem::take(&mut self.request_id)
    }}

    fn validate_only(&self) -> bool {{
        self.validate_only
    }}
}}
"
        )
    };
    messages.iter().map(implementation).collect()
}

/// The table of all messages: the fields of each that are messages.
fn message_fields(messages: &[(String, Vec<(i32, usize)>)]) -> String {
    let rows = messages.iter().map(|(name, fields)| format!("    &{fields:?}, // {name}\n"));
    format!("&[\n{}]\n", rows.collect::<String>())
}

/// Implements `MessageType` for the messages of the package that are not nested.
fn message_types(messages: &[(String, Vec<(i32, usize)>)], requests: &BTreeSet<&str>) -> String {
    let names = messages.iter().enumerate().filter_map(|(index, (name, _))| {
        let index = requests.contains(name.as_str()).then_some(index);
        let name = name.strip_prefix(".outflow.v1.").filter(|name| !name.contains('.'))?;
        Some(format!(
            "impl super::message_size::MessageType for {name} {{\n    const REQUEST: Option<usize> = {index:?};\n}}\n"
        ))
    });
    names.collect()
}
