//! Messages, services and clients, generated from `proto/`.

#![expect(clippy::allow_attributes, clippy::large_enum_variant, clippy::pedantic, reason = "generated")]

tonic::include_proto!("outflow.v1");

include!(concat!(env!("OUT_DIR"), "/message_types.rs"));

/// The descriptors for reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/outflow_descriptor.bin"));
