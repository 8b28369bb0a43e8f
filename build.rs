//! Compiles the protos: services and messages for the crate, and the descriptor set for reflection.

use std::path::PathBuf;

const PROTOS: [&str; 6] = [
    "outflow/v1/audit_service.proto",
    "outflow/v1/connection.proto",
    "outflow/v1/connection_service.proto",
    "outflow/v1/error_reason.proto",
    "outflow/v1/export.proto",
    "outflow/v1/export_service.proto",
];

/// Messages that carry a credential: nothing may print them.
const SECRET_MESSAGES: [&str; 5] = [
    ".outflow.v1.CredentialInput",
    ".outflow.v1.CredentialInput.Inline",
    ".outflow.v1.CreateConnectionRequest",
    ".outflow.v1.UpdateConnectionRequest",
    ".outflow.v1.RotateConnectionCredentialRequest",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(PROTOS)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // The encoded form keeps custom options, which the decoded one would drop.
    std::fs::write(out.join("outflow_descriptor.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .btree_map(".") // one order of keys: equal requests have equal bytes
        .skip_debug(SECRET_MESSAGES)
        .codec_path("crate::grpc::Codec")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
