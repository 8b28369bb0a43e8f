//! The wire: the only place that names tonic and prost.
//!
//! A handler takes the call, converts in, calls one method of the application, and converts out. Roles, limits and
//! deadlines are the gate's; the one way from an error to a status is `status`.

mod access;
mod audit_service;
mod body;
mod codec;
mod connection_service;
mod convert;
mod deadline;
mod export_service;
mod gate;
pub mod health;
mod interceptor;
pub mod methods;
pub mod status;

pub use audit_service::AuditApi;
pub use codec::Codec;
pub use connection_service::ConnectionApi;
pub use export_service::ExportApi;
pub use gate::{Gate, GateLayer, Gatekeeper};
pub use interceptor::caller as caller_interceptor;

/// Messages, services and clients, generated from `proto/`.
#[expect(clippy::allow_attributes, clippy::pedantic, reason = "generated")]
pub mod proto {
    tonic::include_proto!("outflow.v1");

    /// Everything that reflection tells.
    pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/outflow_descriptor.bin"));
}
