//! Outflow governs what data leaves a platform.

pub mod app;
pub mod catalog;
pub mod commands;
pub mod config;
pub mod grpc;
pub mod identity;
pub mod model;
mod private_file;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod vault;
